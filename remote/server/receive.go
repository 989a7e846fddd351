package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Receive takes a module that did not arrive by HTTP, such as from a peer, with the checks of a PUT
// (remote/PROTOCOL.md 6.3): Only, Policy, signatures, tombstones, parent, Authority, quota,
// Limits.Uploads, and every check of the module. There is no identity and no credential, and
// Authorize is not called. head.PublicKey is the declared key of the publisher; it may be zero for
// a known store.
//
// pending reports that the generation is kept but is not the head, since the Authority has not
// settled it. A root that is already the head is no error, and body is not read. Otherwise Receive
// reads at most MaxModule bytes of body; it does not close it.
//
// Errors match [fs.ErrNotExist] (a store that is unknown and not taken), [auth.ErrForbidden],
// [ErrNonFastForward], [ErrVerification] (a malformed or invalid module), [ErrTooLarge],
// [ErrUnavailable] (try again later), or are those of body and of the backend. A backend that is no
// [Receiver] is [errors.ErrUnsupported].
//
// [fs.ErrNotExist]: https://pkg.go.dev/io/fs#ErrNotExist
func (s *Server) Receive(ctx context.Context, head auth.SignedRoot, parent merkle.Hash,
	body io.Reader) (pending bool, err error) {
	pending, err = s.receiveModule(ctx, head, parent, body)
	if err != nil {
		return false, fmt.Errorf("receive root %s of store %s: %w", head.Root, head.Store,
			receiverError(err))
	}
	return pending, nil
}

// receiverError gives err the meaning of the response to a PUT.
func receiverError(err error) error {
	r := refusalOf(err)
	switch {
	case r.status != http.StatusInternalServerError:
		return r
	case errors.Is(err, fs.ErrNotExist): // a missing backend file, not an unknown store
		return errors.New(err.Error())
	}
	return err
}

func (s *Server) receiveModule(ctx context.Context, head auth.SignedRoot, parent merkle.Hash,
	body io.Reader) (bool, error) {
	if s.receiver == nil {
		return false, fmt.Errorf("the backend takes no pushes: %w", errors.ErrUnsupported)
	}
	p := &push{store: head.Store, root: head.Root, parent: parent}
	p.decl.key = head.PublicKey
	done, err := s.prepare(ctx, p, pushForm{
		target: func() error {
			if head.Root.IsZero() {
				return invalid("malformed root")
			}
			return nil
		},
		statements: func() error {
			p.sigs = signatures{any: head.Untagged, tagged: head.Tagged}
			if p.sigs.any.IsZero() {
				p.sigs.any = head.Tagged
			}
			if p.sigs.any.IsZero() {
				return invalid("missing signature")
			}
			return nil
		},
		key: func() (auth.PublicKey, error) {
			return auth.PublicKey{},
				invalid("no public key is known")
		},
	})
	if err != nil || done {
		return false, err
	}
	upload := &upload{body: body, length: -1, max: s.opt.MaxModule}
	_, err = s.accept(ctx, p, arrival{
		slot: share{of: s.uploads, by: holder{store: p.store}},
		body: upload,
		take: func() error {
			if p.again {
				return nil
			}
			return s.receive(ctx, p, upload)
		},
	})
	return p.pending, err
}
