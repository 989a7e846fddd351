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

// A push is one on the server's side: what headers, or push-init's body, ask for, held against what
// is here.
type push struct {
	by       Requester // zero: no request brings it
	request  bool      // an HTTP request brings it
	store    auth.StoreID
	root     merkle.Hash
	parent   merkle.Hash
	sigs     signatures
	decl     declaration
	declared bool // decl is what a push-init announced
	pending  bool // to be kept, and not to become the head
	recipe   bool // it brings a recipe and chunks

	head   auth.SignedRoot // what is here; zero root: nothing yet
	held   auth.PublicKey  // the store's key so far
	key    auth.PublicKey  // that signatures are checked with; zero: the module will say
	bearer bool            // a first push that only a credential can allow
	signed auth.SignedRoot // what judge found good
	again  bool            // the root stands in the history, and may be the head again

	unsettled bool // the authority has it kept as pending
	unchanged bool // the backend had it as it is already
}

func newPush(c *call) *push {
	return &push{request: true, by: c.by, store: c.store}
}

// declarationKey is what a push-init of the same push is remembered under.
func (p *push) declarationKey() declarationKey {
	return declarationKey{p.store, p.root, p.by.Identity}
}

// A pushForm reads what one route says of a push.
type pushForm struct {
	// target reads the root, and what is declared of the module, the publisher's key among it.
	target func() error
	// statements reads what else there is: parent, mode, signatures.
	statements func() error
	// key finds the publisher's key where neither the store nor the request names one.
	key func() (auth.PublicKey, error)
}

// prepare makes the checks of a push that need no module, for all routes alike and in the order of
// remote/PROTOCOL.md 6.3. done says that the root is the head already.
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

// An arrival is how the module of a push comes.
type arrival struct {
	place share        // of Server.uploads, which accept takes one of
	body  *upload      // bounded by accept as the quota has it
	take  func() error // has the backend receive it; for a root of the history, only reads it
}

// accept takes a push that prepare let pass, and returns the status of its answer.
func (s *Server) accept(ctx context.Context, p *push, a arrival) (status int, err error) {
	if !p.again {
		if a.body.room, err = s.room(ctx, p); err != nil {
			return 0, err
		}
		if a.body.length > a.body.room {
			return 0, noRoom()
		}
	}
	if !a.place.grow(1) {
		return 0, rateLimited(time.Second)
	}
	defer a.place.release()
	err = a.take()
	switch {
	case p.again && err == nil:
		err = s.revert(ctx, p)
	case !p.again && err != nil:
		if head, herr := s.head(ctx, p.store); herr == nil && head.Root == p.root {
			return http.StatusOK, nil // the same push came twice at once, and the other one was first
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

// find looks the store up, and asks the policy when it is not here (remote/PROTOCOL.md 6.9).
// declared is the publisher's key as far as the request has named one.
func (s *Server) find(ctx context.Context, p *push, declared auth.PublicKey) error {
	head, err := s.head(ctx, p.store)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || s.notServed(p.store)) {
		return err
	}
	p.head, p.held = head, head.PublicKey
	switch p.key = p.held; {
	case !p.key.IsZero():
		if s.opt.Authority != nil && !declared.IsZero() { // which says whether another key may sign
			p.key = declared
		}
		return nil
	case !head.Root.IsZero(): // whose word would count?
		return forbidden("no key is known for this store")
	}
	return s.admit(ctx, p, declared)
}

// admit asks the policy about a first push, and settles the key.
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

// compareHead makes the checks from the signature on that need no body, in the order of
// remote/PROTOCOL.md 6.3, the Authority's last. done says that the pushed root is the head already.
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

// checkRevert judges a push of a root that stands in the history. Its signature is an old one,
// which anybody can send: something else has to speak for it.
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
		return nonFastForward() // it is confirmed already
	}
	err := s.promoter.Revert(ctx, p.signed, p.parent)
	if errors.Is(err, fs.ErrNotExist) { // it is not held
		refused := nonFastForward()
		refused.cause = err
		return refused
	}
	return err
}

// inHistory reports whether a root is that of a confirmed generation.
func (s *Server) inHistory(ctx context.Context, store auth.StoreID,
	root merkle.Hash) (bool, error) {
	_, err := s.receiver.Line(ctx, store, root)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// checkBearer wants a credential where nothing else allows a first push.
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

// header is the value of a header. One that was sent twice is what no parser takes.
func header(h http.Header, name string) string { return strings.Join(h.Values(name), ",") }

// check verifies what was sent under the store's key: X-Dig-Signature in either form,
// X-Dig-Signature-Tagged in its own.
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
