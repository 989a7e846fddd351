package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/dig-network/digstore/digstore/internal/scan"
	"github.com/dig-network/digstore/digstore/internal/sealer"
	"github.com/dig-network/digstore/digstore/internal/statindex"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

// A Status is the difference between the content root and the head. Names are sorted.
type Status struct {
	Staged                   []Staged
	ContentRoot              string // "" when the store has none; then the rest is empty
	Added, Modified, Removed []string
	Unchanged                int
	Unsafe                   []KeyNameError // files that a commit refuses, or leaves out by SkipUnsafe
	Unread                   []string       // as CommitReport.Unread
}

// Clean reports whether there is nothing to commit.
func (st *Status) Clean() bool {
	return len(st.Staged)+len(st.Added)+len(st.Modified)+len(st.Removed) == 0
}

// Status returns what a commit would find. Files that look as they did at the last commit are not
// read. The others are read and compared with the head.
func (s *Store) Status(ctx context.Context) (*Status, error) {
	st := &Status{}
	var err error
	if st.Staged, err = s.Staged(); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if st.ContentRoot, err = s.contentRoot(); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if st.ContentRoot == "" {
		return st, nil
	}
	tree, err := s.w.scan(ctx, st.ContentRoot)
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	files := st.setUnsafe(tree.Files)
	st.Unread = tree.Unread
	h, err := s.dir.Log.Current()
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	head, ok := h.Head()
	if !ok {
		for _, f := range files {
			st.Added = append(st.Added, f.Name)
		}
		return st, nil
	}
	abs, err := filepath.Abs(st.ContentRoot)
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	if x := s.index.Read(abs); x != nil && x.Root == head.Root {
		if st.compare(files, x) {
			return st, nil
		}
	}
	if err := s.compareContent(ctx, st, files, head); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	return st, nil
}

// setUnsafe records the files that a commit refuses and returns the others.
func (st *Status) setUnsafe(files []scan.Found) []scan.Found {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	st.Unsafe = checkNames(names)
	left := st.Unsafe
	return slices.DeleteFunc(files, func(f scan.Found) bool {
		if len(left) == 0 || left[0].Key != f.Name {
			return false
		}
		left = left[1:]
		return true
	})
}

// compare fills in the status without reading files, and reports whether it could.
func (st *Status) compare(files []scan.Found, x *statindex.Index) bool {
	unchanged, at := 0, 0
	for _, f := range files {
		if at == len(x.Files) || x.Files[at].Name != f.Name || !x.Same(x.Files[at].Stat, f.Stat) {
			return false
		}
		at++
		unchanged++
	}
	st.Unchanged = unchanged
	return at == len(x.Files)
}

// compareContent compares files with the head. It reads those that may have changed since the stat
// index was made.
func (s *Store) compareContent(ctx context.Context, st *Status, files []scan.Found,
	head module.Generation) error {
	g, err := s.open(head)
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(st.ContentRoot)
	if err != nil {
		return err
	}
	var index *statindex.Index
	if x := s.index.Read(abs); x != nil && x.Root == head.Root {
		index = x
	}
	next := (&known{index: index, entries: make([]module.Entry, lenIndex(index))}).cursor()
	there := map[merkle.Hash]bool{}
	var todo []*sealer.Job
	var leaves []merkle.Hash
	for _, f := range files {
		key := urn.RetrievalKey(s.set.id, f.Name)
		there[key] = true
		if _, same := next(f); same {
			st.Unchanged++
			continue
		}
		r, err := g.mod.Find(key)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			st.Added = append(st.Added, f.Name)
		case err != nil:
			return err
		case r.Size() != f.Stat.Size:
			st.Modified = append(st.Modified, f.Name)
		default:
			todo = append(todo, &sealer.Job{Input: sealer.File(st.ContentRoot, f)})
			leaves = append(leaves, r.Leaf())
		}
	}
	p := &sealer.Sealer{Store: s.set.id, Salt: s.salts.current(), Workers: s.w.workers,
		Keep: func([]module.Chunk, []byte) error { return nil }}
	if len(todo) > 0 {
		if err := p.Run(ctx, todo); err != nil {
			return err
		}
	}
	for i, j := range todo {
		switch {
		case j.Outcome == sealer.Gone:
			delete(there, urn.RetrievalKey(s.set.id, j.Name))
		case j.Outcome == sealer.Settled && j.Entry.Leaf == leaves[i]:
			st.Unchanged++
		default:
			st.Modified = append(st.Modified, j.Name)
		}
	}
	sortNames(st.Modified)
	names, _, err := g.Names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if !there[urn.RetrievalKey(s.set.id, n)] && n != GenerationResource {
			st.Removed = append(st.Removed, n)
		}
	}
	return nil
}

func lenIndex(x *statindex.Index) int {
	if x == nil {
		return 0
	}
	return len(x.Files)
}
