package server

import (
	"crypto/tls"
	"io"
	"net/http"
	"time"
)

// Limits of the connections of [NewHTTPServer].
const (
	serverMaxHeader     = 32 << 10
	serverHeaderTimeout = 10 * time.Second
	serverIdleTimeout   = 2 * time.Minute
	serverMaxStreams    = 100 // of one HTTP/2 connection
)

// NewHTTPServer returns an [http.Server] for h, a [*Server] or a mux around one, with limits for
// public use: headers of at most 32 KiB within 10 seconds, idle connections closed after 2 minutes,
// at most 100 concurrent requests on an HTTP/2 connection. It sets no timeout for bodies and
// responses, since a Server has its own ([Options].UploadIdle and DownloadIdle). Other handlers
// need their own, or [CloseSlow].
//
// config is for ServeTLS and may be nil; a copy is used, with TLS 1.2 as the minimum version. The
// caller may set other fields before serving, and shuts the server down.
//
// See remote/PROTOCOL.md 2.3 and 4.4.
func NewHTTPServer(h http.Handler, config *tls.Config) *http.Server {
	if config == nil {
		config = new(tls.Config)
	}
	config = config.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return &http.Server{
		Handler:           h,
		TLSConfig:         config,
		ReadHeaderTimeout: serverHeaderTimeout,
		IdleTimeout:       serverIdleTimeout,
		MaxHeaderBytes:    serverMaxHeader,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: serverMaxStreams},
	}
}

// CloseSlow returns a handler that wraps h and closes connections that send or read too slowly: a
// client may be silent for idle (default: a minute) and must average 4 KiB a second. It is for
// handlers beside a [Server], which does this itself. It needs a ResponseWriter that can set
// deadlines, like those of net/http.
func CloseSlow(h http.Handler, idle time.Duration) http.Handler {
	idle = positive(idle, time.Minute)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := newTimedBody(w, r, idle)
		out := newTimedWriter(w, r, idle, body)
		paced := *r
		paced.Body = readCloser{body, r.Body}
		h.ServeHTTP(out, &paced)
		out.finish()
	})
}

type readCloser struct {
	io.Reader
	io.Closer
}
