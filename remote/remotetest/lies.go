package remotetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// head is the generation that liars lie about.
const head = Generations - 1

type origin = func(context.Context, *World) (http.Handler, error)

// With another head: a real server over a store that took in what no honest one would.

// replaced serves the store with mod and signed as its head.
func replaced(ctx context.Context, w *World, mod []byte, signed auth.SignedRoot) (http.Handler, error) {
	m, err := w.Memory(ctx, head)
	if err != nil {
		return nil, err
	}
	if err := m.Add(ctx, signed, bytes.NewReader(mod)); err != nil {
		return nil, err
	}
	return w.serve(NewStores(w.now, m)), nil
}

// doctored changes bytes of the head's module that leave it a module of the same root.
func doctored(change func(w *World, mod []byte) error) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		mod := bytes.Clone(w.Modules[head])
		if err := change(w, mod); err != nil {
			return nil, err
		}
		return replaced(ctx, w, mod, w.Heads[head])
	}
}

func otherID(w *World, mod []byte) error {
	at, err := section(mod, module.SectionStoreID)
	if err == nil {
		mod[at.from] ^= 1
	}
	return err
}

func flipChunk(w *World, mod []byte) error {
	at, err := section(mod, module.SectionChunkPool)
	if err == nil {
		mod[at.to-100] ^= 1
	}
	return err
}

func flipLeaf(w *World, mod []byte) error {
	at, err := section(mod, module.SectionMerkleNodes)
	if err == nil {
		mod[at.to-1] ^= 1
	}
	return err
}

type extent struct{ from, to int }

// section finds a section of a module in its bytes.
func section(mod []byte, id module.Section) (extent, error) {
	m, err := module.Open(bytes.NewReader(mod), int64(len(mod)))
	if err != nil {
		return extent{}, err
	}
	body, err := m.Section(id)
	if err != nil {
		return extent{}, err
	}
	_, from, n := body.Outer()
	return extent{int(from), int(from + n)}, nil
}

// repackaged has the attacker's key in the module and the attacker's signature on the head.
func repackaged(ctx context.Context, w *World) (http.Handler, error) {
	mod, err := w.rekeyed()
	if err != nil {
		return nil, err
	}
	signed, err := auth.SignRoot(ctx, w.Store, w.Heads[head].Root, w.attacker)
	if err != nil {
		return nil, err
	}
	return replaced(ctx, w, mod, signed)
}

// repackagedUnderTrueHead has the attacker's key in the module only.
func repackagedUnderTrueHead(ctx context.Context, w *World) (http.Handler, error) {
	mod, err := w.rekeyed()
	if err != nil {
		return nil, err
	}
	b, err := w.liar(ctx)
	if err != nil {
		return nil, err
	}
	b.module = func(merkle.Hash) []byte { return mod }
	return w.serve(b), nil
}

// rekeyed is the head's module with the attacker's key in place of the publisher's.
func (w *World) rekeyed() ([]byte, error) {
	mod := bytes.Clone(w.Modules[head])
	at, err := section(mod, module.SectionPublicKey)
	if err != nil {
		return nil, err
	}
	key := w.attacker.PublicKey()
	copy(mod[at.from:at.to], key[:])
	return mod, nil
}

// signedAs serves the head under the signature of an older generation, or under none.
func signedAs(generation int) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		signed := w.Heads[head]
		signed.Tagged, signed.Untagged = auth.Signature{}, auth.Signature{}
		if generation >= 0 {
			signed.Tagged, signed.Untagged = w.Heads[generation].Tagged, w.Heads[generation].Untagged
		}
		return replaced(ctx, w, w.Modules[head], signed)
	}
}

func firstGenerations(n int) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) { return w.Honest(ctx, n) }
}

// forked has two more generations after the first, well signed, that the pulling store has never seen.
func forked(ctx context.Context, w *World) (http.Handler, error) {
	m, err := w.Memory(ctx, 1)
	if err != nil {
		return nil, err
	}
	for n := range 2 {
		_, err := m.Publish(ctx, w.Publisher, fstest.MapFS{"fork": {Data: []byte{byte(n)}}})
		if err != nil {
			return nil, err
		}
	}
	return w.serve(NewStores(w.now, m)), nil
}

