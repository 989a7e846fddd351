package conform_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/remote/conform"
)

// A reply is an answer before it is sent, with its request.
type reply struct {
	*http.Request
	sent   string // body of the request, if it is short
	status int
	header http.Header
	body   []byte
	nth    int // of the requests that this spoil has seen, from 1
}

// tail returns the part of the path after /stores/{id}.
func (a *reply) tail() string {
	parts := strings.SplitN(a.URL.Path, "/", 4)
	if len(parts) < 4 {
		return ""
	}
	return "/" + parts[3]
}

// is reports whether the request has a method and a tail, and the answer is a success.
func (a *reply) is(method, tail string) bool {
	return a.Method == method && a.tail() == tail &&
		strings.HasPrefix(a.URL.Path, "/stores/") && a.status/100 == 2
}

// edit changes the JSON object of the answer.
func (a *reply) edit(change func(map[string]any)) {
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.UseNumber()
	var m map[string]any
	if dec.Decode(&m) != nil || m == nil {
		return
	}
	change(m)
	a.body, _ = json.Marshal(m)
}

// result changes the result of a JSON-RPC answer.
func (a *reply) result(change func(map[string]any)) {
	a.edit(func(m map[string]any) {
		if r, ok := m["result"].(map[string]any); ok {
			change(r)
		}
	})
}

// A spoil is one fault of an origin.
type spoil struct {
	check  string // the check that must find it
	always bool   // not only during that check, because several checks share the request
	change func(a *reply)
}

// spoiled returns a correct origin except for the fault sp. now returns the check being made.
func spoiled(next http.Handler, sp spoil, now func() string) http.Handler {
	var mu sync.Mutex
	first, seen := true, 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		early := first // of no check: the request that tests whether the origin answers
		first = false
		mu.Unlock()
		if !sp.always && (early || now() != sp.check) {
			next.ServeHTTP(w, r)
			return
		}
		a := &reply{Request: r}
		if r.ContentLength > 0 && r.ContentLength < 1<<16 && r.Header.Get("Expect") == "" {
			body, _ := io.ReadAll(r.Body)
			a.sent = string(body)
			r = r.Clone(r.Context())
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		kept := httptest.NewRecorder()
		next.ServeHTTP(kept, r)
		a.status, a.header, a.body = kept.Code, kept.Result().Header, kept.Body.Bytes()
		mu.Lock()
		seen++
		a.nth = seen
		mu.Unlock()
		sp.change(a)
		for name, values := range a.header {
			w.Header()[name] = values
		}
		if a.Method != http.MethodHead && (a.status == http.StatusOK || a.status >= 400) &&
			a.header.Get("Content-Length") != "" {
			w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		}
		w.WriteHeader(a.status)
		if a.Method != http.MethodHead && a.status != http.StatusNoContent &&
			a.status != http.StatusNotModified {
			w.Write(a.body)
		}
	})
}

// accepted turns a refusal into a success.
func accepted(a *reply) {
	if a.status >= 400 {
		a.status, a.body = http.StatusOK, []byte("{}")
		a.header.Set("Content-Type", "application/json")
	}
}

// taken turns the refusal of a push into a success.
func taken(a *reply) {
	if a.status >= 400 {
		a.status, a.body = http.StatusCreated, nil
	}
}

// withStatus replaces the status of a success.
func withStatus(status int) func(*reply) {
	return func(a *reply) {
		if a.status/100 == 2 || a.status == http.StatusNotModified {
			a.status, a.body = status, []byte("teapot")
			a.header.Set("Content-Type", "text/plain")
		}
	}
}

// answers changes the answers to one route.
func answers(method, tail string, change func(a *reply)) func(*reply) {
	return func(a *reply) {
		if a.is(method, tail) {
			change(a)
		}
	}
}

// edits changes members of the answers to one route.
func edits(method, tail string, change func(m map[string]any)) func(*reply) {
	return answers(method, tail, func(a *reply) { a.edit(change) })
}

// set is an edit of one member.
func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

// setHeader changes a header.
func setHeader(name, value string) func(*reply) {
	return func(a *reply) { a.header.Set(name, value) }
}

// calls changes results of the JSON-RPC tier.
func calls(change func(m map[string]any)) func(*reply) {
	return func(a *reply) { a.result(change) }
}

// code changes the code of errors.
func code(n int) func(*reply) {
	return func(a *reply) {
		a.edit(func(m map[string]any) {
			if e, ok := m["error"].(map[string]any); ok {
				e["code"] = n
			}
		})
	}
}

// long reports whether to run all cases.
func long() bool { return strings.Contains(os.Getenv("DIG_TEST"), "long") }

// TestSpoiled checks that each fault is found by its check and by no other of its group. The short
// run omits most of the others.
func TestSpoiled(t *testing.T) {
	w := newWorld(t, corpus.Small(1), 100<<10)
	made := map[string]bool{}
	for _, sp := range spoils(w) {
		if made[sp.check] {
			t.Errorf("%s is spoiled twice", sp.check)
		}
		made[sp.check] = true
		t.Run(sp.check, func(t *testing.T) {
			t.Parallel()
			group, _, _ := strings.Cut(sp.check, "/")
			// these make requests that the others need
			o := &conform.Options{Only: []string{sp.check, "descriptor/signature", "roots/order"}}
			if long() || group == "errors" {
				o.Only = []string{group + "/*"}
			}
			switch group {
			case "push", "refuse", "revoke":
				o.Only = append(o.Only, "push/first", "push/second")
				if sp.check == "refuse/leaves-no-trace" {
					o.Only = append(o.Only, "refuse/rollback")
				}
				o.Write = &conform.Write{Key: writeKey(), RevokeStore: true, Token: "t0ken"}
			case "errors":
				o.Only = append(o.Only, "descriptor/unknown-store")
			}
			r := runSpoiled(t, w, sp, o)
			got := findings(r)
			if len(got) != 1 || got[0].Check != sp.check || got[0].Wanted == "" || got[0].Found == "" {
				t.Errorf("found %+v", got)
			}
		})
	}
	for _, c := range conform.Checks() {
		switch c.Name {
		case "route/tls", "limits/headers": // TestBelowHTTP
		default:
			if !made[c.Name] {
				t.Errorf("nothing shows that %s finds anything", c.Name)
			}
		}
	}
}

// writeKey is the publisher's key of the store that is pushed to.
func writeKey() *auth.Key { return auth.NewKey([32]byte{9}) }

// runSpoiled checks an origin with one fault.
func runSpoiled(t *testing.T, w *world, sp spoil, o *conform.Options) *conform.Report {
	t.Helper()
	order := conform.Checks()
	var wanted []string
	for _, c := range order {
		if chosen(o.Only, c.Name) && (o.Write != nil || !c.Writes) {
			wanted = append(wanted, c.Name)
		}
	}
	var mu sync.Mutex
	at := 0
	o.Progress = func(done, total int, _ conform.Result) {
		mu.Lock()
		defer mu.Unlock()
		if at = done; total != len(wanted) {
			t.Errorf("%d checks, want %d", total, len(wanted))
		}
	}
	now := func() string {
		mu.Lock()
		defer mu.Unlock()
		if at == len(wanted) {
			return ""
		}
		return wanted[at]
	}
	return run(t, spoiled(serve(w.memory(t), sp.options()), sp, now), w.id, o)
}
