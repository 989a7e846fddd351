package chain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// sentinels are the errors that a refusal may wrap.
var sentinels = []error{
	chain.ErrUnavailable, chain.ErrMalformed, chain.ErrTooLarge, chain.ErrSourceInvalid, chain.ErrStaleSource, chain.ErrWrongNetwork,
	chain.ErrStoreNotFound, chain.ErrNotMinted, chain.ErrNotDataStore, chain.ErrInvalidSpend, chain.ErrUpdaterChanged,
}

// TestLiars alters every member of every correct answer in turn, in several ways. Either it
// causes an error that names the host, or the result does not change.
func TestLiars(t *testing.T) {
	c := newChain(t)
	writer := chaintest.Writer(chaintest.Anyone(2))
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1), writer)
	s.Update(root(1))
	s.UpdateBy(&writer, chain.Metadata{Root: root(2)})
	s.Transfer(chaintest.Anyone(3))
	s.Update(root(3))
	want := roots(1, 3)

	type lie struct {
		method, path string
		how          string
	}
	// Collect the members of the correct answers.
	seen := map[lie]bool{}
	var mu sync.Mutex
	collect := func(method string, answer []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		walkJSON(decodeJSON(t, answer), "", func(path string, v any) any {
			for how := range ways(v) {
				seen[lie{method, path, how}] = true
			}
			return v
		})
		return answer
	}
	var alter atomic.Pointer[func(string, []byte) []byte]
	rpc := rpcTo(t, c.Handler(&chaintest.HandlerOptions{Alter: func(method string,
		answer []byte) []byte {
		return (*alter.Load())(method, answer)
	}}), once())
	for name, hints := range map[string]bool{"with hints": true, "without hints": false} {
		t.Run(name, func(t *testing.T) {
			if !hints {
				vectors.NeedLong(t)
			}
			var source chain.Source = rpc
			if !hints {
				source = named{bare{rpc}, rpc}
			}
			ask := func(how func(string, []byte) []byte) (lineage []merkle.Hash, now merkle.Hash,
				errs []error) {
				alter.Store(&how)
				lineage, err := chain.NewResolver(source, fresh()).Lineage(t.Context(), s.ID())
				errs = append(errs, err)
				now, err = chain.NewResolver(source, fresh()).CurrentRoot(t.Context(), s.ID())
				return lineage, now, append(errs, err)
			}
			clear(seen)
			if lineage, now, errs := ask(collect); !slices.Equal(lineage, want) || now != root(3) ||
				errors.Join(errs...) != nil {
				t.Fatalf("an honest host: %v, %v, %v", lineage, now, errs)
			}
			found := 0
			for _, l := range slices.SortedFunc(maps.Keys(seen), func(a, b lie) int {
				return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
			}) {
				lineage, now, errs := ask(func(method string, answer []byte) []byte {
					if method != l.method {
						return answer
					}
					return encodeJSON(t, walkJSON(decodeJSON(t, answer), "", func(path string, v any) any {
						if path == l.path {
							if f := ways(v)[l.how]; f != nil {
								return f()
							}
						}
						return v
					}))
				})
				for i, err := range errs {
					switch {
					case err != nil:
						found++
						known := slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
						if !known || !strings.Contains(err.Error(), rpc.String()) {
							t.Errorf("%+v: the error %v is no known one, or does not name %s", l, err, rpc)
						}
					case i == 0 && !slices.Equal(lineage, want):
						t.Errorf("%+v: the lineage %v was believed", l, lineage)
					case i == 1 && now != root(3):
						t.Errorf("%+v: the root %v was believed", l, now)
					}
				}
			}
			t.Logf("%d lies, found out %d times; the others made no difference", len(seen), found)
			if found == 0 {
				t.Error("none was found out")
			}
		})
	}
}

// named gives a source the name of another.
type named struct {
	chain.Source
	fmt.Stringer
}

// ways returns the ways to alter a value: other values, or removed.
func ways(v any) map[string]func() any {
	w := map[string]func() any{"null": func() any { return nil }}
	switch v := v.(type) {
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return w
		}
		w["one more"] = func() any { return n + 1 }
		w["one less"] = func() any { return n - 1 }
		w["zero"] = func() any { return 0 }
		w["much more"] = func() any { return n + 1000 }
	case bool:
		w["not"] = func() any { return !v }
	case string:
		w["first digit"] = func() any { return flipped(v, 2) }
		w["last digit"] = func() any { return flipped(v, len(v)-1) }
		w["middle digit"] = func() any { return flipped(v, len(v)/2) }
		w["shorter"] = func() any { return v[:max(0, len(v)-2)] }
		w["longer"] = func() any { return v + "00" }
	case []any:
		w["empty"] = func() any { return []any{} }
		if len(v) > 0 {
			w["without the first"] = func() any { return v[1:] }
			w["without the last"] = func() any { return v[:len(v)-1] }
			w["backwards"] = func() any { b := slices.Clone(v); slices.Reverse(b); return b }
		}
	}
	return w
}

