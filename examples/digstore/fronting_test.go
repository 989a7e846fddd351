package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A front is a host before a real one that changes what passes, as old hosts and proxies do. It
// writes a line "METHOD PATH STATUS" for each request and "CONNECTION" for each connection.
type front struct {
	mu    sync.Mutex
	log   *os.File
	times int // that a fault with a count still happens
	to    *httputil.ReverseProxy
	first []byte // the first descriptor
	// answers, or leaves it to the host
	before func(f *front, w http.ResponseWriter, r *http.Request) bool
}

// frontFaults are what a front can do; NAME=COUNT does it so many times.
var frontFaults = map[string]func(f *front, w http.ResponseWriter, r *http.Request) bool{
	// tagged refuses pushes whose first signature is not the tagged form, as released hosts of the reference do.
	"tagged": func(_ *front, w http.ResponseWriter, r *http.Request) bool { return taggedOnly(w, r) },
	// tagged-then-busy does the same and has no time for the others.
	"tagged-then-busy": func(_ *front, w http.ResponseWriter, r *http.Request) bool {
		if taggedOnly(w, r) {
			return true
		}
		if r.Header.Get("X-Dig-Signature") == "" {
			return false
		}
		http.Error(w, "come back later", http.StatusServiceUnavailable)
		return true
	},
	// cut ends the connection in the middle of a module that is pushed.
	"cut": func(f *front, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !f.once() {
			return false
		}
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		panic(http.ErrAbortHandler)
	},
	// unasked answers 503, and then sends text of its own on the connection that is idle.
	"unasked": func(f *front, w http.ResponseWriter, _ *http.Request) bool {
		if !f.once() {
			return false
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return false
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 5\r\n\r\nbusy\n")
		time.Sleep(50 * time.Millisecond)
		_, _ = io.WriteString(conn, "text of the host")
		time.Sleep(50 * time.Millisecond)
		_ = conn.Close()
		return true
	},
	// small is a proxy that refuses bodies of more than 100 kB with a page of its own.
	"small": func(_ *front, w http.ResponseWriter, r *http.Request) bool {
		if r.ContentLength < 100_000 {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		fmt.Fprintln(w, "<html><h1>413 Request Entity Too Large</h1></html>")
		return true
	},
}

func taggedOnly(w http.ResponseWriter, r *http.Request) bool {
	push := r.Header.Get("X-Dig-Signature")
	if push == "" || push == r.Header.Get("X-Dig-Signature-Tagged") {
		return false
	}
	http.Error(w, "push not authorized: bad BLS signature", http.StatusForbidden)
	return true
}

// frontEdits change the answers of the host.
var frontEdits = map[string]func(f *front, r *http.Response) error{
	// gaps numbers the history as the reference does that lost pushes in between and took others twice.
	"gaps": func(_ *front, r *http.Response) error {
		return editRoots(r, func(lines []frontLine) (out []frontLine) {
			for i, line := range lines {
				line.Generation = 3 * i
				again := line
				again.Generation++
				out = append(out, line, again)
			}
			return out
		})
	},
	// unsigned serves heads without a signature, as commit and serve of the reference do.
	"unsigned": func(_ *front, r *http.Response) error {
		if r.Request.Method != http.MethodGet || strings.Count(r.Request.URL.Path, "/") != 2 {
			return nil
		}
		return replaceBody(r, func(b []byte) []byte {
			return regexp.MustCompile(`"push_sig[a-z_]*":"[0-9a-f]*",`).ReplaceAll(b, nil)
		})
	},
	// weak weakens entity tags, as proxies that compress do.
	"weak": func(_ *front, r *http.Response) error {
		if tag := r.Header.Get("ETag"); tag != "" {
			r.Header.Set("ETag", "W/"+tag)
		}
		return nil
	},
	// lengthless leaves out how long the chunks of a resource are, as released hosts of the reference do.
	"lengthless": func(_ *front, r *http.Response) error {
		if !strings.HasSuffix(r.Request.URL.Path, "/content") {
			return nil
		}
		return replaceBody(r, func(b []byte) []byte {
			return regexp.MustCompile(`,"chunk_lens":\[[0-9,]*\]`).ReplaceAll(b, nil)
		})
	},
	// slow sends long answers at 300 bytes a second.
	"slow": func(f *front, r *http.Response) error {
		if r.ContentLength > 100_000 && f.once() {
			r.Body = slowBody{r.Body}
		}
		return nil
	},
	// reverted goes back to the first head that it has shown, with the old signature.
	"reverted": func(f *front, r *http.Response) error {
		if r.Request.Method == http.MethodGet && strings.Count(r.Request.URL.Path, "/") == 2 && r.StatusCode == http.StatusOK {
			return replaceBody(r, func(b []byte) []byte {
				if f.first == nil {
					f.first = b
				}
				return f.first
			})
		}
		var d struct {
			Root string `json:"current_root"`
		}
		if err := json.Unmarshal(f.first, &d); err != nil {
			return err
		}
		return editRoots(r, func(lines []frontLine) []frontLine {
			if last := lines[len(lines)-1]; last.Root != d.Root {
				lines = append(lines, frontLine{last.Generation + 1, d.Root, last.Timestamp})
			}
			return lines
		})
	},
}

// frontLine is a line of a history.
type frontLine struct {
	Generation int    `json:"generation"`
	Root       string `json:"root"`
	Timestamp  int64  `json:"timestamp"`
}

// editRoots changes a history.
func editRoots(r *http.Response, change func([]frontLine) []frontLine) error {
	if !strings.HasSuffix(r.Request.URL.Path, "/roots") || r.StatusCode != http.StatusOK {
		return nil
	}
	var failed error
	err := replaceBody(r, func(b []byte) []byte {
		var body struct {
			Roots []frontLine `json:"roots"`
		}
		if failed = json.Unmarshal(b, &body); failed != nil {
			return b
		}
		body.Roots = change(body.Roots)
		b, failed = json.Marshal(body)
		return b
	})
	return errors.Join(err, failed)
}

// slowBody gives 300 bytes a second.
type slowBody struct{ io.ReadCloser }

func (b slowBody) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return b.ReadCloser.Read(p[:min(len(p), 300)])
}

// once counts a fault.
func (f *front) once() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times--
	return f.times >= 0
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &frontAnswer{ResponseWriter: w}
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		fmt.Fprintln(f.log, r.Method, r.URL.Path, answer.status)
	}()
	if f.before == nil || !f.before(f, answer, r) {
		f.to.ServeHTTP(answer, r)
	}
}

