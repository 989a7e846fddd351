package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// putModule answers PUT /stores/{id}/module. It checks the headers before it reads the body, so
// that a client that waits for 100 (Continue) sends no body in vain. See remote/PROTOCOL.md 6.1 to
// 6.4.
func (s *Server) putModule(w http.ResponseWriter, c *call) error {
	ctx := c.Context()
	if c.ContentLength > s.opt.MaxModule {
		return tooLarge(c.ContentLength)
	}
	recipe, recipeErr := s.readRecipePut(c.Request)
	body := newUpload(c, s.opt.MaxModule)
	p := newPush(c)
	done, err := s.prepare(ctx, p, pushForm{
		target: func() error {
			err := p.readRoot(c.Request)
			s.readDeclaration(p)
			return cmp.Or(err, p.decl.readKey(c.Request))
		},
		statements: func() error { return cmp.Or(recipeErr, s.readStatements(c, p)) },
		key: func() (auth.PublicKey, error) {
			if recipe != nil {
				return auth.PublicKey{}, noBaseHere() // the store is unknown
			}
			return s.peekKey(c, body)
		},
	})
	c.root = p.root
	if err != nil {
		return err
	}
	if done {
		return answerPush(w, p, http.StatusOK)
	}
	a := arrival{slot: c.share(s.uploads), body: body}
	switch {
	case p.again: // the module is already held: discard the body
		a.take = func() error {
			_, err := io.Copy(io.Discard, body)
			return err
		}
	case recipe != nil:
		if err := recipe.find(ctx, s, p); err != nil {
			return err
		}
		p.recipe = true
		a.take = func() error { return recipe.receive(c, s, p, body) }
	default:
		a.take = func() error { return s.receive(ctx, p, body) }
	}
	status, err := s.accept(ctx, p, a)
	if err != nil {
		return err
	}
	s.declarations.drop(p.declarationKey())
	return answerPush(w, p, status)
}

// receive passes a whole module to the backend.
func (s *Server) receive(ctx context.Context, p *push, body *upload) error {
	if !p.decl.program.IsZero() {
		body.hash = sha256.New()
	}
	return s.receiver.Receive(ctx, module.Push{Head: p.signed, Parent: p.parent, Pending: p.pending},
		body, func(m *module.Module) error {
			return s.verify(ctx, p, m, func() (merkle.Hash, error) { return body.sum(), nil })
		})
}

// peekKey reads the publisher's key from the first bytes of a module. The signature cannot be
// checked before, so these uploads have their own small budget and a short deadline.
func (s *Server) peekKey(c *call, body *upload) (auth.PublicKey, error) {
	slot := c.share(s.peeks)
	if !slot.grow(1) {
		return auth.PublicKey{}, rateLimited(time.Second)
	}
	defer slot.release()
	c.body.pace.until = time.Now().Add(peekTime)
	defer func() { c.body.pace.until = time.Time{} }()
	return body.peekKey()
}

// receiveError returns status 500 for an fs.ErrNotExist of the backend's own files, which would
// otherwise mean an unknown store.
func receiveError(err error) error {
	if answer := new(refusal); errors.Is(err, fs.ErrNotExist) && !errors.As(err, &answer) {
		return &refusal{status: http.StatusInternalServerError, text: "internal server error", cause: err}
	}
	return err
}

// readRoot reads the new root from the query or the header. If both are present they must agree.
func (p *push) readRoot(r *http.Request) error {
	text, query := header(r.Header, wire.HeaderRoot), r.URL.Query()
	if query.Has("root") {
		named := strings.Join(query["root"], ",")
		if text != "" && !strings.EqualFold(text, named) {
			return invalid("query and header name different roots")
		}
		text = named
	}
	if text == "" {
		return invalid("missing root")
	}
	var err error
	if p.root, err = merkle.ParseHash(text); err != nil || p.root.IsZero() {
		return invalid("malformed root")
	}
	return nil
}

// readDeclaration loads what a push-init of the same identity declared for this root.
func (s *Server) readDeclaration(p *push) {
	p.decl, p.declared = s.declarations.get(p.declarationKey(), s.opt.Now())
}

// readStatements reads the other headers of a push: parent (default: as declared by push-init),
// mode and signatures.
func (s *Server) readStatements(c *call, p *push) (err error) {
	switch text := header(c.Header, wire.HeaderParent); {
	case text != "":
		if p.parent, err = merkle.ParseHash(text); err != nil {
			return invalid("malformed parent")
		}
	case p.declared:
		p.parent = p.decl.parent
	default:
		return invalid("missing parent")
	}
	switch header(c.Header, wire.HeaderPushMode) {
	case "", wire.ModeAdvance:
	case wire.ModePending:
		if p.pending = true; s.promoter == nil {
			return invalid("pending pushes are not taken here")
		}
	default:
		return invalid("unknown push mode")
	}
	p.sigs, err = parseSignatures(c.Header)
	return err
}

// verify checks a received module; sum returns its SHA-256. See remote/PROTOCOL.md 6.3.
func (s *Server) verify(ctx context.Context, p *push, m *module.Module,
	sum func() (merkle.Hash, error)) error {
	if err := s.verifyHead(p, m); err != nil {
		return err
	}
	if want := p.decl.program; !want.IsZero() {
		got, err := sum()
		if err != nil {
			return err
		}
		if got != want {
			return invalid("program hash does not match push-init")
		}
	}
	if err := m.Verify(ctx); err != nil {
		if errors.Is(err, module.ErrVerify) || errors.Is(err, module.ErrFormat) {
			f := invalid("content does not match root")
			f.cause = err
			return f
		}
		return err
	}
	return nil
}

// verifyHead makes the checks of verify that need no chunks.
func (s *Server) verifyHead(p *push, m *module.Module) error {
	if p.decl.size > 0 && m.Size() != p.decl.size {
		return invalid("size does not match push-init")
	}
	if m.ID().Store != p.store {
		return invalid("store id does not match path")
	}
	if m.ID().Root != p.root {
		return invalid("root does not match")
	}
	if m.PublicKey() != p.key {
		return invalid("public key is not the store's")
	}
	return nil
}

// answerPush writes the response to an accepted push.
func answerPush(w http.ResponseWriter, p *push, status int) error {
	if status != http.StatusAccepted {
		w.Header().Set("ETag", wire.ETag(p.root))
		w.Header().Set("Content-Length", "0") // completes a response sent before the request body ends
	}
	w.WriteHeader(status)
	return nil
}
