package remote_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
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

// BenchmarkServeModule holds whole-module GETs of D2 (one file of 119,500,000 random bytes), signed, over loopback, to
// http.ServeFile of the exported file without any check, in turns; the client discards what it gets. Figures: the
// speed against that of http.ServeFile (at least 0.8 is wanted of packs), out of packs as a workspace keeps them, out
// of a plain file and out of memory.
func BenchmarkServeModule(b *testing.B) {
	dir := b.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "content"), 0o777); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 119_500_000)
	rand.NewChaCha8([32]byte{}).Read(data)
	if err := os.WriteFile(filepath.Join(dir, "content", "big.bin"), data, 0o666); err != nil {
		b.Fatal(err)
	}
	ws, err := digstore.Init(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer ws.Close()
	store, err := ws.Create(digstore.StoreID{}, &digstore.StoreOptions{Name: "d2", ContentRoot: filepath.Join(dir, "content")})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := store.Commit(b.Context(), nil, nil); err != nil {
		b.Fatal(err)
	}
	head, err := store.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	m, err := ws.Module(b.Context(), store.ID(), head.Root)
	if err != nil {
		b.Fatal(err)
	}
	whole, err := io.ReadAll(m)
	if err != nil {
		b.Fatal(err)
	}
	name := filepath.Join(dir, "module")
	if err := os.WriteFile(name, whole, 0o666); err != nil {
		b.Fatal(err)
	}
	s := newSite(b, 0, nil)
	memory := remotetest.NewMemory(store.ID(), s.now)
	if err := memory.Add(b.Context(), head, bytes.NewReader(whole)); err != nil {
		b.Fatal(err)
	}
	inMemory := remotetest.NewStores(s.now, memory)
	opt := &remote.ServerOptions{Limits: noLimit, Now: s.now}
	ways := []struct {
		name string
		h    http.Handler
		took time.Duration
		url  string
	}{
		{name: "ServeFile", h: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) })},
		{name: "packs", h: remote.NewServer(ws, opt)},
		{name: "file", h: remote.NewServer(fileBackend{inMemory, name}, opt)},
		{name: "memory", h: remote.NewServer(inMemory, opt)},
	}
	for i := range ways {
		l := httptest.NewServer(ways[i].h)
		defer l.Close()
		ways[i].url = l.URL + "/stores/" + store.ID().String() + "/module"
	}
	buf := make([]byte, 256<<10)
	get := func(url string) time.Duration {
		r := s.request("GET", url, nil)
		r.RequestURI = ""
		start := time.Now()
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		defer res.Body.Close()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, buf)
		if err != nil || n != int64(len(whole)) {
			b.Fatal(res.Status, n, err)
		}
		return time.Since(start)
	}
	b.SetBytes(int64(len(ways) * len(whole)))
	for b.Loop() {
		for i := range ways {
			ways[i].took += get(ways[i].url)
		}
	}
	for _, w := range ways[1:] {
		b.ReportMetric(float64(ways[0].took)/float64(w.took), "x-"+w.name)
	}
	http.DefaultClient.CloseIdleConnections()
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
