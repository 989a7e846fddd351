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
	places    []place             // of the records, in order
	first     []uint32            // ordinal of the first record of the same hash
	extents   []uint32            // ordinals of the records that have their own extent, in order

	root, seed, id merkle.Hash
}

// A place says which capsule a record is of, and where it lies.
type place struct {
	manifest uint32 // number among the manifests
	index    uint32 // of the capsule
	offset   int64  // of the extent in the file, once it is written
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
		p.places = make([]place, 0, n)
	}
	kept := 0 // manifests; a datastore of which nothing is kept has no entry
	for i := range len(p.manifests) - 1 {
		if s := p.manifests[i].Store; s == p.manifests[i+1].Store {
			return nil, fmt.Errorf("two generations of datastore %s: a plot holds one", s)
		}
	}
	for _, m := range p.manifests {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := m.Check(); err != nil {
			return nil, err
		}
		if !m.Complete() {
			return nil, fmt.Errorf("manifest of datastore %s: chunk roots are missing", m.Store)
		}
		before := len(p.places)
		for _, d := range m.Capsules {
			if keep == nil || keep(m.Store, d) {
				p.places = append(p.places, place{manifest: uint32(kept), index: d.Index})
			}
		}
		if len(p.places) > before {
			p.manifests[kept] = m
			kept++
		}
	}
	p.manifests = p.manifests[:kept]
	switch n := len(p.places); {
	case n == 0:
		return nil, fmt.Errorf("create plot: no capsules")
	case n > MaxCapsules:
		return nil, fmt.Errorf("create plot of %d capsules: %w of %d", n, ErrLimit, MaxCapsules)
	}
	if err := p.share(); err != nil {
		return nil, err
	}
	var leaves folder
	for i, at := range p.places {
		d := p.descriptor(uint32(i))
		leaves.add(d.PlotLeaf(p.manifests[at.manifest].Store))
	}
	p.root = leaves.root()
	identity := identityOf(key, p.root, difficulty, anchor)
	p.seed, p.id = identity.Seed(), identity.ID()
	return p, nil
}

// share finds the records that use the extent of an earlier one. Equal hashes
// must come with equal sizes and chunk roots.
func (p *plan) share() error {
	p.first = sameHash(p)
	p.extents = firstOfHash(p.first)
	for i, n := range p.first {
		a, b := p.descriptor(n), p.descriptor(uint32(i))
		if a.Size != b.Size || a.ChunkRoot != b.ChunkRoot {
			return fmt.Errorf(
				"capsules %d and %d have the hash %s: %w: sizes or chunk roots differ",
				a.Index, b.Index, b.Hash, ErrContentMismatch)
		}
	}
	return nil
}

// capsule returns the descriptor of a record where it lies. A manifest has the
// capsule of index n at n, which newPlan has checked.
func (p *plan) capsule(i uint32) *capsule.Descriptor {
	at := p.places[i]
	return &p.manifests[at.manifest].Capsules[at.index]
}

func (p *plan) descriptor(i uint32) capsule.Descriptor { return *p.capsule(i) }

func (p *plan) store(i uint32) auth.StoreID { return p.manifests[p.places[i].manifest].Store }

// A plan is a recordSource.
func (p *plan) count() int                 { return len(p.places) }
func (p *plan) hash(i uint32) *merkle.Hash { return &p.capsule(i).Hash }
func (p *plan) record(i uint32) Record {
	d := p.capsule(i)
	return Record{Store: p.store(i), Index: d.Index, Size: d.Size, Hash: d.Hash,
		Offset: p.places[i].offset}
}

// contentSize returns the sum of the sizes of all records, and that of the
// distinct ones.
func (p *plan) contentSize() (all, distinct uint64) {
	for i := range p.places {
		all += uint64(p.capsule(uint32(i)).Size)
	}
	for _, i := range p.extents {
		distinct += uint64(p.capsule(i).Size)
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
