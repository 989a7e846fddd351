package server

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A push is the state of one push: what the headers or the push-init body ask for, and what the
// server has found out about the store.
type push struct {
	by       Requester // zero if the push is no HTTP request
	request  bool      // the push is an HTTP request
	store    auth.StoreID
	root     merkle.Hash
	parent   merkle.Hash
	sigs     signatures
	decl     declaration
	declared bool // decl comes from a push-init
	pending  bool // keep the generation without making it the head
	recipe   bool // the body is a recipe and chunks

	head   auth.SignedRoot // current head; its root is zero if the store has no generation
	held   auth.PublicKey  // current key of the store
	key    auth.PublicKey  // checks the signatures; zero: taken from the module
	bearer bool            // a first push that only a credential can allow
	signed auth.SignedRoot // root and verified signatures
	again  bool            // the root is in the history and may become the head again

	unsettled bool // the Authority has not settled the push
	unchanged bool // the backend already holds exactly this
}

func newPush(c *call) *push {
	return &push{request: true, by: c.by, store: c.store}
}

// declarationKey returns the key under which a push-init of the same push is stored.
func (p *push) declarationKey() declarationKey {
	return declarationKey{p.store, p.root, p.by.Identity}
}

// A pushForm reads the parameters of a push from the form that one route uses.
type pushForm struct {
	// target reads the root and what is declared about the module, including the publisher's key.
	target func() error
	// statements reads parent, mode and signatures.
	statements func() error
	// key finds the publisher's key if neither the store nor the request names one.
	key func() (auth.PublicKey, error)
}

// prepare makes the checks of a push that need no module, in the order of remote/PROTOCOL.md 6.3.
// done reports whether the root is already the head.
func (s *Server) prepare(ctx context.Context, p *push, form pushForm) (done bool, err error) {
	targetErr := form.target()
	if err := s.find(ctx, p, p.decl.key); err != nil {
		return false, err
	}
	if err := cmp.Or(targetErr, form.statements()); err != nil {
		return false, err
	}
	if p.decl.size > s.opt.MaxModule {
		return false, tooLarge(p.decl.size)
	}
	if err := p.checkBearer(); err != nil {
		return false, err
	}
	if p.key.IsZero() {
		key, err := form.key()
		if err != nil {
			return false, err
		}
		if err := s.admit(ctx, p, key); err != nil {
			return false, err
		}
		if err := p.checkBearer(); err != nil {
			return false, err
		}
	}
	done, err = s.compareHead(ctx, p)
	p.pending = p.pending || p.unsettled
	return done, err
}

// An arrival says how to receive the module of a push.
type arrival struct {
	slot share        // of Server.uploads; accept takes one unit
	body *upload      // accept sets its quota
	take func() error // passes body to the backend; only reads it if push.again is set
}

// accept receives a push that passed prepare and returns the status of the response.
func (s *Server) accept(ctx context.Context, p *push, a arrival) (status int, err error) {
	if !p.again {
		if a.body.room, err = s.room(ctx, p); err != nil {
			return 0, err
		}
		if a.body.length > a.body.room {
			return 0, noRoom()
		}
	}
	if !a.slot.grow(1) {
		return 0, rateLimited(time.Second)
	}
	defer a.slot.release()
	err = a.take()
	switch {
	case p.again && err == nil:
		err = s.revert(ctx, p)
	case !p.again && err != nil:
		if head, herr := s.head(ctx, p.store); herr == nil && head.Root == p.root {
			return http.StatusOK, nil // a concurrent request made the same push first
		}
		err = receiveError(err)
	}
	if err != nil {
		return 0, err
	}
	status = http.StatusCreated
	if !p.again {
		s.setOwner(ctx, p)
	}
	if p.pending {
		s.trimPending(ctx, p.store)
		status = http.StatusAccepted
	}
	if !p.unchanged {
		s.notify(ctx,
			Received{Requester: p.by, Event: EventPush, Store: p.store, Root: p.root, Parent: p.parent,
				Pending: p.pending, Recipe: p.recipe, Again: p.again})
	}
	return status, nil
}

// signatures are the two signature headers of a push.
type signatures struct {
	any    auth.Signature // either form
	tagged auth.Signature // zero: not sent
}

// find looks up the store, and asks the policy if the store is unknown (remote/PROTOCOL.md 6.9).
// declared is the publisher's key that the request names, or zero.
func (s *Server) find(ctx context.Context, p *push, declared auth.PublicKey) error {
	head, err := s.head(ctx, p.store)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || s.notServed(p.store)) {
		return err
	}
	p.head, p.held = head, head.PublicKey
	switch p.key = p.held; {
	case !p.key.IsZero():
		// The Authority decides whether a key other than the held one may sign.
		if s.opt.Authority != nil && !declared.IsZero() {
			p.key = declared
		}
		return nil
	case !head.Root.IsZero(): // no key to check the signature with
		return forbidden("no key is known for this store")
	}
	return s.admit(ctx, p, declared)
}

