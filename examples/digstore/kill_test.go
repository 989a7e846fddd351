package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/vectors"
)

// killed is how long each kill loop runs.
func killed(t *testing.T) time.Duration {
	if vectors.Long(t) {
		return 2 * time.Minute
	}
	return 2 * time.Second
}

// desk runs digstore in folders below dir.
type desk struct {
	t   *testing.T
	dir string
}

func newDesk(t *testing.T) *desk { return &desk{t, t.TempDir()} }

func (d *desk) command(at string, args ...string) *exec.Cmd {
	cmd := exec.Command("digstore", args...)
	cmd.Dir = filepath.Join(d.dir, at)
	cmd.Env = append(os.Environ(), "DIG_IDENTITY_DIR="+filepath.Join(d.dir, "identity"))
	return cmd
}

// must runs a command that has to succeed and returns its standard output.
func (d *desk) must(at string, args ...string) string {
	d.t.Helper()
	out, err := d.command(at, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		d.t.Fatalf("digstore %v in %s: %v\n%s", args, at, err, exit.Stderr)
	}
	return string(out)
}

// kill runs a command and kills or interrupts it after a random time of at most
// within. It reports whether the command came to its end, which it has to do well.
func (d *desk) kill(within time.Duration, at string, args ...string) bool {
	d.t.Helper()
	var stderr strings.Builder
	cmd := d.command(at, args...)
	cmd.Stderr = &stderr
	interruptible(cmd)
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	var byUs atomic.Bool
	interrupted := rand.N(3) == 0 // as by Ctrl-C: it ends by itself, and says how to go on
	timer := time.AfterFunc(rand.N(within), func() {
		if !interrupted || interrupt(cmd.Process) != nil {
			byUs.Store(true)
			byUs.Store(cmd.Process.Kill() == nil)
		}
	})
	defer timer.Stop()
	err := cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); interrupted && code == exitInterrupted {
		if !strings.Contains(stderr.String(), "run the same command again") {
			d.t.Fatalf("digstore %v, interrupted, does not say how to go on:\n%s", args, stderr.String())
		}
		return false
	}
	died := !cmd.ProcessState.Exited()
	if runtime.GOOS == "windows" && byUs.Load() {
		died = cmd.ProcessState.ExitCode() == 1 // what Kill makes it there
	}
	if !died && err != nil {
		d.t.Fatalf("digstore %v in %s, not killed: %v\n%s", args, at, err, stderr.String())
	}
	return !died
}

func (d *desk) write(name string, content []byte) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		d.t.Fatal(err)
	}
}

// publish makes a store of some files in the folder at, and returns its id.
func (d *desk) publish(at string) string {
	d.t.Helper()
	for i := range 20 {
		name := fmt.Sprintf("site/%d/file%d.bin", i%3, i)
		d.write(filepath.Join(at, name), pattern(name, 1000+40_000*i))
	}
	d.write(filepath.Join(at, "site/count"), []byte("0"))
	d.must(at, "init", "site", "--dir", "site")
	d.must(at, "commit", "-m", "0")
	_, id, _ := strings.Cut(d.must(at, "urn"), "chia:")
	return strings.TrimSpace(id)
}

// generations is how many generations a workspace has.
func (d *desk) generations(at string) int {
	d.t.Helper()
	return strings.Count(d.must(at, "log", "--json"), `"root"`)
}

// took runs a command to its end and returns the time that a kill should fall into.
func (d *desk) took(at string, args ...string) time.Duration {
	d.t.Helper()
	start := time.Now()
	d.must(at, args...)
	return time.Since(start) + 5*time.Millisecond
}

func TestKillCommit(t *testing.T) {
	d := newDesk(t)
	d.publish(".")
	change := func(n int) {
		d.write("site/count", fmt.Append(nil, n))
		d.write("site/1/changing.bin", pattern(fmt.Sprint(n), 300_000))
	}
	change(1)
	within := d.took(".", "commit", "-m", "1")
	have, kills := 2, 0
	for end := time.Now().Add(killed(t)); time.Now().Before(end); {
		change(have)
		if !d.kill(within, ".", "commit", "-m", fmt.Sprint(have)) {
			kills++
		}
		d.must(".", "verify", "--deep")
		now := d.generations(".")
		if now != have && now != have+1 {
			t.Fatalf("%d generations before the commit that was killed, %d after it", have, now)
		}
		if got := d.must(".", "cat", "count"); got != fmt.Sprint(now-1) {
			t.Fatalf("generation %d shows count %s", now-1, got)
		}
		have = now
	}
	change(have)
	d.must(".", "commit", "-m", "last")
	d.must(".", "verify", "--all", "--deep")
	t.Logf("%d commits killed, %d generations", kills, have+1)
}

