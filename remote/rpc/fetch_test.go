package rpc_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/rpc"
)

// scratch returns a temporary file.
func scratch(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "scratch"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestFetch: Fetch returns and refuses the same as Read.
func TestFetch(t *testing.T) {
	s := newSite(t, 2, true)
	c := client(t, s, nil)
	for n, head := range s.heads {
		for name, file := range files(n) {
			var got bytes.Buffer
			if err := c.Fetch(t.Context(), s.urn(name, head.Root), nil, scratch(t), &got); err != nil ||
				!bytes.Equal(got.Bytes(), file.Data) {
				t.Errorf("generation %d, %s: %d bytes, %v", n, name, got.Len(), err)
			}
		}
	}
	small := client(t, s, &rpc.ClientOptions{MaxContent: 1 << 20})
	for _, tc := range []struct {
		name string
		c    *rpc.Client
		u    urn.URN
		salt *urn.Salt
		want error
	}{
		{"no root", c, s.urn("index.html", merkle.Hash{}), nil, remote.ErrUntrusted},
		{"no such resource", c, s.urn("nowhere", s.head()), nil, remote.ErrVerification},
		{"no such generation", c, s.urn("index.html", merkle.Hash{1}), nil, fs.ErrNotExist},
		{"too large", small, s.urn("large.bin", s.head()), nil, remote.ErrTooLarge},
		{"another salt", c, s.urn("index.html", s.head()), &urn.Salt{1}, urn.ErrSealed},
	} {
		var got bytes.Buffer
		if err := tc.c.Fetch(t.Context(), tc.u, tc.salt, scratch(t), &got); !errors.Is(err, tc.want) ||
			got.Len() > 0 {
			t.Errorf("%s: %d bytes, %v; want %v", tc.name, got.Len(), err, tc.want)
		}
	}
	if err := c.Fetch(t.Context(), s.urn("index.html", s.head()), nil, full{},
		io.Discard); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("no room: %v", err)
	}
}

// full is a scratch whose writes fail.
type full struct{}

func (full) ReadAt([]byte, int64) (int, error)  { return 0, io.EOF }
func (full) WriteAt([]byte, int64) (int, error) { return 0, fs.ErrInvalid }

// TestFetchFromLiars: no plaintext is written before it is proven.
func TestFetchFromLiars(t *testing.T) {
	s := newSite(t, 1, false)
	for _, tc := range []struct {
		name string
		lie  func(n int, w wire) any
	}{
		{"a flipped bit", func(n int, w wire) any { return flip(w, "ciphertext") }},
		{"a flipped bit of the proof", func(n int, w wire) any { return flip(w, "inclusion_proof") }},
		{"no proof", func(n int, w wire) any { w["inclusion_proof"] = nil; return w }},
		{"chunks that do not add up", func(n int, w wire) any { w["chunk_lens"] = []int{1}; return w }},
		{"chunks of more than there is", func(n int, w wire) any { w["chunk_lens"] = []uint32{1 << 31, 1 << 31}; return w }},
		{"chunks of another length", func(n int, w wire) any {
			w["chunk_lens"] = []int64{20, w.number("length") - 20}
			return w
		}},
		{"another root", func(n int, w wire) any { w["root"] = merkle.Hash{1}; return w }},
	} {
		var got bytes.Buffer
		err := client(t, s.answering(tc.lie), nil).Fetch(t.Context(), s.urn("index.html", s.head()),
			nil, scratch(t), &got)
		if !errors.Is(err, remote.ErrVerification) || got.Len() > 0 {
			t.Errorf("%s: %d bytes, %v", tc.name, got.Len(), err)
		}
	}
}

// TestUnaligned reads from a node that aligns the end of a window up and from one that does not
// align at all, like versions of the reference.
func TestUnaligned(t *testing.T) {
	data := make([]byte, 2*rpc.MaxWindow+5*rpc.Block+99)
	for i := range data {
		data[i] = byte(i >> 8)
	}
	for _, span := range []int{rpc.MaxWindow + rpc.Block, rpc.MaxWindow, 1_000_003} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			var id, from int
			at := strings.Index(string(body), `"offset":`)
			fmt.Sscanf(string(body)[at:], `"offset":%d`, &from)
			at = strings.Index(string(body), `"id":`)
			fmt.Sscanf(string(body)[at:], `"id":%d`, &id)
			end := min(len(data), from+span)
			next := "null"
			if end < len(data) {
				next = fmt.Sprint(end)
			}
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%d,"result":{"ciphertext":"%s","total_length":%d,"offset":%d,"length":%d,"complete":%v,"next_offset":%s}}`,
				id, base64Of(data[from:end]), len(data), from, end-from, end == len(data), next)
		})
		r, err := client(t, h, nil).Module(t.Context(), moduleID(1), 0)
		if got := readAll(t, r, err); !bytes.Equal(got, data) {
			t.Errorf("windows of %d bytes: %d bytes, want %d", span, len(got), len(data))
		}
	}
}
