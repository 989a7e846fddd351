//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/oneline"
)

// strange makes a tree whose names have what breaks lines and terminals.
func strange(t *testing.T, dir string) corpus.Tree {
	tree := corpus.Small(1)
	for _, name := range []string{"two\nlines", "tab\tname", "\x1b[31mred", "c1\u009b31m",
		`"quoted".txt`, `"q"`, `back\slash`, "[draft].md", "{x}",
		"zero\u200bwidth", "\ufeffmark", "line\u2028end", "del\x7f", "cr\r", "urn:x", " space ",
		"größe 日本 🎉.png"} {
		tree[name] = []byte(name)
	}
	if err := tree.Write(dir); err != nil {
		t.Fatal(err)
	}
	return tree
}

// printing are the commands that print, for a store with two generations.
func printing(id string) [][]string {
	return [][]string{
		{"status"}, {"log"}, {"show"}, {"diff"}, {"cat", "index"}, {"urn"}, {"urn", "index"}, {"urn", "--all"}, {"verify"}, {"stores"}, {"remote", "list"},
		{"identity"}, {"version"}, {"gc"}, {"use", "site"}, {"export", "-"}, {"help"}, {"help", "clone"}, {"commit", "--help"},
		{"completion", "bash"}, {"__complete", "show", ""}, {"__complete", "cat", ""}, {"add", "site"}, {"unstage", "--all"},
		{"commit", "--again", "-m", "again"}, {"remote", "add", "other", "dig://example.org/" + id}, {"remote", "remove", "other"},
		{"checkout", "0", "out"}, {"init", "more"}, {"serve", "--bind", "127.0.0.1:0"},
	}
}

// TestStandardOutputFull: a command whose answer cannot be written fails and
// says so; one whose reader has gone away ends without a word.
func TestStandardOutputFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	for _, how := range []string{"full", "full --json", "closed pipe"} {
		t.Run(how, func(t *testing.T) {
			d := newDesk(t)
			id := d.publish(".")
			d.write("site/index", []byte("index"))
			d.must(".", "commit", "-m", "1")
			d.must(".", "use", "site")
			d.must(".", "remote", "add", "origin", "dig://example.org/"+id)
			for _, args := range printing(id) {
				asJSON := strings.Contains(how, "json")
				if text := slices.Contains([]string{"help", "completion", "__complete"}, args[0]) ||
					args[len(args)-1] == "--help"; asJSON && text {
					continue
				}
				if asJSON {
					args = append([]string{"--json"}, args...)
				}
				if asJSON && slices.Contains(args, "-") {
					continue
				}
				cmd := d.command(".", args...)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				var out *os.File
				var err error
				if how == "closed pipe" {
					var in *os.File
					if in, out, err = os.Pipe(); err == nil {
						err = in.Close()
					}
				} else {
					out, err = os.OpenFile("/dev/full", os.O_WRONLY, 0)
				}
				if err != nil {
					t.Fatal(err)
				}
				cmd.Stdout = out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
				err = cmd.Wait()
				late.Stop()
				out.Close()
				code := cmd.ProcessState.ExitCode()
				switch {
				case how == "closed pipe":
					signal := cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()
					if err == nil || code != exitOther && signal != syscall.SIGPIPE ||
						strings.Contains(stderr.String(), "standard output") {
						t.Errorf("digstore %q: %v\n%s", args, err, stderr.String())
					}
				case code != exitOther || !strings.Contains(stderr.String(), "write standard output") ||
					!strings.Contains(stderr.String(), "no space left"):
					t.Errorf("digstore %q: exit code %d, want 1 and the error:\n%s", args, code, stderr.String())
				}
			}
		})
	}
}

// TestStrangeNames: names with line ends, tabs, quotes and escapes are listed,
// travel in a list of names and come back, and no command shows them raw.
func TestStrangeNames(t *testing.T) {
	d := newDesk(t)
	tree := strange(t, filepath.Join(d.dir, "site"))
	d.must(".", "init", "site", "--dir", "site")
	status := d.must(".", "status")
	d.must(".", "commit", "-m", "one\x1b[2J\u202e\nmore")
	list, object := d.must(".", "urn", "--all"), d.must(".", "urn", "--all", "--json")
	if n := strings.Count(list, "\n"); n != len(tree) {
		t.Errorf("%d lines for %d names", n, len(tree))
	}
	for _, line := range []string{"größe 日本 🎉.png\turn:", "back\\slash\turn:", `"two\nlines"` +
		"\t\"urn:", `"tab\tname"` + "\t"} {
		if !strings.Contains("\n"+list, "\n"+line) {
			t.Errorf("no line %q in the list", line)
		}
	}
	d.write("names.txt", []byte(list))
	d.write("names.json", []byte(object))
	d.must(".", "export", "site.dig")
	clone := newDesk(t) // which knows no names
	clone.must(".", "import", filepath.Join(d.dir, "site.dig"))
	for _, names := range []string{"names.txt", "names.json"} {
		out := filepath.Join(d.dir, "out-"+names)
		clone.must(".", "checkout", "--names", filepath.Join(d.dir, names), out)
		got, err := corpus.Read(out)
		if err != nil {
			t.Fatal(err)
		}
		if diff := corpus.Diff(tree, got); diff != "" {
			t.Errorf("%s:\n%s", names, diff)
		}
	}
	shown := map[string]string{"status": status, "urn --all": list}
	first := "\x1b[31mred"
	for _, args := range [][]string{
		{"show"}, {"log"}, {"diff"}, {"urn", first}, {"unstage", first}, {"cat", "no\x1b[2Jname"}, {"add", "site/" + first}, {"status"}, {"unstage", first},
		{"remote", "add", "x\x1b[2J", "dig://a\x1b[2J"}, {"use", "\x1b[2J"}, {"--store", "\x1b[2J", "log"}, {"\x1b[2J"}, {"show", "\x1b[2J"}, {"pull", "\x1b[2J"},
		{"clone", "dig://\x1b[2J"}, {"cat", first, "-o", "o\x1b[2J"}, {"checkout", "c\x1b[2J"}, {"export", "e\x1b[2J"}, {"import", "e\x1b[2J"},
		{"key", "import", "\x1b[2J"}, {"serve", "--allow", "\x1b[2J"}, {"--\x1b[2J"}, {"__complete", "cat", ""}, {"__complete", "show", ""},
		{"checkout", "--names", "\x1b[2J", "x"}, {"-C", "\x1b[2J", "log"}, {"gc", "--keep", "\x1b[2J"}, {"init", "\x1b[2J"},
	} {
		for _, extra := range [][]string{nil, {"--json"}} {
			if extra != nil && strings.HasPrefix(args[0], "__") {
				continue
			}
			cmd := d.command(".", append(slices.Clone(extra), args...)...)
			both, err := cmd.CombinedOutput()
			if exit, ok := err.(*exec.ExitError); err != nil && !ok || ok && exit.ExitCode() < 0 {
				t.Fatal(err)
			}
			shown[strings.Join(append(extra, args...), " ")] = string(both)
		}
	}
	for what, text := range shown {
		if oneline.HasHidden(strings.NewReplacer("\n", "", "\t", "").Replace(text)) {
			t.Errorf("digstore %q shows %q", what, text)
		}
	}
	var v struct{ Resources []struct{ Key string } }
	if err := json.Unmarshal([]byte(object), &v); err != nil || len(v.Resources) != len(tree) {
		t.Errorf("%d names in JSON, %v", len(v.Resources), err)
	}
}

