package digstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// TestModel applies random operations from rapid to a publisher's store and to a copy that pulls
// from it, and compares both with a model in memory. Every generation that should be held has the
// right content and the bytes of its original module.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"stage":   m.stage,
			"unstage": m.unstage,
			"commit":  m.commit,
			"gc":      m.gc,
			"pull":    m.pull,
			"fill":    m.fill,
			"push":    m.push,
			"import":  m.importing,
			"copy gc": m.copyGC,
			"reopen":  m.reopen,
			"crash":   m.crash,
		})
	})
}

// generation is a generation in the model.
type generation struct {
	line    module.Generation
	head    auth.SignedRoot
	content files
	module  []byte
}

// model is a publisher's store, a copy of it, and the expected content of both.
type model struct {
	own, copied *peer
	staged      files
	all         []generation
}

// peer is a store on a separate disk.
type peer struct {
	disk  *diskfs.Crash
	w     *digstore.Workspace
	s     *digstore.Store
	lines int
	held  map[int]bool
}

func newPeer(t *rapid.T, o *digstore.StoreOptions) *peer {
	hold := &diskfs.CrashOptions{HoldOpen: rapid.Bool().Draw(t, "open files stay")}
	p := &peer{disk: diskfs.NewCrashWith(home, hold), held: map[int]bool{}}
	p.w = must(digstore.Init(home, sweepOptions(p.disk)))
	p.s = must(p.w.Create(ctx, siteID, o))
	return p
}

func newModel(t *rapid.T) *model {
	private := rapid.Bool().Draw(t, "private")
	return &model{own: newPeer(t, &digstore.StoreOptions{Key: publisher, Private: private,
		Listed: !private && rapid.Bool().Draw(t, "listed")}),
		copied: newPeer(t, nil), staged: files{}}
}

// contents are few, so that they recur: small ones, and one of several chunks.
var contents = []string{"", "a", "b", noise(1, 2000), noise(2, 90_000), noise(3, 400_000),
	noise(1, 2000) + "!"}

func (m *model) stage(t *rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b", "d/e", "ü.html", "index.html"}).Draw(t, "name")
	text := rapid.SampledFrom(contents).Draw(t, "content")
	ok(t, m.own.s.Stage(ctx, name, bytes.NewReader([]byte(text))))
	m.staged[name] = text
}

func (m *model) unstage(t *rapid.T) {
	if len(m.staged) == 0 {
		t.Skip("nothing staged")
	}
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(m.staged))).Draw(t, "name")
	if n, err := m.own.s.Unstage(ctx, name); n != 1 || err != nil {
		t.Fatalf("unstage %s: %d, %v", name, n, err)
	}
	delete(m.staged, name)
}

func (m *model) commit(t *rapid.T) {
	again := rapid.Bool().Draw(t, "again")
	before := m.size(t)
	r, err := m.own.s.Commit(ctx, nil, &digstore.CommitOptions{Again: again,
		Message: rapid.SampledFrom([]string{"", "m"}).Draw(t, "message")})
	if len(m.staged) == 0 {
		if !errors.Is(err, digstore.ErrNothingStaged) {
			t.Fatalf("commit of nothing: %v", err)
		}
		return
	}
	want := maps.Clone(m.staged)
	if again {
		want[digstore.GenerationResource] = fmt.Sprint(len(m.all))
	}
	earlier := slices.IndexFunc(m.all, func(g generation) bool { return maps.Equal(g.content, want) })
	if earlier >= 0 {
		var known *digstore.RecurringRootError
		if !errors.As(err, &known) || known.Earlier.Number != uint64(earlier) {
			t.Fatalf("the content of generation %d again: %v", earlier, err)
		}
		return
	}
	ok(t, err)
	if got := r.Generation.Info(); got.Number != uint64(len(m.all)) {
		t.Fatalf("generation %d, want %d", got.Number, len(m.all))
	}
	var b bytes.Buffer
	must(m.own.s.Export(ctx, r.Generation.Info().Root, &b, nil))
	if grown, most := m.size(t)-before, m.fresh(want)*11/10+8<<10; grown > most {
		t.Fatalf("the store grew by %d bytes, want %d at most for what changed", grown, most)
	}
	m.own.held[len(m.all)] = true
	m.own.lines++
	m.all = append(m.all, generation{r.Generation.Info(), must(m.own.s.Head(ctx)), want, b.Bytes()})
	m.staged = files{}
}

