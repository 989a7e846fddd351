package digstore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// manifests is section 13 of the generation before, by path: what a listed store's next section is made from.
type manifests struct {
	at map[string]module.PublicEntry
}

// oldManifests reads section 13 of the head; without one the manifest begins anew.
func (s *Store) oldManifests(h *history.History) (*manifests, error) {
	m := &manifests{at: map[string]module.PublicEntry{}}
	line, ok := h.Head()
	if !ok {
		return m, nil
	}
	g, err := s.open(line)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list names: %w", err)
	}
	old, err := g.mod.PublicManifest()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, module.ErrFormat) {
		return m, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list names: %w", err)
	}
	for _, p := range old.Entries {
		m.at[p.Path] = p
	}
	return m, nil
}

// next makes section 13 of a generation: the paths with the hash of their plaintext and the generation in which it
// last changed.
func (m *manifests) next(jobs []*job, root merkle.Hash, number uint64) *module.PublicManifest {
	out := &module.PublicManifest{SchemaVersion: 1}
	for _, j := range jobs {
		p := module.PublicEntry{Path: j.name, LatestRoot: root, GenerationIndex: number, SHA256Latest: j.plain, VersionCount: 1}
		if old, ok := m.at[j.name]; ok {
			p.VersionCount = old.VersionCount + 1
			if old.SHA256Latest == j.plain {
				p.VersionCount, p.LatestRoot, p.GenerationIndex = old.VersionCount, old.LatestRoot, old.GenerationIndex
			}
		}
		out.Entries = append(out.Entries, p)
	}
	slices.SortFunc(out.Entries, func(a, b module.PublicEntry) int { return strings.Compare(a.Path, b.Path) })
	return out
}
