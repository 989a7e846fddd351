package digstore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/namedir"
	"github.com/dig-network/digstore/digstore/internal/sealer"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// manifests is section 13 of the previous generation, by path. The next section 13 is made from it.
type manifests struct {
	at map[string]module.PublicEntry
}

// oldManifests reads section 13 of the head. It is nil if the next generation has none: the store
// is private, or its settings say so, or they do not say and the head does not name all of its
// resources.
func oldManifests(s *Store, h *history.History) (*manifests, error) {
	set := s.set.listed
	if s.salts.current() != nil || set != nil && !*set {
		return nil, nil
	}
	m := &manifests{at: map[string]module.PublicEntry{}}
	complete, err := readHeadManifest(s, h, m)
	if err != nil {
		return nil, fmt.Errorf("list names: %w", err)
	}
	if set == nil && !complete {
		return nil, nil
	}
	return m, nil
}

// readHeadManifest adds section 13 of the head, and reports whether it names all resources. The
// root does not cover the section, so a host may have changed it, but such a host does not know the
// names of all resources.
func readHeadManifest(s *Store, h *history.History, m *manifests) (complete bool, err error) {
	line, ok := h.Head()
	if !ok {
		return false, nil
	}
	g, err := s.open(line)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	old, err := g.mod.PublicManifest()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, module.ErrFormat) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, p := range old.Entries {
		m.at[p.Path] = p
	}
	if s.set.listed != nil { // then the head does not decide
		return true, nil
	}
	total, err := g.mod.Len()
	if err != nil {
		return false, err
	}
	named, err := g.s.dir.Listed(g.mod)
	distinct := namedir.Set{}
	distinct.Add(named)
	return len(distinct) == total, err
}

// next makes section 13 of a generation: for each path the hash of its plaintext and the generation
// in which it changed last.
func (m *manifests) next(jobs []*sealer.Job, root merkle.Hash,
	number uint64) *module.PublicManifest {
	out := &module.PublicManifest{SchemaVersion: 1}
	for _, j := range jobs {
		p := module.PublicEntry{Path: j.Name, LatestRoot: root, GenerationIndex: number,
			SHA256Latest: j.Plain, VersionCount: 1}
		if old, ok := m.at[j.Name]; ok {
			p.VersionCount = old.VersionCount + 1
			if old.SHA256Latest == j.Plain {
				p.VersionCount, p.LatestRoot, p.GenerationIndex = old.VersionCount, old.LatestRoot,
					old.GenerationIndex
			}
		}
		out.Entries = append(out.Entries, p)
	}
	slices.SortFunc(out.Entries, func(a, b module.PublicEntry) int {
		return strings.Compare(a.Path, b.Path)
	})
	return out
}
