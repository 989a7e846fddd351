package remote_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

var update = flag.Bool("update", false, "write the goldens anew")

// TestTranscripts holds every route's requests and answers against testdata/transcripts: keys, clock and nonces are
// fixed, so every byte is.
func TestTranscripts(t *testing.T) {
	for _, tc := range []struct {
		name        string
		generations int
		play        func(s *site)
	}{
		{"descriptor", 2, func(s *site) {
			s.do("GET", s.path(""), nil)
			s.do("HEAD", s.path(""), nil)
			s.do("POST", s.path("/tombstone"), strings.NewReader(s.tombstone(auth.Tombstone{Store: s.id, Root: s.heads[0].Root, NotAfter: 1_700_000_000, Reason: auth.Superseded}, s.publisher)), asJSON)
			s.do("GET", s.path(""), nil)
			s.do("GET", "/stores/"+auth.StoreID{1}.String(), nil)
			s.do("GET", "/stores/short", nil)
		}},
		{"roots", 2, func(s *site) {
			s.do("GET", s.path("/roots"), nil)
			s.do("HEAD", s.path("/roots"), nil)
			s.do("POST", s.path("/roots"), nil)
		}},
		{"module", 2, func(s *site) {
			head := s.path("/module?root=" + s.head().Root.String())
			s.do("GET", head, nil)
			s.do("HEAD", head, nil)
			s.do("GET", head, nil, set("If-None-Match", `"`+s.head().Root.String()+`"`))
			s.do("GET", head, nil, set("Range", "bytes=4-7"))
			s.do("GET", head, nil, set("Range", "bytes=99999999-"))
			s.do("GET", s.path("/module?root="+merkle.Hash{1}.String()), nil)
			s.do("GET", s.path("/module?root="+merkle.Hash{1}.String()), nil, set("Accept", "application/json"))
		}},
		{"push", 1, func(s *site) {
			mod, head := s.next()
			parent := s.head().Root
			announce := fmt.Sprintf(`{"parent_root":"%s","new_root":"%s","program_hash":"%s","size_bytes":%d,"store_pubkey":"%s"}`,
				parent, head.Root, merkle.Sum(mod), len(mod), s.publisher.PublicKey())
			s.do("POST", s.path("/module/upload"), strings.NewReader(announce), pushHeaders(head, parent))
			s.put(head, head.Root, mod)
			s.put(head, parent, mod)
			s.put(head, parent, mod)
			s.do("POST", s.path("/module/upload"), strings.NewReader(announce), pushHeaders(head, parent))
			s.do("POST", s.path("/module/complete"), strings.NewReader(`{"upload_id":"x","new_root":"x"}`), pushHeaders(head, parent))
		}},
		{"pending", 1, func(s *site) {
			mod, head := s.next()
			s.put(head, s.head().Root, mod, set("X-Dig-Push-Mode", "pending"))
			s.do("GET", s.path("/roots"), nil)
			s.put(head, s.head().Root, mod)
			s.do("GET", s.path("/roots"), nil)
		}},
		{"tombstone", 1, func(s *site) {
			body := s.tombstone(auth.Tombstone{Store: s.id, NotAfter: 1_700_000_000, Reason: auth.Takedown}, s.publisher)
			s.do("POST", s.path("/tombstone"), strings.NewReader(body), asJSON)
			s.do("POST", s.path("/tombstone"), strings.NewReader("{}"), asJSON)
			s.do("POST", s.path("/tombstone"), strings.NewReader(body))
			mod, head := s.next()
			s.put(head, s.head().Root, mod)
		}},
		{"unauthenticated", 1, func(s *site) {
			unsigned := set("X-Dig-Auth", "00")
			s.do("GET", s.path(""), nil, unsigned)
			s.do("GET", s.path(""), nil, unsigned, set("Accept", "application/json"))
			s.do("HEAD", s.path("/module"), nil, unsigned)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t, tc.generations, nil)
			var got bytes.Buffer
			s.transcript = &got
			tc.play(s)
			golden(t, filepath.Join("transcripts", tc.name+".txt"), got.Bytes())
		})
	}
}

// golden holds got against a file under testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, got, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	wanted, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(wanted), string(got)); diff != "" {
		t.Errorf("%s (-want +got; rewrite with -update):\n%s", name, diff)
	}
}

// record writes one exchange: headers by name, bodies that are no text by length and hash.
func record(w *bytes.Buffer, r *http.Request, sent []byte, res *http.Response, got []byte) {
	fmt.Fprintf(w, "> %s %s\n", r.Method, r.URL.RequestURI())
	lines(w, "> ", r.Header)
	content(w, "> ", sent)
	fmt.Fprintf(w, "< %d %s\n", res.StatusCode, http.StatusText(res.StatusCode))
	lines(w, "< ", res.Header)
	content(w, "< ", got)
	w.WriteByte('\n')
}

func lines(w *bytes.Buffer, mark string, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fmt.Fprintf(w, "%s%s: %s\n", mark, name, v)
		}
	}
}

func content(w *bytes.Buffer, mark string, b []byte) {
	switch {
	case len(b) == 0:
	case utf8.Valid(b) && !bytes.ContainsRune(b, 0):
		fmt.Fprintf(w, "%s\n%s%s\n", mark, mark, b)
	default:
		fmt.Fprintf(w, "%s\n%s(%d bytes, SHA-256 %s)\n", mark, mark, len(b), merkle.Sum(b))
	}
}
