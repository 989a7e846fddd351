package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestInterruptedClone presses Ctrl-C in the middle of a download: the program
// says how to go on, and the next run asks for the rest only.
func TestInterruptedClone(t *testing.T) {
	d := newDesk(t)
	id := d.publish("publisher")
	host, err := startServer(filepath.Join(d.dir, "publisher"), filepath.Join(d.dir, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	defer host.stop()
	to, err := url.Parse(host.url)
	if err != nil {
		t.Fatal(err)
	}
	half := make(chan struct{})
	var calls atomic.Int32
	var ranges atomic.Pointer[string]
	proxy := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/module") {
			if calls.Add(1) == 1 {
				w = &stalling{ResponseWriter: w, left: 2_000_000, reached: half, until: r.Context().Done()}
			} else {
				asked := r.Header.Get("Range")
				ranges.Store(&asked)
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()

	clone := d.command(".", "clone", "--json", front.URL+"/stores/"+id, "copy")
	var stdout strings.Builder
	clone.Stdout = &stdout
	interruptible(clone)
	stderr, err := clone.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := clone.Start(); err != nil {
		t.Fatal(err)
	}
	<-half
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var line struct{ Done, Total int64 }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if line.Done > 0 && line.Done < line.Total {
			break
		}
	}
	if err := interrupt(clone.Process); err != nil {
		_ = clone.Process.Kill()
		t.Skip("no interrupts here: ", err)
	}
	_, _ = io.Copy(io.Discard, stderr)
	_ = clone.Wait()
	if code := clone.ProcessState.ExitCode(); code != exitInterrupted ||
		!strings.Contains(stdout.String(), "again to continue") {
		t.Fatalf("exit code %d, want %d and how to go on:\n%s", code, exitInterrupted, stdout.String())
	}
	d.must(".", "clone", front.URL+"/stores/"+id, "copy")
	if r := ranges.Load(); r == nil || !strings.HasPrefix(*r, "bytes=") || *r == "bytes=0-" {
		t.Errorf("the second run did not ask for the rest only")
	}
	d.must("copy", "verify", "--deep")
}

// stalling is a ResponseWriter that stops in the middle.
type stalling struct {
	http.ResponseWriter
	left    int
	reached chan struct{}
	until   <-chan struct{}
}

func (s *stalling) Write(b []byte) (int, error) {
	if s.left <= 0 {
		<-s.until
		return 0, http.ErrAbortHandler
	}
	n, err := s.ResponseWriter.Write(b)
	if s.left -= n; s.left <= 0 {
		s.ResponseWriter.(http.Flusher).Flush()
		close(s.reached)
	}
	return n, err
}

// Unwrap gives http.ResponseController the rest.
func (s *stalling) Unwrap() http.ResponseWriter { return s.ResponseWriter }
