package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// cases run in this order; each makes what it needs.
var cases = []struct {
	name string
	run  func(*lab) error
}{
	{"version", version},
	{"commit-first", commitFirst},
	{"commit-change", commitChange},
	{"commit-big", commitBig},
	{"status", status},
	{"open", open},
	{"clone-big", cloneBig},
	{"clone-tree", cloneTree},
	{"pull-nothing", pullNothing},
	{"pull-change", pullChange},
	{"push", push},
	{"push-change", pushChange},
	{"serve-big", serveBig},
	{"hundred-thousand", hundredThousand},
	{"checkout", checkout},
}

func version(l *lab) error {
	return l.alone("version", "< 20 ms", side{run: func(int) (sample, error) {
		return run(l.dir, l.digstore, "version")
	}})
}

// store makes a fresh workspace with a store over a content root.
func (l *lab) store(ws, content string) error {
	if err := os.MkdirAll(ws, 0o777); err != nil {
		return err
	}
	_, err := run(ws, l.digstore, "--quiet", "init", "site", "--dir", content)
	return err
}

func (l *lab) committed(ws, content string) error {
	if err := l.store(ws, content); err != nil {
		return err
	}
	_, err := run(ws, l.digstore, "--quiet", "commit", "-m", "first")
	return err
}

func commitFirst(l *lab) error {
	d1 := filepath.Join(l.data, "D1")
	var ws string
	return l.versus("first commit of D1", "< 5, aim 4", side{
		before: func(i int) error { ws = l.path(fmt.Sprint("first-", i)); return l.store(ws, d1) },
		run: func(int) (sample, error) {
			defer os.RemoveAll(ws)
			return run(ws, l.digstore, "--quiet", "commit", "-m", "first")
		},
	}, side{
		name: "os.ReadFile over it",
		run:  func(int) (sample, error) { return run(l.dir, l.self, "readall", d1) },
	})
}

func commitBig(l *lab) error {
	d2 := filepath.Join(l.data, "D2")
	var ws string
	return l.versus("first commit of D2", "memory < 64 MiB", side{
		before: func(i int) error { ws = l.path(fmt.Sprint("big-", i)); return l.store(ws, d2) },
		run: func(int) (sample, error) {
			defer os.RemoveAll(ws)
			return run(ws, l.digstore, "--quiet", "commit", "-m", "first")
		},
	}, side{
		name: "os.ReadFile of it",
		run:  func(int) (sample, error) { return run(l.dir, l.self, "readall", d2) },
	})
}

// copyTree makes a copy whose files are older than the index of what is done
// with them next.
func copyTree(from, to string) error {
	out, err := exec.Command("cp", "-a", from, to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cp -a %s %s: %w\n%s", from, to, err, out)
	}
	return nil
}

