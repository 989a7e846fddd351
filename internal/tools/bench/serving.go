package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"github.com/dig-network/digstore/remote"
)

// serveBig compares signed GETs of D2's module with http.ServeFile of the same
// bytes; both clients discard what comes.
func serveBig(l *lab) error {
	ws, file := l.path("serve-big"), l.path("big.dig")
	if err := l.committed(ws, filepath.Join(l.data, "D2")); err != nil {
		return err
	}
	if _, err := run(ws, l.digstore, "--quiet", "export", "0", file); err != nil {
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
	plain, err := l.serveFile(file)
	if err != nil {
		return err
	}
	defer plain.stop()
	err = l.versus("20 signed GETs of D2, time", "<= 1.25, 0.8 x the rate",
		side{run: func(int) (sample, error) {
			return l.inside("discard", s.URL+"/stores/"+id, "20", "1")
		}},
		side{name: "http.ServeFile, no auth", run: func(int) (sample, error) {
			return l.inside("discard-plain", plain.URL, "20")
		}})
	if err != nil {
		return err
	}
	return l.sixtyFour(ws, id)
}

// sixtyFour prints the memory of a server that gives D2 to 64 clients at once.
func (l *lab) sixtyFour(ws, id string) error {
	s, err := l.serve(ws)
	if err != nil {
		return err
	}
	_, err = l.inside("discard", s.URL+"/stores/"+id, "64", "64")
	fmt.Printf("%-34s peak %s (< 160 MiB)\n", "  serve, 64 readers of D2 at once", mib(s.stop()))
	return err
}

// inside runs a sub-command of this program and takes the time that it says.
func (l *lab) inside(args ...string) (sample, error) {
	s, err := run(l.dir, l.self, args...)
	if err != nil {
		return s, err
	}
	var r result
	if err := json.Unmarshal(s.out, &r); err != nil {
		return s, fmt.Errorf("%v answered %q: %w", args, s.out, err)
	}
	s.wall = r.Wall
	return s, nil
}

// serveFile starts this program as a server of one file.
func (l *lab) serveFile(name string) (*server, error) {
	return start(l.self, l.dir, "serve-file", name)
}

// fileServer is the other side of serveBig, as a process.
func fileServer(name string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("{\"bind\":%q}\n", ln.Addr())
	srv := &http.Server{ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, name)
		})}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { srv.Close() })
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// discard reads the head's module n times, so many at once, signed, and throws
// it away.
func discard(url string, n, atOnce int) error {
	u, err := remote.ParseURL(url)
	if err != nil {
		return err
	}
	c, err := remote.NewClient(u, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := context.Background()
	d, err := c.Describe(ctx)
	if err != nil {
		return err
	}
	return timed(n, atOnce, func() (int64, error) {
		r, err := c.Module(ctx, d.Root)
		if err != nil {
			return 0, err
		}
		defer r.Close()
		return io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, make([]byte, 256<<10))
	})
}

// discardPlain reads url n times without a signature.
func discardPlain(url string, n int) error {
	return timed(n, 1, func() (int64, error) {
		resp, err := http.Get(url)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("%s: %s", url, resp.Status)
		}
		return io.CopyBuffer(io.Discard, struct{ io.Reader }{resp.Body}, make([]byte, 256<<10))
	})
}

// timed calls read n times, so many at once, and prints the bytes and the time.
func timed(n, atOnce int, read func() (int64, error)) error {
	var mu sync.Mutex
	var all sync.WaitGroup
	var r result
	var errs []error
	turns := make(chan struct{}, n)
	for range n {
		turns <- struct{}{}
	}
	close(turns)
	begin := time.Now()
	for range atOnce {
		all.Go(func() {
			for range turns {
				got, err := read()
				mu.Lock()
				r.Bytes += got
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	r.Wall = time.Since(begin)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return r.print()
}

// get asks for a URL once and wants 200.
func get(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
