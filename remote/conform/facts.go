package conform

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/rpc"
)

// facts are answers that several checks need. They are requested once and parsed leniently: one
// check reports a fault, and the others continue as far as they can.
type facts struct {
	described memo[described]
	listed    memo[[]line]
	headed    memo[headModule]
	tier      memo[[]string] // methods of the JSON-RPC tier
	writer    writer
}

// A memo keeps the result of one request.
type memo[T any] struct {
	asked bool
	value T
	err   error
}

func (m *memo[T]) get(ask func() (T, error)) (T, error) {
	if !m.asked {
		m.asked = true
		m.value, m.err = ask()
	}
	return m.value, m.err
}

// close closes and removes the temporary file.
func (s *session) close() {
	if f := s.headed.value.file; f != nil {
		f.Close()
		os.Remove(f.Name())
	}
}

// described is the descriptor, parsed leniently.
type described struct {
	answer *answer
	root   merkle.Hash
	size   int64
	key    auth.PublicKey
	sigs   [2]auth.Signature
	tombs  []json.RawMessage
}

// descriptor returns the descriptor of the store. If it cannot be read, the error is a *skipped.
func (s *session) descriptor(ctx context.Context) (described, error) {
	return s.described.get(func() (described, error) { return s.readDescriptor(ctx, s.store) })
}

// readDescriptor requests the current descriptor of a store.
func (s *session) readDescriptor(ctx context.Context, store auth.StoreID) (described, error) {
	a, err := s.send(ctx, probe{store: store})
	if err != nil {
		return described{}, skip("the descriptor did not come: %v", err)
	}
	return parseDescriptor(a)
}

func parseDescriptor(a *answer) (described, error) {
	d := described{answer: a}
	var b struct {
		Root     string            `json:"current_root"`
		Size     json.Number       `json:"size"`
		Key      string            `json:"public_key"`
		Sig      string            `json:"push_sig"`
		Untagged string            `json:"push_sig_untagged"`
		Tombs    []json.RawMessage `json:"tombstones"`
	}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &b) != nil {
		return d, skip("there is no descriptor to go by: %s", a)
	}
	var err error
	if d.root, err = merkle.ParseHash(b.Root); err != nil {
		return d, skip("the descriptor names no root")
	}
	d.size, _ = b.Size.Int64()
	d.key, _ = auth.ParsePublicKey(b.Key)
	d.sigs[0], _ = auth.ParseSignature(b.Sig)
	d.sigs[1], _ = auth.ParseSignature(b.Untagged)
	d.tombs = b.Tombs
	return d, nil
}

// head returns the root of the descriptor.
func (s *session) head(ctx context.Context) (merkle.Hash, error) {
	d, err := s.descriptor(ctx)
	return d.root, err
}

// A line is a line of the history, parsed leniently.
type line struct {
	Generation json.Number `json:"generation"`
	Root       string      `json:"root"`
	Timestamp  json.Number `json:"timestamp"`
}

// lines returns the history.
func (s *session) lines(ctx context.Context) ([]line, error) {
	return s.listed.get(func() ([]line, error) { return s.readLines(ctx, s.store) })
}

// readLines requests the current history of a store.
func (s *session) readLines(ctx context.Context, store auth.StoreID) ([]line, error) {
	a, err := s.send(ctx, probe{tail: "/roots", store: store, most: 64 << 20})
	if err != nil {
		return nil, skip("the history did not come: %v", err)
	}
	var b struct {
		Roots []line `json:"roots"`
	}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &b) != nil {
		return nil, skip("there is no history to go by: %s", a)
	}
	return b.Roots, nil
}

// older returns the root of the newest generation before the head.
func (s *session) older(ctx context.Context) (merkle.Hash, error) {
	head, err := s.head(ctx)
	if err != nil {
		return head, err
	}
	lines, err := s.lines(ctx)
	if err != nil {
		return head, err
	}
	for i := len(lines) - 1; i >= 0; i-- {
		if root, err := merkle.ParseHash(lines[i].Root); err == nil && root != head {
			return root, nil
		}
	}
	return head, skip("the store has one generation only")
}