func commitChange(l *lab) error {
	var tree, ws string
	var grown int64
	own := func(name string) bool { return name != "index" && !strings.HasPrefix(name, "stat") }
	err := l.versus("commit of D3 on D1", "<= 1", side{
		before: func(i int) error {
			tree, ws = l.path(fmt.Sprint("tree-", i)), l.path(fmt.Sprint("ws-", i))
			if err := copyTree(filepath.Join(l.data, "D1"), tree); err != nil {
				return err
			}
			if err := l.committed(ws, tree); err != nil {
				return err
			}
			if _, err := run(l.dir, l.mkdata, "-edit", tree); err != nil {
				return err
			}
			var err error
			grown, err = size(filepath.Join(ws, ".dig"), own)
			return err
		},
		run: func(int) (sample, error) {
			s, err := run(ws, l.digstore, "--quiet", "commit", "-m", "second")
			if err == nil {
				var after int64
				after, err = size(filepath.Join(ws, ".dig"), own)
				grown = after - grown
			}
			os.RemoveAll(tree)
			os.RemoveAll(ws)
			return s, err
		},
	}, side{
		name: "git add -A && commit",
		before: func(i int) error {
			tree = l.path(fmt.Sprint("git-", i))
			if err := copyTree(filepath.Join(l.data, "D1"), tree); err != nil {
				return err
			}
			for _, args := range [][]string{{"init", "-q"}, {"config", "user.email", "bench@example.org"},
				{"config", "user.name", "bench"}, {"config", "gc.auto", "0"}, {"add", "-A"}, {"commit", "-qm",
					"first"}} {
				if _, err := run(tree, "git", args...); err != nil {
					return err
				}
			}
			_, err := run(l.dir, l.mkdata, "-edit", tree)
			return err
		},
		run: func(int) (sample, error) {
			defer os.RemoveAll(tree)
			return run(tree, "sh", "-c", "git add -A && git commit -qm second")
		},
	})
	if err != nil {
		return err
	}
	changed, err := changedBytes(filepath.Join(l.data, "D1"), filepath.Join(l.data, "D3"))
	if err != nil {
		return err
	}
	fmt.Printf("%-34s %d bytes; changed files %d bytes; bound 1.1 x + 64 KiB = %d (chunks of "+
		"unchanged parts make it smaller)\n",
		"  the store grew by", grown, changed, changed*11/10+64<<10)
	return nil
}

// changedBytes adds up the files of b that a does not hold in the same size
// or with the same bytes.
func changedBytes(a, b string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(b, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(b, path)
		now, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if was, err := os.ReadFile(filepath.Join(a, rel)); err != nil || string(was) != string(now) {
			sum += int64(len(now))
		}
		return nil
	})
	return sum, err
}

func status(l *lab) error {
	ws := l.path("status")
	if err := l.committed(ws, filepath.Join(l.data, "D1")); err != nil {
		return err
	}
	return l.alone("status of an unchanged D1", "< 60 ms", side{run: func(int) (sample, error) {
		return run(ws, l.digstore, "status")
	}})
}

// open commits 1,000 generations of a small site, then reads one resource.
func open(l *lab) error {
	ws, tree := l.path("thousand"), l.path("thousand-tree")
	if err := os.MkdirAll(tree, 0o777); err != nil {
		return err
	}
	if err := l.store(ws, tree); err != nil {
		return err
	}
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(tree, "index.html"), fmt.Appendf(nil, "generation %d", i),
			0o666); err != nil {
			return err
		}
		if _, err := run(ws, l.digstore, "--quiet", "commit", "-m", "next"); err != nil {
			return err
		}
	}
	urn, err := firstURN(l, ws)
	if err != nil {
		return err
	}
	return l.alone("cat in a store of 1,000", "< 15 ms", side{run: func(int) (sample, error) {
		return run(ws, l.digstore, "cat", urn)
	}})
}

func firstURN(l *lab, ws string) (string, error) {
	s, err := run(ws, l.digstore, "urn", "index.html")
	return strings.TrimSpace(string(s.out)), err
}

// storeID asks `stores` for the only store of a workspace.
func storeID(l *lab, ws string) (string, error) {
	s, err := run(ws, l.digstore, "--json", "stores")
	if err != nil {
		return "", err
	}
	var list struct {
		Stores []struct {
			StoreID string `json:"store_id"`
		}
	}
	if err := json.Unmarshal(s.out, &list); err != nil || len(list.Stores) != 1 {
		return "", fmt.Errorf("stores answered %q", s.out)
	}
	return list.Stores[0].StoreID, nil
}

func cloneBig(l *lab) error {
	ws := l.path("clone-origin")
	if err := l.committed(ws, filepath.Join(l.data, "D2")); err != nil {
		return err
	}
	return l.clones("clone of D2", "< 1.3", ws)
}

func cloneTree(l *lab) error {
	ws := l.path("clone-tree-origin")
	if err := l.committed(ws, filepath.Join(l.data, "D1")); err != nil {
		return err
	}
	return l.clones("clone of D1", "memory < 64 MiB", ws)
}

