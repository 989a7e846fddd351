package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

// A Diff is the change between two generations, by resource. Names are sorted. A resource whose
// name is known in neither generation is identified by its retrieval key.
type Diff struct {
	Added, Removed, Modified []string
	UnnamedAdded             []merkle.Hash
	UnnamedRemoved           []merkle.Hash
	UnnamedModified          []merkle.Hash
	NewChunks, GoneChunks    int   // by chunk id
	NewBytes                 int64 // sealed bytes of the new chunks
}

// Empty reports whether nothing changed.
func (d *Diff) Empty() bool {
	return len(d.Added)+len(d.Removed)+len(d.Modified)+len(d.UnnamedAdded)+len(d.UnnamedRemoved)+
		len(d.UnnamedModified) == 0
}

// Diff compares two generations that are held: the changes from a to b. A zero a is the empty
// generation.
func (s *Store) Diff(_ context.Context, a, b merkle.Hash) (*Diff, error) {
	var from, to *Generation
	var err error
	if !a.IsZero() {
		if from, err = s.At(a); err != nil {
			return nil, fmt.Errorf("diff: %w", err)
		}
	}
	if to, err = s.At(b); err != nil {
		return nil, fmt.Errorf("diff: %w", err)
	}
	return diffGenerations(from, to)
}

// side is one generation of a comparison.
type side struct {
	leaves map[merkle.Hash]merkle.Hash
	chunks map[merkle.Hash]uint32
	order  []merkle.Hash
}

func sideOf(g *Generation) (*side, error) {
	s := &side{leaves: map[merkle.Hash]merkle.Hash{}, chunks: map[merkle.Hash]uint32{}}
	if g == nil {
		return s, nil
	}
	for r, err := range g.mod.Resources() {
		if err != nil {
			return nil, fmt.Errorf("diff: generation %s: %w", g.info.Root, err)
		}
		if _, ok := s.leaves[r.Key()]; ok {
			continue
		}
		s.leaves[r.Key()] = r.Leaf()
		s.order = append(s.order, r.Key())
		for _, c := range r.Chunks() {
			s.chunks[c.ID] = c.Len
		}
	}
	return s, nil
}

// diffGenerations compares two generations of a store, with all names that either of them knows. a
// may be nil.
func diffGenerations(a, b *Generation) (*Diff, error) {
	from, err := sideOf(a)
	if err != nil {
		return nil, err
	}
	to, err := sideOf(b)
	if err != nil {
		return nil, err
	}
	names := map[merkle.Hash]string{}
	for _, g := range []*Generation{a, b} {
		if g == nil {
			continue
		}
		list, _, err := g.Names()
		if err != nil {
			return nil, err
		}
		for _, n := range list {
			names[urn.RetrievalKey(g.s.set.id, n)] = n
		}
	}
	d := &Diff{}
	note := func(key merkle.Hash, named *[]string, unnamed *[]merkle.Hash) {
		if n, ok := names[key]; ok {
			*named = append(*named, n)
		} else {
			*unnamed = append(*unnamed, key)
		}
	}
	for _, key := range to.order {
		switch leaf, ok := from.leaves[key]; {
		case !ok:
			note(key, &d.Added, &d.UnnamedAdded)
		case leaf != to.leaves[key]:
			note(key, &d.Modified, &d.UnnamedModified)
		}
	}
	for _, key := range from.order {
		if _, ok := to.leaves[key]; !ok {
			note(key, &d.Removed, &d.UnnamedRemoved)
		}
	}
	for id, n := range to.chunks {
		if _, ok := from.chunks[id]; !ok {
			d.NewChunks++
			d.NewBytes += int64(n)
		}
	}
	for id := range from.chunks {
		if _, ok := to.chunks[id]; !ok {
			d.GoneChunks++
		}
	}
	for _, list := range []*[]string{&d.Added, &d.Removed, &d.Modified} {
		slices.SortFunc(*list, strings.Compare)
	}
	for _, list := range []*[]merkle.Hash{&d.UnnamedAdded, &d.UnnamedRemoved, &d.UnnamedModified} {
		slices.SortFunc(*list, merkle.Hash.Compare)
	}
	return d, nil
}

// A HistoryEntry is one generation as a log shows it.
type HistoryEntry struct {
	module.Generation
	Held      bool   // its module is held here
	Signed    bool   // a signature of its root is stored
	Message   string // of the commit, when held
	Size      int64  // of the module in bytes, when held
	Resources int    // when held
}

// History returns all generations, oldest first. For a generation that is neither held nor signed,
// the line is an unverified statement of the origin.
func (s *Store) History(ctx context.Context) ([]HistoryEntry, error) {
	return s.HistoryTail(ctx, math.MaxInt)
}

// HistoryTail is History for the last n generations. Its cost depends on n, not on the length of
// the history.
func (s *Store) HistoryTail(ctx context.Context, n int) ([]HistoryEntry, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return nil, err
	}
	lines, err := h.Tail(uint64(max(n, 0)))
	if err != nil {
		return nil, err
	}
	out := make([]HistoryEntry, len(lines))
	for i, line := range lines {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		e := &out[i]
		e.Generation = line
		sigs, err := s.dir.Signatures.Read(line.Root)
		if err != nil {
			return nil, err
		}
		e.Signed = !sigs.Tagged.IsZero() || !sigs.Untagged.IsZero()
		g, err := s.open(line)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e.Held, e.Message, e.Size = true, g.Message(), g.mod.Size()
		if e.Resources, err = g.mod.Len(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
