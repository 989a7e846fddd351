package digstore

import (
	"slices"
	"strings"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// manifests is section 13 of the generation before, by path: what a listed store's next section is made from.
type manifests struct {
	at map[string]module.PublicEntry
}

// oldManifests reads section 13 of the head; without one the manifest begins anew.
func (s *Store) oldManifests(h *history) *manifests {
	m := &manifests{at: map[string]module.PublicEntry{}}
	line, ok := h.head()
	if !ok {
		return m
	}
	g, err := s.open(line)
	if err != nil {
		return m
	}
	old, err := g.mod.PublicManifest()
	if err != nil {
		return m
	}
	for _, p := range old.Entries {
		m.at[p.Path] = p
	}
	return m
}

// next makes section 13 of a generation: the paths with the hash of their plaintext and the generation in which it last changed.
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
