package urn_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

func TestKDFVectors(t *testing.T) {
	type kdfCase struct {
		Name         string       `json:"name"`
		URN          string       `json:"canonical_urn"`
		Salt         vectors.Hex  `json:"secret_salt_hex"`
		Key          vectors.Hex  `json:"key_hex"`
		RetrievalKey *merkle.Hash `json:"retrieval_key_hex"`
	}
	var v struct {
		Origin     string    `json:"origin"`
		SaltDomain string    `json:"salt_domain"`
		Info       string    `json:"info"`
		KAT        []kdfCase `json:"kat"`
		More       []kdfCase `json:"more"`
	}
	vectors.Load(t, "store/kdf.json", &v)
	cases := append(v.KAT, v.More...)
	for _, c := range cases {
		salt := saltOf(c.Salt)
		if got := urn.Derive(c.URN, salt); !bytes.Equal(got[:], c.Key) {
			t.Errorf("%s: key %x, want %v", c.Name, got, c.Key)
		}
		if c.RetrievalKey == nil {
			continue
		}
		u, err := urn.Parse(c.URN)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if got := urn.RetrievalKey(u.Store, u.Resource); got != *c.RetrievalKey {
			t.Errorf("%s: retrieval key %v, want %v", c.Name, got, c.RetrievalKey)
		}
		want := urn.FromSecret([32]byte(c.Key)).Seal(nil, []byte("x"))
		if got := urn.NewKey(u.Store, u.Resource, salt).Seal(nil, []byte("x")); !bytes.Equal(got, want) {
			t.Errorf("%s: NewKey seals with another key", c.Name)
		}
	}
	vectors.Count(t, "store/kdf.json", len(cases), 0)
}

func saltOf(b []byte) *urn.Salt {
	if b == nil {
		return nil
	}
	return (*urn.Salt)(b)
}

func TestAEADVectors(t *testing.T) {
	var v struct {
		Origin    string      `json:"origin"`
		Algorithm string      `json:"algorithm"`
		Nonce     vectors.Hex `json:"nonce_hex"`
		AAD       vectors.Hex `json:"aad_hex"`
		Seal      []struct {
			Name      string        `json:"name"`
			Key       vectors.Hex   `json:"key_hex"`
			Plain     vectors.Hex   `json:"plaintext_hex"`
			PlainGen  vectors.Input `json:"plaintext_gen"`
			Sealed    vectors.Hex   `json:"sealed_hex"`
			SealedLen int           `json:"sealed_len"`
			SealedSum *merkle.Hash  `json:"sealed_sha256"`
			Tag       vectors.Hex   `json:"tag_hex"`
		} `json:"seal"`
		Reject []struct {
			Name   string      `json:"name"`
			Key    vectors.Hex `json:"key_hex"`
			Sealed vectors.Hex `json:"sealed_hex"`
		} `json:"reject"`
		RFC []json.RawMessage `json:"rfc8452"` // other nonces: internal/gcmsiv has them
	}
	vectors.Load(t, "store/aead.json", &v)
	for _, c := range v.Seal {
		plain := []byte(c.Plain)
		if c.PlainGen != nil {
			plain = c.PlainGen
		}
		key := urn.FromSecret([32]byte(c.Key))
		sealed := key.Seal(nil, plain)
		if c.Sealed != nil && !bytes.Equal(sealed, c.Sealed) {
			t.Errorf("%s: sealed %x, want %v", c.Name, sealed, c.Sealed)
		}
		if c.SealedSum != nil && (len(sealed) != c.SealedLen || merkle.Sum(sealed) != *c.SealedSum ||
			!bytes.HasSuffix(sealed, c.Tag)) {
			t.Errorf("%s: sealed %d bytes, %v, want %d, %v", c.Name, len(sealed), merkle.Sum(sealed),
				c.SealedLen, c.SealedSum)
		}
		if back, err := key.Open(sealed[:0], sealed); err != nil || !bytes.Equal(back, plain) {
			t.Errorf("%s: opens to %d bytes, %v", c.Name, len(back), err)
		}
	}
	for _, c := range v.Reject {
		if back, err := urn.FromSecret([32]byte(c.Key)).Open(nil, c.Sealed); err != urn.ErrSealed ||
			back != nil {
			t.Errorf("%s: opens to %x, %v", c.Name, back, err)
		}
	}
	vectors.Count(t, "store/aead.json", len(v.Seal)+len(v.Reject), len(v.RFC))
}

