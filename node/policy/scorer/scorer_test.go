package scorer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/policy/scorer"
)

func features() policy.Features {
	return policy.Features{Store: strings.Repeat("ab", 32), Handle: "mydata", Tier: 4, Size: 1000,
		Providers: 2, MinReward: 100, AgeSeconds: 60}
}

const request = `{"version":1,"features":{"store_id":"` +
	`abababababababababababababababababababababababababababababababab","handle":"mydata","tier":4,` +
	`"capsule_count":0,"total_size":1000,"providers":2,"bribe_reward":0,"min_reward":0.1,` +
	`"age_seconds":60,"requests_24h":0}}`

// service answers requests to a scorer.
func service(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func newHTTP(t *testing.T, url string, o *scorer.HTTPOptions) *scorer.HTTP {
	t.Helper()
	s, err := scorer.NewHTTP(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestHTTP(t *testing.T) {
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || string(b) != request || r.Method != http.MethodPost ||
			r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v: %s, %v", r.Method, r.Header, b, err)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		fmt.Fprint(w, `{"score":0.73,"model":"m1","more":true}`)
	})
	got, err := newHTTP(t, url, nil).Score(t.Context(), features())
	if want := (policy.Score{Value: 0.73, Model: "m1"}); err != nil || got != want {
		t.Errorf("%+v, %v, expected %+v", got, err, want)
	}
}

func TestHTTPRefusesURLs(t *testing.T) {
	for _, url := range []string{"", "http://example.com/", "http://10.0.0.1/", "ftp://localhost/",
		"https:///x", "http://localhost.example.com/", "https://user:secret@example.com/", "::"} {
		if _, err := scorer.NewHTTP(url, nil); !errors.Is(err, scorer.ErrScorer) ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, expected ErrScorer without a secret", url, err)
		}
	}
	for _, url := range []string{"https://example.com/score", "http://localhost:1/", "http://[::1]:1/",
		"http://127.0.0.1:1/"} {
		newHTTP(t, url, nil)
	}
}

// Answers that are no scores, and services that do not answer.
func TestHTTPFailures(t *testing.T) {
	elsewhere := service(t, func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	})
	write := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	const kind, good = "application/json", `{"score":1,"model":"m"}`
	for name, handler := range map[string]http.HandlerFunc{
		"status":     write(500, kind, good),
		"redirect":   write(302, kind, good),
		"type":       write(200, "text/html", good),
		"no score":   write(200, kind, `{"model":"m"}`),
		"null":       write(200, kind, `{"score":null,"model":"m"}`),
		"no model":   write(200, kind, `{"score":1}`),
		"long model": write(200, kind, `{"score":1,"model":"`+strings.Repeat("m", 129)+`"}`),
		"above 1":    write(200, kind, `{"score":1.1,"model":"m"}`),
		"below 0":    write(200, kind, `{"score":-0.1,"model":"m"}`),
		"twice":      write(200, kind, `{"score":1,"score":0,"model":"m"}`),
		"no JSON":    write(200, kind, `score`),
		"surplus":    write(200, kind, good+good),
		"too long":   write(200, kind, good+strings.Repeat(" ", scorer.MaxAnswer)),
		"closed":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no body":    write(200, kind, ""),
		"not answered": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the end of the connection is not seen
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			s := newHTTP(t, service(t, handler), nil)
			if got, err := s.Score(t.Context(), features()); !errors.Is(err, scorer.ErrScorer) {
				t.Errorf("%+v, %v, expected ErrScorer", got, err)
			}
			if took := time.Since(start); took > 15*scorer.Timeout {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// After five failures in a row the service is left alone for a minute, and then asked once.
func TestHTTPBreaker(t *testing.T) {
	var asked atomic.Int64
	var fine atomic.Bool
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if fine.Load() {
			fmt.Fprint(w, `{"score":1,"model":"m"}`)
		}
	})
	now := time.Unix(1_700_000_000, 0)
	s := newHTTP(t, url, &scorer.HTTPOptions{Now: func() time.Time { return now }})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Score(cancelled, features()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err) // no failure of the service
	}
	step := func(times int, wantAsked int64, ok bool) {
		t.Helper()
		asked.Store(0)
		for range times {
			if _, err := s.Score(t.Context(), features()); (err == nil) != ok {
				t.Errorf("score: %v", err)
			}
		}
		if got := asked.Load(); got != wantAsked {
			t.Errorf("asked %d times, expected %d", got, wantAsked)
		}
	}
	step(7, 5, false)
	now = now.Add(time.Minute - 1)
	step(2, 0, false)
	now = now.Add(1)
	step(3, 1, false)
	now = now.Add(time.Minute)
	fine.Store(true)
	step(3, 3, true)
}

