package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// ranges asks for n single bytes.
func ranges(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%d-%d", 2*i, 2*i)
	}
	return "bytes=" + strings.Join(list, ",")
}

func add(name, value string) header { return func(r *http.Request) { r.Header.Add(name, value) } }

func TestModuleRequests(t *testing.T) {
	s := newSite(t, 3, nil)
	old, head := s.heads[0].Root.String(), s.head().Root.String()
	body, size := string(s.modules[2]), len(s.modules[2])
	other := merkle.Sum([]byte("another")).String()
	tag := func(root string) string { return `"` + root + `"` }
	for _, tc := range []struct {
		name, method, query string
		headers             []header
		status              int
		body                string // "*": any
		tag                 string
	}{
		{"head by default", "GET", "", nil, 200, body, head},
		{"head by name", "GET", "?root=" + head, nil, 200, body, head},
		{"upper case", "GET", "?root=" + strings.ToUpper(head), nil, 200, body, head},
		{"older", "GET", "?root=" + old, nil, 200, string(s.modules[0]), old},
		{"unknown root", "GET", "?root=" + other, nil, 404, "unknown root", ""},
		{"zero root", "GET", "?root=" + strings.Repeat("0", 64), nil, 404, "unknown root", ""},
		{"empty root", "GET", "?root=", nil, 400, "bad request: bad root", ""},
		{"short root", "GET", "?root=" + head[1:], nil, 400, "bad request: bad root", ""},
		{"HEAD", "HEAD", "?root=" + head, nil, 200, "", head},
		{"HEAD of unknown", "HEAD", "?root=" + other, nil, 404, "", ""},
		{"none match, ours", "GET", "", []header{set("If-None-Match", tag(head))}, 304, "", head},
		{"none match, other", "GET", "", []header{set("If-None-Match", tag(old))}, 200, body, head},
		{"none match, list", "GET", "", []header{set("If-None-Match", tag(old)+", "+tag(head))}, 304, "", head},
		{"none match, weak", "GET", "", []header{set("If-None-Match", "W/"+tag(head))}, 304, "", head},
		{"none match, star", "GET", "", []header{set("If-None-Match", "*")}, 304, "", head},
		{"none match, unquoted", "GET", "", []header{set("If-None-Match", head)}, 200, body, head},
		{"none match, HEAD", "HEAD", "", []header{set("If-None-Match", tag(head))}, 304, "", head},
		{"range", "GET", "", []header{set("Range", "bytes=2-5")}, 206, body[2:6], head},
		{"range to the end", "GET", "", []header{set("Range", "bytes=100-")}, 206, body[100:], head},
		{"last bytes", "GET", "", []header{set("Range", "bytes=-7")}, 206, body[size-7:], head},
		{"range, same tag", "GET", "", []header{set("Range", "bytes=2-5"), set("If-Range", tag(head))}, 206, body[2:6], head},
		{"range, other tag", "GET", "", []header{set("Range", "bytes=2-5"), set("If-Range", tag(old))}, 200, body, head},
		{"range past the end", "GET", "", []header{set("Range", "bytes="+strconv.Itoa(size)+"-")}, 416, "bad request: range not satisfiable", ""},
		{"several ranges", "GET", "", []header{set("Range", "bytes=0-1,4-5")}, 206, "*", head},
		{"overlapping ranges", "GET", "", []header{set("Range", "bytes=0-4,4-5")}, 200, body, head},
		{"ranges out of order", "GET", "", []header{set("Range", "bytes=4-5,0-1")}, 200, body, head},
		{"several last bytes", "GET", "", []header{set("Range", "bytes=-5,-4")}, 200, body, head},
		{"too many ranges", "GET", "", []header{set("Range", ranges(257))}, 200, body, head},
		{"ranges in two lines", "GET", "", []header{set("Range", "bytes=0-1"), add("Range", "bytes=4-5")}, 200, body, head},
		{"range of HEAD", "HEAD", "", []header{set("Range", "bytes=0-1")}, 200, "", head},
		{"other unit", "GET", "", []header{set("Range", "chunks=0-1")}, 200, body, head},
		{"compression wanted", "GET", "", []header{set("Accept-Encoding", "gzip, br")}, 200, body, head},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := s.do(tc.method, s.path("/module"+tc.query), nil, tc.headers...)
			want(t, res, tc.status, tc.body)
			if tc.tag != "" && res.Header.Get("ETag") != tag(tc.tag) ||
				tc.tag == "" && res.Header.Get("ETag") != "" {
				t.Errorf("ETag %q, want %q", res.Header.Get("ETag"), tc.tag)
			}
			if res.Header.Get("Content-Encoding") != "" ||
				res.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers: %v", res.Header)
			}
			if tc.status == 200 {
				n := size
				if tc.tag == old {
					n = len(s.modules[0])
				}
				if got := res.Header.Get("Content-Length"); got != strconv.Itoa(n) {
					t.Errorf("Content-Length %s, want %d", got, n)
				}
				if got := res.Header.Get("Content-Type"); got != "application/wasm" {
					t.Errorf("Content-Type %s", got)
				}
			}
		})
	}
}

func TestEmptyStore(t *testing.T) {
	s := newSite(t, 0, nil)
	want(t, s.do("GET", s.path(""), nil), 404, "unknown root")
	want(t, s.do("GET", s.path("/module"), nil), 404, "unknown root")
	want(t, s.do("GET", s.path("/roots"), nil), 200, `{"roots":[]}`)
}

