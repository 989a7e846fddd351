package conform_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/conform"
	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
)

// workspace returns the world's store on disk.
func (w *world) workspace(t testing.TB) *digstore.Workspace {
	t.Helper()
	ws, err := digstore.Init(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	parent := merkle.Hash{}
	for n, head := range w.heads {
		if err := ws.Receive(context.Background(), module.Push{Head: head, Parent: parent},
			bytes.NewReader(w.modules[n]), nil); err != nil {
			t.Fatal(err)
		}
		parent = head.Root
	}
	return ws
}

// TestOurServer checks that package server passes all checks, of reads and writes.
func TestOurServer(t *testing.T) {
	tree := corpus.Small(1)
	w := newWorld(t, tree, 70<<10)
	if vectors.Long(t) {
		tree = corpus.Large(1)
	}
	large := newWorld(t, tree, rpc.MaxWindow+3*rpc.Block+77)
	always := []string{"limits/retry-after", "module/too-large", "refuse/without-a-token",
		"route/tls", "push/presigned"}
	for _, tc := range []struct {
		name    string
		backend func(t testing.TB) server.Backend
		server  *server.Options
		options conform.Options
		skipped func(check string) bool // in addition to always
	}{
		{"memory", func(t testing.TB) server.Backend { return large.memory(t) }, nil, conform.Options{}, nil},
		{"workspace", func(t testing.TB) server.Backend { return w.workspace(t) }, nil, conform.Options{}, nil},
		{"anonymous", func(t testing.TB) server.Backend { return w.memory(t) }, &server.Options{Anonymous: true}, conform.Options{Anonymous: true},
			func(check string) bool { return strings.HasPrefix(check, "auth/") }},
		{"uploads that go elsewhere", func(t testing.TB) server.Backend { return w.memory(t) }, &server.Options{Objects: newShelf()}, conform.Options{Only: []string{"push/*"}}, nil},
		{"a token, and modules that are too large", func(t testing.TB) server.Backend { return w.memory(t) },
			&server.Options{Policy: server.RejectUnknown{}, Credential: server.Credentials{"push": "t0ken"}.Check, MaxInlineModule: 10 << 10},
			conform.Options{Write: &conform.Write{Token: "t0ken"}},
			func(check string) bool {
				return strings.HasPrefix(check, "module/") || strings.HasPrefix(check, "range/") || strings.HasPrefix(check, "recipe/") || check == "revoke/store"
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.options.Write == nil {
				tc.options.Write = &conform.Write{RevokeStore: true}
			}
			r := run(t, serve(tc.backend(t), tc.server), w.id, &tc.options)
			for _, f := range findings(r) {
				t.Errorf("%+v", f)
			}
			for _, s := range skips(r) {
				if s.Check == "push/presigned" && tc.server != nil && tc.server.Objects != nil {
					t.Error(s.Reason)
				}
				if !slices.Contains(always, s.Check) && (tc.skipped == nil || !tc.skipped(s.Check)) {
					t.Errorf("%s was skipped: %s", s.Check, s.Reason)
				}
			}
			if err := r.Err(); err != nil || tc.options.Only == nil &&
				len(r.Results) != len(conform.Checks()) ||
				r.Count(conform.Pass)+r.Count(conform.Skip) != len(r.Results) {
				t.Errorf("%v, %d results", err, len(r.Results))
			}
		})
	}
}

// TestReadOnly checks that without Write nothing at the origin changes, and that the checks can
// read a store that an earlier run wrote.
func TestReadOnly(t *testing.T) {
	w := newWorld(t, corpus.Small(1), 1<<10)
	stores := w.memory(t)
	tally := func() string {
		lines, err := stores.Generations(t.Context(), w.id)
		if err != nil {
			t.Fatal(err)
		}
		ts, err := stores.Tombstones(t.Context(), w.id)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for range stores.Stores(t.Context()) {
			n++
		}
		return fmt.Sprint(lines, ts, n)
	}
	before := tally()
	r := run(t, serve(stores, nil), w.id, nil)
	if after := tally(); after != before {
		t.Errorf("it was %s, and is %s", before, after)
	}
	for _, c := range r.Results {
		for _, group := range []string{"push/", "refuse/", "revoke/"} {
			if strings.HasPrefix(c.Check, group) {
				t.Errorf("%s was made", c.Check)
			}
		}
	}
	r = run(t, serve(w.memory(t), nil), auth.StoreID{},
		&conform.Options{Write: &conform.Write{Key: writeKey()}})
	if id := auth.StoreIDFromKey(writeKey().PublicKey()); r.Store != id ||
		*r.Written != id || r.Err() != nil {
		t.Errorf("store %s, %v", r.Store, r.Err())
	}
}

// TestReference checks that the known deviations of the reference, and no others, are found and
// marked as known.
func TestReference(t *testing.T) {
	w := newWorld(t, corpus.Small(1), 1<<10)
	server := serve(w.memory(t), nil)
	shape := http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		tail := r.URL.Path[min(len(r.URL.Path), len("/stores/")+64):]
		if !strings.HasPrefix(r.URL.Path, "/stores/") {
			http.NotFound(out, r) // no JSON-RPC tier
			return
		}
		r.Header.Del("Range")
		r.Header.Del("Accept")
		if tail == "/module" && r.Method != "PUT" {
			r.URL.RawQuery = ""
			if len(r.Header.Get("If-None-Match")) != 66 || r.Method == "HEAD" {
				r.Header.Del("If-None-Match")
			}
		}
		store,
			err := auth.ParseStoreID(r.URL.Path[len("/stores/"):min(len(r.URL.Path), len("/stores/")+64)])
		if r.Method == "HEAD" && tail != "/module" && err == nil {
			resign(r, "", store) // authentication always succeeds
		}
		out.Header().Del("X-Content-Type-Options")
		server.ServeHTTP(plain{out}, r)
	})
	r := run(t, shape, w.id, nil)
	got := map[string]string{}
	for _, f := range findings(r) {
		if f.Known == "" {
			t.Errorf("%s differs as nobody knows: wanted %s, found %s", f.Check, f.Wanted, f.Found)
		}
		got[f.Check] = string(f.Verdict)
	}
	want := map[string]string{
		"auth/unsigned-head-descriptor": "fail", "auth/unsigned-head-roots": "fail", "auth/unsigned-head-delta": "fail",
		"module/root-selects": "fail", "module/bad-root": "fail", "module/unknown-root": "fail", "module/head-unknown-root": "fail",
		"module/not-modified-list": "warn", "module/head-not-modified": "warn",
		"range/part": "warn", "range/advertised": "warn", "range/if-range": "warn", "range/not-satisfiable": "warn",
		"recipe/several-ranges": "warn", "errors/in-json": "warn",
	}
	if !maps.Equal(got, want) {
		t.Errorf("found %v\nwant  %v", got, want)
	}
	if err := r.Err(); !errors.Is(err, conform.ErrNonconforming) ||
		!strings.Contains(err.Error(), "module/root-selects") {
		t.Errorf("%v", err)
	}
}

