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

// An Authority decides whose signature counts, where that is not simply the key that a store is
// held under: the chain, by the keys that may write there, or by the root itself
// (auth/chain/LINEAGE.md 9.3). Methods may be called concurrently.
type Authority interface {
	// Publish reports whether head may become the newest generation of its store. Its signatures are
	// known to hold under head.PublicKey, which the request named and which may differ from held, the
	// key of the store so far; zero: the store is new here. It is asked at push-init and again with
	// the module, and never about a root that is the head already.
	//
	// settled false has the generation kept as pending, whatever the push asked for: what it rests on
	// may still vanish. The same push again, later, makes it the head. [auth.ErrForbidden] refuses
	// (403), and so does [fs.ErrNotExist]; with any other error nothing is taken, and the answer asks
	// to come again (503).
	Publish(ctx context.Context, head auth.SignedRoot, held auth.PublicKey) (settled bool, err error)
	// ByRoot reports whether Publish accepts only the newest root that the Authority itself knows. Its
	// consent then also counts for a root that is in the history already.
	ByRoot() bool
}

// askAuthority has the Authority judge a push whose signature holds.
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

// askAgain is how long a client is told to wait where the Authority could not say yes or no: about
// a block.
const askAgain = 20 * time.Second

// readKey takes the store's key from its header into what was announced. The two have to agree.
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
