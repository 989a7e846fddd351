package server_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// fileBackend has its module in a plain file.
type fileBackend struct {
	*remotetest.Stores
	name string
}

func (b fileBackend) Module(context.Context, auth.StoreID, merkle.Hash) (io.ReadSeekCloser, error) {
	return os.Open(b.name)
}

// BenchmarkServeModule compares signed whole-module GETs of D2 (one file of 119,500,000 random
// bytes) over loopback with http.ServeFile of the exported file, in turns. The client discards the
// body. Metrics: the speed relative to http.ServeFile, from packs of a workspace (target: at least
// 0.8), from a plain file and from memory.
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
	store, err := ws.Create(b.Context(), digstore.StoreID{},
		&digstore.StoreOptions{Name: "d2", ContentRoot: filepath.Join(dir, "content")})
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
	opt := &server.Options{Limits: noLimit, Now: s.now}
	ways := []struct {
		name string
		h    http.Handler
		took time.Duration
		url  string
	}{
		{name: "ServeFile", h: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) })},
		{name: "packs", h: server.New(ws, opt)},
		{name: "file", h: server.New(fileBackend{inMemory, name}, opt)},
		{name: "memory", h: server.New(inMemory, opt)},
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

// BenchmarkDescriptor measures the smallest signed request, without a network.
func BenchmarkDescriptor(b *testing.B) {
	s := newSite(b, 1, &server.Options{Limits: noLimit})
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

// anyNonce is a nonce store that accepts every nonce, so that a request can be repeated.
type anyNonce struct{}

func (anyNonce) Use(context.Context, request.Nonce, time.Time) error { return nil }

// BenchmarkSmallRequests measures signed descriptor requests of 500 identities from 64 callers for
// each core, without a network, in turns of 1,024. It compares a server that verifies in batches, a
// server that does not, and bare verification of the same signatures in batches of 64. Metrics: the
// rate of the first relative to the other two (targets: at least 1.6 and 0.85), and its median for
// one request when idle relative to one verification (target: at most 1.4).
func BenchmarkSmallRequests(b *testing.B) {
	const identities, round = 500, 1024
	s := newSite(b, 1, nil)
	srv := func(batch int) *server.Server {
		return server.New(s.stores, &server.Options{Limits: noLimit, Now: s.now,
			Authenticator: &request.Authenticator{Now: s.now, Start: start,
				Nonces: anyNonce{}, MaxBatch: batch}})
	}
	batches, single := srv(0), srv(1)
	var requests [identities]*http.Request
	var claims [identities]bls.Claim
	var raw [identities]auth.Signature
	for i := range requests {
		var seed [32]byte
		binary.BigEndian.PutUint32(seed[:], uint32(i))
		k := auth.NewKey(seed)
		requests[i] = httptest.NewRequestWithContext(b.Context(), "GET", s.path(""), nil)
		if err := request.SignAt(requests[i], request.Fetch, s.id, k, s.now(), seed); err != nil {
			b.Fatal(err)
		}
		pub, msg := k.PublicKey(), request.Message(request.Fetch, s.id, s.now(), seed)
		key, err := bls.ParsePublicKey(pub[:])
		sig, err2 := auth.ParseSignature(requests[i].Header.Get(request.HeaderAuth))
		if err != nil || err2 != nil {
			b.Fatal(err, err2)
		}
		claims[i], raw[i] = bls.Claim{Key: key, Message: msg[:]}, sig
	}
	ask := func(by *server.Server, i int) {
		w := httptest.NewRecorder()
		if by.ServeHTTP(w, requests[i%identities]); w.Code != http.StatusOK {
			b.Error(w.Code, w.Body)
		}
	}
	bare := func(from, n int) {
		batch := make([]bls.Claim, n)
		for j := range batch {
			k := (from + j) % identities
			sig, err := bls.ParseSignature(raw[k][:])
			if err != nil {
				b.Error(err)
				return
			}
			batch[j] = claims[k]
			batch[j].Signature = sig
		}
		if ok, err := bls.VerifyBatch(bls.Augmented, batch, crand.Reader); err != nil ||
			slices.Contains(ok, false) {
			b.Error("not verified", err)
		}
	}
	timed := func(callers, each int, f func(i int)) time.Duration {
		var wg sync.WaitGroup
		begin := time.Now()
		for k := range callers {
			wg.Go(func() {
				for j := range each {
					f(k*each + j)
				}
			})
		}
		wg.Wait()
		return time.Since(begin)
	}
	cores := runtime.GOMAXPROCS(0)
	callers := 64 * cores
	each := max(1, round/callers)
	for i := range identities { // keys are known
		ask(batches, i)
		ask(single, i)
	}
	var together, one, alone time.Duration
	var idle, verify []time.Duration
	for b.Loop() {
		together += timed(callers, each, func(i int) { ask(batches, i) })
		one += timed(callers, each, func(i int) { ask(single, i) })
		alone += timed(cores, each, func(i int) { bare(64*i, 64) })
		for i := range 20 {
			idle = append(idle, timed(1, 1, func(int) { ask(batches, i) }))
			verify = append(verify, timed(1, 1, func(int) { bare(i, 1) }))
		}
	}
	slices.Sort(idle)
	slices.Sort(verify)
	b.ReportMetric(float64(one)/float64(together), "x-one-by-one")
	b.ReportMetric(float64(alone)/float64(together), "x-bare")
	b.ReportMetric(float64(idle[len(idle)/2])/float64(verify[len(verify)/2]), "x-idle-p50")
	b.ReportMetric(float64(callers*each*b.N)/together.Seconds(), "requests/s")
}