// plain removes headers that the reference does not send.
type plain struct{ http.ResponseWriter }

func (p plain) WriteHeader(status int) {
	p.Header().Del("Accept-Ranges")
	p.ResponseWriter.WriteHeader(status)
}

// TestBelowHTTP checks faults below HTTP, which a handler cannot cause.
func TestBelowHTTP(t *testing.T) {
	w := newWorld(t, corpus.Small(1), 1<<10)
	for _, check := range []string{"route/tls", "limits/headers"} {
		o := &conform.Options{Only: []string{check}}
		r := run(t, serve(w.memory(t), nil), w.id, o, func(next http.RoundTripper) http.RoundTripper {
			return below{next}
		})
		if got := findings(r); len(got) != 1 || got[0].Check != check {
			t.Errorf("%s: found %+v", check, got)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	u, err := remote.ParseURL("http://127.0.0.1:1/stores/" + strings.Repeat("01", 32))
	if err != nil {
		t.Fatal(err)
	}
	bare := u
	bare.Store = auth.StoreID{}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		u    remote.URL
		o    *conform.Options
		want error
	}{
		{"no store", t.Context(), bare, nil, remote.ErrBadURL},
		{"a pattern that is none", t.Context(), u, &conform.Options{Only: []string{"["}}, path.ErrBadPattern},
		{"cancelled", gone, u, nil, context.Canceled},
	} {
		if r, err := conform.Run(tc.ctx, tc.u, tc.o); !errors.Is(err, tc.want) || r != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if _, err := conform.Run(t.Context(), u,
		&conform.Options{Only: []string{"nothing/*"}}); err == nil || !strings.Contains(err.Error(),
		"nothing/*") {
		t.Errorf("no such check: %v", err)
	}
	if _, err := conform.Run(t.Context(), u, nil); err == nil ||
		!strings.Contains(err.Error(), "nothing answers") {
		t.Errorf("nobody there: %v", err)
	}
}

// sample is a report with every verdict and with hostile texts of an origin.
func sample() *conform.Report {
	id := auth.StoreID{1}
	return &conform.Report{Origin: "https://example.org", Store: id, Written: &id,
		Started: time.Unix(1_800_000_000, 0).UTC(), Took: 1500 * time.Millisecond, Asked: 9,
		Results: []conform.Result{
			{Check: "auth/replay", Section: "§2.4", Level: conform.Must, Verdict: conform.Fail, Wanted: "status 401", Found: `200 "<b>&"`, Known: "the reference does", Took: time.Millisecond},
			{Check: "auth/plus-timestamp", Section: "§2.3", Level: conform.Extension, Verdict: conform.Warn, Wanted: "status 401", Found: "200"},
			{Check: "range/part", Section: "§3.3", Level: conform.Extension, Verdict: conform.Skip, Reason: "too short"},
			{Check: "range/head", Section: "§3.4", Level: conform.Must, Verdict: conform.Pass, Took: 2 * time.Second},
		}}
}

func TestReport(t *testing.T) {
	r := sample()
	const table = `https://example.org  store 0100000000000000000000000000000000000000000000000000000000000000
pushed to store 0100000000000000000000000000000000000000000000000000000000000000
fail  auth/replay          must       §2.4
      wanted: status 401
      found:  200 "<b>&"
      known:  the reference does
warn  auth/plus-timestamp  extension  §2.3
      wanted: status 401
      found:  200
skip  range/part  extension  §3.3
      too short
pass  range/head  must  §3.4
1 passed, 1 failed, 1 warnings, 1 skipped; 9 requests in 1.5s
`
	if got := r.String(); strings.Join(strings.Fields(got),
		" ") != strings.Join(strings.Fields(table), " ") {
		t.Errorf("got\n%s", got)
	}
	var out bytes.Buffer
	if err := r.WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	var suites struct {
		Suites []struct {
			Name     string  `xml:"name,attr"`
			Tests    int     `xml:"tests,attr"`
			Failures int     `xml:"failures,attr"`
			Skipped  int     `xml:"skipped,attr"`
			Time     float64 `xml:"time,attr"`
			Cases    []struct {
				Name    string `xml:"name,attr"`
				Class   string `xml:"classname,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
				Skipped *struct {
					Message string `xml:"message,attr"`
				} `xml:"skipped"`
				Out string `xml:"system-out"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	if s := suites.Suites; len(s) != 2 || s[0].Name != "auth" || s[0].Tests != 2 ||
		s[0].Failures != 1 || s[1].Skipped != 1 || s[1].Time != 2 ||
		s[0].Cases[0].Failure.Message != `200 "<b>&"` || !strings.Contains(s[0].Cases[1].Out, "warning") || s[1].Cases[0].Skipped.Message != "too short" {
		t.Errorf("%s", &out)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again conform.Report
	if err := json.Unmarshal(text, &again); err != nil || again.String() != r.String() {
		t.Errorf("%v: %s", err, text)
	}
	for _, w := range []func() error{func() error { return r.WriteTable(full{}) }, func() error {
		return r.WriteJUnit(full{})
	}} {
		if err := w(); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("a writer that fails: %v", err)
		}
	}
}

// full is a writer that fails.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, fs.ErrInvalid }

// TestChecks checks that names are unique and grouped, and that each check has a section.
func TestChecks(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range conform.Checks() {
		if seen[c.Name] || !strings.Contains(c.Name, "/") || c.Section == "" ||
			!slices.Contains([]conform.Level{conform.Must, conform.Should, conform.Extension}, c.Level) {
			t.Errorf("%+v", c)
		}
		seen[c.Name] = true
	}
}

// TestNoSecrets checks that the token is not in a report, even if the origin repeats it.
func TestNoSecrets(t *testing.T) {
	w := newWorld(t, corpus.Small(1), 1<<10)
	server := serve(w.memory(t), nil)
	mirror := http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			server.ServeHTTP(out, r)
			return
		}
		out.WriteHeader(http.StatusTeapot)
		fmt.Fprint(out, r.Header.Get("Authorization"), r.Header.Get("X-Dig-Auth"))
	})
	r := run(t, mirror, w.id, &conform.Options{Write: &conform.Write{Token: "s3cr3t-t0ken"}})
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("s3cr3t-t0ken")) {
		t.Error("the token is in the report")
	}
}
