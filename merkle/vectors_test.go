package merkle_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// nth is the leaf rule of store/merkle.json.
func nth(i int) merkle.Hash {
	return merkle.Sum(binary.BigEndian.AppendUint32([]byte("leaf"), uint32(i)))
}

func nths(n int) []merkle.Hash {
	leaves := make([]merkle.Hash, n)
	for i := range leaves {
		leaves[i] = nth(i)
	}
	return leaves
}

func TestStoreVectors(t *testing.T) {
	const name = "store/merkle.json"
	type proof struct {
		Index int
		merkle.Proof
		Encoded vectors.Hex
	}
	var file struct {
		Origin    string
		NodeTag   string      `json:"node_tag"`
		LeafTag   string      `json:"leaf_tag"`
		EmptyRoot merkle.Hash `json:"empty_root"`
		Trees     []struct {
			Name      string
			LeafCount int    `json:"leaf_count"`
			LeafRule  string `json:"leaf_rule"`
			Root      merkle.Hash
			Proofs    []proof
		}
		TaggedChunkTrees []struct {
			Name   string
			Chunks []vectors.Hex `json:"chunks_hex"`
			Leaves []merkle.Hash
			Root   merkle.Hash
		} `json:"tagged_chunk_trees"`
		ProofsNotVerifying []struct {
			Name     string
			Encoded  vectors.Hex
			Verifies bool
		} `json:"proofs_not_verifying"`
		Undecodable []struct {
			Name    string
			Encoded vectors.Hex
		}
		DecodableWithTrailingBytes []struct {
			Encoded vectors.Hex
			Note    string
			Proof   merkle.Proof
		} `json:"decodable_with_trailing_bytes"`
	}
	vectors.Load(t, name, &file)

	if got := merkle.Root(nil); got != file.EmptyRoot {
		t.Errorf("root of no leaves = %v, want %v", got, file.EmptyRoot)
	}
	left, right := nth(1), nth(2)
	if got, want := merkle.Node(left, right), merkle.Sum(append(append([]byte(file.NodeTag),
		left[:]...), right[:]...)); got != want {
		t.Errorf("Node = %v, want %v by the tag of the file", got, want)
	}
	if got, want := merkle.Leaf([]byte("x")), merkle.Sum([]byte(file.LeafTag+"x")); got != want {
		t.Errorf("Leaf = %v, want %v by the tag of the file", got, want)
	}

	passed := 0
	for _, c := range file.Trees {
		if want := `sha256("leaf" || u32be(i))`; c.LeafRule != want {
			t.Fatalf("%s: leaf rule %q is not known", c.Name, c.LeafRule)
		}
		leaves := nths(c.LeafCount)
		tree := merkle.NewTree(leaves)
		if got := merkle.Root(leaves); got != c.Root || tree.Root() != c.Root {
			t.Errorf("%s: root %v, tree %v, want %v", c.Name, got, tree.Root(), c.Root)
		}
		for _, want := range c.Proofs {
			got, err := tree.Prove(want.Index)
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
				continue
			}
			if d := cmp.Diff(want.Proof, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s: proof %d (-want +got):\n%s", c.Name, want.Index, d)
			}
			if enc, err := got.MarshalBinary(); err != nil || !bytes.Equal(enc, want.Encoded) {
				t.Errorf("%s: proof %d encodes to %x, %v, want %v", c.Name, want.Index, enc, err, want.Encoded)
			}
			var back merkle.Proof
			if err := back.UnmarshalBinary(want.Encoded); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
			if err := back.CheckAt(nth(want.Index), c.Root, int64(want.Index),
				int64(c.LeafCount)); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
			passed++
		}
		passed++
	}
	for _, c := range file.TaggedChunkTrees {
		var leaves []merkle.Hash
		for _, b := range c.Chunks {
			leaves = append(leaves, merkle.Leaf(b))
		}
		if d := cmp.Diff(c.Leaves, leaves, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: leaves (-want +got):\n%s", c.Name, d)
		}
		if got := merkle.Root(leaves); got != c.Root {
			t.Errorf("%s: root %v, want %v", c.Name, got, c.Root)
		}
		passed++
	}
	// The file's proofs are of a leaf of a tree that one of the honest ones below names.
	for _, c := range file.ProofsNotVerifying {
		var p merkle.Proof
		if err := p.UnmarshalBinary(c.Encoded); err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		verifies := false
		for _, honest := range file.DecodableWithTrailingBytes {
			verifies = verifies || p.Check(honest.Proof.Leaf, honest.Proof.Root) == nil
		}
		if verifies != c.Verifies && len(file.DecodableWithTrailingBytes) > 0 {
			t.Errorf("%s: it verifies: %v, want %v", c.Name, verifies, c.Verifies)
		}
		passed++
	}
	for _, c := range file.Undecodable {
		if _, _, err := merkle.ParseProof(c.Encoded); err == nil {
			t.Errorf("%s: decoded", c.Name)
		}
		passed++
	}
	for _, c := range file.DecodableWithTrailingBytes {
		p, rest, err := merkle.ParseProof(c.Encoded)
		if err != nil || len(rest) == 0 {
			t.Errorf("trailing bytes: %v with %d left", err, len(rest))
		}
		if d := cmp.Diff(c.Proof, p); d != "" {
			t.Errorf("trailing bytes (-want +got):\n%s", d)
		}
		if new(merkle.Proof).UnmarshalBinary(c.Encoded) == nil {
			t.Error("UnmarshalBinary took trailing bytes")
		}
		passed++
	}
	vectors.Count(t, name, passed, 0)
}

