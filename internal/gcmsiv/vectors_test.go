package gcmsiv_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/dig-network/digstore/internal/gcmsiv"
	"github.com/dig-network/digstore/internal/vectors"
)

// message is one sealed message with all that sealed it.
type message struct {
	key, nonce, plaintext, aad, sealed []byte
}

// good checks that every engine seals and opens m, and reports whether all did.
func good(t *testing.T, name any, m message) bool {
	t.Helper()
	ok := true
	for engine, a := range gcmsiv.Every((*[32]byte)(m.key)) {
		if got := a.Seal(nil, m.nonce, m.plaintext, m.aad); !bytes.Equal(got, m.sealed) {
			t.Errorf("%v, %s: sealed\n got %x\nwant %x", name, engine, got, m.sealed)
			ok = false
		}
		got, err := a.Open(nil, m.nonce, m.sealed, m.aad)
		if err != nil || !bytes.Equal(got, m.plaintext) {
			t.Errorf("%v, %s: opened\n got %x, %v\nwant %x", name, engine, got, err, m.plaintext)
			ok = false
		}
		if len(m.aad) > 0 {
			continue
		}
		s := a.WithNonce([12]byte(m.nonce))
		got, err = s.Open(nil, s.Seal(nil, m.plaintext))
		if err != nil || !bytes.Equal(got, m.plaintext) ||
			!bytes.Equal(s.Seal(nil, m.plaintext), m.sealed) {
			t.Errorf("%v, %s: the Sealer of the nonce differs: %v", name, engine, err)
			ok = false
		}
	}
	return ok
}

// bad checks that every engine refuses to open m, and reports whether all did.
func bad(t *testing.T, name any, m message) bool {
	t.Helper()
	ok := true
	for engine, a := range gcmsiv.Every((*[32]byte)(m.key)) {
		if got, err := a.Open(nil, m.nonce, m.sealed, m.aad); !errors.Is(err, gcmsiv.ErrOpen) ||
			got != nil {
			t.Errorf("%v, %s: opened a bad message: %x, %v", name, engine, got, err)
			ok = false
		}
	}
	return ok
}

// tally counts the cases of one vector file.
type tally struct{ passed, skipped int }

func (n *tally) add(ok bool) {
	if ok {
		n.passed++
	}
}

func TestRFC8452(t *testing.T) {
	const file = "rfc8452/aes-gcm-siv.json"
	var v struct {
		About string
		Cases []struct {
			KeySize         string
			Plaintext, AAD  vectors.Hex
			Key, Nonce      vectors.Hex
			AuthKey, EncKey vectors.Hex
			Tag, Result     vectors.Hex
		}
	}
	vectors.Load(t, file, &v)
	var n tally
	for i, c := range v.Cases {
		if c.KeySize != "aes256" {
			n.skipped++ // this package has AES-256 only
			continue
		}
		ok := good(t, i, message{c.Key, c.Nonce, c.Plaintext, c.AAD, c.Result})
		if !bytes.HasSuffix(c.Result, c.Tag) {
			t.Errorf("case %d: the result does not end in the tag", i)
			ok = false
		}
		for engine, a := range gcmsiv.Every((*[32]byte)(c.Key)) {
			auth, enc := a.Derived([12]byte(c.Nonce))
			// The cases of counter wrap state no derived keys.
			if len(c.AuthKey) > 0 && !bytes.Equal(auth[:], c.AuthKey) ||
				len(c.EncKey) > 0 && !bytes.Equal(enc[:], c.EncKey) {
				t.Errorf("case %d, %s: derived keys\n got %x %x\nwant %x %x", i, engine, auth, enc, c.AuthKey,
					c.EncKey)
				ok = false
			}
		}
		n.add(ok)
	}
	vectors.Count(t, file, n.passed, n.skipped)
}