// headModule is the head's module in a temporary file.
type headModule struct {
	answer *answer // nil if the module was read over JSON-RPC
	large  *answer // the answer 413, because of which it was
	file   *os.File
	size   int64
	mod    *module.Module
	bad    error // why mod is nil
}

// module downloads the head's module.
func (s *session) module(ctx context.Context) (headModule, error) {
	return s.headed.get(func() (h headModule, err error) {
		head, err := s.head(ctx)
		if err != nil {
			return h, err
		}
		if h.file, err = os.CreateTemp(s.opt.TempDir, "conform-*.dig"); err != nil {
			return h, skip("no place for the module: %v", err)
		}
		// so that no file is left after a kill; if the system refuses this, close does it
		_ = os.Remove(h.file.Name())
		h.answer, err = s.send(ctx,
			probe{tail: "/module", query: "root=" + head.String(), into: h.file, most: s.opt.MaxModule + 1})
		switch {
		case err != nil:
			return h, skip("the module did not come: %v", err)
		case h.answer.status == http.StatusRequestEntityTooLarge:
			h.large, h.answer = h.answer, nil
			if err := s.largeModule(ctx, h.file, head); err != nil {
				return h, skip("the module is too large for GET, and did not come by dig.getCapsule: %v", err)
			}
		case h.answer.status != http.StatusOK:
			return h, skip("there is no module to go by: %s", h.answer)
		}
		info, err := h.file.Stat()
		if err != nil {
			return h, skip("no place for the module: %v", err)
		}
		h.size = info.Size()
		h.mod, h.bad = module.Open(h.file, h.size)
		return h, nil
	})
}

// largeModule reads the module over JSON-RPC, as clients do after a 413.
func (s *session) largeModule(ctx context.Context, into *os.File, root merkle.Hash) error {
	via := remote.Channel{Origin: s.origin, Transport: s.http, UserAgent: s.opt.UserAgent,
		MaxModule: s.opt.MaxModule, Attempts: 4}
	r, _, err := rpc.WindowFetcher{}.OpenModule(ctx, via, module.ID{Store: s.store, Root: root}, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = into.ReadFrom(r)
	return err
}

// opened returns the head's module if it can be parsed.
func (s *session) opened(ctx context.Context) (*module.Module, error) {
	h, err := s.module(ctx)
	if err != nil {
		return nil, err
	}
	if h.mod == nil {
		return nil, skip("what came as the head is no module")
	}
	return h.mod, nil
}

// resource returns the shortest resource of the head.
func (s *session) resource(ctx context.Context) (*module.Resource, error) {
	m, err := s.opened(ctx)
	if err != nil {
		return nil, err
	}
	var best *module.Resource
	looked := 0
	for r, err := range m.Resources() {
		if err != nil {
			return nil, skip("the key table cannot be read: %v", err)
		}
		if best == nil || r.SealedSize() < best.SealedSize() {
			best = r
		}
		if looked++; looked == 1000 {
			break
		}
	}
	if best == nil {
		return nil, skip("the head has no resource")
	}
	return best, nil
}

// random returns 32 random bytes, for an id, root or retrieval key that does not exist.
func random() (h merkle.Hash) {
	rand.Read(h[:]) // never fails
	return h
}

// nowhere returns a random id of a store that does not exist.
func nowhere() auth.StoreID { return auth.StoreID(random()) }

// signed checks the signatures of the descriptor under a key.
func (d described) signed(store auth.StoreID, key auth.PublicKey) error {
	_, err := auth.AcceptRoot(store, d.root, key, d.sigs[0], d.sigs[1])
	if err != nil {
		return fmt.Errorf("%w under key %s", err, key)
	}
	return nil
}
