package digstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/vectors"
)

// The tests in this file need more than one process. The test binary runs itself with the name of a
// part in its environment.
const partVar = "DIG_TEST_PART"

// parts are the actions of the other process, in the workspace of the folder dir.
var parts = map[string]func(dir string) error{
	// commit makes one generation.
	"commit": func(dir string) error {
		return inSite(dir, func(s *digstore.Store) error {
			_, err := s.Commit(ctx, nil, nil)
			return err
		})
	},
	// add stages a file and commits, unless another process has committed the file too.
	"add": func(dir string) error {
		return inSite(dir, func(s *digstore.Store) error {
			name := strconv.Itoa(os.Getpid())
			if err := s.Stage(ctx, name, strings.NewReader(name)); err != nil {
				return err
			}
			_, err := s.Commit(ctx, nil, nil)
			if errors.Is(err, digstore.ErrNothingStaged) {
				return nil
			}
			return err
		})
	},
	// hold begins to stage, prints a line, and continues when its standard input ends.
	"hold": func(dir string) error {
		return inSite(dir, func(s *digstore.Store) error { return s.Stage(ctx, "held", &announced{in: os.Stdin}) })
	},
	// forever commits until it is killed.
	"forever": func(dir string) error {
		return inSite(dir, func(s *digstore.Store) error {
			for i := 0; ; i++ {
				if err := stageAll(files{"i": fmt.Sprint(os.Getpid(), i), "same": noise(1, 5000)})(s); err != nil {
					return err
				}
				if _, err := s.Commit(ctx, nil, nil); err != nil {
					return err
				}
				if i%5 == 4 {
					if _, err := s.GC(ctx, &digstore.GCOptions{Keep: 3}); err != nil {
						return err
					}
				}
				fmt.Println("committed")
			}
		})
	},
}

// announced prints a line when it is first read, and ends with in.
type announced struct {
	in   io.Reader
	said bool
}

func (a *announced) Read(b []byte) (int, error) {
	if !a.said {
		a.said = true
		fmt.Println("holding")
	}
	return a.in.Read(b)
}