func TestRouter(t *testing.T) {
	s := newSite(t, 1, nil)
	other := "/stores/" + strings.Repeat("ab", 32)
	for _, tc := range []struct {
		method, target string
		status         int
		body           string
	}{
		{"GET", "/", 404, "not found"},
		{"GET", "/stores", 404, "not found"},
		{"GET", "/stores/", 400, "bad request: bad store id"},
		{"GET", "/stores/abc", 400, "bad request: bad store id"},
		{"GET", "/stores/" + strings.Repeat("g", 64) + "/roots", 400, "bad request: bad store id"},
		{"GET", s.path("/"), 404, "not found"},
		{"GET", s.path("/module/"), 404, "not found"},
		{"GET", s.path("//module"), 404, "not found"},
		{"GET", s.path("/../module"), 404, "not found"},
		{"GET", s.path("%2Fmodule"), 404, "not found"},
		{"POST", s.path("/content/"), 404, "not found"},
		{"GET", s.path("/content"), 405, "method not allowed"},
		{"GET", s.path("/proof"), 405, "method not allowed"},
		{"PUT", s.path("/delta"), 405, "method not allowed"},
		{"POST", s.path(""), 405, "method not allowed"},
		{"DELETE", s.path("/module"), 405, "method not allowed"},
		{"GET", s.path("/tombstone"), 405, "method not allowed"},
		{"OPTIONS", s.path("/roots"), 405, "method not allowed"},
		{"GET", other, 404, "unknown store"},
		{"GET", other + "/roots", 404, "unknown store"},
		{"GET", other + "/module", 404, "unknown store"},
	} {
		res := s.do(tc.method, tc.target, nil)
		t.Run(tc.method+" "+tc.target, func(t *testing.T) { want(t, res, tc.status, tc.body) })
	}
	res := s.do("DELETE", s.path("/module"), nil)
	if got := res.Header.Get("Allow"); got != "GET, HEAD, PUT" {
		t.Errorf("Allow %q", got)
	}
}

func TestReadOnlyBackendHasReadRoutes(t *testing.T) {
	s := newSite(t, 1, nil)
	s.serve(struct{ server.Backend }{s.stores}, nil)
	want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[0]))
	want(t, s.put(s.heads[0], merkle.Hash{}, s.modules[0]), 405, "method not allowed")
	want(t, s.do("POST", s.path("/module/upload"), nil), 404, "not found")
	want(t, s.do("POST", s.path("/tombstone"), nil), 404, "not found")
	for _, err := range s.server.Serving(t.Context()) {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Serving: %v", err)
		}
	}
}

func TestServing(t *testing.T) {
	s := newSite(t, 2, nil)
	empty := remotetest.NewMemory(auth.StoreID{1}, s.now)
	s.serve(remotetest.NewStores(s.now, s.memory, empty), nil)
	got := map[auth.StoreID]module.ID{}
	for id, err := range s.server.Serving(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got[id.Store] = id
	}
	if len(got) != 2 || got[s.id].Root != s.head().Root || !got[empty.ID()].Root.IsZero() {
		t.Errorf("serving %v", got)
	}
	s.serve(remotetest.NewStores(s.now, s.memory, empty),
		&server.Options{Only: []auth.StoreID{empty.ID()}})
	want(t, s.do("GET", s.path(""), nil), 404, "unknown store")
	for id := range s.server.Serving(t.Context()) {
		if id.Store != empty.ID() {
			t.Errorf("serving %v", id)
		}
	}
}

func TestErrorsInTheFormAskedFor(t *testing.T) {
	s := newSite(t, 1, nil)
	const plain, json = "unknown root", `{"error":"not_found","message":"unknown root"}`
	for accept, body := range map[string]string{
		"":                                  plain,
		"*/*":                               plain,
		"text/plain, application/json":      plain,
		"application/json":                  json,
		"application/json;q=0.5":            json,
		"text/plain;q=0.1, */*":             json,
		"application/*, text/*;q=0.9":       json,
		"application/json;q=0":              plain,
		"application/json;q=nonsense":       plain,
		"text/html, application/json; q=.2": json,
	} {
		res := s.do("GET", s.path("/module?root="+strings.Repeat("1", 64)), nil, set("Accept", accept))
		t.Run(accept, func(t *testing.T) { want(t, res, 404, body) })
	}
}

func TestWithholdRevoked(t *testing.T) {
	s := newSite(t, 2, nil)
	tomb, err := auth.SignTombstone(t.Context(),
		auth.Tombstone{Store: s.id, Root: s.heads[0].Root}, s.publisher)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.memory.Revoke(t.Context(), tomb); err != nil {
		t.Fatal(err)
	}
	revoked := s.path("/module?root=" + s.heads[0].Root.String())
	want(t, s.do("GET", revoked, nil), 200, string(s.modules[0]))
	s.serve(s.stores, &server.Options{WithholdRevoked: true})
	want(t, s.do("GET", revoked, nil), 410, "revoked")
	want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[1]))
}

func TestHeadOfEveryReadRoute(t *testing.T) {
	s := newSite(t, 1, nil)
	for _, tail := range []string{"", "/roots", "/module"} {
		get, head := s.do("GET", s.path(tail), nil), s.do("HEAD", s.path(tail), nil)
		want(t, head, 200, "")
		if get.Header.Get("Content-Type") != head.Header.Get("Content-Type") {
			t.Errorf("%s: %v and %v", tail, get.Header, head.Header)
		}
		// stops the fixture from signing
		unsigned := func(r *http.Request) { r.Header.Set("X-Dig-Auth", "none") }
		want(t, s.do("HEAD", s.path(tail), nil, unsigned), 401, "")
	}
}
