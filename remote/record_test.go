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
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/merkle"
)

var update = flag.Bool("update", false, "write the goldens anew")

// golden compares got with a file under testdata, or writes the file.
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

// record writes one exchange: headers by name, and long or binary bodies by length and hash.
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
	case utf8.Valid(b) && !bytes.ContainsRune(b, 0) && len(b) < 20_000:
		fmt.Fprintf(w, "%s\n%s%s\n", mark, mark, b)
	default:
		fmt.Fprintf(w, "%s\n%s(%d bytes, SHA-256 %s)\n", mark, mark, len(b), merkle.Sum(b))
	}
}
