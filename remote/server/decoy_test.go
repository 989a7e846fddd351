package server_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

// metered is a backend that records how its modules are read.
type metered struct {
	server.Backend
	reads []int // lengths
	opens int
}

type meteredReader struct {
	io.ReadSeekCloser
	b *metered
}

func (b *metered) Module(ctx context.Context, s auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	m, err := b.Backend.Module(ctx, s, root)
	b.opens++
	return &meteredReader{m, b}, err
}

func (r *meteredReader) ReadAt(p []byte, off int64) (int, error) {
	r.b.reads = append(r.b.reads, len(p))
	return r.ReadSeekCloser.(io.ReaderAt).ReadAt(p, off)
}

// A work is the observable cost of one request.
type work struct {
	opens  int
	reads  string // lengths of the reads, in order
	answer string // status, names and lengths in the response
}

// TestHitsAndMissesDoTheSameWork compares counts instead of times: the reads in order and what is
// written, for resources of one size.
func TestHitsAndMissesDoTheSameWork(t *testing.T) {
	s, keys, _ := varied(t, 64, func(int) int { return 100_000 })
	b := &metered{Backend: s.stores}
	s.serve(b, &server.Options{Anonymous: true, Limits: noLimit, Resources: withSecret(b)})
	for _, route := range []string{"/content", "/proof"} {
		for _, rng := range []string{"", `{"start":0,"end":100}`, `{"start":99000,"end":9999999}`, `{"start":500000,"end":500001}`} {
			ask := func(key merkle.Hash) string {
				r := httptest.NewRequestWithContext(t.Context(), "POST", s.path(route),
					strings.NewReader(contentBody(key, s.head().Root, rng)))
				asJSON(r)
				w := httptest.NewRecorder()
				s.server.ServeHTTP(w, r)
				var names []string
				for name, values := range w.Result().Header {
					names = append(names, fmt.Sprint(name, values))
				}
				slices.Sort(names)
				return fmt.Sprint(w.Code, names, w.Body.Len(), shapeOf(w.Body.String()))
			}
			measure := func(key merkle.Hash) (m work) {
				ask(key)
				b.opens, b.reads = 0, nil
				m.answer = ask(key)
				m.opens, m.reads = b.opens, fmt.Sprint(b.reads)
				return m
			}
			// one for each position in the table; some positions need one more read
			hits := map[work]bool{}
			for _, key := range keys {
				hits[measure(key)] = true
			}
			for n := range 32 {
				miss := measure(random(n))
				if !hits[miss] {
					t.Errorf("%s %s: miss %d is %+v, hits are %v", route, rng, n, miss, hits)
				}
			}
		}
	}
}

// shapeOf replaces the strings of a JSON text by their lengths. Numbers stay: they are part of the
// shape.
func shapeOf(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(text, `"`) {
		switch {
		case i%2 == 0:
			b.WriteString(part)
		case len(part) < 20:
			b.WriteString(part)
		default:
			fmt.Fprint(&b, len(part))
		}
	}
	return b.String()
}

// TestHitsAndMissesCostTheSame times 10,000 of each in turns. Their medians may differ by 5 %, in
// the best of three runs.
func TestHitsAndMissesCostTheSame(t *testing.T) {
	vectors.NeedLong(t)
	const n = 10_000
	for _, tc := range []struct {
		name      string
		resources int // fewer than n: cached requests; n: each key is requested once
	}{{"asked for before", 64}, {"asked for once", n}} {
		t.Run(tc.name, func(t *testing.T) {
			s, keys, _ := varied(t, tc.resources, func(int) int { return 8_000 })
			id := module.ID{Store: s.id, Root: s.head().Root}
			misses := absentKeys(keys)
			for _, by := range []string{"Contents", "POST /content"} {
				var ratio float64
				for range 3 {
					contents := withSecret(s.stores)
					s.serve(s.stores, &server.Options{Anonymous: true, Limits: noLimit, Resources: contents})
					ask := func(key merkle.Hash) { read(t, contents, id, key) }
					if by != "Contents" {
						ask = func(key merkle.Hash) { post(t, s, key) }
					}
					ask(merkle.Hash{}) // opens the generation
					ratio = interleaved(n, func(i int) { ask(keys[i%len(keys)]) }, func(i int) {
						ask(misses[i%len(misses)])
					})
					t.Logf("%s, %s: hits cost %.3f of what misses do", by, tc.name, ratio)
					if ratio > 0.95 && ratio < 1.05 {
						break
					}
				}
				if ratio <= 0.95 || ratio >= 1.05 {
					t.Errorf("%s, %s: hits cost %.3f of what misses do", by, tc.name, ratio)
				}
			}
		})
	}
}

// absentKeys returns as many keys that no module has, and shuffles keys.
func absentKeys(keys []merkle.Hash) []merkle.Hash {
	misses := make([]merkle.Hash, len(keys))
	for i := range misses {
		misses[i] = random(i)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(keys), func(i, j int) {
		keys[i], keys[j] = keys[j], keys[i]
	})
	return misses
}

// read reads a part of the resource or decoy of a key.
func read(t testing.TB, c *server.ResourceIndex, id module.ID, key merkle.Hash) {
	content, err := c.Open(t.Context(), id, key)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var buf [4096]byte
	if _, err := content.ReadAt(buf[:], 100); err != nil {
		t.Fatal(err)
	}
}

// post sends a content request without a signature.
func post(t testing.TB, s *site, key merkle.Hash) {
	r := httptest.NewRequestWithContext(t.Context(), "POST", s.path("/content"),
		strings.NewReader(contentBody(key, s.head().Root, "")))
	asJSON(r)
	w := httptest.NewRecorder()
	if s.server.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Fatal(w.Code)
	}
}

// interleaved returns the ratio of the median times of n calls of a and b, in turns, alternating
// which is first.
func interleaved(n int, a, b func(i int)) float64 {
	timed := func(f func(int), i int) time.Duration {
		start := time.Now()
		f(i)
		return time.Since(start)
	}
	as, bs := make([]time.Duration, n), make([]time.Duration, n)
	for i := range n {
		if i%2 == 0 {
			as[i], bs[i] = timed(a, i), timed(b, i)
		} else {
			bs[i], as[i] = timed(b, i), timed(a, i)
		}
	}
	slices.Sort(as)
	slices.Sort(bs)
	return float64(as[n/2]) / float64(bs[n/2])
}

// BenchmarkDecoys reports the ratio of the medians of 10,000 hits and 10,000 misses in turns
// (target: 0.95 to 1.05), for content of 64 KiB.
func BenchmarkDecoys(b *testing.B) {
	s, keys, _ := varied(b, 64, func(int) int { return 64 << 10 })
	misses := absentKeys(keys)
	s.serve(s.stores,
		&server.Options{Anonymous: true, Limits: noLimit, Resources: withSecret(s.stores)})
	b.SetBytes(2 * 10_000 * 64 << 10)
	for b.Loop() {
		ratio := interleaved(10_000, func(i int) { post(b, s, keys[i%len(keys)]) }, func(i int) {
			post(b, s, misses[i%len(misses)])
		})
		b.ReportMetric(ratio, "x-hit/miss")
	}
}
