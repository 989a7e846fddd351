package remote

import (
	"crypto/tls"
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

// NewHTTPServer returns an [http.Server] for h, a [*Server] or a mux around one, that strangers may be let at: headers
// of at most 32 KiB that have to come within 10 seconds, idle connections for 2 minutes, at most 100 requests at once
// on a connection of HTTP/2. Bodies and answers have no limit of time here, since a Server has its own
// ([ServerOptions].UploadIdle and DownloadIdle); other handlers beside it have to bring theirs.
//
// config is for ServeTLS and may be nil; a copy of it is used, with TLS 1.2 as the least version. The caller may set
// other fields before serving, serves, and shuts down.
//
// Spec: remote-protocol §12.27.
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