// fresh returns the number of bytes of content that no held generation has under the same name.
func (m *model) fresh(content files) (n int64) {
	for name, text := range content {
		old := false
		for i := range m.own.held {
			old = old || m.all[i].content[name] == text && text != ""
		}
		if !old {
			n += int64(len(text))
		}
	}
	return n
}

// size returns the number of bytes in all files of the publisher's store, except the staging file.
func (m *model) size(t *rapid.T) (n int64) {
	var walk func(dir string)
	walk = func(dir string) {
		for _, e := range must(m.own.disk.ReadDir(dir)) {
			if e.IsDir() {
				walk(filepath.Join(dir, e.Name()))
			} else if filepath.Ext(e.Name()) != ".bin" {
				n += must(e.Info()).Size()
			}
		}
	}
	walk(home)
	return n
}

func (m *model) gc(t *rapid.T)     { m.collect(t, m.own) }
func (m *model) copyGC(t *rapid.T) { m.collect(t, m.copied) }

func (m *model) collect(t *rapid.T, p *peer) {
	keep := rapid.IntRange(0, 3).Draw(t, "keep")
	r, err := p.s.GC(ctx, &digstore.GCOptions{Keep: keep})
	ok(t, err)
	for _, g := range r.Dropped {
		if !p.held[int(g.Number)] || keep == 0 || int(g.Number) >= p.lines-keep {
			t.Fatalf("gc dropped generation %d of %d, keeping %d", g.Number, p.lines, keep)
		}
		delete(p.held, int(g.Number))
	}
	for i := range p.held {
		if keep > 0 && i < p.lines-keep {
			t.Fatalf("gc left generation %d of %d, keeping %d", i, p.lines, keep)
		}
	}
}

// pull brings the copy up to date, with the newest generation alone.
func (m *model) pull(t *rapid.T) {
	if m.copied.lines == len(m.all) || !m.own.held[len(m.all)-1] {
		t.Skip("nothing new")
	}
	var lines []module.Generation
	for _, g := range m.all[m.copied.lines:] {
		lines = append(lines, g.line)
	}
	m.install(t, lines, len(m.all)-1)
	m.copied.lines = len(m.all)
}

// fill transfers a generation that the copy knows but does not hold.
func (m *model) fill(t *rapid.T) {
	i := m.missing(t)
	m.install(t, []module.Generation{m.all[i].line}, i)
}

