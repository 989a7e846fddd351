package digstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// The sweeps run a scenario repeatedly on a disk that fails, or loses its power, at every operation
// in turn. The result must be a state that the scenario has without failures, every held generation
// must verify, and the scenario must then complete.

const home = "/w" // the folder that holds .dig on the disks of the sweeps

var ctx = context.Background()

// step is one atomic call.
type step struct {
	what string
	do   func(w *digstore.Workspace) error
	// since are errors of a second attempt which mean that the failed attempt has taken effect.
	since []error
	// piecemeal steps only remove, and may be partly done after a failure.
	piecemeal bool
	// removes says that the step removes what a concurrent reader may have listed.
	removes bool
}

// scenario is a sequence of steps on a disk that setup prepared.
type scenario struct {
	name  string
	setup func(w *digstore.Workspace) error
	steps []step
	// empty scenarios begin without a workspace: the first step is given nil.
	empty bool
	// large scenarios take long; only a few points of them are swept.
	large bool
}

// prepare returns the disk before the first step, and the states before the first step and after
// each step.
func (sc *scenario) prepare(t *testing.T) (*diskfs.Crash, []string) {
	t.Helper()
	disk := diskfs.NewCrash(home)
	if !sc.empty {
		w := must(digstore.Init(home, sweepOptions(disk)))
		if sc.setup != nil {
			check(t, sc.setup(w))
		}
		check(t, w.Close())
	}
	base := disk.Recover(1)
	states := []string{must(stateOf(disk))}
	for _, s := range sc.steps {
		if err := runStep(disk, s); err != nil {
			t.Fatalf("%s, on a good disk: %v", s.what, err)
		}
		states = append(states, must(stateOf(disk)))
	}
	return base, states
}

// run runs the steps, each with a new workspace, and returns how many succeeded.
func (sc *scenario) run(disk diskfs.FS) (int, error) {
	var done atomic.Int64
	err := sc.runCounting(disk, &done)
	return int(done.Load()), err
}

// runCounting is run with the count in done.
func (sc *scenario) runCounting(disk diskfs.FS, done *atomic.Int64) error {
	for _, s := range sc.steps {
		if err := runStep(disk, s); err != nil {
			return err
		}
		done.Add(1)
	}
	return nil
}

// judge checks the state of a disk after done steps and a part of the next one, and that the
// scenario can be completed.
func (sc *scenario) judge(disk diskfs.FS, states []string, done int) error {
	got, err := stateOf(disk)
	if err != nil {
		return fmt.Errorf("what is left cannot be read: %w", err)
	}
	if err := sc.permits(got, states, done); err != nil {
		return fmt.Errorf("what is left is %w", err)
	}
	for i := done; i < len(sc.steps); i++ {
		err := runStep(disk, sc.steps[i])
		if err != nil && i == done && slices.ContainsFunc(sc.steps[i].since, func(e error) bool {
			return errors.Is(err, e)
		}) {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("%s, again: %w", sc.steps[i].what, err)
		}
	}
	if got, err = stateOf(disk); err != nil {
		return fmt.Errorf("after another attempt: %w", err)
	}
	if want := states[len(states)-1]; got != want && unstaged(got) != want {
		return fmt.Errorf("another attempt ends in (-), want (+):\n%s", diff(got, want))
	}
	if name, err := litter(disk, home); done < len(sc.steps) && (name != "" || err != nil) {
		return fmt.Errorf("another attempt leaves %s lying about (%v)", name, err)
	}
	return nil
}

// permits checks that a disk may have a state after done steps and a part of the next one.
func (sc *scenario) permits(got string, states []string, done int) error {
	old, now := states[done], states[min(done+1, len(states)-1)]
	if done < len(sc.steps) && sc.steps[done].piecemeal && between(got, old, now) {
		return nil
	}
	torn := strings.Contains(got, " staged torn\n") && unstaged(got) == unstaged(old)
	if got != old && got != now && unstaged(got) != now && !torn && !learned(got, old, now) {
		return fmt.Errorf("neither the state before nor (-) the state after (+):\n%s", diff(got, now))
	}
	return nil
}

// between reports whether a state is old without some lines, and has all lines of now.
func between(got, old, now string) bool { return within(now, got) && within(got, old) }

// learned reports whether a state is old with more names, which now has too. Names are stored
// before their generation is visible, and apply to all generations.
func learned(got, old, now string) bool {
	if !within(old, got) {
		return false
	}
	rest := strings.Split(old, "\n")
	allowed := strings.Split(now, "\n")
	for line := range strings.SplitSeq(got, "\n") {
		if i := slices.Index(rest, line); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else if !strings.HasPrefix(line, nameLine) || !slices.Contains(allowed, line) {
			return false
		}
	}
	return true
}

