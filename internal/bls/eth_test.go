package bls_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/internal/vectors"
)

// The Ethereum vectors are made in the Possession scheme. Their hex has a prefix.
type prefixed struct{ vectors.Hex }

func (p *prefixed) UnmarshalText(text []byte) error {
	return p.Hex.UnmarshalText([]byte(strings.TrimPrefix(string(text), "0x")))
}

type ethFile[In, Out any] struct {
	About string
	Cases []struct {
		Name   string
		Input  In
		Output Out
	}
}

func runEth[In, Out any](t *testing.T, file string, check func(t *testing.T, in In, want Out)) {
	var f ethFile[In, Out]
	vectors.Load(t, "eth-bls12-381-tests/"+file, &f)
	for _, c := range f.Cases {
		t.Run(c.Name, func(t *testing.T) { check(t, c.Input, c.Output) })
	}
	vectors.Count(t, file, len(f.Cases), 0)
}

func keysOf(bs []prefixed) (out []*bls.PublicKey, err error) {
	for _, b := range bs {
		k, err := bls.ParsePublicKey(b.Hex)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

func signaturesOf(bs []prefixed) (out []*bls.Signature, err error) {
	for _, b := range bs {
		s, err := bls.ParseSignature(b.Hex)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func bytesOf(bs []prefixed) (out [][]byte) {
	for _, b := range bs {
		out = append(out, b.Hex)
	}
	return out
}

func same[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEthSign(t *testing.T) {
	type in struct{ Privkey, Message prefixed }
	runEth(t, "sign.json", func(t *testing.T, in in, want *prefixed) {
		sk, err := bls.ParseSecretKey(in.Privkey.Hex)
		if want == nil {
			if !errors.Is(err, bls.ErrScalar) {
				t.Errorf("got %v, want %v", err, bls.ErrScalar)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		sig := sk.Sign(bls.Possession, in.Message.Hex).Bytes()
		same(t, vectors.Hex(sig[:]).String(), want.String())
	})
}

func TestEthVerify(t *testing.T) {
	type in struct{ Pubkey, Message, Signature prefixed }
	runEth(t, "verify.json", func(t *testing.T, in in, want bool) {
		same(t, verifies(bls.Possession, in.Pubkey.Hex, in.Message.Hex, in.Signature.Hex), want)
	})
}

func TestEthAggregate(t *testing.T) {
	runEth(t, "aggregate.json", func(t *testing.T, in []prefixed, want *prefixed) {
		sigs, err := signaturesOf(in)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := bls.Aggregate(sigs)
		if want == nil {
			if !errors.Is(err, bls.ErrNothing) {
				t.Errorf("got %v, want %v", err, bls.ErrNothing)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		b := sum.Bytes()
		same(t, vectors.Hex(b[:]).String(), want.String())
	})
}

func TestEthAggregateVerify(t *testing.T) {
	type in struct {
		Pubkeys, Messages []prefixed
		Signature         prefixed
	}
	runEth(t, "aggregate_verify.json", func(t *testing.T, in in, want bool) {
		keys, err := keysOf(in.Pubkeys)
		sig, err2 := bls.ParseSignature(in.Signature.Hex)
		if err := errors.Join(err, err2); err != nil {
			same(t, false, want)
			return
		}
		same(t, bls.AggregateVerify(bls.Possession, keys, bytesOf(in.Messages), sig), want)
	})
}

func TestEthFastAggregateVerify(t *testing.T) {
	type in struct {
		Pubkeys            []prefixed
		Message, Signature prefixed
	}
	runEth(t, "fast_aggregate_verify.json", func(t *testing.T, in in, want bool) {
		keys, err := keysOf(in.Pubkeys)
		sig, err2 := bls.ParseSignature(in.Signature.Hex)
		if err := errors.Join(err, err2); err != nil {
			same(t, false, want)
			return
		}
		same(t, bls.FastAggregateVerify(bls.Possession, keys, in.Message.Hex, sig), want)
	})
}

func TestEthBatchVerify(t *testing.T) {
	type in struct{ Pubkeys, Messages, Signatures []prefixed }
	runEth(t, "batch_verify.json", func(t *testing.T, in in, want bool) {
		keys, err := keysOf(in.Pubkeys)
		sigs, err2 := signaturesOf(in.Signatures)
		if err := errors.Join(err, err2); err != nil {
			same(t, false, want)
			return
		}
		var claims []bls.Claim
		for i := range keys {
			claims = append(claims, bls.Claim{Key: keys[i], Message: in.Messages[i].Hex, Signature: sigs[i]})
		}
		ok, err := bls.VerifyBatch(bls.Possession, claims, newDice(1))
		if err != nil {
			t.Fatal(err)
		}
		got := true
		for i, v := range ok {
			same(t, v, keys[i].Verify(bls.Possession, in.Messages[i].Hex, sigs[i]))
			got = got && v
		}
		same(t, got, want)
	})
}

// A key that is the point at infinity is well-formed to these vectors and refused by us, by name.
func TestEthDeserializationG1(t *testing.T) {
	type in struct{ Pubkey vectors.Hex }
	runEth(t, "deserialization_G1.json", func(t *testing.T, in in, want bool) {
		_, err := bls.ParsePublicKey(in.Pubkey)
		same(t, err == nil || errors.Is(err, bls.ErrInfinity), want)
		same(t, err == nil || errors.Is(err, bls.ErrInfinity) || errors.Is(err, bls.ErrEncoding), true)
	})
}

func TestEthDeserializationG2(t *testing.T) {
	type in struct{ Signature vectors.Hex }
	runEth(t, "deserialization_G2.json", func(t *testing.T, in in, want bool) {
		sig, err := bls.ParseSignature(in.Signature)
		same(t, err == nil, want)
		if err == nil {
			b := sig.Bytes()
			same(t, vectors.Hex(b[:]).String(), in.Signature.String())
		} else {
			same(t, errors.Is(err, bls.ErrEncoding), true)
		}
	})
}

func TestEthHashToG2(t *testing.T) {
	type in struct{ Msg string }
	type out struct{ X, Y fp2 }
	runEth(t, "hash_to_G2.json", func(t *testing.T, in in, want out) {
		// The file names another tag; its values are those of RFC 9380's.
		got := bls.HashToG2([]byte(in.Msg), []byte("QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_"))
		same(t, vectors.Hex(got[:]).String(), compressHex(want.X, want.Y))
	})
}

// verifies parses and verifies; bytes that do not parse verify nothing.
func verifies(s bls.Scheme, key, msg, sig []byte) bool {
	k, err := bls.ParsePublicKey(key)
	if err != nil {
		return false
	}
	p, err := bls.ParseSignature(sig)
	return err == nil && k.Verify(s, msg, p)
}
