package auth_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
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
		t.Errorf("case %d, %s: got %v, want %s", o.TcID, o.Comment, got, o.Result)
	}
}

// verifiesNode says what NodePublicKey.Verify says; what has the wrong length is no signature.
func verifiesNode(key, msg, sig []byte) bool {
	if len(key) != len(auth.NodePublicKey{}) || len(sig) != len(auth.NodeSignature{}) {
		return false
	}
	return auth.NodePublicKey(key).Verify(msg, auth.NodeSignature(sig)) == nil
}

func TestWycheproofEd25519(t *testing.T) {
	var f wycheproof[struct {
		Type      string
		Source    source
		PublicKey struct {
			Type, Curve string
			KeySize     int
			PK          vectors.Hex
		}
		PublicKeyDer vectors.Hex
		PublicKeyPem string
		PublicKeyJwk json.RawMessage
		Tests        []struct {
			outcome
			Msg, Sig vectors.Hex
		}
	}]
	const file = "wycheproof/ed25519_test.json"
	vectors.Load(t, file, &f)
	n := 0
	for _, g := range f.TestGroups {
		for _, c := range g.Tests {
			c.check(t, verifiesNode(g.PublicKey.PK, c.Msg, c.Sig))
			n++
		}
	}
	same(t, n, f.NumberOfTests)
	vectors.Count(t, file, n, 0)
}

// The vectors of CCTV differ in what lenient and strict verifiers make of them; the flags say
// why. Our rule is: R must be canonical, the equation must hold without multiplying by the
// cofactor, and the public key must be canonical and not of small order.
func TestCCTVEd25519(t *testing.T) {
	var cases []struct {
		Number   int
		Key, Sig vectors.Hex
		Msg      string
		Flags    []string
	}
	const file = "cctv/ed25519vectors.json"
	vectors.Load(t, file, &cases)
	accepted := 0
	for _, c := range cases {
		want := true
		for _, flag := range c.Flags {
			switch flag {
			case "low_order_R", "low_order_component_A", "low_order_component_R", "reencoded_k":
			case "low_order_A", "non_canonical_A", "low_order_residue", "non_canonical_R":
				want = false
			default:
				t.Errorf("case %d: unknown flag %q", c.Number, flag)
			}
		}
		if got := verifiesNode(c.Key, []byte(c.Msg), c.Sig); got != want {
			t.Errorf("case %d %v: got %v, want %v", c.Number, c.Flags, got, want)
		}
		if want {
			accepted++
		}
	}
	t.Logf("%d of %d accepted", accepted, len(cases))
	vectors.Count(t, file, len(cases), 0)
}

// HKDF and HMAC are the standard library's: key generation and content keys stand on them.
func TestWycheproofHKDF(t *testing.T) {
	var f wycheproof[struct {
		Type    string
		Source  source
		KeySize int
		Tests   []struct {
			outcome
			IKM, Salt, Info, OKM vectors.Hex
			Size                 int
		}
	}]
	const file = "wycheproof/hkdf_sha256_test.json"
	vectors.Load(t, file, &f)
	n := 0
	for _, g := range f.TestGroups {
		for _, c := range g.Tests {
			got, err := hkdf.Key(sha256.New, c.IKM, c.Salt, string(c.Info), c.Size)
			c.check(t, err == nil && bytes.Equal(got, c.OKM))
			n++
		}
	}
	same(t, n, f.NumberOfTests)
	vectors.Count(t, file, n, 0)
}

func TestWycheproofHMAC(t *testing.T) {
	var f wycheproof[struct {
		Type             string
		Source           source
		KeySize, TagSize int
		Tests            []struct {
			outcome
			Key, Msg, Tag vectors.Hex
		}
	}]
	const file = "wycheproof/hmac_sha256_test.json"
	vectors.Load(t, file, &f)
	n := 0
	for _, g := range f.TestGroups {
		for _, c := range g.Tests {
			mac := hmac.New(sha256.New, c.Key)
			mac.Write(c.Msg)
			c.check(t, hmac.Equal(mac.Sum(nil)[:g.TagSize/8], c.Tag))
			n++
		}
	}
	same(t, n, f.NumberOfTests)
	vectors.Count(t, file, n, 0)
}

// The example of the node spec, 1.5.
func TestNodeSpecValues(t *testing.T) {
	var s [auth.SeedSize]byte
	for i := range s {
		s[i] = byte(i)
	}
	k := auth.NewNodeKey(s)
	same(t, k.PublicKey().String(), "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
	same(t, k.ID(), "dig103a107bff3ce10be")
	dht := k.PublicKey().DHTKey()
	same(t, vectors.Hex(dht[:]).String(),
		"56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c")
	payload :=
		must(
			hexBytes(
				"1a4a0a201111111111111111111111111111111111111111111111111111111111111111102a1a20" +
					"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8208080404a2003a1" +
					"07bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b851080706050403020100" +
					"00000065920080"))
	sig := must(k.Sign(t.Context(), payload))
	same(t, sig.String(),
		"bf1499e6a5a8244429bc1b1d634e8fd2d425d4b3feef5f5f97b5a9ee192352862f06f438e148b9593a4dd1feb11f038"+
			"68ad9b669a40fc4141c422ed450dd9705")
	same(t, k.PublicKey().Verify(payload, sig), nil)
	refused(t, k.PublicKey().Verify(slices.Concat(payload, []byte{0}), sig), auth.ErrSignature)
	same(t, len(auth.NodePublicKey{}), ed25519.PublicKeySize)
}