// TestFilesThatAreNone: a pipe or a device in the place of any file that is
// read by name is refused at once.
func TestFilesThatAreNone(t *testing.T) {
	d := newDesk(t)
	d.publish(".")
	pipe := filepath.Join(d.dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	zero := filepath.Join(d.dir, "zero")
	if err := os.Symlink("/dev/zero", zero); err != nil {
		t.Fatal(err)
	}
	const host = "http://127.0.0.1:1"
	for _, args := range [][]string{
		{"add", "--key", "k", "FILE"}, {"plot", "salvage", "FILE", "out"}, {"checkout", "--names", "FILE", "out"}, {"import", "FILE"}, {"key", "import", "FILE"}, {"key", "import", "--salt", "FILE"},
		{"push", "--token-file", "FILE", host}, {"serve", "--push-token-file", "FILE"}, {"push", "--ca", "FILE", host},
		{"serve", "--tls-cert", "FILE", "--tls-key", "FILE"}, {"conform", "--write", "--key", "FILE", host},
		{"cat", "--salt", "FILE", "--from", host, "urn:dig:chia:" + strings.Repeat("01", 32) + "/a"},
	} {
		for _, file := range []string{pipe, zero} {
			line := slices.Clone(args)
			for i := range line {
				line[i] = strings.ReplaceAll(line[i], "FILE", file)
			}
			cmd := d.command(".", line...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
			err := cmd.Wait()
			if !late.Stop() {
				t.Errorf("digstore %q did not end", line)
			} else if err == nil || !strings.Contains(stderr.String(), "not a regular file") {
				t.Errorf("digstore %q: %v\n%s", line, err, stderr.String())
			}
		}
	}
}

// TestInterruptedInput: one Ctrl-C ends a command that waits for its standard
// input.
func TestInterruptedInput(t *testing.T) {
	d := newDesk(t)
	d.publish(".")
	for _, args := range [][]string{{"add", "--key", "k", "-"}, {"key", "import", "-"}} {
		cmd := d.command(".", args...)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		if !late.Stop() || cmd.ProcessState.ExitCode() != exitInterrupted {
			t.Errorf("digstore %q: exit code %d, want %d", args, cmd.ProcessState.ExitCode(),
				exitInterrupted)
		}
	}
}

// TestServeAnnounces: nothing is announced that does not listen.
func TestServeAnnounces(t *testing.T) {
	d := newDesk(t)
	d.publish(".")
	d.write("bad.pem", []byte("no certificate"))
	host, err := startServer(d.dir, filepath.Join(d.dir, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	defer host.stop()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--tls-cert", "bad.pem", "--tls-key", "bad.pem"}, "bad.pem"},
		{[]string{"--tls-cert", "none.pem", "--tls-key", "bad.pem"}, "none.pem"},
		{[]string{"--bind", strings.TrimPrefix(host.url, "http://")}, "address already in use"},
	} {
		for _, extra := range [][]string{nil, {"--json"}} {
			args := append([]string{"serve", "--bind", "127.0.0.1:0"}, append(c.args, extra...)...)
			cmd := d.command(".", args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
			err := cmd.Run()
			if !late.Stop() || err == nil {
				t.Errorf("digstore %q: %v", args, err)
			}
			if extra == nil {
				if stdout.Len() > 0 || !strings.Contains(stderr.String(), c.want) {
					t.Errorf("digstore %q wrote %q and %q", args, stdout.String(), stderr.String())
				}
				continue
			}
			var v map[string]any
			if err := json.Unmarshal(stdout.Bytes(), &v); err != nil || v["error"] == nil ||
				v["serving"] != nil {
				t.Errorf("digstore %q wrote %q, want one object with the error", args, stdout.String())
			}
		}
	}
}
