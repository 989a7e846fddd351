package plot

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// A plan is everything about a plot that is known before its content: which
// records it has, in which order, and its id.
type plan struct {
	key        auth.NodePublicKey
	difficulty int
	anchor     Anchor

	manifests []*capsule.Manifest // ascending by store, one for each datastore
	records   []Record            // in order; offsets are set as extents are written
	first     []uint32            // ordinal of the first record of the same hash
	extents   []uint32            // ordinals of the records that have their own extent, in order

	root, seed, id merkle.Hash
}

// newPlan checks manifests and orders their capsules. keep may be nil.
func newPlan(ctx context.Context, manifests []*capsule.Manifest,
	keep func(auth.StoreID, capsule.Descriptor) bool,
	key auth.NodePublicKey, difficulty int, anchor Anchor) (*plan, error) {
	p := &plan{key: key, difficulty: difficulty, anchor: anchor, manifests: slices.Clone(manifests)}
	slices.SortFunc(p.manifests, func(a, b *capsule.Manifest) int {
		return bytes.Compare(a.Store[:],
			b.Store[:])
	})
	if keep == nil {
		n := 0
		for _, m := range p.manifests {
			n += len(m.Capsules)
		}
		p.records = make([]Record, 0, n)
	}
	for i, m := range p.manifests {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if i > 0 && p.manifests[i-1].Store == m.Store {
			return nil, fmt.Errorf("two generations of datastore %s: a plot holds one", m.Store)
		}
		if err := m.Check(); err != nil {
			return nil, err
		}
		if !m.Complete() {
			return nil, fmt.Errorf("manifest of datastore %s: chunk roots are missing", m.Store)
		}
		for _, d := range m.Capsules {
			if keep != nil && !keep(m.Store, d) {
				continue
			}
			p.records = append(p.records, Record{Store: m.Store, Index: d.Index, Size: d.Size,
				Hash: d.Hash})
		}
	}
	// A datastore of which nothing is kept has no entry.
	p.manifests = slices.DeleteFunc(p.manifests, func(m *capsule.Manifest) bool {
		i := p.search(makeKey(m.Store, 0))
		return i == len(p.records) || p.records[i].Store != m.Store
	})
	switch n := len(p.records); {
	case n == 0:
		return nil, fmt.Errorf("create plot: no capsules")
	case n > MaxCapsules:
		return nil, fmt.Errorf("create plot of %d capsules: %w of %d", n, ErrLimit, MaxCapsules)
	}
	if err := p.share(); err != nil {
		return nil, err
	}
	var leaves folder
	for i, r := range p.records {
		d := p.descriptor(uint32(i))
		leaves.add(d.PlotLeaf(r.Store))
	}
	p.root = leaves.root()
	identity := identityOf(key, p.root, difficulty, anchor)
	p.seed, p.id = identity.Seed(), identity.ID()
	return p, nil
}

// search returns the ordinal of the first record whose key is not below k.
func (p *plan) search(k recordKey) int {
	i, _ := slices.BinarySearchFunc(p.records, k, func(r Record, k recordKey) int {
		rk := r.key()
		return bytes.Compare(rk[:], k[:])
	})
	return i
}

// share finds the records that use the extent of an earlier one. Equal hashes
// must come with equal sizes and chunk roots.
func (p *plan) share() error {
	p.extents = firstOfHash(p.records)
	p.first = sameHash(p.records)
	for i, n := range p.first {
		if p.records[n].Size != p.records[i].Size || p.chunkRoot(n) != p.chunkRoot(uint32(i)) {
			return fmt.Errorf(
				"capsules %d and %d have the hash %s: %w: sizes or chunk roots differ",
				p.records[n].Index, p.records[i].Index, p.records[i].Hash, ErrContentMismatch)
		}
	}
	return nil
}

// descriptor returns the descriptor of a record. A manifest has the capsule of
// index n at n, which newPlan has checked.
func (p *plan) descriptor(i uint32) capsule.Descriptor {
	r := &p.records[i]
	n, _ := slices.BinarySearchFunc(p.manifests, r.Store[:],
		func(m *capsule.Manifest, store []byte) int { return bytes.Compare(m.Store[:], store) })
	return p.manifests[n].Capsules[r.Index]
}

// chunkRoot returns the chunk root of a record.
func (p *plan) chunkRoot(i uint32) merkle.Hash { return p.descriptor(i).ChunkRoot }

// contentSize returns the sum of the sizes of all records, and that of the
// distinct ones.
func (p *plan) contentSize() (all, distinct uint64) {
	for i := range p.records {
		all += uint64(p.records[i].Size)
	}
	for _, i := range p.extents {
		distinct += uint64(p.records[i].Size)
	}
	return all, distinct
}

// datastores returns the list of C1.
func (p *plan) datastores() datastores {
	var b datastores
	for _, m := range p.manifests {
		d := Datastore{Store: m.Store, Root: m.Root, Capsules: uint32(len(m.Capsules))}
		b = d.append(b)
	}
	return b
}
