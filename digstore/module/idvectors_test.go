package module_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

func TestIDVectors(t *testing.T) {
	var v struct {
		Origin string `json:"origin"`
		Valid  []struct {
			Input     string       `json:"input"`
			Store     auth.StoreID `json:"store_id"`
			Root      merkle.Hash  `json:"root"`
			Canonical string       `json:"canonical"`
			Encoded   vectors.Hex  `json:"encoded"`
		} `json:"valid"`
		Invalid []struct {
			Name  string `json:"name"`
			Input string `json:"input"`
		} `json:"invalid"`
	}
	vectors.Load(t, "store/capsule_id.json", &v)
	for _, c := range v.Valid {
		id, err := module.ParseID(c.Input)
		if err != nil || id != (module.ID{Store: c.Store, Root: c.Root}) || id.String() != c.Canonical {
			t.Errorf("%s parses as %v, %v", c.Input, id, err)
		}
		if b, _ := id.MarshalBinary(); !bytes.Equal(b, c.Encoded) {
			t.Errorf("%v encodes as %x", id, b)
		}
	}
	for _, c := range v.Invalid {
		if id, err := module.ParseID(c.Input); err == nil {
			t.Errorf("%s parses as %v", c.Name, id)
		}
	}
	vectors.Count(t, "store/capsule_id.json", len(v.Valid)+len(v.Invalid), 0)
}

func TestCommitRootVectors(t *testing.T) {
	var v struct {
		Origin  string `json:"origin"`
		Commits []struct {
			Name  string       `json:"name"`
			Store auth.StoreID `json:"store_id"`
			Salt  vectors.Hex  `json:"secret_salt"`
			Files []struct {
				Key      string        `json:"key"`
				Plain    vectors.Hex   `json:"plaintext_hex"`
				PlainGen vectors.Input `json:"plaintext_gen"`
			} `json:"files"`
			Leaves []struct {
				Key          string      `json:"key"`
				RetrievalKey merkle.Hash `json:"retrieval_key"`
				Leaf         merkle.Hash `json:"leaf"`
			} `json:"leaves_in_key_order"`
			Root merkle.Hash `json:"root"`
		} `json:"commits"`
	}
	vectors.Load(t, "store/commit_roots.json", &v)
	for _, c := range v.Commits {
		o := &module.Options{}
		if c.Salt != nil {
			o.Salt = (*urn.Salt)(c.Salt)
		}
		b := module.NewBuilder(c.Store, auth.PublicKey{}, o)
		for _, f := range c.Files {
			if err := b.Add(t.Context(), f.Key,
				bytes.NewReader(append(f.PlainGen, f.Plain...))); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		root, err := b.Build(t.Context(), &out)
		if err != nil || root != c.Root {
			t.Errorf("%s: root %v, %v, want %v", c.Name, root, err, c.Root)
		}
		m := open(t, out.Bytes())
		for i, l := range c.Leaves {
			r, err := m.Find(l.RetrievalKey)
			if err != nil || r.Leaf() != l.Leaf || urn.RetrievalKey(c.Store, l.Key) != l.RetrievalKey {
				t.Errorf("%s: leaf %d, %q: %v", c.Name, i, l.Key, err)
			}
		}
		b.Close()
	}
	vectors.Count(t, "store/commit_roots.json", len(v.Commits), 0)
}

// metadataFields is how the vectors spell a Metadata.
type metadataFields struct {
	SchemaVersion uint32            `json:"schema_version"`
	Name          string            `json:"name"`
	Version       *string           `json:"version"`
	Description   *string           `json:"description"`
	Authors       []authorFields    `json:"authors"`
	License       *string           `json:"license"`
	Homepage      *string           `json:"homepage"`
	Repository    *string           `json:"repository"`
	Keywords      []string          `json:"keywords"`
	Categories    []string          `json:"categories"`
	Icon          *string           `json:"icon"`
	ContentType   *string           `json:"content_type"`
	Links         map[string]string `json:"links"`
	Custom        map[string]string `json:"custom"` // JSON as text
}

type authorFields struct {
	Name    string  `json:"name"`
	Handle  *string `json:"handle"`
	Contact *string `json:"contact"`
}

func (f *metadataFields) value(t *testing.T) *module.Metadata {
	t.Helper()
	m := &module.Metadata{
		SchemaVersion: f.SchemaVersion, Name: f.Name, Version: f.Version, Description: f.Description,
		License:  f.License,
		Homepage: f.Homepage, Repository: f.Repository, Keywords: f.Keywords,
		Categories: f.Categories, Icon: f.Icon,
		ContentType: f.ContentType, Links: f.Links,
	}
	for _, a := range f.Authors {
		m.Authors = append(m.Authors, module.Author(a))
	}
	for k, v := range f.Custom {
		if m.Custom == nil {
			m.Custom = make(map[string]json.RawMessage)
		}
		m.Custom[k] = json.RawMessage(v)
	}
	return m
}

func checkMetadata(t *testing.T, name string, got *module.Metadata, want *metadataFields) {
	t.Helper()
	w := want.value(t)
	if !equalEncoding(t, got, w) || !maps.Equal(got.Links, w.Links) ||
		len(got.Custom) != len(w.Custom) {
		t.Errorf("%s: metadata %+v, want %+v", name, got, w)
	}
}

type authInfoFields struct {
	RequiresSession    bool     `json:"requires_session"`
	RequiresJWT        bool     `json:"requires_jwt"`
	JWKSURL            *string  `json:"jwks_url"`
	AcceptedAlgorithms []string `json:"accepted_algorithms"`
}

func (f *authInfoFields) value() module.AuthInfo { return module.AuthInfo(*f) }

func equalEncoding(t *testing.T, a, b module.Structure) bool {
	t.Helper()
	x, err := a.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	y, err := b.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}
