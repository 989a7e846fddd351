package chain_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// FuzzParseAddress: a valid address has one spelling, except for its case.
func FuzzParseAddress(f *testing.F) {
	f.Add("xch1a37rq3cgcl2ecpudttsf35x75qzdan68lgw2l6ajvmqs44jxdn5qv6pk3y")
	f.Add("XCH1A37RQ3CGCL2ECPUDTTSF35X75QZDAN68LGW2L6AJVMQS44JXDN5QV6PK3Y")
	f.Add(chain.Address("a1b1", merkle.Hash{1}))
	f.Fuzz(func(t *testing.T, s string) {
		prefix, puzzle, err := chain.ParseAddress(s)
		if err != nil {
			return
		}
		if again := chain.Address(prefix, puzzle); again != strings.ToLower(s) {
			t.Errorf("%q is read as %s %v, which is written %q", s, prefix, puzzle, again)
		}
	})
}

// roundTrip is an http.Handler that answers with the result of a function.
type roundTrip func() string

func (r roundTrip) ServeHTTP(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(r())) }

// FuzzRPC: no answer of a host causes a panic, and every error is one of this package.
func FuzzRPC(f *testing.F) {
	for _, seed := range vectors.Seeds(f, "chain-rpc.json") {
		f.Add(string(seed))
	}
	f.Add(`{"success":true,"coin_record":{"coin":{"parent_coin_info":"` + sixty4 +
		`","puzzle_hash":"` + sixty4 +
		`","amount":1},"confirmed_block_index":1,"spent_block_index":0,"spent":false}}`)
	f.Add(`{"success":true,"coin_records":[{"coin":{"parent_coin_info":"` + sixty4 +
		`","puzzle_hash":"` + sixty4 + `","amount":1},"confirmed_block_index":1,"spent_block_index":0}]}`)
	f.Add(`{"success":true,"coin_solution":{"coin":{"parent_coin_info":"` + sixty4 +
		`","puzzle_hash":"` + sixty4 + `","amount":1},"puzzle_reveal":"80","solution":"0x80"}}`)
	f.Add(`{"success":true,"block_record":{"height":1,"header_hash":"` + sixty4 +
		`","timestamp":null}}`)
	f.Add(`{"success":true,"blockchain_state":{"peak":{"height":1,"header_hash":"` + sixty4 +
		`"},"sync":{"synced":true}},"network_name":"mainnet"}`)
	var answer atomic.Pointer[string]
	o := once()
	o.Dial = piped(f, roundTrip(func() string { return *answer.Load() }))
	r, err := chain.NewRPC("http://localhost", o)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(r.Close)
	f.Fuzz(func(t *testing.T, document string) {
		answer.Store(&document)
		ctx := context.Background()
		for _, ask := range []func() (bool, error){
			func() (bool, error) { v, err := r.CoinRecord(ctx, merkle.Hash{}); return v != nil, err },
			func() (bool, error) { v, err := r.CoinSpend(ctx, merkle.Hash{}, 1); return v != nil, err },
			func() (bool, error) { v, err := r.Peak(ctx); return v != nil, err },
			func() (bool, error) { v, err := r.BlockAt(ctx, 1); return v != nil, err },
			func() (bool, error) { v, err := r.Network(ctx); return v != "", err },
			func() (bool, error) { v, err := r.ByHint(ctx, merkle.Hash{}, true); return v != nil, err },
		} {
			found, err := ask()
			if err != nil && (found || !errors.Is(err, chain.ErrMalformed) &&
				!errors.Is(err, chain.ErrUnavailable) && !errors.Is(err, chain.ErrTooLarge)) {
				t.Errorf("%v with an answer: %v", err, found)
			}
		}
	})
}

// FuzzMemory: no data of a Memory crashes a resolver. The data is trusted, so its truth is not
// checked.
func FuzzMemory(f *testing.F) {
	c, s := minted(f, 3)
	dir := f.TempDir()
	o := &chain.Options{TipAge: -1, Memory: chain.NewDir(dir)}
	if _, err := chain.NewResolver(c, o).Lineage(context.Background(), s.ID()); err != nil {
		f.Fatal(err)
	}
	name := filepath.Join(dir, s.ID().String()+".chain")
	good, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:len(good)-32])
	f.Fuzz(func(t *testing.T, content []byte) {
		sum := merkle.Sum(content) // so that the content passes the checksum
		if err := os.WriteFile(name, append(content, sum[:]...), 0o600); err != nil {
			t.Fatal(err)
		}
		r := chain.NewResolver(c, o)
		r.CurrentRoot(context.Background(), s.ID())
		r.Lineage(context.Background(), s.ID())
	})
}
