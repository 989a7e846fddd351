package capsule_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// pattern is the content that the plot vectors describe by a seed and a size.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(uint32(i)>>6*2654435761>>13) ^ byte(seed)
	}
	return b
}

func newReader(b []byte) *bytes.Reader { return bytes.NewReader(b) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestMerkleVectors(t *testing.T) {
	var f struct {
		About, Pattern, Node string
		CapsuleLeaf          string `json:"capsule_leaf"`
		ChunkLeaf            string `json:"chunk_leaf"`
		ChunkTrees           []struct {
			Hash      merkle.Hash   `json:"capsule_hash"`
			Index     uint32        `json:"capsule_index"`
			Leaf      merkle.Hash   `json:"capsule_leaf"`
			Chunks    uint32        `json:"chunk_count"`
			ChunkRoot merkle.Hash   `json:"chunk_root"`
			First     merkle.Hash   `json:"first_leaf"`
			Last      merkle.Hash   `json:"last_leaf"`
			LastPath  []string      `json:"path_of_last_chunk"`
			Seed      int           `json:"pattern_seed"`
			Size      int           `json:"size"`
			Subroots  []merkle.Hash `json:"subroots"`
		} `json:"chunk_trees"`
		Datastores []struct {
			Capsules string
			Leaves   []merkle.Hash
			Root     merkle.Hash `json:"merkle_root"`
			Proofs   []string    `json:"x_merkle_proof"`
		}
	}
	const file = "plot-merkle.json"
	vectors.Load(t, file, &f)
	for _, c := range f.ChunkTrees {
		content := pattern(c.Seed, c.Size)
		want := capsule.Descriptor{Index: c.Index, Size: uint32(c.Size), Hash: c.Hash,
			ChunkRoot: c.ChunkRoot}
		if got := must(capsule.Describe(c.Index, bytes.NewReader(content))); got != want {
			t.Errorf("size %d: %+v, want %+v", c.Size, got, want)
		}
		h := capsule.NewHasher()
		for at := 0; at < len(content); at += 1000 { // pieces that straddle every boundary
			h.Write(content[at:min(at+1000, len(content))])
		}
		if fmt.Sprint(h.Subroots()) != fmt.Sprint(c.Subroots) || h.Descriptor(c.Index) != want {
			t.Errorf("size %d in pieces: %+v, subroots %v, want %v", c.Size, h.Descriptor(c.Index),
				h.Subroots(), c.Subroots)
		}
		if want.Leaf() != c.Leaf || want.Chunks() != c.Chunks ||
			int(capsule.SubrootCount(want.Size)) != len(c.Subroots) {
			t.Errorf("size %d: leaf %v, %d chunks", c.Size, want.Leaf(), want.Chunks())
		}
	}
	vectors.Count(t, file+" chunk_trees", len(f.ChunkTrees), 0)
	for _, c := range f.Datastores {
		m := &capsule.Manifest{Store: auth.StoreID{1}, Root: c.Root}
		for i := range c.Leaves {
			d := must(capsule.Describe(uint32(i), bytes.NewReader(pattern(i, 1000+i))))
			if d.Leaf() != c.Leaves[i] {
				t.Errorf("%s: leaf %d is %v", c.Capsules, i, d.Leaf())
			}
			m.Capsules = append(m.Capsules, d)
		}
		if err := m.Check(); err != nil {
			t.Error(err)
		}
		for i, text := range c.Proofs {
			p := must(m.Prove(uint32(i)))
			if got := base64.StdEncoding.EncodeToString(must(p.MarshalBinary())); got != text {
				t.Errorf("%s: proof %d is %s", c.Capsules, i, got)
			}
			if err := m.Capsules[i].CheckProof(p, c.Root, uint32(len(c.Leaves))); err != nil {
				t.Error(err)
			}
		}
	}
	vectors.Count(t, file+" datastores", len(f.Datastores), 0)
}

func TestHostileManifests(t *testing.T) {
	var f struct {
		About string
		Cases []struct {
			Name, JSON, Verdict, Why string
			Repeat                   *struct {
				Prefix, Unit, Suffix string
				Times                int64
			}
		}
	}
	const file = "dig/hostile-manifests.json"
	vectors.Load(t, file, &f)
	passed := 0
	for _, c := range f.Cases {
		m, err := capsule.ReadManifest(strings.NewReader(c.JSON), 0)
		switch c.Verdict {
		case "accept":
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		case "refuse":
			if err == nil {
				t.Errorf("%s: accepted %+v", c.Name, m)
			}
		}
		t.Log(c.Name, "→", err)
		passed++
	}
	vectors.Count(t, file, passed, 0)
}
