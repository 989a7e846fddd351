package main

import (
	"net/http/httptest"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

// chains holds the chains of all scripts by URL.
var chains sync.Map

// blockchain is a chain with one store, and a full node that tells of it.
type blockchain struct {
	*chaintest.Chain
	store  *chaintest.Store
	server *httptest.Server
	writer chaintest.Delegate
}

// mint NAME ID makes a chain with a store on it; NAME becomes its node's URL
// and ID the store's id.
func mint(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mint NAME ID")
	}
	c := chaintest.New(&chaintest.Options{Network: "simulator0"})
	label := "a store"
	writer := chaintest.Writer(chaintest.Anyone(2))
	b := &blockchain{Chain: c, store: c.Mint(chain.Metadata{Label: &label}, chaintest.Anyone(1),
		writer), writer: writer}
	b.server = httptest.NewServer(c.Handler(nil))
	ts.Defer(b.server.Close)
	chains.Store(b.server.URL, b)
	ts.Setenv(args[0], b.server.URL)
	ts.Setenv(args[1], b.store.ID().String())
}

// onchain NAME root ROOT|farm|melt|stop|own KEY|let KEY|forbid changes the
// chain: a new root, forty blocks, the store's end, the node's; an owner with a
// key, a writer with a key who stands alone, no writer.
func onchain(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: onchain NAME root ROOT|farm|melt|stop|own KEY|let KEY|forbid")
	}
	found, ok := chains.Load(ts.Getenv(args[0]))
	if !ok {
		ts.Fatalf("no chain %s", args[0])
	}
	b := found.(*blockchain)
	switch args[1] {
	case "root":
		root, err := merkle.ParseHash(args[2])
		ts.Check(err)
		b.store.Update(root)
	case "own":
		b.store.Transfer(holder(ts, args[2]))
	case "let":
		b.store.Delegate(nil, chaintest.Writer(holder(ts, args[2])))
	case "forbid":
		b.store.Delegate(nil)
	case "farm":
		b.Farm(40)
	case "melt":
		b.store.Melt()
	case "stop":
		b.server.Close()
	default:
		ts.Fatalf("onchain cannot %s", args[1])
	}
}

// holder returns the puzzle of a key's owner.
func holder(ts *testscript.TestScript, text string) chaintest.Puzzle {
	key, err := auth.ParsePublicKey(text)
	ts.Check(err)
	return chaintest.Standard(key)
}