// revoking serves what the publisher has revoked. It is honest enough to say so.
func revoking(whole bool) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		m, err := w.Memory(ctx, Generations)
		if err != nil {
			return nil, err
		}
		t := auth.Tombstone{Store: w.Store, NotAfter: 1_700_000_000, Reason: auth.Compromise}
		if !whole {
			t.Root = w.Heads[head].Root
		}
		if t, err = auth.SignTombstone(ctx, t, w.Publisher); err != nil {
			return nil, err
		}
		return w.serve(NewStores(w.now, m)), m.Revoke(ctx, t)
	}
}

// revokedByAttacker has tombstones for head and store that are signed by another key.
func revokedByAttacker(ctx context.Context, w *World) (http.Handler, error) {
	m, err := w.Memory(ctx, Generations)
	if err != nil {
		return nil, err
	}
	for _, root := range []merkle.Hash{w.Heads[head].Root, {}} {
		t, err := auth.SignTombstone(ctx, auth.Tombstone{Store: w.Store, Root: root, Reason: auth.Takedown}, w.attacker)
		if err != nil {
			return nil, err
		}
		if err := m.Revoke(ctx, t); err != nil {
			return nil, err
		}
	}
	return w.serve(NewStores(w.now, m)), nil
}

// With other answers of the backend.

// A liarBackend answers as the stores do, but for what is set.
type liarBackend struct {
	*Stores
	head    func(auth.SignedRoot) auth.SignedRoot
	history func([]module.Generation) []module.Generation
	module  func(merkle.Hash) []byte
}

// liar is a backend of all generations that does not lie yet.
func (w *World) liar(ctx context.Context) (*liarBackend, error) {
	m, err := w.Memory(ctx, Generations)
	return &liarBackend{Stores: NewStores(w.now, m)}, err
}

func (b *liarBackend) Head(ctx context.Context, s auth.StoreID) (auth.SignedRoot, error) {
	r, err := b.Stores.Head(ctx, s)
	if err == nil && b.head != nil {
		r = b.head(r)
	}
	return r, err
}

func (b *liarBackend) Generations(ctx context.Context, s auth.StoreID) ([]module.Generation, error) {
	g, err := b.Stores.Generations(ctx, s)
	if err == nil && b.history != nil {
		g = b.history(g)
	}
	return g, err
}

func (b *liarBackend) Module(ctx context.Context, s auth.StoreID, root merkle.Hash) (io.ReadSeekCloser, error) {
	if b.module == nil {
		return b.Stores.Module(ctx, s, root)
	}
	return nopCloser{bytes.NewReader(b.module(root))}, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// swapped serves other bytes as the module of every root.
func swapped(other func(ctx context.Context, w *World) ([]byte, error)) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		mod, err := other(ctx, w)
		if err != nil {
			return nil, err
		}
		b, err := w.liar(ctx)
		if err != nil {
			return nil, err
		}
		b.module = func(merkle.Hash) []byte { return mod }
		return w.serve(b), nil
	}
}

func foreign(ctx context.Context, w *World) ([]byte, error) {
	mod, _, err := Module(ctx, auth.StoreIDFromKey(w.attacker.PublicKey()), w.attacker, content(head), nil)
	return mod, err
}

func older(_ context.Context, w *World) ([]byte, error) { return w.Modules[0], nil }

func half(_ context.Context, w *World) ([]byte, error) {
	return w.Modules[head][:len(w.Modules[head])/2], nil
}

func noise(context.Context, *World) ([]byte, error) {
	return bytes.Repeat([]byte("this is no module "), 1000), nil
}

func rolledBack(ctx context.Context, w *World) (http.Handler, error) {
	b, err := w.liar(ctx)
	if err != nil {
		return nil, err
	}
	b.head = func(auth.SignedRoot) auth.SignedRoot { return w.Heads[0] }
	return w.serve(b), nil
}

func history(change func([]module.Generation) []module.Generation) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		b, err := w.liar(ctx)
		if err != nil {
			return nil, err
		}
		b.history = change
		return w.serve(b), nil
	}
}

func withoutSecond(g []module.Generation) []module.Generation {
	return append(g[:1:1], g[2:]...)
}

func withTwice(g []module.Generation) []module.Generation {
	again := append(g[:2:2], g[0])
	again[2].Number = 2
	last := g[len(g)-1]
	last.Number = 3
	return append(again, last)
}

// With other answers on the wire.