// admit asks the policy about a first push and sets the key of the push.
func (s *Server) admit(ctx context.Context, p *push, declared auth.PublicKey) error {
	key, err := s.opt.Policy.Admit(ctx,
		FirstPush{Store: p.store, Root: p.root, Publisher: declared, Requester: p.by})
	p.bearer = errors.Is(err, fs.ErrNotExist) && s.opt.Credential != nil && p.request
	if err != nil && !p.bearer {
		return err
	}
	if p.key = key; key.IsZero() {
		p.key = declared
	}
	if !declared.IsZero() && declared != p.key {
		return forbidden("another key is held for this store")
	}
	return nil
}

// compareHead checks the signatures, the tombstones, the parent and, last, the Authority, in the
// order of remote/PROTOCOL.md 6.3. done reports whether the pushed root is already the head.
func (s *Server) compareHead(ctx context.Context, p *push) (done bool, err error) {
	if p.signed, err = p.sigs.check(p.store, p.root, p.key); err != nil {
		return false, err
	}
	ts, err := s.tombstones(ctx, p.store)
	if err != nil {
		return false, err
	}
	if isRevoked(ts, p.root) {
		return false, forbidden("revoked")
	}
	if p.root == p.head.Root {
		return true, nil
	}
	if p.head.Root.IsZero() {
		if !p.parent.IsZero() {
			return false, nonFastForward()
		}
		return false, s.askAuthority(ctx, p)
	}
	known, err := s.inHistory(ctx, p.store, p.root)
	if err != nil {
		return false, err
	}
	switch {
	case p.parent != p.head.Root:
		return false, nonFastForward()
	case known:
		return false, s.checkRevert(ctx, p)
	}
	return false, s.askAuthority(ctx, p)
}

// checkRevert checks a push of a root that is in the history. Anyone can replay its signature, so
// the push also needs Options.MayRevert or the Authority.
func (s *Server) checkRevert(ctx context.Context, p *push) error {
	bound := p.request && s.opt.MayRevert != nil && s.opt.MayRevert(p.by, p.store)
	named := s.opt.Authority != nil && s.opt.Authority.ByRoot()
	if s.promoter == nil || !bound && !named {
		return nonFastForward()
	}
	err := s.askAuthority(ctx, p)
	switch {
	case err != nil && !bound && errors.Is(err, auth.ErrForbidden):
		return nonFastForward() // the authority names another root
	case err != nil:
		return err
	case p.unsettled:
		return &refusal{status: http.StatusServiceUnavailable,
			text: "whether this may be published is not settled yet", retry: askAgain}
	}
	p.again = true
	return nil
}

// revert makes the root of a push the head again.
func (s *Server) revert(ctx context.Context, p *push) error {
	if p.pending {
		return nonFastForward() // the root is already confirmed
	}
	err := s.promoter.Revert(ctx, p.signed, p.parent)
	if errors.Is(err, fs.ErrNotExist) { // the server does not hold the module
		refused := nonFastForward()
		refused.cause = err
		return refused
	}
	return err
}

// inHistory reports whether root is the root of a confirmed generation.
func (s *Server) inHistory(ctx context.Context, store auth.StoreID,
	root merkle.Hash) (bool, error) {
	_, err := s.receiver.Line(ctx, store, root)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// checkBearer returns an error if the push needs a credential and has none.
func (p *push) checkBearer() error {
	if p.bearer && p.by.Credential == "" {
		return missingBearer()
	}
	return nil
}

// parseSignatures reads the two signature headers.
func parseSignatures(h http.Header) (sigs signatures, err error) {
	text := header(h, wire.HeaderSignature)
	if text == "" {
		return sigs, invalid("missing signature")
	}
	if sigs.any, err = auth.ParseSignature(text); err != nil {
		return sigs, invalid("malformed signature")
	}
	if sigs.tagged, err = wire.Optional(header(h, wire.HeaderTagged),
		auth.ParseSignature); err != nil {
		return sigs, invalid("malformed tagged signature")
	}
	return sigs, nil
}

// header returns the value of a header. Repeated headers are joined, so that every parser rejects
// them.
func header(h http.Header, name string) string { return strings.Join(h.Values(name), ",") }

// check verifies the signatures with key: X-Dig-Signature in either form, X-Dig-Signature-Tagged in
// the tagged form.
func (g signatures) check(s auth.StoreID, root merkle.Hash,
	key auth.PublicKey) (auth.SignedRoot, error) {
	bad := forbidden("bad BLS signature")
	signed, err := auth.AcceptRoot(s, root, key, g.any)
	if err != nil {
		bad.cause = err
		return auth.SignedRoot{}, bad
	}
	if !g.tagged.IsZero() && g.tagged != signed.Tagged {
		tagged := auth.SignedRoot{Store: s, Root: root, PublicKey: key, Tagged: g.tagged}
		if bad.cause = tagged.Check(); bad.cause != nil {
			return auth.SignedRoot{}, bad
		}
		signed.Tagged = g.tagged
	}
	return signed, nil
}
