package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/merkle"
)

// changing makes a store whose newest generation is D3 on D1, and gives
// between a chance to act when only D1 is committed.
func (l *lab) changing(name string, between func(ws string) error) (ws string, err error) {
	ws, tree := l.path(name), l.path(name+"-tree")
	if err := copyTree(filepath.Join(l.data, "D1"), tree); err != nil {
		return "", err
	}
	if err := l.committed(ws, tree); err != nil {
		return "", err
	}
	if err := between(ws); err != nil {
		return "", err
	}
	if _, err := run(l.dir, l.mkdata, "-edit", tree); err != nil {
		return "", err
	}
	_, err = run(ws, l.digstore, "--quiet", "commit", "-m", "second")
	return ws, err
}

// pullChange compares a pull of D3 onto D1 with a clone of the same head, and
// counts what goes over the wire.
func pullChange(l *lab) error {
	old := l.path("old-copy")
	var wire *relay
	var s *server
	var id string
	ws, err := l.changing("pull-change", func(ws string) (err error) {
		if id, err = storeID(l, ws); err != nil {
			return err
		}
		if s, err = l.serve(ws); err != nil {
			return err
		}
		if wire, err = newRelay(s.URL); err != nil {
			return err
		}
		_, err = run(l.dir, l.digstore, "--quiet", "clone", wire.URL+"/stores/"+id, old)
		return err
	})
	if err != nil {
		return err
	}
	defer s.stop()
	defer wire.close()
	changed, err := changedChunks(ws)
	if err != nil {
		return err
	}
	for _, through := range []string{wire.URL, s.URL} {
		if _, err := run(old, l.digstore, "--quiet", "remote", "remove", "origin"); err != nil {
			return err
		}
		if _, err := run(old, l.digstore, "--quiet", "remote", "add", "origin", through); err != nil {
			return err
		}
		if through == wire.URL {
			to := l.path("counted")
			if err := copyTree(old, to); err != nil {
				return err
			}
			wire.reset()
			if _, err := run(to, l.digstore, "--quiet", "pull"); err != nil {
				return err
			}
			wire.report("a pull of D3 onto D1", changed)
		}
	}
	var to, whole string
	return l.versus("pull of D3 onto D1", "<= 0.4", side{
		before: func(i int) error { to = l.path(fmt.Sprint("pulled-", i)); return copyTree(old, to) },
		run: func(int) (sample, error) {
			defer os.RemoveAll(to)
			return run(to, l.digstore, "--quiet", "pull")
		},
	}, side{
		name:   "clone of the head",
		before: func(i int) error { whole = l.path(fmt.Sprint("whole-", i)); return nil },
		run: func(int) (sample, error) {
			defer os.RemoveAll(whole)
			return run(l.dir, l.digstore, "--quiet", "clone", s.URL+"/stores/"+id, whole)
		},
	})
}

// pushChange compares a push of D3 onto D1 with a clone of the same head.
func pushChange(l *lab) error {
	mirror, id := l.path("push-mirror"), ""
	ws, err := l.changing("push-change", func(ws string) (err error) {
		if id, err = storeID(l, ws); err != nil {
			return err
		}
		if err := os.MkdirAll(mirror, 0o777); err != nil {
			return err
		}
		s, err := l.serve(mirror, "--allow", id)
		if err != nil {
			return err
		}
		defer s.stop()
		return l.pushTo(ws, s.URL)
	})
	if err != nil {
		return err
	}
	changed, err := changedChunks(ws)
	if err != nil {
		return err
	}
	var s *server
	var to, whole string
	defer func() {
		if s != nil {
			s.stop()
		}
	}()
	fresh := func(name string) (err error) {
		if s != nil {
			s.stop()
			os.RemoveAll(to)
		}
		to = l.path(name)
		if err := copyTree(mirror, to); err != nil {
			return err
		}
		s, err = l.serve(to)
		return err
	}
	if err := fresh("counted-push"); err != nil {
		return err
	}
	wire, err := newRelay(s.URL)
	if err != nil {
		return err
	}
	defer wire.close()
	if err := l.pushTo(ws, wire.URL); err != nil {
		return err
	}
	wire.report("a push of D3 onto D1", changed)
	return l.versus("push of D3 onto D1", "<= 0.4", side{
		before: func(i int) error {
			if err := fresh(fmt.Sprint("pushed-change-", i)); err != nil {
				return err
			}
			return l.remoteTo(ws, s.URL)
		},
		run: func(int) (sample, error) { return run(ws, l.digstore, "--quiet", "push", "to") },
	}, side{
		name:   "clone of the head",
		before: func(i int) error { whole = l.path(fmt.Sprint("push-whole-", i)); return nil },
		run: func(int) (sample, error) {
			defer os.RemoveAll(whole)
			return run(l.dir, l.digstore, "--quiet", "clone", s.URL+"/stores/"+id, whole)
		},
	})
}

// remoteTo makes url the remote called "to".
func (l *lab) remoteTo(ws, url string) error {
	_, _ = run(ws, l.digstore, "--quiet", "remote", "remove", "to") // there may be none
	_, err := run(ws, l.digstore, "--quiet", "remote", "add", "to", url)
	return err
}

func (l *lab) pushTo(ws, url string) error {
	if err := l.remoteTo(ws, url); err != nil {
		return err
	}
	_, err := run(ws, l.digstore, "--quiet", "push", "to")
	return err
}

