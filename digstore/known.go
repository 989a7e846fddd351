package digstore

import (
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/scan"
	"github.com/dig-network/digstore/digstore/internal/statindex"
	"github.com/dig-network/digstore/digstore/module"
)

// known has the files of a content root that need not be read, from the stat index and its
// generation.
type known struct {
	index   *statindex.Index
	entries []module.Entry // of index.files
}

// openKnown reads the stat index of a content root and the recipe of its generation. If either is
// missing or they do not fit, the result is empty, and every file is read.
func openKnown(s *Store, content string, h *history.History, rehash bool) *known {
	if rehash {
		return &known{}
	}
	x := s.index.Read(content)
	if x == nil {
		return &known{}
	}
	if _, ok, err := h.Find(x.Root); err != nil || !ok {
		return &known{}
	}
	kept, err := s.dir.Recipes.Read(x.Root)
	if err != nil || kept.Names == nil {
		return &known{}
	}
	// Both lists are sorted by name, but for a resource that a commit has added.
	k := &known{index: x, entries: make([]module.Entry, len(x.Files))}
	at, i := 0, 0
	for e := range kept.Recipe.Entries() {
		name := kept.Names[i]
		i++
		if at < len(x.Files) && x.Files[at].Name == name {
			k.entries[at] = e
			at++
		}
	}
	if at != len(x.Files) {
		return &known{}
	}
	return k
}

// cursor returns a function that is called with files in the order of their names. It returns the
// entries of those that have not changed.
func (k *known) cursor() func(scan.Found) (module.Entry, bool) {
	at := 0
	return func(f scan.Found) (module.Entry, bool) {
		if k.index == nil {
			return module.Entry{}, false
		}
		for at < len(k.index.Files) && k.index.Files[at].Name < f.Name {
			at++
		}
		if at == len(k.index.Files) || k.index.Files[at].Name != f.Name ||
			!k.index.Same(k.index.Files[at].Stat, f.Stat) {
			return module.Entry{}, false
		}
		return k.entries[at], true
	}
}