// program writes a shell script.
func program(t *testing.T, script string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the programs are shell scripts")
	}
	name := filepath.Join(t.TempDir(), "scorer")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func newExec(t *testing.T, argv ...string) *scorer.Exec {
	t.Helper()
	s, err := scorer.NewExec(argv, &scorer.ExecOptions{Path: "/usr/bin:/bin"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExec(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	t.Setenv("SECRET", "x")
	s := newExec(t, program(t, `cat > "$1"; env >> "$1"; pwd >> "$1"
echo '{"score":0.5,"model":"m"}'`), out)
	got, err := s.Score(t.Context(), features())
	if want := (policy.Score{Value: 0.5, Model: "m"}); err != nil || got != want {
		t.Fatalf("%+v, %v, expected %+v", got, err, want)
	}
	b, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(b), request+"\n") {
		t.Errorf("input %s, %v", b, err)
	}
	if !strings.Contains(string(b), "PATH=/usr/bin:/bin\n") || strings.Contains(string(b), "SECRET") ||
		!strings.HasSuffix(string(b), "\n/\n") {
		t.Errorf("environment and directory: %s", b)
	}
	for name, argv := range map[string][]string{
		"nothing": nil, "relative": {"sh"}, "missing": {"/nonexistent/scorer"},
	} {
		if _, err := scorer.NewExec(argv, nil); !errors.Is(err, scorer.ErrScorer) {
			t.Errorf("%s: %v, expected ErrScorer", name, err)
		}
	}
}

func TestExecFailures(t *testing.T) {
	const good = `echo '{"score":1,"model":"m"}'`
	for name, script := range map[string]string{
		"status":         good + "\nexit 1",
		"nothing":        "cat > /dev/null",
		"no JSON":        "cat > /dev/null; echo score",
		"two lines":      "cat > /dev/null; " + good + "; echo more",
		"endless output": "cat > /dev/null; while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := newExec(t, program(t, script)).Score(t.Context(), features()); !errors.Is(err,
				scorer.ErrScorer) {
				t.Errorf("%+v, %v, expected ErrScorer", got, err)
			}
		})
	}
}

// A program that takes too long is killed with what it has started.
func TestExecTimeout(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	s := newExec(t, program(t, `(sleep 1; echo late > "$1") & sleep 60`), mark)
	scorer.SetTimeout(s, 300*time.Millisecond)
	start := time.Now()
	if _, err := s.Score(t.Context(), features()); !errors.Is(err, scorer.ErrScorer) {
		t.Errorf("%v, expected ErrScorer", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Score(ctx, features()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, expected context.DeadlineExceeded", err)
	}
	time.Sleep(1500 * time.Millisecond)
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program that it had started was not killed")
	}
}

// At most two programs run at once.
func TestExecParallel(t *testing.T) {
	dir := t.TempDir()
	s := newExec(t, program(t, `cat > /dev/null; touch "$1/$$"; ls "$1" | wc -l >> "$1.counts"
sleep 0.2; rm "$1/$$"; echo '{"score":1,"model":"m"}'`), dir)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := s.Score(t.Context(), features()); err != nil && !errors.Is(err, scorer.ErrScorer) {
				t.Error(err) // on a busy machine the time may run out
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(dir + ".counts")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range strings.Fields(string(b)) {
		if n != "1" && n != "2" {
			t.Errorf("%s programs at once", n)
		}
	}
}

// counted counts how often it is asked.
type counted struct {
	n   int
	err error
}

func (c *counted) Score(context.Context, policy.Features) (policy.Score, error) {
	c.n++
	return policy.Score{Value: 0.5, Model: fmt.Sprint(c.n)}, c.err
}

func TestCached(t *testing.T) {
	under := &counted{}
	now := time.Unix(1_700_000_000, 0)
	clock := &scorer.CachedOptions{Now: func() time.Time { return now }}
	s := scorer.NewCached(under, time.Hour, clock)
	ask := func(f policy.Features, want string) {
		t.Helper()
		if got, err := s.Score(t.Context(), f); err != nil || got.Model != want {
			t.Errorf("%+v, %v, expected %s", got, err, want)
		}
	}
	f := features()
	ask(f, "1")
	f.Requests24h = 7
	ask(f, "1")
	f.Handle = "other"
	ask(f, "2")
	now = now.Add(time.Hour)
	ask(f, "3")
	under.err = errors.New("broken")
	now = now.Add(time.Hour)
	for range 2 {
		if _, err := s.Score(t.Context(), f); !errors.Is(err, under.err) {
			t.Errorf("%v, expected the error", err)
		}
	}
	if under.n != 5 {
		t.Errorf("asked %d times, expected 5: failures are not kept", under.n)
	}
}