// missing draws a generation of which the copy has only the line.
func (m *model) missing(t *rapid.T) int {
	var list []int
	for i := range m.copied.lines {
		if !m.copied.held[i] {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		t.Skip("nothing missing")
	}
	return rapid.SampledFrom(list).Draw(t, "generation")
}

// install transfers a generation, in one attempt or after interrupted ones.
func (m *model) install(t *rapid.T, lines []module.Generation, i int) {
	g, s := m.all[i], m.copied.s
	for rapid.Bool().Draw(t, "breaks off") {
		at := must(s.Held(ctx, g.line.Root))
		end := at + rapid.Int64Range(0, int64(len(g.module))-at).Draw(t, "after")
		cut := io.MultiReader(bytes.NewReader(g.module[at:end]), failing{})
		if err := s.Install(ctx, lines, g.head, cut, deep); !errors.Is(err, errDisk) {
			t.Fatalf("install from a connection that breaks off: %v", err)
		}
	}
	at := must(s.Held(ctx, g.line.Root))
	ok(t, s.Install(ctx, lines, g.head, bytes.NewReader(g.module[at:]), deep))
	m.copied.held[i] = true
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

// push sends the next generation to the copy, as to a server.
func (m *model) push(t *rapid.T) {
	i := m.copied.lines
	if i == len(m.all) {
		t.Skip("nothing new")
	}
	var parent merkle.Hash
	if i > 0 {
		parent = m.all[i-1].line.Root
	}
	g := m.all[i]
	pending := rapid.Bool().Draw(t, "pending")
	ok(t, m.copied.w.Receive(ctx, module.Push{Head: g.head, Parent: parent, Pending: pending},
		bytes.NewReader(g.module), deep))
	if pending {
		if rapid.Bool().Draw(t, "drop") {
			ok(t, m.copied.w.Drop(ctx, siteID, g.line.Root))
			return
		}
		if rapid.Bool().Draw(t, "gc between") {
			m.collect(t, m.copied)
		}
		ok(t, m.copied.w.Promote(ctx, siteID, g.line.Root))
	}
	m.copied.held[i] = true
	m.copied.lines++
}

// importing imports a generation that the copy has dropped.
func (m *model) importing(t *rapid.T) {
	i := m.missing(t)
	must(m.copied.s.Import(ctx, bytes.NewReader(m.all[i].module), m.all[i].head, nil))
	m.copied.held[i] = true
}

// reopen cuts the power when every operation has returned.
func (m *model) reopen(t *rapid.T) {
	seed := rapid.Uint64Range(0, 9).Draw(t, "seed")
	m.own.powerLost(t, seed)
	m.copied.powerLost(t, seed)
}

func (p *peer) powerLost(t *rapid.T, seed uint64) {
	ok(t, p.w.Close())
	p.disk = p.disk.Recover(seed)
	p.w = must(digstore.Open(home, sweepOptions(p.disk)))
	p.s = must(p.w.Store(siteID.String()))
}

// crash cuts the power during an operation. Afterwards the operation has taken effect completely or
// not at all.
func (m *model) crash(t *rapid.T) {
	p, keep, gc := m.own, rapid.IntRange(1, 3).Draw(t, "keep"), false
	var err error
	next := m.copied.lines
	switch what := rapid.SampledFrom([]string{"commit", "gc", "pull", "push"}).Draw(t, "what"); {
	case what == "commit" && len(m.staged) > 0:
		p.stopSoon(t)
		_, err = p.s.Commit(ctx, nil, nil)
	case what == "gc":
		gc = true
		p.stopSoon(t)
		_, err = p.s.GC(ctx, &digstore.GCOptions{Keep: keep})
	case what == "pull" && next < len(m.all):
		p = m.copied
		p.stopSoon(t)
		err = p.s.Install(ctx, []module.Generation{m.all[next].line}, m.all[next].head,
			bytes.NewReader(m.all[next].module), deep)
	case what == "push" && next < len(m.all):
		p = m.copied
		p.stopSoon(t)
		var parent merkle.Hash
		if next > 0 {
			parent = m.all[next-1].line.Root
		}
		err = p.w.Receive(ctx, module.Push{Head: m.all[next].head, Parent: parent},
			bytes.NewReader(m.all[next].module), deep)
	default:
		t.Skip("nothing to do")
	}
	p.powerLost(t, rapid.Uint64Range(0, 9).Draw(t, "seed"))
	lines := must(p.s.Generations(ctx))
	if n := len(lines); n == p.lines+1 && !gc {
		p.lines, p.held[n-1] = n, true
	} else if n == p.lines && err == nil && !gc {
		t.Fatal("what was done is gone")
	}
	for i := range p.held {
		if _, err := p.s.At(lines[i].Root); gc && i < p.lines-keep && errors.Is(err, fs.ErrNotExist) {
			delete(p.held, i)
		}
	}
	if p == m.own && p.lines > len(m.all) {
		var b bytes.Buffer
		must(p.s.Export(ctx, lines[p.lines-1].Root, &b, nil))
		m.all = append(m.all, generation{lines[p.lines-1], must(p.s.Head(ctx)), m.staged, b.Bytes()})
		must(p.s.Unstage(ctx)) // nothing may be staged yet
		m.staged = files{}
	}
}

// stopSoon lets the disk stop at one of the next operations.
func (p *peer) stopSoon(t *rapid.T) {
	p.disk.StopAfter(rapid.IntRange(1, 120).Draw(t, "operations"))
}

// check compares both stores with the model.
func (m *model) check(t *rapid.T) {
	for _, p := range []*peer{m.own, m.copied} {
		lines := must(p.s.Generations(ctx))
		if len(lines) != p.lines {
			t.Fatalf("%d generations, want %d", len(lines), p.lines)
		}
		for i, line := range lines {
			g := m.all[i]
			if line.Root != g.line.Root {
				t.Fatalf("generation %d is %s, want %s", i, line.Root, g.line.Root)
			}
			at, err := p.s.At(line.Root)
			if !p.held[i] {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("generation %d, which is not held: %v", i, err)
				}
				continue
			}
			ok(t, err)
			b := must(io.ReadAll(must(p.s.Module(ctx, line.Root))))
			if !bytes.Equal(b, g.module) {
				t.Fatalf("generation %d gives other bytes than its module", i)
			}
			if p == m.own {
				for name, text := range g.content {
					if got, err := readResource(at, name); err != nil || string(got) != text {
						t.Fatalf("generation %d, %s: %d bytes, want %d (%v)", i, name, len(got), len(text), err)
					}
				}
			}
		}
	}
	got := files{}
	for _, r := range must(m.own.s.Staged()) {
		got[r.Name] = m.staged[r.Name]
	}
	if !maps.Equal(got, m.staged) {
		t.Fatalf("staged: %d resources, want %d", len(got), len(m.staged))
	}
}

func ok(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
