package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

// A publisher is a store in a workspace, served over HTTP by a server that can be made to lie.
type publisher struct {
	t     *testing.T
	store *digstore.Store
	url   string
	lie   atomic.Bool // every module has one bit turned
}

func newPublisher(t *testing.T, id auth.StoreID) *publisher {
	t.Helper()
	ws, err := digstore.Init(t.TempDir(), nil)
	check(t, err)
	t.Cleanup(func() { ws.Close() })
	store, err := ws.Create(t.Context(), id,
		&digstore.StoreOptions{Key: auth.NewKey([auth.SeedSize]byte{1})})
	check(t, err)
	p := &publisher{t: t, store: store}
	honest := server.New(ws, nil)
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.lie.Load() && strings.HasSuffix(r.URL.Path, "/module") {
			w = liar{w}
		}
		honest.ServeHTTP(w, r)
	}))
	t.Cleanup(host.Close)
	p.url = host.URL + "/stores/" + id.String()
	return p
}

// commit makes a generation, most of which is content, and returns its root.
func (p *publisher) commit(text string) merkle.Hash {
	p.t.Helper()
	check(p.t, p.store.StageFS(p.t.Context(),
		fstest.MapFS{"text": {Data: bytes.Repeat([]byte(text), 50_000)}}))
	report, err := p.store.Commit(p.t.Context(), nil, nil)
	check(p.t, err)
	return report.Generation.Info().Root
}

// A liar turns one bit in the middle of whatever is written.
type liar struct{ http.ResponseWriter }

func (l liar) Write(b []byte) (int, error) {
	b = bytes.Clone(b)
	if len(b) > 0 {
		b[len(b)/2] ^= 1
	}
	return l.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (l liar) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// TestRun goes through what happens to a store between one look of the program and the next,
// and holds what it prints to what is wanted: how its one line begins, or nothing.
func TestRun(t *testing.T) {
	blocks := chaintest.New(nil)
	onChain := blocks.Mint(chain.Metadata{}, chaintest.Anyone(1))
	rpc := httptest.NewServer(blocks.Handler(nil))
	defer rpc.Close()
	p := newPublisher(t, onChain.ID())
	roots := []merkle.Hash{p.commit("one")}
	onChain.Update(roots[0])
	blocks.Farm(3)
	var fork uint32
	add := func(text string) { roots = append(roots, p.commit(text)) }
	steps := []struct {
		name string
		do   func()
		want func() string
	}{
		{"the first generation", nil, func() string { return "root " + roots[0].String() + ", generation 0, 4 blocks deep" }},
		{"nothing new", func() {}, nil},
		{"a generation that is not on the chain", func() { add("two") }, nil},
		{"one that is not confirmed", func() { fork = blocks.Height(); onChain.Update(roots[1]); blocks.Farm(1) }, nil},
		{"a reorganisation takes it back", func() { blocks.Reorg(fork); onChain.Rewind(); blocks.Farm(5) }, nil},
		{"it comes again and is confirmed", func() { onChain.Update(roots[1]); blocks.Farm(2) },
			func() string { return "root " + roots[1].String() + ", generation 1, 3 blocks deep" }},
		{"the origin lies", func() { p.lie.Store(true); add("three"); onChain.Update(roots[2]); blocks.Farm(2) },
			func() string { return "pull: " }},
		{"and still does", func() {}, func() string { return "pull: " }},
		{"it is honest again", func() { p.lie.Store(false) },
			func() string { return "root " + roots[2].String() + ", generation 2, 3 blocks deep" }},
		{"the chain is ahead of the origin", func() { onChain.Update(merkle.Sum([]byte("elsewhere"))); blocks.Farm(2) },
			func() string { return "pull: " }},
		{"the store is destroyed", func() { onChain.Melt(); blocks.Farm(2) }, func() string { return "destroyed in block " }},
	}
	var out bytes.Buffer
	at := 0
	looked := func() { // holds the output against what the step wanted
		t.Helper()
		got, _ := io.ReadAll(&out)
		want := steps[at].want
		if want == nil && len(got) > 0 || want != nil && !strings.HasPrefix(string(got), want()) ||
			bytes.Count(got, []byte("\n")) > 1 {
			t.Errorf("%s: prints %q", steps[at].name, got)
		}
		t.Logf("%s: %s", steps[at].name, got)
	}
	pause := func(context.Context, time.Duration) error {
		looked()
		if at++; at == len(steps) {
			return errors.New("no more steps")
		}
		steps[at].do()
		return nil
	}
	dir := t.TempDir()
	run(t.Context(), []string{"-chain", rpc.URL, "-depth", "3", "-every", "1ns", p.url, dir}, &out,
		pause)
	if at != len(steps)-1 {
		t.Fatalf("the program ended at %q", steps[at].name)
	}
	looked()

	ws, err := digstore.Open(dir, nil)
	check(t, err)
	defer ws.Close()
	head, err := ws.Head(t.Context(), onChain.ID())
	check(t, err)
	if head.Root != roots[2] {
		t.Errorf("the workspace has root %v, want %v", head.Root, roots[2])
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
