package capsuletest

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// Holding is what a plot holds of one generation: content by index, of all of its capsules or of
// some.
type Holding struct {
	Manifest *capsule.Manifest
	Content  map[uint32][]byte
}

// Plots is one plot in memory, a capsule.Plots.
type Plots struct {
	ID      capsule.PlotIdentity
	records []record
}

type record struct {
	capsule.PlotRecord
	content  []byte
	subroots []merkle.Hash
}

// NewPlots makes the plot of a key, an anchor and a difficulty, which are taken from id, over
// what is held. It does no table work: difficulty is only part of the plot id. Content that its
// manifest does not describe is an error.
func NewPlots(id capsule.PlotIdentity, held ...Holding) (*Plots, error) {
	p := &Plots{ID: id}
	for _, h := range held {
		tree := h.Manifest.Tree()
		for i, content := range h.Content {
			hasher := capsule.NewHasher()
			if _, err := hasher.Write(content); err != nil {
				return nil, err
			}
			d := hasher.Descriptor(i)
			if int(i) >= tree.Len() || h.Manifest.Capsules[i] != d {
				return nil, fmt.Errorf("plot capsule %d of store %v: %w", i, h.Manifest.Store,
					capsule.ErrContentMismatch)
			}
			proof, err := tree.Prove(int(i))
			if err != nil {
				return nil, err
			}
			p.records = append(p.records, record{
				PlotRecord: capsule.PlotRecord{Ref: h.Manifest.Ref(i), Descriptor: d,
					Capsules: uint32(tree.Len()), Path: hashes(proof)},
				content:  content,
				subroots: hasher.Subroots(),
			})
		}
	}
	slices.SortFunc(p.records, func(a, b record) int {
		return cmp.Or(a.Ref.Store.Compare(b.Ref.Store), cmp.Compare(a.Ref.Index, b.Ref.Index))
	})
	var leaves []merkle.Hash
	for _, r := range p.records {
		leaves = append(leaves, r.Descriptor.PlotLeaf(r.Ref.Store))
	}
	tree := merkle.NewTree(leaves)
	p.ID.Root = tree.Root()
	for i := range p.records {
		proof, err := tree.Prove(i)
		if err != nil {
			return nil, err
		}
		r := &p.records[i]
		r.Plot, r.LeafIndex, r.LeafCount, r.PlotPath = p.ID, uint32(i), uint32(len(p.records)),
			hashes(proof)
	}
	return p, nil
}

func hashes(p merkle.Proof) []merkle.Hash {
	var out []merkle.Hash
	for _, s := range p.Path {
		out = append(out, s.Hash)
	}
	return out
}

// Find implements capsule.Plots.
func (p *Plots) Find(ctx context.Context, hash, plotID merkle.Hash) (capsule.Plotted, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !plotID.IsZero() && plotID != p.ID.ID() {
		return nil, fmt.Errorf("plot %v: %w", plotID, fs.ErrNotExist)
	}
	for i := range p.records {
		if p.records[i].Descriptor.Hash == hash {
			return plotted{&p.records[i]}, nil
		}
	}
	return nil, fmt.Errorf("capsule %v: %w", hash, fs.ErrNotExist)
}

type plotted struct{ r *record }

func (p plotted) Record() capsule.PlotRecord { return p.r.PlotRecord }

func (p plotted) Subroots(context.Context) ([]merkle.Hash, error) { return p.r.subroots, nil }

func (p plotted) ReadBlock(ctx context.Context, i uint32, dst []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at := int(i) * capsule.BlockSize
	if at >= len(p.r.content) {
		return nil, fmt.Errorf("read block %d of %d bytes: %w", i, len(p.r.content), fs.ErrInvalid)
	}
	return append(dst[:0], p.r.content[at:min(at+capsule.BlockSize, len(p.r.content))]...), nil
}

func (p plotted) Close() error { return nil }
