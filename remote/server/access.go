package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Access describes one request and its response, for an access log and for metrics. No field
// contains a signature, a token or a request header. Method and Route have few values, so they can
// be labels of a metric.
type Access struct {
	Method   string        // GET, HEAD, POST or PUT; "": the route has no such method
	Route    string        // such as "/stores/{id}/module"; "": there is no such route
	Store    auth.StoreID  // zero: the path names none
	Root     merkle.Hash   // requested or pushed generation; zero: unknown
	Status   int           // of the response
	Received int64         // bytes read of the request body
	Sent     int64         // bytes of the response body
	Start    time.Time     // by the server's clock
	Duration time.Duration // until the response was written
	Address  netip.Addr    // client address for rate limits; IPv6: its /64; zero: unknown
	// Identity is the fingerprint of the signing key, such as "bls:0a1b2c3d". It is "" if no
	// signature was needed or the signature is invalid.
	Identity   string
	Credential string // name of the credential of a push or tombstone; "": none
	Aborted    bool   // the response is incomplete
}

// observe calls Options.Access at the end of a request.
func (s *Server) observe(ctx context.Context, a *Access, out *timedWriter,
	body *timedBody, begin time.Time) {
	if s.opt.Access == nil {
		return
	}
	a.Status = out.status
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	a.Received, a.Sent, a.Duration = body.n, out.sent, time.Since(begin)
	if a.Method == http.MethodHead {
		a.Sent = 0 // net/http drops the body
	}
	s.opt.Access(context.WithoutCancel(ctx), *a)
}

// fingerprint returns the short name of key, or "" for the zero key.
func fingerprint(key auth.PublicKey) string {
	if key.IsZero() {
		return ""
	}
	return fmt.Sprintf("bls:%08x", key.Fingerprint())
}