func TestKillClone(t *testing.T) {
	d := newDesk(t)
	id := d.publish("publisher")
	host, err := startServer(filepath.Join(d.dir, "publisher"), filepath.Join(d.dir, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	defer host.stop()
	url := host.url + "/stores/" + id
	within := d.took(".", "clone", url, "first")
	kills := 0
	for end, i := time.Now().Add(killed(t)), 0; time.Now().Before(end); i++ {
		dir := fmt.Sprint("copy", i)
		for !d.kill(within, ".", "clone", url, dir) {
			kills++
			if _, err := os.Stat(filepath.Join(d.dir, dir, ".dig")); err != nil {
				continue
			}
			verify := d.command(dir, "verify", "--deep")
			out, err := verify.CombinedOutput()
			if err == nil {
				break // installed, and killed afterwards
			}
			if code := verify.ProcessState.ExitCode(); code != exitNotFound && code != exitNoStore {
				t.Fatalf("after a kill verify says:\n%s", out)
			}
		}
		d.must(dir, "verify", "--deep")
		if err := os.RemoveAll(filepath.Join(d.dir, dir)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d clones killed", kills)
}

func TestKillPush(t *testing.T) {
	d := newDesk(t)
	id := d.publish("publisher")
	if err := os.Mkdir(filepath.Join(d.dir, "host"), 0o777); err != nil {
		t.Fatal(err)
	}
	serve := func() *serverProcess {
		s, err := startServer(filepath.Join(d.dir, "host"), filepath.Join(d.dir, "identity"), "serve",
			"--allow", id)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	host := serve()
	defer func() { host.stop() }()
	within := d.took("publisher", "push", host.url)
	pushes, hosts := 0, 0
	for end, n := time.Now().Add(killed(t)), 1; time.Now().Before(end); n++ {
		d.write("publisher/site/count", fmt.Append(nil, n))
		d.write("publisher/site/1/changing.bin", pattern(fmt.Sprint(n), 300_000))
		d.must("publisher", "commit", "-m", fmt.Sprint(n))
		if n%2 == 0 {
			if !d.kill(within, "publisher", "push", host.url) {
				pushes++
			}
		} else {
			push := d.command("publisher", "push", host.url)
			if err := push.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rand.N(within)) // the random point at which the host dies
			_ = host.cmd.Process.Kill()
			_ = host.cmd.Wait()
			_ = push.Process.Kill() // it would wait for the host to come back
			_ = push.Wait()
			hosts++
			host = serve()
		}
		d.must("host", "verify", "--deep")
		if now := d.generations("host"); now != n && now != n+1 {
			t.Fatalf("the host had %d generations, after a kill it has %d", n, now)
		}
		d.must("publisher", "push", host.url)
		if got := d.must("host", "cat", "count"); got != fmt.Sprint(n) {
			t.Fatalf("after push %d the host shows count %s", n, got)
		}
	}
	d.must("host", "verify", "--all", "--deep")
	t.Logf("%d pushes and %d hosts killed", pushes, hosts)
}

// TestTwoWriters commits from two processes at once: each waits for the other
// or is told who holds the workspace, and nothing is lost.
func TestTwoWriters(t *testing.T) {
	d := newDesk(t)
	d.publish(".")
	made := 1
	for round := range 4 {
		var writers [2]*exec.Cmd
		d.write("site/count", fmt.Append(nil, round))
		for i := range writers {
			writers[i] = d.command(".", "commit", "-m", fmt.Sprint(round, i))
			if err := writers[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		for _, w := range writers {
			_ = w.Wait()
			switch code := w.ProcessState.ExitCode(); code {
			case 0:
				made++
			case exitOther, exitLocked: // nothing had changed, or the other process held the lock for long
			default:
				t.Errorf("one of two writers ends with exit code %d", code)
			}
		}
	}
	if got := d.generations("."); got != made {
		t.Errorf("%d generations, and %d commits that said they made one", got, made)
	}
	d.must(".", "verify", "--all", "--deep")
}