func flipped(s string, at int) string {
	if at < 0 || at >= len(s) {
		return s + "1"
	}
	to := byte('1')
	if s[at] == '1' {
		to = '0'
	}
	return s[:at] + string(to) + s[at+1:]
}

// walkJSON calls f with the path of every value below v, and replaces the value by the result.
func walkJSON(v any, path string, f func(path string, v any) any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = walkJSON(e, path+"."+k, f)
		}
	case []any:
		for i, e := range v {
			at := "[]"
			if i == len(v)-1 {
				at = "[last]"
			}
			v[i] = walkJSON(e, path+at, f)
		}
	}
	return f(path, v)
}

func decodeJSON(t *testing.T, b []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func encodeJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLiarsConsistent: wrong answers that do not contradict each other are detected by hashes.
func TestLiarsConsistent(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(c *chaintest.Chain, s *chaintest.Store)
		want error
	}{
		"a child at another puzzle": {func(c *chaintest.Chain, s *chaintest.Store) {
			sp := s.Solve(nil, chaintest.CreateCoin(chaintest.Anyone(1).Hash(), 1))
			c.Spend(sp, []chain.Coin{{Parent: s.Coin().ID(), PuzzleHash: merkle.Hash{1}, Amount: 1}}, nil)
		}, chain.ErrSourceInvalid},
		"no child": {func(c *chaintest.Chain, s *chaintest.Store) {
			c.Spend(s.Solve(nil, chaintest.CreateCoin(chaintest.Anyone(1).Hash(), 1)), nil, nil)
		}, chain.ErrSourceInvalid},
		"two children": {func(c *chaintest.Chain, s *chaintest.Store) {
			c.Spend(s.Solve(nil, chaintest.CreateCoin(chaintest.Anyone(1).Hash(), 1), chaintest.CreateCoin(chaintest.Anyone(1).Hash(), 3)), nil, nil)
		}, chain.ErrInvalidSpend},
		"another updater": {func(c *chaintest.Chain, s *chaintest.Store) {
			c.Spend(s.Solve(nil, chaintest.CreateCoin(chaintest.Anyone(1).Hash(), 1), chaintest.UpdateMetadataBy(chain.Metadata{}, merkle.Hash{2})), nil, nil)
		}, chain.ErrUpdaterChanged},
		"a child of another amount": {func(c *chaintest.Chain, s *chaintest.Store) {
			next := chain.Coin{Parent: s.Coin().ID(), PuzzleHash: s.Coin().PuzzleHash, Amount: 3}
			c.Spend(s.Solve(nil, chaintest.CreateCoin(chaintest.Anyone(1).Hash(), 1)), []chain.Coin{next}, nil)
		}, chain.ErrSourceInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := minted(t, 2)
			tt.make(c, s)
			for _, source := range []chain.Source{c, bare{c}} {
				if got, err := chain.NewResolver(source, fresh()).CurrentRoot(t.Context(),
					s.ID()); !errors.Is(err, tt.want) {
					t.Errorf("%v, %v, want %v", got, err, tt.want)
				}
			}
		})
	}
	// Coins of others with the store's hint are ignored.
	c, s := minted(t, 2)
	hint := merkle.Hash(s.ID())
	for i := range 5 {
		other := c.Mint(chain.Metadata{Root: root(9)}, chaintest.Anyone(10+i))
		sp := other.Solve(nil, chaintest.CreateCoin(chaintest.Anyone(1).Hash(), 1))
		c.Spend(sp, []chain.Coin{{Parent: other.Coin().ID(), PuzzleHash: s.Coin().PuzzleHash, Amount: 1}},
			&hint)
	}
	for what, ask := range map[string]func(*chain.Resolver) (merkle.Hash, error){
		"tip": func(r *chain.Resolver) (merkle.Hash, error) { return r.CurrentRoot(t.Context(), s.ID()) },
		"lineage": func(r *chain.Resolver) (merkle.Hash, error) {
			list, err := r.Lineage(t.Context(), s.ID())
			return append([]merkle.Hash{{}}, list...)[len(list)], err
		},
	} {
		if got, err := ask(chain.NewResolver(c, fresh())); err != nil || got != root(2) {
			t.Errorf("%s with false hints: %v, %v, want %v", what, got, err, root(2))
		}
	}
}

// TestLiarsHeights: a source of another network, and heights above the peak.
func TestLiarsHeights(t *testing.T) {
	c, s := minted(t, 2)
	future := future{c}
	for _, source := range []chain.Source{future, bare{future}} {
		if got, err := chain.NewResolver(source, fresh()).CurrentRoot(t.Context(),
			s.ID()); !errors.Is(err, chain.ErrSourceInvalid) {
			t.Errorf("%v, %v, want ErrSourceInvalid", got, err)
		}
	}
}

// future is a source with answers about blocks after its peak.
type future struct{ *chaintest.Chain }

func (f future) Peak(ctx context.Context) (*chain.Block, error) {
	return f.BlockAt(ctx, f.Height()-1)
}