// answering puts its own answer in place of that of one route.
func answering(tail string, answer func(w *World, res http.ResponseWriter, r *http.Request)) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		honest, err := w.Honest(ctx, Generations)
		if err != nil {
			return nil, err
		}
		path := "/stores/" + w.Store.String() + tail
		return http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path && r.Method == http.MethodGet {
				answer(w, res, r)
				return
			}
			honest.ServeHTTP(res, r)
		}), nil
	}
}

// edited changes what the honest server answers on one route.
func edited(tail string, edit func(h http.Header, body []byte) []byte) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		honest, err := w.Honest(ctx, Generations)
		if err != nil {
			return nil, err
		}
		return answering(tail, func(_ *World, res http.ResponseWriter, r *http.Request) {
			kept := &keeper{header: res.Header(), status: http.StatusOK}
			honest.ServeHTTP(kept, r)
			body := edit(res.Header(), kept.body.Bytes())
			res.Header().Set("Content-Length", strconv.Itoa(len(body)))
			res.WriteHeader(kept.status)
			res.Write(body)
		})(ctx, w)
	}
}

// A keeper keeps an answer back.
type keeper struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *keeper) Header() http.Header         { return k.header }
func (k *keeper) WriteHeader(status int)      { k.status = status }
func (k *keeper) Write(p []byte) (int, error) { return k.body.Write(p) }

func otherTag(h http.Header, body []byte) []byte {
	h.Set("ETag", `"`+strings.Repeat("ab", 32)+`"`)
	return body
}

func noTag(h http.Header, body []byte) []byte {
	h.Del("ETag")
	return body
}

// sized changes the size in a descriptor.
func sized(change func(int64) int64) func(http.Header, []byte) []byte {
	return func(_ http.Header, body []byte) []byte {
		var d remote.Descriptor
		if err := json.Unmarshal(body, &d); err != nil {
			return body
		}
		d.Size = change(d.Size)
		edited, err := json.Marshal(&d)
		if err != nil {
			return body
		}
		return edited
	}
}

func longer(n int64) int64 { return n + 1 }

// oversized announces what it sends.
func oversized(ctx context.Context, w *World) (http.Handler, error) {
	described, err := edited("", sized(func(int64) int64 { return 1 << 40 }))(ctx, w)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/module") {
			endless(w, res, r)
			return
		}
		described.ServeHTTP(res, r)
	}), nil
}

// endless sends a module whose first section is announced as 1 GiB, and zeros after it.
func endless(w *World, res http.ResponseWriter, r *http.Request) {
	res.Header().Set("ETag", tag(w.Heads[head].Root))
	io.WriteString(res, "\x00asm\x01\x00\x00\x00\x00\x80\x80\x80\x80\x04")
	zeros := make([]byte, 64<<10)
	for r.Context().Err() == nil {
		if _, err := res.Write(zeros); err != nil {
			return
		}
	}
}

func redirect(w *World, res http.ResponseWriter, r *http.Request) {
	http.Redirect(res, r, "https://example.com"+r.URL.Path, http.StatusTemporaryRedirect)
}

func compressed(w *World, res http.ResponseWriter, r *http.Request) {
	res.Header().Set("ETag", tag(w.Heads[head].Root))
	res.Header().Set("Content-Encoding", "gzip")
	res.Write(w.Modules[head])
}

func notModified(w *World, res http.ResponseWriter, _ *http.Request) {
	res.Header().Set("ETag", tag(w.Heads[head].Root))
	res.WriteHeader(http.StatusNotModified)
}

// endlessDescriptor is one whose list of tombstones goes on until the client has enough.
func endlessDescriptor(w *World, res http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(res, `{"current_root":"%s","size":1,"tombstones":[`, w.Heads[head].Root)
	entries := strings.Repeat(`{"record":"","signature":""},`, 1000)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(res, entries); err != nil {
			return
		}
	}
}

func gibberish(_ *World, res http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(res, `{"current_root":`)
}

// silent sends half of the module and then waits for the client to leave.
func silent(w *World, res http.ResponseWriter, r *http.Request) {
	mod := w.Modules[head]
	res.Header().Set("ETag", tag(w.Heads[head].Root))
	res.Header().Set("Content-Length", strconv.Itoa(len(mod)))
	res.Write(mod[:len(mod)/2])
	http.NewResponseController(res).Flush()
	<-r.Context().Done()
}

func absent(_ *World, res http.ResponseWriter, _ *http.Request) {
	http.Error(res, "unknown root", http.StatusNotFound)
}

func tag(root merkle.Hash) string { return `"` + root.String() + `"` }
