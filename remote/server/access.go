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

// Access is one request and its answer, for an access log and for metrics. No field has a
// signature, a token or a header of the request in it. Method and Route have few values, so that
// they can be labels of a metric.
type Access struct {
	Method   string        // GET, HEAD, POST or PUT; "": the route has no such method
	Route    string        // as "/stores/{id}/module"; "": there is no such route
	Store    auth.StoreID  // zero: the path names none
	Root     merkle.Hash   // generation that was asked for, or is pushed; zero: not known
	Status   int           // of the answer
	Received int64         // bytes of the request's body that were read
	Sent     int64         // bytes of the answer's body
	Start    time.Time     // by the server's clock
	Duration time.Duration // until the answer was written
	Address  netip.Addr    // that the client is counted under; IPv6: its /64; zero: not known
	// fingerprint of the key that signed, as "bls:0a1b2c3d"; "": none was needed, or valid
	Identity   string
	Credential string // name of the credential of a push or tombstone; "": none
	Aborted    bool   // the answer broke off
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
		a.Sent = 0 // what was written is not sent
	}
	s.opt.Access(context.WithoutCancel(ctx), *a)
}

// fingerprint is the short name of an identity; "" for none.
func fingerprint(key auth.PublicKey) string {
	if key.IsZero() {
		return ""
	}
	return fmt.Sprintf("bls:%08x", key.Fingerprint())
}
