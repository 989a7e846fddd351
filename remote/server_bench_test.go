package remote_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// fileBackend has its module in a plain file.
type fileBackend struct {
	*remotetest.Stores
	name string
}

func (b fileBackend) Module(context.Context, auth.StoreID, merkle.Hash) (io.ReadSeekCloser, error) {
	return os.Open(b.name)
}

// BenchmarkServeModule holds whole-module GETs, signed, over loopback, against http.ServeFile of the same bytes.
func BenchmarkServeModule(b *testing.B) {
	s := newSite(b, 0, nil)
	data := make([]byte, 32<<20)
	rand.NewChaCha8([32]byte{}).Read(data)
	head, err := s.memory.Publish(b.Context(), s.publisher, fstest.MapFS{"file": {Data: data}})
	if err != nil {
		b.Fatal(err)
	}
	m, err := s.memory.Module(b.Context(), head.Root)
	if err != nil {
		b.Fatal(err)
	}
	whole, err := io.ReadAll(m)
	if err != nil {
		b.Fatal(err)
	}
	name := filepath.Join(b.TempDir(), "module")
	if err := os.WriteFile(name, whole, 0o666); err != nil {
		b.Fatal(err)
	}
	opt := &remote.ServerOptions{Limits: noLimit, Now: s.now}
	for _, tc := range []struct {
		name string
		h    http.Handler
	}{
		{"http.ServeFile", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) })},
		{"file", remote.NewServer(fileBackend{s.stores, name}, opt)},
		{"memory", remote.NewServer(s.stores, opt)},
	} {
		b.Run(tc.name, func(b *testing.B) {
			l := httptest.NewServer(tc.h)
			defer l.Close()
			b.SetBytes(int64(len(whole)))
			buf := make([]byte, 256<<10)
			for b.Loop() {
				r := s.request("GET", l.URL+s.path("/module"), nil)
				r.RequestURI = ""
				res, err := l.Client().Do(r)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, buf)
				if err != nil || n != int64(len(whole)) {
					b.Fatal(res.Status, n, err)
				}
				res.Body.Close()
			}
		})
	}
}

// BenchmarkDescriptor is the smallest signed request, without a network.
func BenchmarkDescriptor(b *testing.B) {
	s := newSite(b, 1, &remote.ServerOptions{Limits: noLimit})
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		r := s.request("GET", s.path(""), nil)
		b.StartTimer()
		if res := s.answer(r); res.StatusCode != 200 {
			b.Fatal(res.Status)
		}
	}
}
