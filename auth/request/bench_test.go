package request_test

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/bls"
)

func BenchmarkSign(b *testing.B) {
	k, r := auth.NewKey(seed(1)), get(b)
	for b.Loop() {
		if err := request.Sign(r, request.Fetch, auth.StoreID{}, k); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheck checks one request again and again, with a nonce store that forgets.
func BenchmarkCheck(b *testing.B) {
	now := time.Unix(1700000000, 0)
	guard := &request.Authenticator{Now: clock(now), Nonces: store{}}
	r := get(b)
	r.Header = sign(b, request.Fetch, auth.StoreID{}, auth.NewKey(seed(1)), now, seed(1))
	for b.Loop() {
		if _, err := guard.Check(r, request.Fetch, auth.StoreID{}); err != nil {
			b.Fatal(err)
		}
	}
}

// requests are signed requests of many identities, and what the signatures are over.
type requests struct {
	requests []*http.Request
	claims   []bls.Claim
	raw      []auth.Signature
}

func newRequests(b *testing.B, identities int, now time.Time) *requests {
	c := &requests{}
	for i := range identities {
		var nonce [request.NonceSize]byte
		binary.BigEndian.PutUint32(nonce[:], uint32(i))
		k, r := auth.NewKey(nonce), get(b)
		if err := request.SignAt(r, request.Fetch, auth.StoreID{}, k, now, nonce); err != nil {
			b.Fatal(err)
		}
		pub, msg := k.PublicKey(), request.Message(request.Fetch, auth.StoreID{}, now, nonce)
		key, err := bls.ParsePublicKey(pub[:])
		sig, err2 := auth.ParseSignature(r.Header.Get(request.HeaderAuth))
		if err != nil || err2 != nil {
			b.Fatal(err, err2)
		}
		c.requests, c.raw = append(c.requests, r), append(c.raw, sig)
		c.claims = append(c.claims, bls.Claim{Key: key, Message: msg[:]})
	}
	return c
}

// guards returns one that verifies in batches and one that does not, with nonce stores that forget.
func guards(now time.Time) (batches, single *request.Authenticator) {
	return &request.Authenticator{Now: clock(now),
		Nonces: store{}}, &request.Authenticator{Now: clock(now), Nonces: store{}, MaxBatch: 1}
}

// check authenticates request i.
func (c *requests) check(g *request.Authenticator, i int) error {
	_, err := g.Check(c.requests[i%len(c.requests)], request.Fetch, auth.StoreID{})
	return err
}

// bare verifies n claims from i on in one batch, signatures parsed as they came.
func (c *requests) bare(i, n int) error {
	claims := make([]bls.Claim, n)
	for j := range claims {
		k := (i + j) % len(c.claims)
		sig, err := bls.ParseSignature(c.raw[k][:])
		if err != nil {
			return err
		}
		claims[j] = c.claims[k]
		claims[j].Signature = sig
	}
	ok, err := bls.VerifyBatch(bls.Augmented, claims, rand.Reader)
	if err == nil && slices.Contains(ok, false) {
		err = errors.New("a true claim was refused")
	}
	return err
}

// BenchmarkSaturated checks requests of 500 identities, 64 callers for each core.
func BenchmarkSaturated(b *testing.B) {
	now := time.Unix(1700000000, 0)
	c := newRequests(b, 500, now)
	batches, single := guards(now)
	for _, mode := range []struct {
		name  string
		guard *request.Authenticator
	}{{"one by one", single}, {"batches", batches}} {
		b.Run(mode.name, func(b *testing.B) {
			var next atomic.Int64
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := c.check(mode.guard, int(next.Add(1))); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkRatios measures the ways side by side in short turns, so that they see the same
// machine: a round is 1,024 requests, from 64 callers for each core. Figures: batches against
// one by one and against bare batches (more is better, at least 1.6 and 0.85 are wanted), a
// flood of bad signatures against one by one (at most about 1.1), and one request when idle
// against its verification alone (at most 1.4).
func BenchmarkRatios(b *testing.B) {
	const round = 1024
	now := time.Unix(1700000000, 0)
	c := newRequests(b, 500, now)
	batches, single := guards(now)
	flooded, _ := guards(now)
	bad := &requests{requests: make([]*http.Request, len(c.requests))}
	for i, r := range c.requests {
		bad.requests[i] = get(b)
		bad.requests[i].Header = r.Header.Clone()
		bad.requests[i].Header[request.HeaderAuth] = c.requests[(i+
			1)%len(c.requests)].Header[request.HeaderAuth]
	}
	cores := runtime.GOMAXPROCS(0)
	timed := func(callers, each int, f func(i int)) time.Duration {
		var wg sync.WaitGroup
		start := time.Now()
		for k := range callers {
			wg.Go(func() {
				for j := range each {
					f(k*each + j)
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	must := func(err error) {
		if err != nil {
			b.Error(err)
		}
	}
	callers := 64 * cores
	each := max(1, round/callers)
	done := callers * each
	var one, together, bare, flood time.Duration
	var idle, alone []time.Duration
	for b.Loop() {
		one += timed(callers, each, func(i int) { must(c.check(single, i)) })
		together += timed(callers, each, func(i int) { must(c.check(batches, i)) })
		bare += timed(cores, done/cores/64, func(i int) { must(c.bare(64*i, 64)) })
		flood += timed(callers, each, func(i int) {
			if bad.check(flooded, i) == nil {
				b.Error("accepted")
			}
		})
		for i := range 20 {
			alone = append(alone, timed(1, 1, func(int) { must(c.bare(i, 1)) }))
			idle = append(idle, timed(1, 1, func(int) { must(c.check(batches, i)) }))
		}
	}
	slices.Sort(idle)
	slices.Sort(alone)
	b.ReportMetric(float64(one)/float64(together), "x-one-by-one")
	b.ReportMetric(float64(bare)/float64(together), "x-bare")
	b.ReportMetric(float64(flood)/float64(one), "x-flood")
	b.ReportMetric(float64(idle[len(idle)/2])/float64(alone[len(alone)/2]), "x-idle-p50")
	b.ReportMetric(float64(done*b.N)/together.Seconds(), "checks/s")
}

// BenchmarkRefused is what requests cost that are refused before any pairing, on all cores at
// once: 50,000 and more a second are wanted of those that are stale, malformed or replayed. The
// last two are the dearest refusals that there are: a point of the curve that is no key,
// another one each time, and a signature that is no point.
func BenchmarkRefused(b *testing.B) {
	now := time.Unix(1700000000, 0)
	k := auth.NewKey(seed(1))
	const outside = "8000000000000000000000000000000000000000000000000000000000000000" +
		"00000000000000000000000000000004"
	for _, tc := range []struct {
		name  string
		spoil func(g *request.Authenticator, r *http.Request)
		each  func(r *http.Request, i int64) // nil: all alike
	}{
		{"stale", func(g *request.Authenticator, _ *http.Request) { g.Now = clock(now.Add(time.Hour)) }, nil},
		{"missing", func(_ *request.Authenticator, r *http.Request) { r.Header.Del(request.HeaderAuth) }, nil},
		{"malformed", func(_ *request.Authenticator, r *http.Request) { r.Header.Set(request.HeaderAuth, "00") }, nil},
		{"replayed", func(g *request.Authenticator, r *http.Request) {
			if _, err := g.Check(r, request.Fetch, auth.StoreID{}); err != nil {
				b.Fatal(err)
			}
		}, nil},
		{"no key", func(_ *request.Authenticator, r *http.Request) { r.Header.Set(request.HeaderIdentity, outside) }, nil},
		{"no key, another each time", func(*request.Authenticator, *http.Request) {}, func(r *http.Request, i int64) {
			r.Header[request.HeaderIdentity] = []string{fmt.Sprintf("8%095x", i)}
		}},
		{"no point", func(_ *request.Authenticator, r *http.Request) {
			r.Header.Set(request.HeaderAuth, "80"+strings.Repeat("0", 189)+"1")
		}, nil},
	} {
		b.Run(tc.name, func(b *testing.B) {
			guard, first := &request.Authenticator{Now: clock(now)}, get(b)
			first.Header = sign(b, request.Fetch, auth.StoreID{}, k, now, seed(1))
			tc.spoil(guard, first)
			var n atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				r := &http.Request{Header: first.Header.Clone()}
				r = r.WithContext(b.Context())
				for pb.Next() {
					if tc.each != nil {
						tc.each(r, n.Add(1))
					}
					if _, err := guard.Check(r, request.Fetch, auth.StoreID{}); err == nil {
						b.Error("accepted")
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refused/s")
		})
	}
}

// BenchmarkNonces fills the memory with 1,000 nonces a second.
func BenchmarkNonces(b *testing.B) {
	b.ReportAllocs()
	nonces, ctx := request.NewNonces(nil), b.Context()
	var n request.Nonce
	i, now := uint64(0), time.Unix(1700000000, 0)
	for b.Loop() {
		if i++; i%1000 == 0 {
			now = now.Add(time.Second)
		}
		binary.BigEndian.PutUint64(n.Value[:], i)
		n.Identity[0] = byte(i)
		n.At, n.Until = now, now.Add(301*time.Second)
		if err := nonces.Use(ctx, n, now); err != nil {
			b.Fatal(err)
		}
	}
}