// clones compares a clone from the store of ws with a plain download from
// the same server process.
func (l *lab) clones(title, goal, ws string) error {
	id, err := storeID(l, ws)
	if err != nil {
		return err
	}
	s, err := l.serve(ws, "--anonymous")
	if err != nil {
		return err
	}
	url := s.URL + "/stores/" + id
	var to string
	err = l.versus(title, goal, side{
		before: func(i int) error { to = l.path(fmt.Sprint("copy-", i)); return nil },
		run: func(int) (sample, error) {
			defer os.RemoveAll(to)
			return run(l.dir, l.digstore, "--quiet", "clone", url, to)
		},
	}, side{
		name:   "GET, hash, write, fsync",
		before: func(int) error { to = l.path("fetched"); return nil },
		run: func(int) (sample, error) {
			defer os.Remove(to)
			return run(l.dir, l.self, "fetch", url+"/module", to)
		},
	})
	fmt.Printf("%-34s peak %s (< 64 MiB)\n", "  serve", mib(s.stop()))
	return err
}

func pullNothing(l *lab) error {
	ws, to := l.path("pull-origin"), l.path("pull-copy")
	if err := l.committed(ws, filepath.Join(l.data, "D1")); err != nil {
		return err
	}
	id, err := storeID(l, ws)
	if err != nil {
		return err
	}
	s, err := l.serve(ws)
	if err != nil {
		return err
	}
	defer s.stop()
	if _, err := run(l.dir, l.digstore, "--quiet", "clone", s.URL+"/stores/"+id, to); err != nil {
		return err
	}
	return l.alone("pull with nothing new", "< 10 ms", side{run: func(int) (sample, error) {
		return run(to, l.digstore, "--quiet", "pull")
	}})
}

func push(l *lab) error {
	for _, d := range []string{"D1", "D2"} {
		ws := l.path("push-" + d)
		if err := l.committed(ws, filepath.Join(l.data, d)); err != nil {
			return err
		}
		var s *server
		var to string
		var peaks []string
		err := l.alone("push of "+d, "memory < 64 MiB", side{
			before: func(i int) (err error) {
				if s != nil {
					peaks = append(peaks, mib(s.stop()))
					os.RemoveAll(to)
				}
				to = l.path(fmt.Sprint("pushed-", d, i))
				if err := os.MkdirAll(to, 0o777); err != nil {
					return err
				}
				if s, err = l.serve(to, "--allow-any"); err != nil {
					return err
				}
				if i > 0 {
					_, err = run(ws, l.digstore, "--quiet", "remote", "remove", "to")
				}
				if err == nil {
					_, err = run(ws, l.digstore, "--quiet", "remote", "add", "to", s.URL)
				}
				return err
			},
			run: func(int) (sample, error) { return run(ws, l.digstore, "--quiet", "push", "to") },
		})
		if s != nil {
			peaks = append(peaks, mib(s.stop()))
		}
		if err != nil {
			return err
		}
		fmt.Printf("%-34s peaks %s (< 64 MiB)\n", "  serve, receiving", strings.Join(peaks, ", "))
	}
	return nil
}

func checkout(l *lab) error {
	for _, d := range []string{"D1", "D2"} {
		ws, tar := l.path("checkout-"+d), l.path(d+".tar")
		if err := l.committed(ws, filepath.Join(l.data, d)); err != nil {
			return err
		}
		if _, err := run(l.data, "tar", "cf", tar, d); err != nil {
			return err
		}
		out := l.path("out")
		err := l.versus("checkout of "+d, "< 1.25", side{
			run: func(int) (sample, error) {
				defer os.RemoveAll(out)
				return run(ws, l.digstore, "--quiet", "checkout", out)
			},
		}, side{
			name:   "tar xf",
			before: func(int) error { return os.MkdirAll(out, 0o777) },
			run: func(int) (sample, error) {
				defer os.RemoveAll(out)
				return run(out, "tar", "xf", tar)
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