// nameLine begins the line of a named resource in a state.
const nameLine = "  name "

// within reports whether whole has the lines of part, in that order.
func within(part, whole string) bool {
	rest := strings.Split(whole, "\n")
	for _, line := range strings.Split(part, "\n") {
		i := slices.Index(rest, line)
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
	return true
}

// inAll returns the lines that all states have.
func inAll(states []string) string {
	lines := strings.Split(states[0], "\n")
	for _, s := range states[1:] {
		have := strings.Split(s, "\n")
		lines = slices.DeleteFunc(lines, func(l string) bool { return !slices.Contains(have, l) })
	}
	return strings.Join(lines, "\n")
}

// unstaged returns a state without the staged resources, because a successful commit may fail to
// empty the staging file.
func unstaged(state string) string {
	var b strings.Builder
	for line := range strings.Lines(state) {
		if !strings.HasPrefix(line, " staged ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func diff(got, want string) string {
	return cmp.Diff(strings.Split(got, "\n"), strings.Split(want, "\n"))
}

func runStep(disk diskfs.FS, s step) error {
	if s.do == nil {
		w, err := digstore.Init(home, sweepOptions(disk))
		if err != nil {
			return err
		}
		return w.Close()
	}
	w, err := digstore.Open(home, sweepOptions(disk))
	if err != nil {
		return err
	}
	return errors.Join(s.do(w), w.Close())
}

// sweepOptions make every run perform the same operations on the disk.
func sweepOptions(disk diskfs.FS) *digstore.Options {
	return &digstore.Options{FS: disk, Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
		Rand: rand.NewChaCha8([32]byte{1}), LockWait: -1, Workers: 2,
		ContentRoots: []string{os.TempDir()}}
}

// stateOf describes the visible content of a workspace. It also verifies every byte of every held
// generation.
func stateOf(disk diskfs.FS) (string, error) {
	w, err := digstore.Open(home, sweepOptions(disk))
	if errors.Is(err, digstore.ErrNoWorkspace) {
		return "no workspace", nil
	}
	if err != nil {
		return "", err
	}
	defer w.Close()
	return stateIn(disk, w)
}

// stateIn is stateOf for an open workspace, which may have caches.
func stateIn(disk diskfs.FS, w *digstore.Workspace) (string, error) {
	var b strings.Builder
	if s, err := w.Active(); err == nil {
		fmt.Fprintf(&b, "active %s\n", s.Name())
	}
	for s, err := range w.All() {
		if err == nil {
			err = describe(&b, disk, w, s)
		}
		if err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func describe(b *strings.Builder, disk diskfs.FS, w *digstore.Workspace, s *digstore.Store) error {
	fmt.Fprintf(b, "store %s %s private %v max %d root %s\n", s.Name(), s.ID(), s.Private(),
		s.MaxSize(), s.ContentRoot())
	if key, err := s.Signer(); err == nil {
		fmt.Fprintf(b, " key %s\n", key.PublicKey())
	} else if !errors.Is(err, digstore.ErrNoKey) {
		return err
	}
	history, err := s.History(ctx)
	if err != nil {
		return err
	}
	for _, e := range history {
		fmt.Fprintf(b, " %d %s\n", e.Number, e.Root)
		if e.Held {
			for _, ext := range []string{".sig", ".untagged.sig"} {
				sig, _ := diskfs.ReadFile(disk, filepath.Join(home, ".dig/stores", s.Name(), "sigs",
					e.Root.String()+ext), int64(len(auth.Signature{})))
				fmt.Fprintf(b, "  %.8x%s\n", sig, ext)
			}
			if err := describeGeneration(b, s, e.Root); err != nil {
				return fmt.Errorf("generation %d: %w", e.Number, err)
			}
		}
	}
	staged, err := s.Staged()
	if errors.Is(err, digstore.ErrCorrupt) { // an unfinished frame: stage it again
		b.WriteString(" staged torn\n")
		err = nil
	}
	if err != nil {
		return err
	}
	for _, r := range staged {
		fmt.Fprintf(b, " staged %s %d\n", r.Name, r.Size)
	}
	pending, err := w.Pending(ctx, s.ID())
	if err != nil {
		return err
	}
	for _, p := range pending {
		fmt.Fprintf(b, " pending %s\n", p.Root)
	}
	tombs, err := s.Tombstones(ctx, s.ID())
	if err != nil {
		return err
	}
	for _, t := range tombs {
		fmt.Fprintf(b, " tombstone of %s, %d\n", t.Root, t.NotAfter)
	}
	pins, err := s.Pins(ctx)
	if err != nil {
		return err
	}
	if pins.Root != (merkle.Hash{}) {
		fmt.Fprintf(b, " pinned %s %d\n", pins.Root, pins.Generation)
	}
	if key, err := s.Signer(); err == nil {
		fmt.Fprintf(b, " key %08x\n", key.PublicKey().Fingerprint())
	} else if !errors.Is(err, digstore.ErrNoKey) {
		return err
	}
	remotes, err := s.Remotes()
	if len(remotes) > 0 {
		fmt.Fprintf(b, " remotes %v\n", remotes)
	}
	return err
}

func describeGeneration(b *strings.Builder, s *digstore.Store, root merkle.Hash) error {
	g, err := s.At(root)
	if err != nil {
		return err
	}
	if err := g.Module().Verify(ctx); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := s.Export(ctx, root, sum, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "  module of %d bytes %.8x, message %q\n", n, sum.Sum(nil), g.Message())
	names, _, err := g.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := readResource(g, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, nameLine+"%s %.8x\n", name, sha256.Sum256(text))
	}
	return nil
}

func readResource(g *digstore.Generation, name string) ([]byte, error) {
	r, err := g.Resource(name)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// litter returns a leftover file below dir that no code would remove, or "".
func litter(disk diskfs.FS, dir string) (string, error) {
	list, err := disk.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range list {
		name := filepath.Join(dir, e.Name())
		switch {
		case strings.HasSuffix(name, ".tmp"):
			return name, nil
		case e.IsDir():
			if found, err := litter(disk, name); found != "" || err != nil {
				return found, err
			}
		}
	}
	return "", nil
}

// stageAll stages resources in the order of their names.
func stageAll(content files) func(*digstore.Store) error {
	return func(s *digstore.Store) error {
		for _, name := range slices.Sorted(maps.Keys(content)) {
			if err := s.Stage(ctx, name, strings.NewReader(content[name])); err != nil {
				return err
			}
		}
		return nil
	}
}

var publisher = auth.NewKey([auth.SeedSize]byte{42})

// siteID is the store of all scenarios.
var siteID = auth.StoreIDFromKey(publisher.PublicKey())

// version returns the content of generation i, which shares files with its neighbours.
func version(i int) files {
	return files{"index.html": fmt.Sprint("<p>version ", i), "a/same.bin": noise(1, 3000), "empty": "",
		fmt.Sprintf("b/%d.bin", i/2): noise(uint64(100+i/2),
			5000), "c/new.bin": noise(uint64(200+i), 700)}
}

// versions returns the content of generation i in a scenario.
type versions func(i int) files

// corpusVersions has many files of several chunks. Two versions differ by more than the buffer of a
// pack.
func corpusVersions() versions {
	trees := []corpus.Tree{corpus.Small(1)}
	for i, name := range []string{"new content in every large file",
		"insertion at the front", "all at once"} {
		at := slices.IndexFunc(corpus.Edits(), func(e corpus.Edit) bool { return e.Name == name })
		trees = append(trees, corpus.Edits()[at].Apply(trees[i], uint64(i)))
	}
	return func(i int) files {
		out := files{}
		for name, text := range trees[i%len(trees)] {
			out[name] = string(text)
		}
		out["number"] = fmt.Sprint(i)
		return out
	}
}

// commitVersions makes the store and commits versions.
func commitVersions(from, to int) func(w *digstore.Workspace) error {
	return versions(version).commit(from, to)
}

func (v versions) commit(from, to int) func(w *digstore.Workspace) error {
	return func(w *digstore.Workspace) error {
		s, err := w.Store("site")
		if errors.Is(err, fs.ErrNotExist) {
			s, err = w.Create(ctx, siteID, &digstore.StoreOptions{Name: "site", Key: publisher})
		}
		for i := from; i < to && err == nil; i++ {
			if err = stageAll(v(i))(s); err == nil {
				_, err = s.Commit(ctx, nil, &digstore.CommitOptions{Message: fmt.Sprint("version ", i)})
			}
		}
		return err
	}
}

// release is a published generation.
type release struct {
	line   module.Generation
	head   auth.SignedRoot
	module []byte
}

// releases returns generations of the store, made on another disk.
func releases(n int) []release { return versions(version).releases(n) }

func (v versions) releases(n int) []release {
	disk := diskfs.NewCrash(home)
	w := must(digstore.Init(home, sweepOptions(disk)))
	defer w.Close()
	if err := v.commit(0, n)(w); err != nil {
		panic(err)
	}
	s := must(w.Store("site"))
	var out []release
	for _, g := range must(s.Generations(ctx)) {
		var b bytes.Buffer
		must(s.Export(ctx, g.Root, &b, nil))
		out = append(out, release{g, must(s.SignedRoot(ctx, g.Root)), b.Bytes()})
	}
	return out
}

// must panics on an error. It is for calls that cannot fail on a good disk.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
