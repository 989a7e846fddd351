package plot

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// groupSize is the number of plot leaves below one hash that is kept in
// memory. It is a power of two, so that the hashes fold to the plot root.
const groupSize = 1024

// groupRoots returns the root over each group of plot leaves. The first call
// reads all records.
func (r *Reader) groupRoots(ctx context.Context) ([]merkle.Hash, error) {
	if l := r.groups.Load(); l != nil {
		return *l, nil
	}
	r.load.Lock()
	defer r.load.Unlock()
	if l := r.groups.Load(); l != nil {
		return *l, nil
	}
	roots := make([]merkle.Hash, 0, (r.head.capsules+groupSize-1)/groupSize)
	for i := int64(0); i < int64(r.head.capsules); i += groupSize {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		leaves, err := r.plotLeaves(i)
		if err != nil {
			return nil, err
		}
		roots = append(roots, merkle.Root(leaves))
	}
	if got := merkle.Root(roots); got != r.meta.root {
		return nil, damaged(ErrTable, "C1", r.bodyOf(metaTable)+32,
			"plot root %s, the records fold to %s", r.meta.root, got)
	}
	r.groups.Store(&roots)
	return roots, nil
}

// plotLeaves reads the plot leaves of the group that begins at record first.
func (r *Reader) plotLeaves(first int64) ([]merkle.Hash, error) {
	n := min(groupSize, int64(r.head.capsules)-first)
	records := make([]byte, n*recordSize)
	if err := readFull(r.src, records,
		r.bodyOf(indexTable)+recordsOff+first*recordSize); err != nil {
		return nil, err
	}
	entries := make([]byte, n*merkleEntrySize)
	if err := readFull(r.src, entries,
		r.bodyOf(merkleTable)+merkleHead+first*merkleEntrySize); err != nil {
		return nil, err
	}
	leaves := make([]merkle.Hash, n)
	for i := range leaves {
		rec := parseRecord(records[i*recordSize:])
		d := capsule.Descriptor{Index: rec.Index, Size: rec.Size, Hash: rec.Hash,
			ChunkRoot: merkle.Hash(entries[i*merkleEntrySize:][:32])}
		leaves[i] = d.PlotLeaf(rec.Store)
	}
	return leaves, nil
}

// plotPath returns the siblings from the plot leaf of record i to the plot
// root.
func (r *Reader) plotPath(ctx context.Context, i int64) ([]merkle.Hash, error) {
	roots, err := r.groupRoots(ctx)
	if err != nil {
		return nil, err
	}
	leaves, err := r.plotLeaves(i / groupSize * groupSize)
	if err != nil {
		return nil, err
	}
	low, err := merkle.Prove(leaves, int(i%groupSize))
	if err != nil {
		return nil, err
	}
	high, err := merkle.Prove(roots, int(i/groupSize))
	if err != nil {
		return nil, err
	}
	if low.Root != high.Leaf {
		return nil, damaged(ErrIndex, fmt.Sprintf("C3 record %d", i), -1,
			"changed while the plot was open")
	}
	return append(siblings(low.Path), siblings(high.Path)...), nil
}

func siblings(path []merkle.Step) []merkle.Hash {
	list := make([]merkle.Hash, len(path))
	for i, s := range path {
		list[i] = s.Hash
	}
	return list
}

// Find returns the capsule whose content has the hash h, for proofs. plotID is
// that of the plot or zero. It makes a Reader a capsule.Plots.
func (r *Reader) Find(ctx context.Context, h, plotID merkle.Hash) (capsule.Plotted, error) {
	if !plotID.IsZero() && plotID != r.head.id {
		return nil, fmt.Errorf("plot %s: %w", plotID, fs.ErrNotExist)
	}
	rec, err := r.LookupHash(h)
	if err != nil {
		return nil, err
	}
	return r.plotted(ctx, rec)
}

func (r *Reader) plotted(ctx context.Context, rec Record) (*plotted, error) {
	i, err := r.ordinal(&rec)
	if err != nil {
		return nil, err
	}
	d, err := r.Descriptor(rec)
	if err != nil {
		return nil, err
	}
	proof, err := r.DatastoreProof(rec)
	if err != nil {
		return nil, err
	}
	path, err := r.plotPath(ctx, i)
	if err != nil {
		return nil, err
	}
	store, err := r.Datastore(rec.Store)
	if err != nil {
		return nil, err
	}
	c, err := r.openRecord(rec, d.ChunkRoot, Verified)
	if err != nil {
		return nil, err
	}
	return &plotted{c: c, record: capsule.PlotRecord{
		Plot: r.identity(), Ref: capsule.Ref{Store: rec.Store, Root: store.Root,
			Index: rec.Index}, Descriptor: d,
		Capsules: store.Capsules, Path: siblings(proof.Path),
		LeafIndex: uint32(i), LeafCount: r.head.capsules, PlotPath: path,
	}}, nil
}

// plotted is a capsule.Plotted.
type plotted struct {
	c       *Capsule
	record  capsule.PlotRecord
	release func()
}

func (p *plotted) Record() capsule.PlotRecord { return p.record }

func (p *plotted) Subroots(context.Context) ([]merkle.Hash, error) { return p.c.subrootList() }

// ReadBlock checks the checksum of the block. A prover checks its subroot.
func (p *plotted) ReadBlock(_ context.Context, i uint32, dst []byte) ([]byte, error) {
	if i >= uint32(blocksOf(p.c.rec.Size)) {
		if i == 0 {
			return dst[:0], nil // an empty capsule has one empty chunk
		}
		return nil, fmt.Errorf("read block %d of %d: %w", i, blocksOf(p.c.rec.Size), fs.ErrInvalid)
	}
	err := p.c.read(int(i), int(i), nil, func(_ int, content []byte) error {
		dst = append(dst[:0], content...)
		return nil
	})
	return dst, err
}

func (p *plotted) Close() error {
	if p.release != nil {
		p.release()
		p.release = nil
	}
	return nil
}
