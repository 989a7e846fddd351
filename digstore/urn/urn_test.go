package urn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

type urnCase struct {
	Name         string       `json:"name"`
	Input        string       `json:"input"`
	Chain        string       `json:"chain"`
	StoreID      auth.StoreID `json:"store_id_hex"`
	Root         *merkle.Hash `json:"root_hash_hex"`
	Resource     *string      `json:"resource_key"`
	Canonical    string       `json:"canonical"`
	IdentityHash merkle.Hash  `json:"retrieval_key_hex"` // of the URN as given
}

func TestVectors(t *testing.T) {
	var v struct {
		Origin       string    `json:"origin"`
		Chain        string    `json:"canonical_chain"`
		Valid        []urnCase `json:"valid"`
		Invalid      []urnCase `json:"invalid"`
		ExtraValid   []urnCase `json:"extra_valid"`
		ExtraInvalid []urnCase `json:"extra_invalid"`
	}
	vectors.Load(t, "store/urn.json", &v)
	if v.Chain != urn.Chain {
		t.Errorf("Chain is %q, want %q", urn.Chain, v.Chain)
	}
	valid := append(v.Valid, v.ExtraValid...)
	for _, c := range valid {
		u, err := urn.Parse(c.Input)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		want := urn.URN{Chain: c.Chain, Store: c.StoreID, Whole: c.Resource == nil}
		if c.Root != nil {
			want.Root = *c.Root
		}
		if c.Resource != nil {
			want.Resource = *c.Resource
		}
		if u != want {
			t.Errorf("%s: parsed %+v, want %+v", c.Name, u, want)
		}
		if u.String() != c.Canonical {
			t.Errorf("%s: canonical %s, want %s", c.Name, u, c.Canonical)
		}
		if u.IdentityHash() != c.IdentityHash {
			t.Errorf("%s: identity hash %v, want %v", c.Name, u.IdentityHash(), c.IdentityHash)
		}
	}
	invalid := append(v.Invalid, v.ExtraInvalid...)
	for _, c := range invalid {
		if u, err := urn.Parse(c.Input); !errors.Is(err, urn.ErrSyntax) {
			t.Errorf("%s: parsed %+v, %v, want ErrSyntax", c.Name, u, err)
		}
	}
	vectors.Count(t, "store/urn.json", len(valid)+len(invalid), 0)
}

// gen draws URNs of all shapes.
func gen(t *rapid.T) urn.URN {
	u := urn.URN{Chain: rapid.StringMatching(`[^:/]+`).Draw(t, "chain")}
	copy(u.Store[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "store"))
	if rapid.Bool().Draw(t, "rooted") {
		u.Root = merkle.Sum(u.Store[:])
	}
	if u.Whole = rapid.Bool().Draw(t, "whole"); !u.Whole {
		u.Resource = rapid.String().Draw(t, "resource")
	}
	return u
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := gen(t)
		back, err := urn.Parse(u.String())
		if err != nil || back != u {
			t.Fatalf("%q parses as %+v, %v", u, back, err)
		}
		b, err := u.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var bin urn.URN
		if err := bin.UnmarshalBinary(append(b, 1, 2, 3)); err != nil || bin != u {
			t.Fatalf("%x decodes as %+v, %v", b, bin, err)
		}
	})
}

// The keys depend on store and resource alone: not on chain, root or the case
// of hex digits. An absent or empty resource is index.html.
func TestKeysComeFromTheRootlessURN(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := gen(t)
		plain := urn.URN{Store: u.Store, Resource: u.Resource}
		if u.Whole || u.Resource == "" {
			plain.Resource = "index.html"
		}
		want := merkle.Sum([]byte("urn:dig:chia:" + u.Store.String() + "/" + plain.Resource))
		for _, v := range []urn.URN{u, plain, u.Rootless(), u.At(merkle.Sum(nil))} {
			if v.RetrievalKey() != want {
				t.Fatalf("%v: retrieval key %v, want %v", v, v.RetrievalKey(), want)
			}
		}
		sealed := u.Key(nil).Seal(nil, []byte("text"))
		if got, err := plain.Key(nil).Open(nil, sealed); err != nil || string(got) != "text" {
			t.Fatalf("%v: key differs from that of %v", u, plain)
		}
	})
}

func TestZeroRootIsKept(t *testing.T) {
	text := "urn:dig:chia:" + strings.Repeat("1", 64) + ":" + strings.Repeat("0", 64) + "/x"
	u, err := urn.Parse(text)
	if err != nil || u.String() != text {
		t.Errorf("%s parses as %v, %v", text, u, err)
	}
	if got, want := u.Rootless().String(), strings.Replace(text, ":"+strings.Repeat("0", 64),
		"", 1); got != want {
		t.Errorf("Rootless: %s, want %s", got, want)
	}
}

func TestTextOfURN(t *testing.T) {
	var u urn.URN
	if err := u.UnmarshalText([]byte("nonsense")); !errors.Is(err, urn.ErrSyntax) {
		t.Errorf("nonsense: %v", err)
	}
	if err := u.UnmarshalText([]byte("urn:dig:chia:" + strings.Repeat("AB", 32) + "/x")); err != nil {
		t.Error(err)
	}
	if b, _ := u.MarshalText(); string(b) != "urn:dig:chia:"+strings.Repeat("ab", 32)+"/x" {
		t.Errorf("MarshalText: %s", b)
	}
	if err := u.UnmarshalText([]byte("urn:dig:" +
		strings.Repeat("x", 10_000))); len(err.Error()) > 400 {
		t.Errorf("error of %d characters", len(err.Error()))
	}
}

// What parses renders to something that parses to the same.
func FuzzParse(f *testing.F) {
	f.Add("urn:dig:chia:1111111111111111111111111111111111111111111111111111111111111111/index.html")
	f.Add("urn:dig:a:" + strings.Repeat("Aa", 32) + ":" + strings.Repeat("0", 64) + "/")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := urn.Parse(s)
		if err != nil {
			if !errors.Is(err, urn.ErrSyntax) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		again, err := urn.Parse(u.String())
		if err != nil || again != u {
			t.Errorf("%q: %v renders as %q, which parses as %v, %v", s, u, u.String(), again, err)
		}
		if !strings.EqualFold(u.String(), s) {
			t.Errorf("%q renders as %q", s, u)
		}
		_ = fmt.Sprint(u.RetrievalKey(), u.Key(nil))
	})
}
