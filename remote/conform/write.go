package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Headers of pushes (remote/PROTOCOL.md 6.1).
const (
	headerParent    = "X-Dig-Parent"
	headerRoot      = "X-Dig-Root"
	headerSignature = "X-Dig-Signature"
	headerTagged    = "X-Dig-Signature-Tagged"
	headerMode      = "X-Dig-Push-Mode"
)

// A writer is the state of the store that is pushed to.
type writer struct {
	pushed  []generation // by this run, in order
	before  []line       // the history before the first refusal
	counted bool         // before is known
}

// A generation is a small module with the signatures of its root.
type generation struct {
	body []byte
	head auth.SignedRoot
}

// build returns a new generation signed by by. embedded is the public key in the module, which may
// be another key.
func (s *session) build(ctx context.Context, store auth.StoreID, by auth.Signer,
	embedded auth.PublicKey) (g generation, err error) {
	b := module.NewBuilder(store, embedded,
		&module.Options{Padding: module.None(), TempDir: s.opt.TempDir})
	defer b.Close()
	if err := b.Add(ctx, "index.html",
		strings.NewReader("conformance "+random().String())); err != nil {
		return g, err
	}
	var out bytes.Buffer
	root, err := b.Build(ctx, &out)
	if err != nil {
		return g, err
	}
	g.body = out.Bytes()
	g.head, err = auth.SignRoot(ctx, store, root, by)
	return g, err
}

// fresh returns a new generation of the store that is pushed to.
func (s *session) fresh(ctx context.Context) (generation, error) {
	w := s.opt.Write
	return s.build(ctx, w.Store, w.Key, w.Key.PublicKey())
}

// current reads the descriptor of the store that is pushed to. It is zero if there is none yet.
func (s *session) current(ctx context.Context) (d described, err error) {
	d, err = s.readDescriptor(ctx, s.opt.Write.Store)
	if err != nil && d.answer != nil && d.answer.status == http.StatusNotFound {
		err = nil
	}
	return d, err
}

// next returns a generation to push on the head, and the root of the head.
func (s *session) next(ctx context.Context) (g generation, parent merkle.Hash, err error) {
	d, err := s.current(ctx)
	if err != nil {
		return g, parent, err
	}
	if d.root.IsZero() {
		return g, parent, skip("the store has no generation (push/first)")
	}
	g, err = s.fresh(ctx)
	return g, d.root, err
}

// signatures adds the headers that all requests of a push have.
func (s *session) signatures(p probe, head auth.SignedRoot) probe {
	p = p.with(headerSignature, head.Untagged.String()).with(headerTagged, head.Tagged.String())
	if t := s.opt.Write.Token; t != "" {
		p = p.with("Authorization", "Bearer "+t)
	}
	return p
}

// put returns the request that pushes g.
func (s *session) put(g generation, parent merkle.Hash) probe {
	p := probe{method: http.MethodPut, tail: "/module", query: "root=" + g.head.Root.String(),
		store: s.opt.Write.Store, body: g.body}
	return s.signatures(p, g.head).with(headerParent, parent.String()).with(headerRoot,
		g.head.Root.String()).
		with(headerMode, "advance").with("Content-Type", "application/wasm")
}

// without removes a header.
func (p probe) without(name string) probe {
	p = p.with(name, "")
	delete(p.header, name)
	return p
}

// announce returns the push-init request of g.
func (s *session) announce(g generation, parent merkle.Hash) probe {
	v := map[string]any{"parent_root": "", "new_root": g.head.Root.String(),
		"program_hash": merkle.Sum(g.body).String(),
		"size_bytes":   len(g.body), "store_pubkey": g.head.PublicKey.String()}
	if !parent.IsZero() {
		v["parent_root"] = parent.String()
	}
	return s.signatures(probe{tail: "/module/upload", store: s.opt.Write.Store}.asJSON(v), g.head)
}

// An initAnswer is the answer to push-init.
type initAnswer struct {
	Mode   string `json:"mode"`
	Status string `json:"status"`
	Upload string `json:"upload_id"`
	URL    string `json:"url"`
}

// init announces g. If the origin does not have the route, the error is a *skipped.
func (s *session) init(ctx context.Context, g generation,
	parent merkle.Hash) (answer initAnswer, err error) {
	a, err := s.send(ctx, s.announce(g, parent))
	if err != nil {
		return answer, err
	}
	if noRoute(a) {
		return answer, skip("the origin has no push-init; clients send one plain PUT then")
	}
	if err := a.is(http.StatusOK); err != nil {
		return answer, err
	}
	err = a.decode(&answer)
	return answer, err
}

// noRoute reports whether the origin does not know a path or method, as opposed to a store or root.
func noRoute(a *answer) bool {
	return a.status == http.StatusMethodNotAllowed || a.status == http.StatusNotImplemented ||
		a.status == http.StatusNotFound && !strings.Contains(string(a.body), "unknown")
}

// push sends p, which pushes g, and checks that g becomes the head.
func (s *session) push(ctx context.Context, p probe, g generation) (*answer, error) {
	a, err := s.expect(ctx, p, http.StatusCreated)
	if err != nil {
		return a, err
	}
	if got := a.header.Get("ETag"); got != tag(g.head.Root) {
		return a, found("ETag "+tag(g.head.Root), "%q", got)
	}
	d, err := s.current(ctx)
	if err != nil {
		return a, err
	}
	if d.root != g.head.Root {
		return a, found("the pushed root as the head", "%s", d.root)
	}
	s.writer.pushed = append(s.writer.pushed, g)
	return a, nil
}

// advance pushes a new generation by a PUT that change may alter.
func (s *session) advance(ctx context.Context, change func(probe, generation) probe) error {
	g, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	p := s.put(g, parent)
	if change != nil {
		p = change(p, g)
	}
	_, err = s.push(ctx, p, g)
	return err
}

// last returns the newest generation of this run, and the one before.
func (s *session) last() (newest, before generation, err error) {
	if n := len(s.writer.pushed); n > 1 {
		return s.writer.pushed[n-1], s.writer.pushed[n-2], nil
	}
	return newest, before, skip("this run has not pushed two generations (push/first, push/second)")
}

// entries returns the tombstones of a root in the descriptor of the store that is pushed to.
func (s *session) entries(ctx context.Context,
	root merkle.Hash) (list []auth.Tombstone, err error) {
	d, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	for _, text := range d.tombs {
		t, err := readTombstone(json.RawMessage(text), s.opt.Write.Store, s.opt.Write.Key.PublicKey())
		if err != nil {
			return nil, found("tombstones that count", "%v", err)
		}
		if t.Root == root {
			list = append(list, t)
		}
	}
	return list, nil
}

// one checks that list has one entry, which is the tombstone that was sent.
func one(list []auth.Tombstone, want auth.Tombstone) error {
	if len(list) != 1 || list[0] != want {
		return found(fmt.Sprintf("one entry in the descriptor, reason %v", want.Reason),
			"%d entries", len(list))
	}
	return nil
}