// TestMain runs a part when the environment names one.
func TestMain(m *testing.M) {
	if part := parts[os.Getenv(partVar)]; part != nil {
		if err := part(os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func inSite(dir string, f func(*digstore.Store) error) error {
	w, err := digstore.Open(dir, nil)
	if err != nil {
		return err
	}
	defer w.Close()
	s, err := w.Store("site")
	if err != nil {
		return err
	}
	return f(s)
}

// process is a running part.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err strings.Builder
}

func start(t *testing.T, part, dir string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(must(os.Executable()), "-test.run=^$", dir)}
	p.Env = append(os.Environ(), partVar+"="+part)
	p.Stderr = &p.err
	p.in = must(p.StdinPipe())
	p.out = bufio.NewReader(must(p.StdoutPipe()))
	check(t, p.Start())
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	return p
}

// says waits for a line.
func (p *process) says(t *testing.T, want string) {
	t.Helper()
	if line, err := p.out.ReadString('\n'); strings.TrimSpace(line) != want {
		t.Fatalf("the other process says %q (%v), want %q: %s", line, err, want, p.err.String())
	}
}

// onDisk makes a workspace with one generation on the disk.
func onDisk(t *testing.T, o *digstore.Options) (*digstore.Workspace, *digstore.Store, string) {
	t.Helper()
	dir := t.TempDir()
	w := must(digstore.Init(dir, o))
	t.Cleanup(func() {
		w.Close()
		if !t.Failed() && !t.Skipped() {
			fresh := must(digstore.Open(dir, nil))
			defer fresh.Close()
			verifyAll(t, must(fresh.Store("site")))
		}
	})
	check(t, commitVersions(0, 1)(w))
	return w, must(w.Store("site")), dir
}

// TestTwoWriters: a second writer waits, or gets an error that names the first one. Readers are not
// affected.
func TestTwoWriters(t *testing.T) {
	_, s, dir := onDisk(t, &digstore.Options{LockWait: -1})
	other := start(t, "hold", dir)
	other.says(t, "holding")

	err := s.Stage(ctx, "mine", strings.NewReader("x"))
	var locked *digstore.LockedError
	if !errors.Is(err, digstore.ErrLocked) || !errors.As(err, &locked) ||
		locked.PID != other.Process.Pid {
		t.Fatalf("a second writer got %v, want to be told of process %d", err, other.Process.Pid)
	}
	if _, err := s.Commit(ctx, nil, nil); !errors.Is(err, digstore.ErrLocked) {
		t.Fatalf("a commit beside a writer: %v, want ErrLocked", err)
	}
	if text, err := readResource(must(s.Latest()), "index.html"); err != nil ||
		string(text) != version(0)["index.html"] {
		t.Fatalf("a reader beside a writer got %q, %v", text, err)
	}
	patient := must(digstore.Open(dir, &digstore.Options{LockWait: time.Minute}))
	defer patient.Close()
	waiting, cancel := context.WithCancel(ctx)
	cancel()
	if err := must(patient.Store("site")).Stage(waiting, "mine",
		strings.NewReader("x")); !errors.Is(err, context.Canceled) || !errors.Is(err,
		digstore.ErrLocked) {
		t.Fatalf("a writer that gave up waiting got %v", err)
	}
	check(t, other.in.Close()) // the other process ends now
	check(t, must(patient.Store("site")).Stage(ctx, "mine", strings.NewReader("x")))
	check(t, other.Wait())
	if got := len(must(s.Staged())); got != 2 {
		t.Fatalf("%d resources are staged, want one of each writer", got)
	}
}

// TestManyWriters: processes that commit at the same time wait for each other, and no commit is
// lost.
func TestManyWriters(t *testing.T) {
	_, s, dir := onDisk(t, nil)
	var others []*process
	for range 5 {
		others = append(others, start(t, "add", dir))
	}
	for _, p := range others {
		if err := p.Wait(); err != nil {
			t.Fatalf("%v: %s", err, p.err.String())
		}
	}
	found := map[string]bool{}
	for _, g := range must(s.Generations(ctx)) {
		names, _, err := must(s.At(g.Root)).Names()
		check(t, err)
		for _, n := range names {
			found[n] = true
		}
	}
	for _, p := range others {
		if !found[strconv.Itoa(p.Process.Pid)] {
			t.Errorf("what process %d staged is in no generation", p.Process.Pid)
		}
	}
	verifyAll(t, s)
}

// TestSeesOtherProcess: a workspace that stays open sees what other processes commit.
func TestSeesOtherProcess(t *testing.T) {
	_, s, dir := onDisk(t, nil)
	before := must(s.Latest())
	for i := 1; i < 4; i++ {
		check(t, stageAll(version(i))(s))
		other := start(t, "commit", dir)
		if err := other.Wait(); err != nil {
			t.Fatalf("%v: %s", err, other.err.String())
		}
		g := must(s.Latest())
		if g.Info().Number != uint64(i) {
			t.Fatalf("the head is generation %d, want %d", g.Info().Number, i)
		}
		wantFiles(t, g, version(i))
		if staged := must(s.Staged()); len(staged) != 0 {
			t.Fatalf("%d resources are still staged", len(staged))
		}
	}
	wantFiles(t, before, version(0))
}

// TestCollectedElsewhere: a commit does not rely on chunks that a gc of another process has
// removed, and generations that it kept stay readable through readers that were open before.
func TestCollectedElsewhere(t *testing.T) {
	a, s, dir := onDisk(t, nil)
	check(t, commitVersions(1, 12)(a))
	kept := must(s.Latest())
	one, err := kept.Resource("a/same.bin") // in the pack of the first generation
	check(t, err)

	b := must(digstore.Open(dir, nil))
	defer b.Close()
	must(must(b.Store("site")).GC(ctx, &digstore.GCOptions{Keep: 1}))

	if text, err := io.ReadAll(one); err != nil || string(text) != version(11)["a/same.bin"] {
		t.Errorf("a resource opened before the gc reads %d bytes, %v", len(text), err)
	}
	wantFiles(t, kept, version(11))
	check(t, stageAll(version(0))(s)) // its chunks are gone
	var again *digstore.RecurringRootError
	if _, err := s.Commit(ctx, nil, nil); !errors.As(err, &again) {
		t.Fatalf("the first content again: %v, want a *RecurringRootError", err)
	}
	check(t, s.Stage(ctx, "more", strings.NewReader("x")))
	must(s.Commit(ctx, nil, nil))
	verifyAll(t, s)
}

// TestKilled kills a process that commits and collects garbage in a loop, and checks the store.
func TestKilled(t *testing.T) {
	w, s, dir := onDisk(t, nil)
	rounds := 6
	if vectors.Long(t) {
		rounds = 60
	}
	for range rounds {
		n := len(must(s.Generations(ctx)))
		p := start(t, "forever", dir)
		p.says(t, "committed")
		time.Sleep(time.Duration(time.Now().UnixNano() % 20_000_000)) // at a random time
		check(t, p.Process.Kill())
		_ = p.Wait()
		for i, e := range must(s.History(ctx)) {
			if e.Held {
				if _, err := s.Verify(ctx, e.Root, &digstore.VerifyOptions{Deep: true}); err != nil {
					t.Fatalf("after a kill, generation %d: %v", i, err)
				}
			}
		}
		if got := len(must(s.Generations(ctx))); got <= n {
			t.Fatalf("%d generations after a commit that was through, %d before", got, n)
		}
		must(s.Unstage(ctx))
		if err := stageAll(version(n))(s); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(ctx, nil, nil); err != nil {
			t.Fatalf("commit after a kill: %v", err)
		}
	}
	check(t, w.Close())
	t.Logf("%d kills", rounds)
}