func TestChunkSealVectors(t *testing.T) {
	var v struct {
		About string `json:"about"`
		Cases []struct {
			URN    string      `json:"canonical_urn"`
			Salt   vectors.Hex `json:"secret_salt"`
			Key    vectors.Hex `json:"key"`
			Plain  vectors.Hex `json:"plaintext"`
			Sealed vectors.Hex `json:"ciphertext_and_tag"`
		} `json:"cases"`
	}
	vectors.Load(t, "dig/dig-chunk-seal.json", &v)
	for i, c := range v.Cases {
		secret := urn.Derive(c.URN, saltOf(c.Salt))
		if !bytes.Equal(secret[:], c.Key) {
			t.Errorf("case %d: key %x, want %v", i, secret, c.Key)
		}
		if got := urn.FromSecret(secret).Seal(nil, c.Plain); !bytes.Equal(got, c.Sealed) {
			t.Errorf("case %d: sealed %x, want %v", i, got, c.Sealed)
		}
	}
	vectors.Count(t, "dig/dig-chunk-seal.json", len(v.Cases), 0)
}

// Another name, store or salt does not open it, and neither does a changed bit.
func TestOpenRefuses(t *testing.T) {
	u := urn.URN{Resource: "a"}
	salt, other := &urn.Salt{1}, &urn.Salt{2}
	sealed := u.Key(salt).Seal(nil, []byte("some text"))
	for name, k := range map[string]*urn.Key{
		"no salt":       u.Key(nil),
		"another salt":  u.Key(other),
		"another name":  urn.URN{Resource: "b"}.Key(salt),
		"another store": urn.URN{Store: [32]byte{1}, Resource: "a"}.Key(salt),
	} {
		if _, err := k.Open(nil, sealed); err != urn.ErrSealed {
			t.Errorf("%s: %v", name, err)
		}
	}
	for bit := range 8 * len(sealed) {
		bad := bytes.Clone(sealed)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := u.Key(salt).Open(nil, bad); err != urn.ErrSealed {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
}

// However a secret is printed, its digits do not show.
func TestSecretsDoNotShow(t *testing.T) {
	digits := strings.Repeat("a1b2c3d4", 8)
	salt, err := urn.ParseSalt(digits)
	if err != nil || salt.Hex() != digits {
		t.Fatal(salt.Hex(), err)
	}
	secret := urn.Derive("x", nil)
	key := urn.FromSecret(secret)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "salt", salt, "value", *salt, "key", key)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "salt", salt, "value", *salt, "key", key)
	shown := log.String() + fmt.Sprintf("%v %+v %#v %s %x %v %+v %#v %v %+v %#v %s", salt, salt, salt,
		salt, salt, *salt, *salt, *salt, key, key, key, key)
	if strings.Contains(shown, "a1b2c3d4") || strings.Contains(shown, "161 178 195") ||
		strings.Contains(shown, fmt.Sprintf("%x", secret[:4])) {
		t.Errorf("secret shows in %s", shown)
	}
	if b, err := json.Marshal(struct{ S urn.Salt }{*salt}); err == nil {
		t.Errorf("salt marshals as %s", b)
	}
}

func TestParseSalt(t *testing.T) {
	for _, s := range []string{"", "00", strings.Repeat("0", 63), strings.Repeat("0", 65),
		strings.Repeat("g", 64), "0x" + strings.Repeat("0", 62), strings.Repeat("Z9", 32)} {
		if _, err := urn.ParseSalt(s); err == nil || (len(s) > 2 && strings.Contains(err.Error(), s)) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	u := urn.URN{Resource: "some/path/to/a/file.txt"}
	b.ReportAllocs()
	for b.Loop() {
		u.Key(nil)
	}
}

func BenchmarkSeal64KiB(b *testing.B) {
	k := urn.URN{}.Key(nil)
	buf := make([]byte, 64<<10, 65<<10)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		k.Seal(buf[:0], buf)
	}
}
