package tier_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/node/tier"
)

// sixteen is a generation of one capsule of 16 MiB.
func sixteen(t testing.TB) generation {
	t.Helper()
	var content []byte
	for seed := uint64(0); len(content) < capsule.DefaultSize; seed++ {
		content = append(content, corpus.Small(seed).Concat()...)
	}
	content = content[:capsule.DefaultSize]
	m, err := capsule.Split(context.Background(), auth.StoreID{1}, bytes.NewReader(content), nil,
		func(_ capsule.Descriptor, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
	check(t, err)
	return generation{m, [][]byte{content}}
}

// plain reads a file, hashes it once, and writes it.
func plain(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer f.Close()
		h := sha256.New()
		buf := make([]byte, 128<<10)
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.TeeReader(f, h)}, buf)
		h.Sum(nil)
	}
}

// serve answers with a capsule.
func serve(b *bench, ref capsule.Ref, cold bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := b.Get(r.Context(), ref, "")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer c.Close()
		http.ServeContent(w, r, "", time.Time{}, c)
		if cold {
			b.Uncache(c.Descriptor.Hash)
		}
	}
}

// BenchmarkGet compares reads of 16 MiB over loopback with plain handlers: l1 with memory, and plot
// with file.
func BenchmarkGet(b *testing.B) {
	t := newBench(b, b.TempDir(), func(c *tier.Config) { c.Settings.Compression = "none" })
	g := sixteen(b)
	t.put(b, g)
	_, err := t.CreatePlot(b.Context(), tier.PlotRequest{Generations: keys(g)})
	check(b, err)
	path := filepath.Join(b.TempDir(), "file")
	check(b, os.WriteFile(path, g.contents[0], 0o600))
	for _, h := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"memory", func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(g.contents[0]))
		}},
		{"l1", serve(t, g.ref(0), false)},
		{"file", plain(path)},
		{"plot", serve(t, g.ref(0), true)},
	} {
		b.Run(h.name, func(b *testing.B) {
			s := httptest.NewServer(h.handler)
			defer s.Close()
			get := func() {
				r, err := http.Get(s.URL)
				check(b, err)
				n, err := io.Copy(io.Discard, r.Body)
				check(b, err)
				check(b, r.Body.Close())
				if n != capsule.DefaultSize {
					b.Fatalf("%d bytes", n)
				}
			}
			for range 3 {
				get()
			}
			b.SetBytes(capsule.DefaultSize)
			for b.Loop() {
				get()
			}
		})
	}
}
