package bls_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/cloudflare/circl/ecc/bls12381"
	circl "github.com/cloudflare/circl/sign/bls"

	"github.com/dig-network/digstore/internal/bls"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

// newDice returns random bytes that are the same in every run.
func newDice(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func draw(r io.Reader, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		panic(err)
	}
	return b
}

// Both builds write and hold this one file, so that they agree beyond the vectors too.
func TestGolden(t *testing.T) {
	const file = "testdata/twins.txt"
	var b strings.Builder
	dice := newDice(1)
	for n := range 24 {
		sk := keyOf(t, draw(dice, 32+n))
		msg := draw(dice, 7*n)
		fmt.Fprintf(&b, "seed and message drawn with %d\nsecret    %s\npublic    %s\n", n, secretHex(sk),
			keyHex(sk.PublicKey()))
		for _, s := range []bls.Scheme{bls.Augmented, bls.Basic, bls.Possession} {
			fmt.Fprintf(&b, "signature %s\n", sigHex(sk.Sign(s, msg)))
		}
		hashed := bls.HashToG2(msg, draw(dice, 1+40*n)) // tags up to 921 bytes
		fmt.Fprintf(&b, "hashed    %x\n", hashed)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs from what is computed now:\n%s", file, b.String())
	}
}

// circl's own signature package, which is the Basic scheme, is the oracle in the build with cgo.
func TestAgainstCircl(t *testing.T) {
	dice := newDice(2)
	for range 16 {
		sk := keyOf(t, draw(dice, 32))
		var other circl.PrivateKey[circl.KeyG1SigG2]
		scalar := sk.Bytes()
		if err := other.UnmarshalBinary(scalar[:]); err != nil {
			t.Fatal(err)
		}
		key, err := other.PublicKey().MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		same(t, keyHex(sk.PublicKey()), hex.EncodeToString(key))
		msg := draw(dice, 50)
		same(t, sigHex(sk.Sign(bls.Basic, msg)), hex.EncodeToString(circl.Sign(&other, msg)))
	}
}

func TestSameHash(t *testing.T) {
	dice := newDice(3)
	for _, tag := range []int{0, 1, 43, 254, 255, 256, 700} {
		for _, size := range []int{0, 1, 63, 64, 65, 5000} {
			msg, dst := draw(dice, size), draw(dice, tag)
			var want bls12381.G2
			want.Hash(msg, dst)
			if got := bls.HashToG2(msg, dst); !bytes.Equal(got[:], want.BytesCompressed()) {
				t.Errorf("message of %d bytes, tag of %d: got %x, want %x", size, tag, got,
					want.BytesCompressed())
			}
		}
	}
}

// claims makes n true claims by a few keys.
func claims(t testing.TB, n int) []bls.Claim {
	dice := newDice(4)
	var keys []*bls.SecretKey
	for range 3 {
		sk, err := bls.KeyGenV3(draw(dice, 32))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, sk)
	}
	out := make([]bls.Claim, n)
	for i := range out {
		sk, msg := keys[i%len(keys)], draw(dice, 32)
		out[i] = bls.Claim{Key: sk.PublicKey(), Message: msg, Signature: sk.Sign(bls.Augmented, msg)}
	}
	return out
}

func TestVerifyBatch(t *testing.T) {
	infinity, err := bls.ParseSignature(append([]byte{0xc0}, make([]byte, bls.SignatureSize-1)...))
	if err != nil {
		t.Fatal(err)
	}
	spoil := []func(c *bls.Claim, other bls.Claim){
		func(c *bls.Claim, _ bls.Claim) { c.Message = append([]byte("x"), c.Message...) },
		func(c *bls.Claim, o bls.Claim) { c.Signature = o.Signature },
		func(c *bls.Claim, o bls.Claim) { c.Key = keyOf(t, bytes.Repeat([]byte{9}, 32)).PublicKey() },
		func(c *bls.Claim, _ bls.Claim) { c.Signature = infinity },
	}
	whole := claims(t, 9)
	for n := range len(whole) + 1 {
		for trial := range 5 {
			want := make([]bool, n)
			cs := append([]bls.Claim(nil), whole[:n]...)
			dice := rand.New(rand.NewPCG(uint64(n), uint64(trial)))
			for i := range cs {
				want[i] = trial == 0 || dice.IntN(3) > 0
				if !want[i] {
					spoil[dice.IntN(len(spoil))](&cs[i], whole[(i+1)%len(whole)])
				}
			}
			got, err := bls.VerifyBatch(bls.Augmented, cs, newDice(byte(n)))
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%d claims: got %v, want %v", n, got, want)
			}
		}
	}
}

