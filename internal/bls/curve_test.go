package bls_test

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/cloudflare/circl/expander"

	"crypto"

	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/internal/vectors"
)

// fp2 is an element of the field under G2 as RFC 9380's vectors write it: "0x<c0>,0x<c1>".
type fp2 [2]*big.Int

func (v *fp2) UnmarshalText(text []byte) error {
	c0, c1, ok := strings.Cut(string(text), ",")
	if !ok {
		return fmt.Errorf("%q is not two coordinates", text)
	}
	for i, s := range []string{c0, c1} {
		if v[i], ok = new(big.Int).SetString(strings.TrimPrefix(s, "0x"), 16); !ok {
			return fmt.Errorf("%q is not a number", s)
		}
	}
	return nil
}

// fieldOrder is the order of the field of coordinates (RFC 9380 8.8.2).
var fieldOrder,
	_ = new(big.Int).SetString("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabf"+
	"ffeb153ffffb9feffffffffaaab", 16)

// compress writes an affine point of G2 as ZCash does: c1 || c0 of x, and in the first byte that it
// is compressed and whether y is the larger of the two roots.
func compress(x, y fp2) (out [bls.SignatureSize]byte) {
	x[1].FillBytes(out[:48])
	x[0].FillBytes(out[48:])
	out[0] |= 0x80
	half := new(big.Int).Rsh(fieldOrder, 1)
	if larger := y[1].Cmp(half); larger > 0 || y[1].Sign() == 0 && y[0].Cmp(half) > 0 {
		out[0] |= 0x20
	}
	return out
}

func compressHex(x, y fp2) string {
	b := compress(x, y)
	return hex.EncodeToString(b[:])
}

// Q0, Q1 and u are steps on the way that neither library shows.
func TestHashToCurve(t *testing.T) {
	type point struct{ X, Y fp2 }
	var f struct {
		L, Z, Ciphersuite, Curve, DST, Expand, Hash, K string
		Field                                          struct{ M, P string }
		Map                                            struct{ Name string }
		RandomOracle                                   bool
		Vectors                                        []struct {
			P, Q0, Q1 point
			Msg       string
			U         []string
		}
	}
	vectors.Load(t, "rfc9380/BLS12381G2_XMD_SHA-256_SSWU_RO_.json", &f)
	if f.Ciphersuite != "BLS12381G2_XMD:SHA-256_SSWU_RO_" {
		t.Fatalf("vectors of suite %q", f.Ciphersuite)
	}
	for _, v := range f.Vectors {
		got := bls.HashToG2([]byte(v.Msg), []byte(f.DST))
		if want := compress(v.P.X, v.P.Y); got != want {
			t.Errorf("message %.20q: got %x, want %x", v.Msg, got, want)
		}
	}
	vectors.Count(t, "rfc9380 hash to G2", len(f.Vectors), 0)
}

// The expansion of messages happens inside of the hash to the curve. circl exports its own, which
// is what the twin without cgo hashes with; that blst's is equal, long tags included, is what
// TestSameHash shows.
func TestExpandMessage(t *testing.T) {
	for _, file := range []string{"expand_message_xmd_SHA256_38.json",
		"expand_message_xmd_SHA256_256.json"} {
		t.Run(file, func(t *testing.T) {
			var f struct {
				DST, Hash, Name string
				K               int
				Tests           []struct {
					DSTPrime     vectors.Hex `json:"DST_prime"`
					Length       string      `json:"len_in_bytes"`
					Msg          string
					MsgPrime     vectors.Hex `json:"msg_prime"`
					UniformBytes vectors.Hex `json:"uniform_bytes"`
				}
			}
			vectors.Load(t, "rfc9380/"+file, &f)
			for _, c := range f.Tests {
				n, ok := new(big.Int).SetString(c.Length, 0)
				if !ok {
					t.Fatalf("length %q", c.Length)
				}
				got := expander.NewExpanderMD(crypto.SHA256, []byte(f.DST)).Expand([]byte(c.Msg),
					uint(n.Uint64()))
				same(t, hex.EncodeToString(got), c.UniformBytes.String())
			}
			vectors.Count(t, file, len(f.Tests), 0)
		})
	}
}

type multiples struct {
	About string
	Cases []struct {
		K   uint64
		Hex vectors.Hex
	}
}

func TestMultiplesOfG1(t *testing.T) {
	var f multiples
	vectors.Load(t, "zkcrypto/g1-compressed-multiples.json", &f)
	for _, c := range f.Cases {
		k, err := bls.ParsePublicKey(c.Hex)
		if c.K == 0 {
			refused(t, err, bls.ErrInfinity)
			continue
		}
		if err != nil {
			t.Fatalf("%d·G: %v", c.K, err)
		}
		sk, err := bls.ParseSecretKey(new(big.Int).SetUint64(c.K).FillBytes(make([]byte,
			bls.SecretKeySize)))
		if err != nil {
			t.Fatal(err)
		}
		same(t, k.Bytes(), sk.PublicKey().Bytes())
		same(t, k.Bytes(), [bls.PublicKeySize]byte(c.Hex))
	}
	vectors.Count(t, "zkcrypto G1", len(f.Cases), 0)
}

// Points of G2 are only added here: each entry is the one before it plus the second.
func TestMultiplesOfG2(t *testing.T) {
	var f multiples
	vectors.Load(t, "zkcrypto/g2-compressed-multiples.json", &f)
	at := make(map[uint64]*bls.Signature)
	for _, c := range f.Cases {
		sig, err := bls.ParseSignature(c.Hex)
		if err != nil {
			t.Fatalf("%d·G: %v", c.K, err)
		}
		same(t, sig.Bytes(), [bls.SignatureSize]byte(c.Hex))
		at[c.K] = sig
	}
	var sums int
	for _, step := range f.Cases[1:] {
		for k, sig := range at {
			want, ok := at[k+step.K]
			if !ok {
				continue
			}
			sum, err := bls.Aggregate([]*bls.Signature{sig, at[step.K]})
			if err != nil {
				t.Fatal(err)
			}
			same(t, sum.Bytes(), want.Bytes())
			sums++
		}
	}
	t.Logf("%d sums", sums)
	vectors.Count(t, "zkcrypto G2", len(f.Cases), 0)
}