// changedChunks is how many bytes of chunks the newest generation added: the
// newest pack.
func changedChunks(ws string) (int64, error) {
	packs, err := filepath.Glob(filepath.Join(ws, ".dig", "*", "*", "packs", "*.pack"))
	if err != nil || len(packs) == 0 {
		return 0, fmt.Errorf("no packs below %s: %w", ws, err)
	}
	var newest os.FileInfo
	for _, name := range packs {
		info, err := os.Stat(name)
		if err != nil {
			return 0, err
		}
		if newest == nil || info.ModTime().After(newest.ModTime()) {
			newest = info
		}
	}
	return newest.Size(), nil
}

// hundredThousand compares a store of 1,000 generations with one of 100,000.
func hundredThousand(l *lab) error {
	small, err := l.long("thousand-lines", 1_000)
	if err != nil {
		return err
	}
	defer small.close()
	large, err := l.long("hundred-thousand-lines", 100_000)
	if err != nil {
		return err
	}
	defer large.close()
	for _, c := range []struct {
		title string
		run   func(*history) (sample, error)
	}{
		{"log -n 10 of 100,000 generations", func(h *history) (sample, error) { return run(h.copy, l.digstore, "log", "-n", "10") }},
		{"pull with nothing new of 100,000", func(h *history) (sample, error) { return run(h.copy, l.digstore, "--quiet", "pull") }},
		{"descriptor of 100,000", func(h *history) (sample, error) { return run(l.dir, l.self, "get", h.url) }},
	} {
		err := l.versus(c.title, "<= 1.7, log 100,000 / log 1,000", side{run: func(int) (sample, error) {
			return c.run(large)
		}},
			side{name: "of 1,000", run: func(int) (sample, error) { return c.run(small) }})
		if err != nil {
			return err
		}
	}
	return nil
}

// history is a store of many generations, served, and a clone of it.
type history struct {
	s    *server
	url  string
	copy string
}

func (h *history) close() { h.s.stop() }

// long makes a store with a history of n lines, of which the last is held.
func (l *lab) long(name string, n int) (*history, error) {
	ws, tree := l.path(name), l.path(name+"-tree")
	if err := os.MkdirAll(tree, 0o777); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(tree, "index.html"), []byte(name), 0o666); err != nil {
		return nil, err
	}
	if err := l.committed(ws, tree); err != nil {
		return nil, err
	}
	logs, err := filepath.Glob(filepath.Join(ws, ".dig", "*", "*", "roots.log"))
	if err != nil || len(logs) != 1 {
		return nil, fmt.Errorf("roots.log of %s: found %d, %w", ws, len(logs), err)
	}
	line, err := os.ReadFile(logs[0])
	if err != nil {
		return nil, err
	}
	_, rest, ok := strings.Cut(string(line), "\t")
	if !ok {
		return nil, fmt.Errorf("%s holds %q", logs[0], line)
	}
	var log strings.Builder
	now := time.Now().Unix() - int64(n)
	for i := range n - 1 {
		fmt.Fprintf(&log, "%d\t%s\t%d\n", i, merkle.Sum(fmt.Appendf(nil, "%s %d", name, i)), now+int64(i))
	}
	fmt.Fprintf(&log, "%d\t%s", n-1, rest)
	if err := os.WriteFile(logs[0], []byte(log.String()), 0o644); err != nil {
		return nil, err
	}
	id, err := storeID(l, ws)
	if err != nil {
		return nil, err
	}
	h := &history{copy: l.path(name + "-copy")}
	if h.s, err = l.serve(ws, "--anonymous"); err != nil {
		return nil, err
	}
	h.url = h.s.URL + "/stores/" + id
	_, err = run(l.dir, l.digstore, "--quiet", "clone", h.url, h.copy)
	return h, err
}

// A relay passes bytes between clients and a server, and counts them.
type relay struct {
	URL string
	l   net.Listener
	n   atomic.Int64
	all sync.WaitGroup
}

func newRelay(url string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{URL: "http://" + l.Addr().String(), l: l}
	to := strings.TrimPrefix(url, "http://")
	r.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.all.Go(func() { r.pass(c, to) })
		}
	})
	return r, nil
}

func (r *relay) pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			// a broken way ends the connection
			_, _ = io.Copy(way[0], io.TeeReader(way[1], (*counter)(&r.n)))
			client.Close()
			server.Close()
		})
	}
	both.Wait()
}

func (r *relay) reset() { r.n.Store(0) }

// report prints the bytes of both directions since reset against the bound of
// 1.2 x what changed and 64 KiB.
func (r *relay) report(what string, changed int64) {
	fmt.Printf("%-34s %d bytes on the wire, chunks that changed %d: bound 1.2 x + 64 KiB = %d\n",
		"  "+what, r.n.Load(), changed, changed*12/10+64<<10)
}

func (r *relay) close() { r.l.Close(); r.all.Wait() }

type counter atomic.Int64

func (c *counter) Write(b []byte) (int, error) {
	(*atomic.Int64)(c).Add(int64(len(b)))
	return len(b), nil
}

// A result is printed by sub-commands whose figures are not those of a process.
type result struct {
	Bytes int64         `json:"bytes"`
	Wall  time.Duration `json:"wall"`
}

func (r result) print() error { return json.NewEncoder(os.Stdout).Encode(r) }