// Whatever is mixed, a batch answers what verifying one by one does.
func TestVerifyBatchExactly(t *testing.T) {
	whole := claims(t, 33)
	share := []float64{0, 0.01, 0.05, 0.3, 0.9, 1}
	for trial := range uint64(len(share)) {
		dice := rand.New(rand.NewPCG(trial, 3))
		n := 2 + dice.IntN(len(whole)-1)
		cs := append([]bls.Claim(nil), whole[:n]...)
		want := make([]bool, n)
		for i := range cs {
			if dice.Float64() < share[trial] {
				cs[i].Signature = whole[dice.IntN(len(whole))].Signature // perhaps its own
			}
			want[i] = cs[i].Key.Verify(bls.Augmented, cs[i].Message, cs[i].Signature)
		}
		got, err := bls.VerifyBatch(bls.Augmented, cs, newDice(byte(trial)))
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("trial %d of %d claims: got %v, want %v", trial, n, got, want)
		}
	}
}

// negated returns the signature's opposite: the same point with the other sign.
func negated(t *testing.T, sig *bls.Signature) *bls.Signature {
	b := sig.Bytes()
	b[0] ^= 0x20
	out, err := bls.ParseSignature(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Signatures whose errors cancel each other out pass a sum, and not a random combination, whether
// they are in one part of the batch or not.
func TestVerifyBatchCancelling(t *testing.T) {
	sum := func(sigs ...*bls.Signature) *bls.Signature {
		sig, err := bls.Aggregate(sigs)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	whole := claims(t, 11)
	delta := claims(t, 12)[11].Signature
	for name, forge := range map[string]func(a, b *bls.Claim){
		"swapped": func(a, b *bls.Claim) { a.Signature, b.Signature = b.Signature, a.Signature },
		"shifted": func(a, b *bls.Claim) {
			a.Signature, b.Signature = sum(a.Signature, delta), sum(b.Signature, negated(t, delta))
		},
		"one for both": func(a, b *bls.Claim) {
			both := sum(a.Signature, b.Signature)
			a.Signature, b.Signature = sum(both, delta), negated(t, delta)
		},
	} {
		for _, at := range [][2]int{{0, 1}, {6, 9}} {
			cs := append([]bls.Claim(nil), whole...)
			forge(&cs[at[0]], &cs[at[1]])
			var keys []*bls.PublicKey
			var msgs [][]byte
			var sigs []*bls.Signature
			for _, c := range cs {
				keys, msgs, sigs = append(keys, c.Key), append(msgs, c.Message), append(sigs, c.Signature)
			}
			same(t, bls.AggregateVerify(bls.Augmented, keys, msgs, sum(sigs...)), true)
			got, err := bls.VerifyBatch(bls.Augmented, cs, newDice(5))
			if err != nil {
				t.Fatal(err)
			}
			for i, ok := range got {
				if ok != (i != at[0] && i != at[1]) {
					t.Errorf("%s at %v: claim %d is %v", name, at, i, ok)
				}
			}
		}
	}
}

func TestVerifyBatchWithoutRandomness(t *testing.T) {
	_, err := bls.VerifyBatch(bls.Augmented, claims(t, 2), bytes.NewReader(nil))
	refused(t, err, io.EOF)
}

func TestInfinity(t *testing.T) {
	_, err := bls.ParsePublicKey(append([]byte{0xc0}, make([]byte, bls.PublicKeySize-1)...))
	refused(t, err, bls.ErrInfinity)
	inf, err := bls.ParseSignature(append([]byte{0xc0}, make([]byte, bls.SignatureSize-1)...))
	if err != nil {
		t.Fatal(err)
	}
	k := keyOf(t, make([]byte, 32)).PublicKey()
	same(t, k.Verify(bls.Augmented, nil, inf), false)
	same(t, bls.AggregateVerify(bls.Augmented, []*bls.PublicKey{k}, [][]byte{nil}, inf), false)
	same(t, bls.FastAggregateVerify(bls.Basic, []*bls.PublicKey{k}, nil, inf), false)
}

func TestParseLengths(t *testing.T) {
	for _, n := range []int{0, 1, 31, 33, 47, 49, 95, 96, 97, 192} {
		b := bytes.Repeat([]byte{0x80}, n)
		_, err := bls.ParsePublicKey(b)
		refused(t, err, bls.ErrEncoding)
		_, err = bls.ParseSignature(b)
		refused(t, err, bls.ErrEncoding)
		_, err = bls.ParseSecretKey(b)
		refused(t, err, bls.ErrScalar)
	}
}

// An uncompressed point is an encoding that both libraries know, and none of ours.
func TestUncompressed(t *testing.T) {
	_, err := bls.ParsePublicKey(bls12381.G1Generator().Bytes())
	refused(t, err, bls.ErrEncoding)
	_, err = bls.ParseSignature(bls12381.G2Generator().Bytes())
	refused(t, err, bls.ErrEncoding)
	_, err = bls.ParseSignature(bls12381.G1Generator().Bytes()) // the right length
	refused(t, err, bls.ErrEncoding)
}

func TestBasicAggregateWantsDistinctMessages(t *testing.T) {
	a, b := keyOf(t, bytes.Repeat([]byte{1}, 32)), keyOf(t, bytes.Repeat([]byte{2}, 32))
	msg := []byte("same")
	for s, want := range map[bls.Scheme]bool{bls.Basic: false, bls.Possession: true,
		bls.Augmented: true} {
		sum, err := bls.Aggregate([]*bls.Signature{a.Sign(s, msg), b.Sign(s, msg)})
		if err != nil {
			t.Fatal(err)
		}
		keys := []*bls.PublicKey{a.PublicKey(), b.PublicKey()}
		same(t, bls.AggregateVerify(s, keys, [][]byte{msg, msg}, sum), want)
		same(t, bls.FastAggregateVerify(s, keys, msg, sum), s != bls.Augmented)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	sk := keyOf(t, bytes.Repeat([]byte{7}, 32))
	secret := secretHex(sk)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		for _, v := range []any{sk, []*bls.SecretKey{sk}} {
			if got := fmt.Sprintf(verb, v); strings.Contains(strings.ToLower(got), secret[:8]) {
				t.Errorf("%s prints %q", verb, got)
			}
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(make([]byte, 48))
	k := claims(f, 1)[0].Key.Bytes()
	f.Add(k[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := bls.ParsePublicKey(b)
		if err != nil {
			if !errors.Is(err, bls.ErrEncoding) && !errors.Is(err, bls.ErrInfinity) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if got := k.Bytes(); !bytes.Equal(got[:], b) {
			t.Fatalf("%x parses and encodes as %x", b, got)
		}
		var p bls12381.G1
		if err := p.SetBytes(b); err != nil {
			t.Fatalf("%x parses, and circl says %v", b, err)
		}
	})
}

func FuzzParseSignature(f *testing.F) {
	f.Add(make([]byte, 96))
	s := claims(f, 1)[0].Signature.Bytes()
	f.Add(s[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := bls.ParseSignature(b)
		if err != nil {
			if !errors.Is(err, bls.ErrEncoding) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if got := s.Bytes(); !bytes.Equal(got[:], b) {
			t.Fatalf("%x parses and encodes as %x", b, got)
		}
	})
}
