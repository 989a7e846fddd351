package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// An Authority decides which key may sign a push, in place of the key that the server holds for the
// store. The chain is one: it names the keys that may write, or the root itself
// (auth/chain/LINEAGE.md 9.3). Methods may be called concurrently.
type Authority interface {
	// Publish reports whether head may become the newest generation of its store. The signatures of
	// head are verified with head.PublicKey. That key comes from the request and may differ from
	// held, the current key of the store; held is zero for a new store. The server calls Publish at
	// push-init and again with the module, never for a root that is already the head.
	//
	// If settled is false, the generation is kept as pending, whatever mode the push has: a
	// reorganization may still undo it. The same push later makes it the head. [auth.ErrForbidden]
	// and [fs.ErrNotExist] refuse the push (403). Any other error is answered with 503 and
	// Retry-After.
	Publish(ctx context.Context, head auth.SignedRoot, held auth.PublicKey) (settled bool, err error)
	// ByRoot reports whether Publish accepts only the newest root that the Authority itself knows.
	// Its acceptance then also allows a root that is already in the history.
	ByRoot() bool
}

// askAuthority asks the Authority about a push with a valid signature. It sets p.unsettled.
func (s *Server) askAuthority(ctx context.Context, p *push) error {
	if s.opt.Authority == nil {
		return nil
	}
	settled, err := s.opt.Authority.Publish(ctx, p.signed, p.held)
	switch {
	case errors.Is(err, auth.ErrForbidden), errors.Is(err, fs.ErrNotExist):
		refused := forbidden("not allowed here")
		refused.cause = err
		return refused
	case err != nil:
		err = fmt.Errorf("ask the authority about root %s of store %s: %w", p.root, p.store, err)
		s.log.WarnContext(ctx, "the authority cannot decide about a push", "err", err)
		return &refusal{status: http.StatusServiceUnavailable,
			text: "whether this may be published cannot be found out now", retry: askAgain, cause: err}
	case settled:
		return nil
	}
	if p.unsettled = true; s.promoter == nil {
		return &refusal{status: http.StatusServiceUnavailable,
			text: "whether this may be published is not settled yet", retry: askAgain}
	}
	return nil
}

// askAgain is the Retry-After if the Authority could not decide: about one block.
const askAgain = 20 * time.Second

// readKey sets the key of d from the store key header. A different key in d is an error.
func (d *declaration) readKey(r *http.Request) error {
	key, err := wire.Optional(header(r.Header, wire.HeaderStoreKey), auth.ParsePublicKey)
	switch {
	case err != nil:
		return invalid("malformed store key")
	case key.IsZero():
		return nil
	case !d.key.IsZero() && d.key != key:
		return invalid("push-init and header name different keys")
	}
	d.key = key
	return nil
}
