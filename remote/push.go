package remote

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A push is one on the server's side: what headers, or push-init's body, ask for, held against what is here.
type push struct {
	store    auth.StoreID
	identity auth.PublicKey
	root     merkle.Hash
	parent   merkle.Hash
	sigs     signatures

	head   auth.SignedRoot // what is here; zero root: nothing yet
	key    auth.PublicKey  // that signatures are checked with; zero: the module will say
	bearer bool            // a first push that only the push token can allow
	signed auth.SignedRoot // what judge found good
}

// signatures are the two signature headers of a push.
type signatures struct {
	any    auth.Signature // either form
	tagged auth.Signature // zero: not sent
}

// find looks the store up, and asks the policy when it is not here (remote-protocol 4.7). declared is the publisher's
// key as far as the request has named one.
func (s *Server) find(ctx context.Context, p *push, declared auth.PublicKey) error {
	head, err := s.head(ctx, p.store)
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || s.narrowed(p.store)) {
		return err
	}
	p.head = head
	switch p.key = head.PublicKey; {
	case !p.key.IsZero():
		return nil
	case !head.Root.IsZero(): // whose word would count?
		return forbidden("no key is known for this store")
	}
	return s.admit(ctx, p, declared)
}

// admit asks the policy about a first push, and settles the key.
func (s *Server) admit(ctx context.Context, p *push, declared auth.PublicKey) error {
	key, err := s.opt.Policy.Admit(ctx, FirstPush{Store: p.store, Root: p.root, Publisher: declared, Identity: p.identity})
	if p.bearer = errors.Is(err, fs.ErrNotExist) && s.opt.PushToken != ""; err != nil && !p.bearer {
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

// judge makes the checks from the signature on that need no body, in the order of remote-protocol 4.3. done says that
// the pushed root is the head already.
func (s *Server) judge(ctx context.Context, p *push) (done bool, err error) {
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
		return false, nil
	}
	gens, err := s.back.Generations(ctx, p.store)
	if err != nil {
		return false, err
	}
	known := slices.ContainsFunc(gens, func(g module.Generation) bool { return g.Root == p.root })
	if known || p.parent != p.head.Root { // an old root again is a replay: a publisher's revert has a new one
		return false, nonFastForward()
	}
	return false, nil
}

// checkBearer asks for the push token where nothing else allows a first push. It compares in constant time, lengths
// included.
func (s *Server) checkBearer(c *call, p *push) error {
	if !p.bearer {
		return nil
	}
	scheme, token, _ := strings.Cut(c.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(s.opt.PushToken))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return missingBearer()
	}
	return nil
}

// parseSignatures reads the two signature headers.
func parseSignatures(h http.Header) (sigs signatures, err error) {
	text := header(h, headerSignature)
	if text == "" {
		return sigs, invalid("missing signature")
	}
	if sigs.any, err = auth.ParseSignature(text); err != nil {
		return sigs, invalid("malformed signature")
	}
	if sigs.tagged, err = optional(header(h, headerTagged), auth.ParseSignature); err != nil {
		return sigs, invalid("malformed tagged signature")
	}
	return sigs, nil
}

// header is the value of a header. One that was sent twice is what no parser takes.
func header(h http.Header, name string) string { return strings.Join(h.Values(name), ",") }

// check verifies what was sent under the store's key: X-Dig-Signature in either form, X-Dig-Signature-Tagged in its own.
func (g signatures) check(s auth.StoreID, root merkle.Hash, key auth.PublicKey) (auth.SignedRoot, error) {
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

// putModule answers PUT /stores/{id}/module. The body is not touched before the headers have passed, so that a client
// that waits for 100 (Continue) sends nothing in vain. Spec: remote-protocol 4.1 to 4.4.
func (s *Server) putModule(w http.ResponseWriter, c *call) error {
	ctx := c.Context()
	if c.ContentLength > s.opt.MaxModule {
		return tooLarge(c.ContentLength)
	}
	p := &push{store: c.store, identity: c.identity}
	rootErr := p.readRoot(c.Request)
	mine := declarationKey{c.store, p.root, c.identity}
	decl, declared := s.inits.get(mine, s.opt.Now())
	if err := s.find(ctx, p, decl.key); err != nil {
		return err
	}
	if rootErr != nil {
		return rootErr
	}
	pending, err := s.readPut(c, p, decl, declared)
	if err != nil {
		return err
	}
	if err := s.checkBearer(c, p); err != nil {
		return err
	}
	place := slot{in: s.uploads, store: c.store}
	defer place.leave()
	body := newUpload(w, c.Request, s.opt.MaxModule, s.opt.UploadIdle, !decl.program.IsZero())
	defer body.rest()
	if p.key.IsZero() { // only the module says: its first bytes have to be read before anything can be judged
		if !place.enter() {
			return rateLimited(time.Second)
		}
		key, err := body.peekKey()
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
	if done {
		if place.enter() {
			body.discard()
		}
		return s.advanced(w, p, http.StatusOK)
	}
	if !place.enter() {
		return rateLimited(time.Second)
	}
	err = s.receiver.Receive(ctx, p.signed, p.parent, pending, body, func(m *module.Module) error {
		return s.verify(ctx, p, m, body, decl)
	})
	if err != nil {
		if head, herr := s.head(ctx, p.store); herr == nil && head.Root == p.root {
			return s.advanced(w, p, http.StatusOK) // the same push came twice at once, and the other one was first
		}
		return receiveError(err)
	}
	s.inits.drop(mine)
	if pending {
		s.trimPending(ctx, c.store)
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	return s.advanced(w, p, http.StatusCreated)
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
	text, query := header(r.Header, headerRoot), r.URL.Query()
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
	switch text := header(c.Header, headerParent); {
	case text != "":
		if p.parent, err = merkle.ParseHash(text); err != nil {
			return false, invalid("malformed parent")
		}
	case declared:
		p.parent = decl.parent
	default:
		return false, invalid("missing parent")
	}
	switch header(c.Header, headerPushMode) {
	case "", modeAdvance:
	case modePending:
		if pending = true; s.promoter == nil {
			return false, invalid("pending pushes are not taken here")
		}
	default:
		return false, invalid("unknown push mode")
	}
	p.sigs, err = parseSignatures(c.Header)
	return pending, err
}

// verify is the check of a module that has come in whole. Spec: remote-protocol 4.3 steps 7 and 8.
func (s *Server) verify(ctx context.Context, p *push, m *module.Module, body *upload, decl declaration) error {
	if decl.size > 0 && body.n != decl.size {
		return invalid("size does not match push-init")
	}
	if want := decl.program; !want.IsZero() && body.sum() != want {
		return invalid("program hash does not match push-init")
	}
	if m.ID().Store != p.store {
		return invalid("store id does not match path")
	}
	if m.ID().Root != p.root {
		return invalid("root does not match")
	}
	if err := m.Verify(ctx); err != nil {
		if errors.Is(err, module.ErrVerify) || errors.Is(err, module.ErrFormat) {
			f := invalid("content does not match root")
			f.cause = err
			return f
		}
		return err
	}
	if m.PublicKey() != p.key {
		return invalid("public key is not the store's")
	}
	return nil
}

// advanced answers a push whose root is the head now.
func (s *Server) advanced(w http.ResponseWriter, p *push, status int) error {
	w.Header().Set("ETag", etag(p.root))
	w.WriteHeader(status)
	return nil
}