func TestWycheproof(t *testing.T) {
	const file = "wycheproof/aes_gcm_siv_test.json"
	var v struct {
		Algorithm, Schema string
		NumberOfTests     int
		Header            []string
		Notes             map[string]any
		TestGroups        []struct {
			IVSize, KeySize, TagSize int
			Type                     string
			Source                   map[string]any
			Tests                    []struct {
				TcID         int
				Comment      string
				Flags        []string
				Key, IV, AAD vectors.Hex
				Msg, Ct, Tag vectors.Hex
				Result       string
			}
		}
	}
	vectors.Load(t, file, &v)
	var n tally
	for _, g := range v.TestGroups {
		if g.KeySize != 256 {
			n.skipped += len(g.Tests) // this package has AES-256 only
			continue
		}
		for _, c := range g.Tests {
			m := message{c.Key, c.IV, c.Msg, c.AAD, append(bytes.Clone(c.Ct), c.Tag...)}
			if c.Result == "valid" {
				n.add(good(t, c.TcID, m))
			} else {
				n.add(bad(t, c.TcID, m))
			}
		}
	}
	vectors.Count(t, file, n.passed, n.skipped)
	if n.passed+n.skipped != v.NumberOfTests {
		t.Errorf("%d cases, the file states %d", n.passed+n.skipped, v.NumberOfTests)
	}
}

func TestStoreAEAD(t *testing.T) {
	const file = "store/aead.json"
	type sealed struct {
		Name         string
		Key          vectors.Hex   `json:"key_hex"`
		Nonce        vectors.Hex   `json:"nonce_hex"`
		AAD          vectors.Hex   `json:"aad_hex"`
		Plaintext    vectors.Hex   `json:"plaintext_hex"`
		PlaintextGen vectors.Input `json:"plaintext_gen"`
		Sealed       vectors.Hex   `json:"sealed_hex"`
		SealedLen    int           `json:"sealed_len"`
		SealedSHA256 vectors.Hex   `json:"sealed_sha256"`
		Tag          vectors.Hex   `json:"tag_hex"`
	}
	var v struct {
		Origin, Algorithm string
		Nonce             vectors.Hex `json:"nonce_hex"`
		AAD               vectors.Hex `json:"aad_hex"`
		Seal, Reject      []sealed
		RFC8452           []sealed `json:"rfc8452"`
	}
	vectors.Load(t, file, &v)
	if v.Algorithm != "AES-256-GCM-SIV" {
		t.Fatalf("algorithm %q", v.Algorithm)
	}
	var n tally
	for _, c := range v.Seal {
		m := message{c.Key, v.Nonce, c.Plaintext, v.AAD, c.Sealed}
		ok := true
		if c.PlaintextGen != nil {
			m.plaintext = c.PlaintextGen
			m.sealed = gcmsiv.Portable((*[32]byte)(c.Key)).Seal(nil, v.Nonce, m.plaintext, v.AAD)
			sum := sha256.Sum256(m.sealed)
			ok = len(m.sealed) == c.SealedLen && bytes.Equal(sum[:], c.SealedSHA256) &&
				bytes.HasSuffix(m.sealed, c.Tag)
			if !ok {
				t.Errorf("%s: sealed to %d bytes of hash %x, want %d of %x", c.Name, len(m.sealed), sum,
					c.SealedLen, c.SealedSHA256)
			}
		}
		n.add(good(t, c.Name, m) && ok)
	}
	for _, c := range v.Reject {
		n.add(bad(t, c.Name, message{c.Key, v.Nonce, nil, v.AAD, c.Sealed}))
	}
	for _, c := range v.RFC8452 {
		n.add(good(t, c.Name, message{c.Key, c.Nonce, c.Plaintext, c.AAD, c.Sealed}))
	}
	vectors.Count(t, file, n.passed, n.skipped)
}

// TestDigChunkSeal checks the sealing; how the key comes from the URN is for
// the tests of package urn.
func TestDigChunkSeal(t *testing.T) {
	const file = "dig/dig-chunk-seal.json"
	var v struct {
		About string
		Cases []struct {
			URN       string      `json:"canonical_urn"`
			Salt      vectors.Hex `json:"secret_salt"`
			Key       vectors.Hex
			Plaintext vectors.Hex
			Sealed    vectors.Hex `json:"ciphertext_and_tag"`
		}
	}
	vectors.Load(t, file, &v)
	var n tally
	for _, c := range v.Cases {
		n.add(good(t, c.URN, message{c.Key, make([]byte, 12), c.Plaintext, nil, c.Sealed}))
	}
	vectors.Count(t, file, n.passed, n.skipped)
}