// frontAnswer remembers the status.
type frontAnswer struct {
	http.ResponseWriter
	status int
}

func (a *frontAnswer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *frontAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// fronting NAME URL FAULT[=COUNT] puts a front before the host at URL, sets NAME to its URL and
// writes its requests to $WORK/NAME.log. It ends with the script.
func fronting(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: fronting NAME URL FAULT[=COUNT]")
	}
	target, err := url.Parse(args[1])
	ts.Check(err)
	name, count, counted := strings.Cut(args[2], "=")
	f := &front{times: 1 << 30, before: frontFaults[name]}
	if counted {
		f.times, err = strconv.Atoi(count)
		ts.Check(err)
	}
	edit := frontEdits[name]
	if f.before == nil && edit == nil {
		ts.Fatalf("no fault %q", name)
	}
	f.to = &httputil.ReverseProxy{
		FlushInterval: -1, // at once
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = target.Host
		},
		ModifyResponse: func(r *http.Response) error {
			if edit == nil {
				return nil
			}
			return edit(f, r)
		},
	}
	f.log, err = os.Create(filepath.Join(ts.Getenv("WORK"), args[0]+".log"))
	ts.Check(err)
	server := httptest.NewUnstartedServer(f)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			f.mu.Lock()
			defer f.mu.Unlock()
			fmt.Fprintln(f.log, "CONNECTION")
		}
	}
	server.Start()
	ts.Defer(func() {
		server.Close()
		f.log.Close()
	})
	ts.Setenv(args[0], server.URL)
}

// replaceBody changes the body of an answer.
func replaceBody(r *http.Response, change func([]byte) []byte) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	body = change(body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return r.Body.Close()
}
