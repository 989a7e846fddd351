package bls_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/internal/vectors"
)

// wycheproof is the frame that all of Wycheproof's files share.
type wycheproof[Group any] struct {
	Algorithm, Schema string
	NumberOfTests     int
	Header            []string
	Notes             json.RawMessage
	TestGroups        []Group
}

type source struct{ Name, Version string }

// outcome is what every case says about itself.
type outcome struct {
	TcID            int
	Comment, Result string
	Flags           []string
}

func (o outcome) check(t *testing.T, got bool) {
	t.Helper()
	if got != (o.Result == "valid") || o.Result != "valid" && o.Result != "invalid" {
		t.Errorf("case %d, %s: verifies is %v, want %s", o.TcID, o.Comment, got, o.Result)
	}
}

func schemeOf(t *testing.T, suite string) bls.Scheme {
	t.Helper()
	for _, s := range []bls.Scheme{bls.Augmented, bls.Basic, bls.Possession} {
		if s.DST() == suite {
			return s
		}
	}
	t.Fatalf("unknown suite %q", suite)
	return 0
}

func TestWycheproofVerify(t *testing.T) {
	for _, name := range []string{"basic", "pop"} {
		t.Run(name, func(t *testing.T) {
			var f wycheproof[struct {
				Type, Ciphersuite string
				Source            source
				PublicKey         struct {
					PK      vectors.Hex
					Group   string
					KeySize int
				}
				Tests []struct {
					outcome
					Msg, Sig vectors.Hex
				}
			}]
			file := fmt.Sprintf("wycheproof/bls_sig_g2_%s_verify_test.json", name)
			vectors.Load(t, file, &f)
			n := 0
			for _, g := range f.TestGroups {
				for _, c := range g.Tests {
					c.check(t, verifies(schemeOf(t, g.Ciphersuite), g.PublicKey.PK, c.Msg, c.Sig))
					n++
				}
			}
			same(t, n, f.NumberOfTests)
			vectors.Count(t, file, n, 0)
		})
	}
}

func TestWycheproofAggregateVerify(t *testing.T) {
	var f wycheproof[struct {
		Type, Ciphersuite string
		Source            source
		Tests             []struct {
			outcome
			Pubkeys, Messages []vectors.Hex
			Sig               vectors.Hex
		}
	}]
	const file = "wycheproof/bls_sig_g2_aggregate_verify_test.json"
	vectors.Load(t, file, &f)
	n := 0
	for _, g := range f.TestGroups {
		for _, c := range g.Tests {
			c.check(t, func() bool {
				var keys []*bls.PublicKey
				for _, b := range c.Pubkeys {
					k, err := bls.ParsePublicKey(b)
					if err != nil {
						return false
					}
					keys = append(keys, k)
				}
				var msgs [][]byte
				for _, m := range c.Messages {
					msgs = append(msgs, m)
				}
				sig, err := bls.ParseSignature(c.Sig)
				return err == nil && bls.AggregateVerify(schemeOf(t, g.Ciphersuite), keys, msgs, sig)
			}())
			n++
		}
	}
	same(t, n, f.NumberOfTests)
	vectors.Count(t, file, n, 0)
}

func TestWycheproofHashToG2(t *testing.T) {
	var f wycheproof[struct {
		Type, DST string
		Source    source
		Tests     []struct {
			outcome
			Msg, Expected vectors.Hex
		}
	}]
	const file = "wycheproof/bls_hash_to_g2_test.json"
	vectors.Load(t, file, &f)
	n := 0
	for _, g := range f.TestGroups {
		for _, c := range g.Tests {
			got := bls.HashToG2(c.Msg, []byte(g.DST))
			c.check(t, hex.EncodeToString(got[:]) == c.Expected.String())
			n++
		}
	}
	same(t, n, f.NumberOfTests)
	vectors.Count(t, file, n, 0)
}
