package metamorphic

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dig-network/digstore/internal/corpus"
)

// A store is what all replicas of one store have in common.
type store struct {
	name    string
	id      string
	trees   map[string]corpus.Tree // content by root
	modules map[string]string      // SHA-256 of the module by root
	revoked map[string]bool
	gone    bool            // the whole store is revoked
	arrived bool            // every revocation was acknowledged, none was killed
	named   map[string]bool // by root: every replica can name the files
}

func newStore(name string) *store {
	return &store{name: name, named: map[string]bool{}, trees: map[string]corpus.Tree{}, arrived: true,
		modules: map[string]string{}, revoked: map[string]bool{}}
}

// isRevoked reports whether a reader that knows all tombstones refuses root.
func (s *store) isRevoked(root string) bool { return s.gone || s.revoked[root] }

// A line is one generation in the history of a replica.
type line struct {
	Number uint64 `json:"generation"`
	Root   string `json:"root"`
	Held   bool   `json:"held"`
}

// A replica is one store in one workspace, as the model expects it.
type replica struct {
	where  string // the workspace's folder below the work folder
	store  *store
	lines  []line
	exists bool            // some command has made the store there
	made   map[string]bool // roots that were committed here
	// publishers only
	publishes bool
	listed    bool        // its commits carry the names
	root      bool        // the folder is the store's content root
	folder    corpus.Tree // the content of the publisher's folder
	staged    bool        // exactly folder is staged
	ahead     bool        // a pull was killed: a newer head may be pinned than is held
}

func newReplica(where string, s *store) *replica {
	return &replica{where: where, store: s, made: map[string]bool{}}
}

func (r *replica) String() string { return r.store.name + " in " + r.where }

// head returns the newest root; it is empty when there is none.
func (r *replica) head() string {
	if len(r.lines) == 0 {
		return ""
	}
	return r.lines[len(r.lines)-1].Root
}

// names reports whether the replica can name the files of root.
func (r *replica) names(root string) bool { return r.store.named[root] || r.made[root] }

// find returns the place of root in the history, or -1.
func (r *replica) find(root string) int {
	return slices.IndexFunc(r.lines, func(l line) bool { return l.Root == root })
}

// held returns the lines whose content is held.
func (r *replica) held() []line {
	return slices.DeleteFunc(slices.Clone(r.lines), func(l line) bool { return !l.Held })
}

// had returns the generation whose content is tree, or "".
func (r *replica) had(tree corpus.Tree) string {
	for _, l := range r.lines {
		if corpus.Diff(publishable(r.store.trees[l.Root]), publishable(tree)) == "" {
			return l.Root
		}
	}
	return ""
}

// A change is how a step may change a replica. The zero value permits none.
type change struct {
	appends bool        // roots that the store has somewhere may be appended
	commits corpus.Tree // one generation of this content may be appended; nil: none
	holds   bool        // lines that were not held may be held afterwards
	keep    int         // all but the newest keep lines may be dropped; 0: none
}

// merge returns what two steps at once may do.
func (c change) merge(o change) change {
	c.appends = c.appends || o.appends
	c.holds = c.holds || o.holds
	if c.commits == nil {
		c.commits = o.commits
	}
	if c.keep == 0 || o.keep > 0 && o.keep < c.keep {
		c.keep = o.keep
	}
	return c
}

// observe compares what a workspace shows with the model and c, and takes it
// over into the model.
func (r *replica) observe(got []line, c change) error {
	if len(got) < len(r.lines) {
		return fmt.Errorf("%s: %d generations, expected %d at least", r, len(got), len(r.lines))
	}
	for i, want := range r.lines {
		switch g := got[i]; {
		case g.Root != want.Root || g.Number != want.Number:
			return fmt.Errorf("%s: line %d is generation %d, root %s; expected generation %d, root %s",
				r, i, g.Number, g.Root, want.Number, want.Root)
		case want.Held && !g.Held && (c.keep == 0 || i >= len(got)-c.keep):
			return fmt.Errorf("%s: generation %d, root %s, is no longer held", r, g.Number, g.Root)
		case !want.Held && g.Held && !c.holds:
			return fmt.Errorf("%s: generation %d, root %s, is held; expected it dropped",
				r, g.Number, g.Root)
		}
	}
	for i := len(r.lines); i < len(got); i++ {
		g := got[i]
		if slices.ContainsFunc(got[:i], func(l line) bool { return l.Root == g.Root }) {
			return fmt.Errorf("%s: root %s stands in the history twice", r, g.Root)
		}
		_, known := r.store.trees[g.Root]
		switch {
		case known && (c.appends || c.commits != nil):
		case !known && c.commits != nil && g.Held:
			r.store.trees[g.Root], r.store.named[g.Root] = c.commits, r.listed
			r.made[g.Root] = true
			c.commits = nil
		default:
			return fmt.Errorf("%s: unexpected generation %d, root %s", r, g.Number, g.Root)
		}
	}
	if len(got) > 0 && !got[len(got)-1].Held {
		return fmt.Errorf("%s: the head, root %s, is not held", r, got[len(got)-1].Root)
	}
	r.lines = slices.Clone(got)
	r.exists = r.exists || len(got) > 0
	return nil
}

// publishable returns the files of a tree without those that the program adds
// of its own accord.
func publishable(t corpus.Tree) corpus.Tree {
	out := t.Clone()
	for name := range out {
		if strings.HasPrefix(name, ".well-known/dig/") {
			delete(out, name)
		}
	}
	return out
}
