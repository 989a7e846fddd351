package puzzle_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// TestPrograms compares the programs with the vectors, byte for byte.
func TestPrograms(t *testing.T) {
	var file struct {
		Cases []struct {
			Name     string
			Program  vectors.Hex
			TreeHash merkle.Hash `json:"tree_hash"`
		}
	}
	vectors.Load(t, "chain-spend-programs.json", &file)
	for _, c := range file.Cases {
		var program *clvm.Node
		switch c.Name {
		case "metadata_updater":
			program = puzzle.NewUpdater()
		case "hidden":
			program = clvm.List(clvm.Int(9))
		default:
			name, _, _ := strings.Cut(c.Name, "_")
			program = puzzle.Program(name)
		}
		b, err := clvm.Append(nil, program, nil)
		if err != nil || hex.EncodeToString(b) != c.Program.String() ||
			merkle.Hash(program.TreeHash()) != c.TreeHash {
			t.Errorf("%s: %x with hash %x, %v; want %v with hash %v", c.Name, b, program.TreeHash(), err,
				c.Program, c.TreeHash)
		}
	}
	vectors.Count(t, "chain-spend-programs.json", len(file.Cases), 0)
}

// TestHashes: the hashes of the layers are those of the layers as programs.
func TestHashes(t *testing.T) {
	key, store := [48]byte{1}, [32]byte{2}
	owner, root, asset := merkle.Hash{3}, merkle.Hash{4}, merkle.Hash{5}
	standard, list := puzzle.NewStandard(key), clvm.List(clvm.Int(7))
	for name, c := range map[string]struct {
		program *clvm.Node
		want    merkle.Hash
	}{
		"standard": {standard, puzzle.StandardHash(key)},
		"writer":   {puzzle.NewWriter(standard), puzzle.WriterHash(puzzle.StandardHash(key))},
		"delegation": {puzzle.NewDelegation(store, owner, root),
			puzzle.DelegationHash(store, owner, root)},
		"store": {puzzle.NewStore(store, list, standard),
			puzzle.StoreHash(store, list.TreeHash(), puzzle.StandardHash(key))},
		"asset":   {puzzle.NewCAT(asset, standard), puzzle.CATHash(asset, puzzle.StandardHash(key))},
		"updater": {puzzle.NewUpdater(), puzzle.Updater},
		"hidden":  {clvm.List(clvm.Int(9)), puzzle.Hidden},
	} {
		if got := merkle.Hash(c.program.TreeHash()); got != c.want {
			t.Errorf("%s: tree hash %v, want %v", name, got, c.want)
		}
	}
}

// TestProve folds the proof of every leaf of trees of 1 to 70 leaves up to the root.
func TestProve(t *testing.T) {
	var leaves []merkle.Hash
	for n := 1; n <= 70; n++ {
		leaves = append(leaves, merkle.Sum([]byte{byte(n)}))
		for i, leaf := range leaves {
			path, hashes, ok := puzzle.Prove(leaves, leaf).Pair()
			if !ok {
				t.Fatalf("no proof for leaf %d of %d", i, n)
			}
			turns, _ := path.Uint64()
			at := merkle.Hash(clvm.HashAtom(leaf[:]))
			for h := range hashes.Items() {
				other, _ := h.Bytes32()
				if turns&1 == 1 {
					at = clvm.HashPair(other, at)
				} else {
					at = clvm.HashPair(at, other)
				}
				turns >>= 1
			}
			if at != puzzle.Root(leaves) || turns != 0 {
				t.Errorf("leaf %d of %d: root %v, want %v", i, n, at, puzzle.Root(leaves))
			}
		}
	}
	if p := puzzle.Prove(leaves, merkle.Hash{1}); !p.IsNil() {
		t.Errorf("proof %v of a leaf that is not there", p)
	}
}
