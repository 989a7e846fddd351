package server

import (
	"cmp"
	"context"
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

// putModule answers PUT /stores/{id}/module. The body is not touched before the headers have passed, so that a client
// that waits for 100 (Continue) sends nothing in vain. See remote/PROTOCOL.md 6.1 to 6.4.
func (s *Server) putModule(w http.ResponseWriter, c *call) error {
	ctx := c.Context()
	if c.ContentLength > s.opt.MaxModule {
		return tooLarge(c.ContentLength)
	}
	recipe, recipeErr := s.readRecipePut(c.Request)
	p := &push{request: c.Request, store: c.store, identity: c.identity}
	rootErr := p.readRoot(c.Request)
	mine := declarationKey{c.store, p.root, c.identity}
	decl, declared := s.inits.get(mine, s.opt.Now())
	keyErr := decl.readKey(c.Request)
	if err := s.find(ctx, p, decl.key); err != nil {
		return err
	}
	if err := cmp.Or(rootErr, keyErr, recipeErr); err != nil {
		return err
	}
	pending, err := s.readPut(c, p, decl, declared)
	if err != nil {
		return err
	}
	if err := s.checkBearer(c, p); err != nil {
		return err
	}
	body := newUpload(c, s.opt.MaxModule, !decl.program.IsZero())
	if p.key.IsZero() && recipe != nil {
		return noBaseHere() // nothing is
	}
	if p.key.IsZero() { // only the module says: its first bytes have to be read before anything can be judged
		key, err := s.peekKey(c, body)
		if err != nil {
			return err
		}
		if err := s.admit(ctx, p, key); err != nil {
			return err
		}
		if err := s.checkBearer(c, p); err != nil {
			return err
		}
	}
	done, err := s.judge(ctx, p)
	if err != nil {
		return err
	}
	pending = pending || p.unsettled
	if done {
		return s.advanced(w, p, http.StatusOK)
	}
	if recipe != nil && !p.again {
		if err := recipe.find(ctx, s, p); err != nil {
			return err
		}
	}
	if !p.again {
		brings := c.ContentLength
		if recipe == nil && !p.isNew() {
			brings = 0 // a module has much that is here
		}
		if err := s.checkQuota(ctx, p, brings); err != nil {
			return err
		}
	}
	place := c.share(s.uploads)
	if !place.grow(1) {
		return rateLimited(time.Second)
	}
	defer place.release()
	if p.again {
		if _, err := io.Copy(io.Discard, body); err != nil { // it is here already
			return err
		}
		if err := s.revert(ctx, p, pending); err != nil {
			return err
		}
		s.inits.drop(mine)
		return s.advanced(w, p, http.StatusCreated)
	}
	if recipe != nil {
		err = recipe.receive(c, s, p, pending, body, decl)
	} else {
		err = s.receiver.Receive(ctx, p.signed, p.parent, pending, body, func(m *module.Module) error {
			return s.verify(ctx, p, m, body, decl)
		})
	}
	if err != nil {
		if head, herr := s.head(ctx, p.store); herr == nil && head.Root == p.root {
			return s.advanced(w, p, http.StatusOK) // the same push came twice at once, and the other one was first
		}
		return receiveError(err)
	}
	s.setOwner(ctx, p)
	s.inits.drop(mine)
	if pending {
		s.trimPending(ctx, c.store)
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	return s.advanced(w, p, http.StatusCreated)
}

// peekKey reads the publisher's key from the first bytes of a module. Until it is known no signature can be checked, so
// these uploads have places of their own and little time.
func (s *Server) peekKey(c *call, body *upload) (auth.PublicKey, error) {
	place := c.share(s.peeks)
	if !place.grow(1) {
		return auth.PublicKey{}, rateLimited(time.Second)
	}
	defer place.release()
	c.body.pace.until = time.Now().Add(peekTime)
	defer func() { c.body.pace.until = time.Time{} }()
	return body.peekKey()
}

// receiveError keeps what a backend misses among its own files from passing for an unknown store.
func receiveError(err error) error {
	if answer := new(refusal); errors.Is(err, fs.ErrNotExist) && !errors.As(err, &answer) {
		return &refusal{status: http.StatusInternalServerError, text: "internal server error", cause: err}
	}
	return err
}

// readRoot takes the new root from the query or from its header, which have to agree.
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

// readPut reads the other headers of a PUT: parent (declared beforehand when it is missing), mode, signatures.
func (s *Server) readPut(c *call, p *push, decl declaration, declared bool) (pending bool, err error) {
	switch text := header(c.Header, wire.HeaderParent); {
	case text != "":
		if p.parent, err = merkle.ParseHash(text); err != nil {
			return false, invalid("malformed parent")
		}
	case declared:
		p.parent = decl.parent
	default:
		return false, invalid("missing parent")
	}
	switch header(c.Header, wire.HeaderPushMode) {
	case "", wire.ModeAdvance:
	case wire.ModePending:
		if pending = true; s.promoter == nil {
			return false, invalid("pending pushes are not taken here")
		}
	default:
		return false, invalid("unknown push mode")
	}
	p.sigs, err = parseSignatures(c.Header)
	return pending, err
}

// verify is the check of a module that has come in whole.
func (s *Server) verify(ctx context.Context, p *push, m *module.Module, body *upload, decl declaration) error {
	return s.verifyModule(ctx, p, m, decl, func() (merkle.Hash, error) { return body.sum(), nil })
}

// verifyModule is the check of a module that has come in; sum is its SHA-256. See remote/PROTOCOL.md 6.3.
func (s *Server) verifyModule(ctx context.Context, p *push, m *module.Module, decl declaration, sum func() (merkle.Hash, error)) error {
	if err := s.verifyHead(p, m, decl); err != nil {
		return err
	}
	if want := decl.program; !want.IsZero() {
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

// verifyHead is the part of verify that needs no chunk.
func (s *Server) verifyHead(p *push, m *module.Module, decl declaration) error {
	if decl.size > 0 && m.Size() != decl.size {
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

// advanced answers a push whose root is the head now.
func (s *Server) advanced(w http.ResponseWriter, p *push, status int) error {
	w.Header().Set("ETag", wire.ETag(p.root))
	w.Header().Set("Content-Length", "0") // so that an answer before the body is whole at once
	w.WriteHeader(status)
	return nil
}
