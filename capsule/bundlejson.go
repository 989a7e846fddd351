package capsule

import (
	"encoding/json"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// hexHash is a 32-byte value as JSON has it: 0x and 64 digits.
type hexHash [32]byte

func (h hexHash) MarshalText() ([]byte, error) {
	return append([]byte("0x"), merkle.Hash(h).String()...), nil
}

type hexBytes []byte

func (b hexBytes) MarshalJSON() ([]byte, error) { return appendHex(nil, b), nil }

func hexPath(path []merkle.Hash) []hexHash {
	out := make([]hexHash, len(path))
	for i, h := range path {
		out[i] = hexHash(h)
	}
	return out
}

// MarshalJSON returns a view of the bundle for people and debuggers. It cannot be read back: the
// binary form is what travels.
func (b *Bundle) MarshalJSON() ([]byte, error) {
	type ownership struct {
		PublicKey   auth.NodePublicKey `json:"public_key"`
		PlotRoot    hexHash            `json:"plot_root"`
		Difficulty  uint32             `json:"difficulty"`
		BlockHeight uint64             `json:"block_height"`
		BlockHash   hexHash            `json:"block_hash"`
		Signature   hexBytes           `json:"signature"`
	}
	type inclusion struct {
		Store     hexHash   `json:"datastore_id"`
		Index     uint32    `json:"capsule_index"`
		Size      uint32    `json:"capsule_size"`
		ChunkRoot hexHash   `json:"chunk_root"`
		Root      hexHash   `json:"datastore_root"`
		Capsules  uint32    `json:"datastore_capsule_count"`
		LeafIndex uint32    `json:"plot_leaf_index"`
		LeafCount uint32    `json:"plot_leaf_count"`
		Path      []hexHash `json:"datastore_path"`
		PlotPath  []hexHash `json:"plot_path"`
	}
	type work struct {
		Algo          int     `json:"algo"`
		Bits          uint8   `json:"bits"`
		Achieved      uint8   `json:"achieved"`
		Nonce         uint64  `json:"nonce"`
		TableDataHash hexHash `json:"table_data_hash"`
		PreviousHash  hexHash `json:"previous_hash"`
		PlotSeed      hexHash `json:"plot_seed"`
	}
	type access struct {
		BlockHeight uint64      `json:"block_height"`
		BlockHash   hexHash     `json:"block_hash"`
		Indices     []uint32    `json:"chunk_indices"`
		Data        []hexBytes  `json:"chunk_data"`
		Proofs      [][]hexHash `json:"chunk_proofs"`
		Root        hexHash     `json:"capsule_root_hash"`
		Chunks      uint32      `json:"chunk_count"`
		Final       hexHash     `json:"final_state"`
		PlotID      hexHash     `json:"plot_id"`
		CapsuleHash hexHash     `json:"capsule_hash"`
	}
	view := struct {
		Digest      hexHash    `json:"challenge_digest"`
		PlotID      hexHash    `json:"plot_id"`
		CapsuleHash hexHash    `json:"capsule_hash"`
		GeneratedAt uint64     `json:"generated_at"`
		Ownership   *ownership `json:"ownership,omitempty"`
		Inclusion   *inclusion `json:"inclusion,omitempty"`
		Work        *work      `json:"work,omitempty"`
		Access      *access    `json:"access,omitempty"`
		Signature   hexBytes   `json:"node_signature"`
	}{
		Digest: hexHash(b.ChallengeDigest), PlotID: hexHash(b.PlotID),
		CapsuleHash: hexHash(b.CapsuleHash),
		GeneratedAt: b.GeneratedAt, Signature: b.Signature[:],
	}
	if p := b.Ownership; p != nil {
		view.Ownership = &ownership{
			p.Plot.PublicKey, hexHash(p.Plot.Root), p.Plot.Difficulty, p.Plot.BlockHeight,
			hexHash(p.Plot.BlockHash), p.Signature[:],
		}
	}
	if p := b.Inclusion; p != nil {
		view.Inclusion = &inclusion{
			hexHash(p.Ref.Store), p.Ref.Index, p.Size, hexHash(p.ChunkRoot), hexHash(p.Ref.Root),
			p.Capsules,
			p.LeafIndex, p.LeafCount, hexPath(p.Path), hexPath(p.PlotPath),
		}
	}
	if p := b.Work; p != nil {
		view.Work = &work{
			workAlgo, p.Bits, p.Achieved, p.Nonce, hexHash(p.TableDataHash),
			hexHash(p.PreviousHash), hexHash(p.PlotSeed),
		}
	}
	if p := b.Access; p != nil {
		a := &access{
			BlockHeight: p.EntropyHeight, BlockHash: hexHash(p.Entropy), Root: hexHash(p.ChunkRoot),
			Chunks: p.Chunks,
			Final:  hexHash(p.Final), PlotID: hexHash(b.PlotID), CapsuleHash: hexHash(b.CapsuleHash),
		}
		for _, s := range p.Samples {
			a.Indices = append(a.Indices, s.Index)
			a.Data = append(a.Data, s.Chunk)
			a.Proofs = append(a.Proofs, hexPath(s.Path))
		}
		view.Access = a
	}
	return json.Marshal(view)
}
