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
	serverMaxStreams    = 100 // of one connection of HTTP/2
)

// NewHTTPServer returns an [http.Server] for h, a [*Server] or a mux around one, that strangers may
// be let at: headers of at most 32 KiB that have to come within 10 seconds, idle connections for 2
// minutes, at most 100 requests at once on a connection of HTTP/2. Bodies and answers have no limit
// of time here, since a Server has its own ([Options].UploadIdle and DownloadIdle); handlers beside
// it have to bring theirs, or stand behind [CloseSlow].
//
// config is for ServeTLS and may be nil; a copy of it is used, with TLS 1.2 as the least version.
// The caller may set other fields before serving, serves, and shuts down.
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

// CloseSlow returns a handler that answers as h does, and cuts off who brings his body, or takes
// his answer, too slowly: a client may be silent for idle (not positive: a minute), and in the long
// run has to move 4 KiB a second. It is for handlers beside a [Server], which has this itself, and
// needs a ResponseWriter that can set deadlines, as those of net/http can.
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