// pattern is the content rule of plot-merkle.json.
func pattern(seed uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(uint32(i)>>6*2654435761>>13) ^ byte(seed)
	}
	return b
}

// chunkLeaves cuts content into chunks of 4096 bytes, one at least.
func chunkLeaves(content []byte) []merkle.Hash {
	leaves := []merkle.Hash{merkle.Leaf(content[:min(4096, len(content))])}
	for at := 4096; at < len(content); at += 4096 {
		leaves = append(leaves, merkle.Leaf(content[at:min(at+4096, len(content))]))
	}
	return leaves
}

func capsuleLeaf(index, size uint32, content, chunks merkle.Hash) merkle.Hash {
	b := []byte("dig:capsule:leaf:v1")
	b = binary.BigEndian.AppendUint32(b, index)
	b = binary.BigEndian.AppendUint32(b, size)
	b = append(b, content[:]...)
	return merkle.Sum(append(b, chunks[:]...))
}

func TestPlotVectors(t *testing.T) {
	const name = "plot-merkle.json"
	var file struct {
		About, Node, Pattern string
		CapsuleLeaf          string `json:"capsule_leaf"`
		ChunkLeaf            string `json:"chunk_leaf"`
		ChunkTrees           []struct {
			PatternSeed  uint32        `json:"pattern_seed"`
			Size         int           `json:"size"`
			CapsuleIndex uint32        `json:"capsule_index"`
			CapsuleHash  merkle.Hash   `json:"capsule_hash"`
			CapsuleLeaf  merkle.Hash   `json:"capsule_leaf"`
			ChunkCount   int           `json:"chunk_count"`
			ChunkRoot    merkle.Hash   `json:"chunk_root"`
			FirstLeaf    merkle.Hash   `json:"first_leaf"`
			LastLeaf     merkle.Hash   `json:"last_leaf"`
			LastPath     []merkle.Hash `json:"path_of_last_chunk"`
			Subroots     []merkle.Hash `json:"subroots"`
		} `json:"chunk_trees"`
		Datastores []struct {
			Capsules string
			Leaves   []merkle.Hash
			Root     merkle.Hash `json:"merkle_root"`
			Proofs   []string    `json:"x_merkle_proof"`
		}
	}
	vectors.Load(t, name, &file)

	passed := 0
	for _, c := range file.ChunkTrees {
		content := pattern(c.PatternSeed, c.Size)
		leaves := chunkLeaves(content)
		tree := merkle.NewTree(leaves)
		last := len(leaves) - 1
		if len(leaves) != c.ChunkCount || leaves[0] != c.FirstLeaf || leaves[last] != c.LastLeaf {
			t.Errorf("size %d: %d leaves from %v to %v", c.Size, len(leaves), leaves[0], leaves[last])
		}
		if tree.Root() != c.ChunkRoot || merkle.Sum(content) != c.CapsuleHash {
			t.Errorf("size %d: chunk root %v, capsule hash %v", c.Size, tree.Root(), merkle.Sum(content))
		}
		if got := capsuleLeaf(c.CapsuleIndex, uint32(c.Size), c.CapsuleHash,
			c.ChunkRoot); got != c.CapsuleLeaf {
			t.Errorf("size %d: capsule leaf %v, want %v", c.Size, got, c.CapsuleLeaf)
		}
		var subroots []merkle.Hash
		for rest := leaves; len(rest) > 0; rest = rest[min(32, len(rest)):] {
			subroots = append(subroots, merkle.Root(rest[:min(32, len(rest))]))
		}
		if d := cmp.Diff(c.Subroots, subroots); d != "" || merkle.Root(subroots) != c.ChunkRoot {
			t.Errorf("size %d: subroots fold to %v (-want +got):\n%s", c.Size, merkle.Root(subroots), d)
		}
		p, err := tree.Prove(last)
		if err != nil {
			t.Fatal(err)
		}
		path := []merkle.Hash{}
		for _, s := range p.Path {
			path = append(path, s.Hash)
		}
		if d := cmp.Diff(c.LastPath, path, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("size %d: path of the last chunk (-want +got):\n%s", c.Size, d)
		}
		passed++
	}
	for _, c := range file.Datastores {
		n := len(c.Leaves)
		var leaves []merkle.Hash
		for i := range n {
			content := pattern(uint32(i), 1000+i)
			leaves = append(leaves, capsuleLeaf(uint32(i), uint32(1000+i), merkle.Sum(content),
				merkle.Root(chunkLeaves(content))))
		}
		if d := cmp.Diff(c.Leaves, leaves); d != "" || merkle.Root(leaves) != c.Root {
			t.Errorf("%s: root %v, leaves (-want +got):\n%s", c.Capsules, merkle.Root(leaves), d)
		}
		for i, text := range c.Proofs {
			var p merkle.Proof
			b, err := base64.StdEncoding.DecodeString(text)
			if err == nil {
				err = p.UnmarshalBinary(b)
			}
			if err == nil {
				err = p.CheckAt(leaves[i], c.Root, int64(i), int64(n))
			}
			if err != nil {
				t.Errorf("%s: proof %d: %v", c.Capsules, i, err)
			}
			if own, _ := merkle.Prove(leaves, i); !cmp.Equal(own, p, cmpopts.EquateEmpty()) {
				t.Errorf("%s: proof %d is not ours: %+v", c.Capsules, i, own)
			}
		}
		passed++
	}
	vectors.Count(t, name, passed, 0)
}
