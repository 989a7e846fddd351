package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// mirrors returns origins that serve the handlers, in order, named by their index.
func mirrors(t *testing.T, w *remotetest.World, o *remote.OriginsOptions,
	handlers ...http.Handler) *remote.Origins {
	t.Helper()
	var list []remote.Mirror
	for i, h := range handlers {
		at := remotetest.NewOrigin(h)
		t.Cleanup(func() { at.Close() })
		c, err := at.Client(w.Store, &remote.ClientOptions{MaxModule: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		list = append(list, remote.Mirror{Name: fmt.Sprint("mirror ", i), Origin: c})
	}
	all, err := remote.NewOrigins(list, o)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func world(t *testing.T) *remotetest.World {
	t.Helper()
	w, err := remotetest.NewWorld(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func honest(t *testing.T, w *remotetest.World, generations int) http.Handler {
	t.Helper()
	h, err := w.Honest(t.Context(), generations)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// holdsHead checks that the store holds the head of the world's store, byte for byte.
func holdsHead(t *testing.T, w *remotetest.World, to *remotetest.Memory) {
	t.Helper()
	want, err := w.Memory(t.Context(), remotetest.Generations)
	if err != nil {
		t.Fatal(err)
	}
	head, err := to.Head(t.Context())
	if err != nil || head != w.Heads[remotetest.Generations-1] {
		t.Fatalf("head %+v, %v", head, err)
	}
	sameModule(t, want, to, head.Root)
}

func verdicts(r *remote.Report) (out []remote.OriginState) {
	for _, a := range r.Origins {
		out = append(out, a.State)
	}
	return out
}

// long selects all cases instead of the most different ones.
func long() bool { return strings.Contains(os.Getenv("DIG_TEST"), "long") }

var pieces = &remote.OriginsOptions{SegmentSize: 32 << 10}

// TestOrigins checks that the bytes come from all origins and that the newest head is installed.
func TestOrigins(t *testing.T) {
	w := world(t)
	trust := remote.Trust{Publisher: w.Publisher.PublicKey()}
	all := mirrors(t, w, pieces, honest(t, w, 2), honest(t, w, 3), honest(t, w, 3), honest(t, w, 1))
	to := remotetest.NewMemory(w.Store, nil)
	report, err := remote.Clone(t.Context(), to, all, trust)
	if err != nil {
		t.Fatal(err)
	}
	holdsHead(t, w, to)
	equal(t, "verdicts", verdicts(report), []remote.OriginState{remote.OriginBehind, remote.OriginUsed,
		remote.OriginUsed, remote.OriginBehind})
	if a, b := report.Origins[1].Bytes, report.Origins[2].Bytes; a+b != int64(len(w.Modules[2])) {
		t.Errorf("%d and %d bytes of %d", a, b, len(w.Modules[2]))
	}
	if report, err := remote.Pull(t.Context(), to, all, remote.Trust{}); err != nil ||
		!report.UpToDate {
		t.Errorf("%+v, %v", report, err)
	}
	// All generations, from any origin that has them.
	sync := remote.Sync{Trust: trust, AllGenerations: true}
	sync.Trust.AllowUnsignedHistory = true
	if _, err := sync.Pull(t.Context(), to, all); err != nil {
		t.Fatal(err)
	}
	equal(t, "held", holds(t, to), []bool{true, true, true})
}

// TestOriginsLiars checks that each liar among honest origins is found, named and excluded, and
// that the clone succeeds.
func TestOriginsLiars(t *testing.T) {
	w := world(t)
	trust := remote.Trust{Publisher: w.Publisher.PublicKey()}
	for _, liar := range remotetest.Liars() {
		if !long() && (liar.Clone.Check == "" || liar.Clone.Check == remote.CheckHistory) {
			continue // refused like any origin that violates the protocol
		}
		t.Run(liar.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, err := liar.Handler(t.Context(), w)
				if err != nil {
					t.Fatal(err)
				}
				to := remotetest.NewMemory(w.Store, nil)
				if _, err := liar.Prepare(t.Context(), w, to); err != nil {
					t.Fatal(err)
				}
				report, err := remote.Clone(t.Context(), to,
					mirrors(t, w, pieces, h, honest(t, w, 3), honest(t, w, 3)), trust)
				if errors.Is(liar.Clone.Err, auth.ErrRevoked) {
					// any origin may serve a valid tombstone
					if untouched(t, to); !errors.Is(err, auth.ErrRevoked) {
						t.Errorf("got %v", err)
					}
					return
				}
				if liar.Pull.Check == remote.CheckFork && liar.Name != "gap-in-history" {
					// a gap alone proves no second head
					refused(t, err, remote.CheckFork, remote.ErrForked)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				holdsHead(t, w, to)
				bad := report.Origins[0]
				if liar.Clone.IsZero() {
					return
				}
				t.Logf("%s: %v", bad.State, bad.Err)
				switch liar.Clone.Check {
				case remote.CheckContent, remote.CheckSignature, remote.CheckStore, remote.CheckRoot,
					remote.CheckFormat, remote.CheckChainState:
					// Only a few bytes of the module are false: another origin may have sent the true ones.
				default:
					if bad.Err == nil && bad.Bytes > 0 {
						t.Errorf("it is %s, with %d bytes", bad.State, bad.Bytes)
					}
				}
				for _, good := range report.Origins[1:] {
					if good.State != remote.OriginUsed {
						t.Errorf("%s is %s: %v", good.Origin, good.State, good.Err)
					}
				}
			})
		})
	}
}

// A flipper flips a bit of every module and part that it serves.
type flipper struct {
	http.ResponseWriter
	done bool
}

func (f *flipper) Write(p []byte) (int, error) {
	if !f.done && len(p) > 0 {
		f.done = true
		p = append([]byte(nil), p...)
		p[len(p)/2] ^= 0x10
	}
	return f.ResponseWriter.Write(p)
}

// TestOriginsPieces checks that an origin that sends false segments is found and its segments are
// fetched again, in any order of origins. The others wait until it has sent one.
func TestOriginsPieces(t *testing.T) {
	w := world(t)
	for place := range 3 {
		second := make(chan struct{})
		var parts atomic.Int32
		var handlers []http.Handler
		for i := range 3 {
			good := honest(t, w, 3)
			handlers = append(handlers, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				part := r.Header.Get("Range") != ""
				switch {
				case i != place && part:
					<-second
				case part && parts.Add(1) == 2: // so that its first segment has arrived
					close(second)
				}
				if i == place && r.URL.Query().Get("root") != "" {
					rw = &flipper{ResponseWriter: rw}
				}
				good.ServeHTTP(rw, r)
			}))
		}
		to := remotetest.NewMemory(w.Store, nil)
		all := mirrors(t, w, &remote.OriginsOptions{SegmentSize: 4 << 10}, handlers...)
		report, err := remote.Clone(t.Context(), to, all,
			remote.Trust{Publisher: w.Publisher.PublicKey()})
		if err != nil {
			t.Fatal(err)
		}
		holdsHead(t, w, to)
		for i, a := range report.Origins {
			if (a.State == remote.OriginRefused) != (i == place) {
				t.Errorf("liar at %d: %s is %s: %v", place, a.Origin, a.State, a.Err)
			}
		}
	}
}

// TestOriginsRecipes checks that a pull reads the recipe from one origin and chunks from all, and
// succeeds although some send false ones.
func TestOriginsRecipes(t *testing.T) {
	w := world(t)
	for _, liar := range append(remotetest.Liars(), remotetest.Liar{}) {
		if liar.Name != "" && !strings.HasPrefix(liar.Name, "recipe") &&
			!strings.HasPrefix(liar.Name, "chunk") {
			continue
		}
		for place := range 2 {
			if place > 0 && !long() {
				continue
			}
			t.Run(fmt.Sprint(liar.Name, place), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					handlers := []http.Handler{honest(t, w, 3), honest(t, w, 3)}
					if liar.Name != "" {
						h, err := liar.Handler(t.Context(), w)
						if err != nil {
							t.Fatal(err)
						}
						handlers[place] = h
					}
					to, err := w.Memory(t.Context(), 2)
					if err != nil {
						t.Fatal(err)
					}
					report, err := remote.Pull(t.Context(), to, mirrors(t, w, pieces, handlers...), remote.Trust{})
					if err != nil {
						t.Fatal(err)
					}
					holdsHead(t, w, to)
					for i, a := range report.Origins {
						t.Logf("%s is %s, %d bytes, %v", a.Origin, a.State, a.Bytes, a.Err)
						if a.State == remote.OriginRefused && (i != place || liar.Name == "") {
							t.Errorf("%s is %s: %v", a.Origin, a.State, a.Err)
						}
						if strings.HasPrefix(liar.Name, "chunk") && i == place &&
							a.State == remote.OriginUsed && a.Bytes > 0 {
							t.Errorf("%s is used", a.Origin)
						}
						if liar.Name == "" && a.Bytes > int64(len(w.Modules[2]))/2 {
							t.Errorf("%d bytes of %s, for a generation that has most in common with the one before",
								a.Bytes, a.Origin)
						}
					}
				})
			})
		}
	}
}

// TestOriginsOnlyLiars checks that nothing is written if all origins are excluded.
func TestOriginsOnlyLiars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t)
		var handlers []http.Handler
		for _, liar := range remotetest.Liars() {
			if liar.Clone.Check == "" || liar.Needs != "" || errors.Is(liar.Clone.Err, auth.ErrRevoked) {
				continue
			}
			h, err := liar.Handler(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			handlers = append(handlers, h)
		}
		to := remotetest.NewMemory(w.Store, nil)
		report, err := remote.Clone(t.Context(), to, mirrors(t, w, pieces, handlers...),
			remote.Trust{Publisher: w.Publisher.PublicKey()})
		refused(t, err, remote.CheckSources, nil)
		untouched(t, to)
		if len(report.RefusedOrigins()) != len(handlers) {
			t.Errorf("%d of %d are named", len(report.RefusedOrigins()), len(handlers))
		}
	})
}

// TestOriginsFlooded checks that an origin with more tombstones than the limit hides none of
// another origin.
func TestOriginsFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t)
		handler := map[string]http.Handler{}
		for _, liar := range remotetest.Liars() {
			if liar.Name != "flooding" && liar.Name != "revoked-root" {
				continue
			}
			var err error
			if handler[liar.Name], err = liar.Handler(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
		flood := handler["flooding"]
		all := mirrors(t, w, pieces, flood, flood, handler["revoked-root"], honest(t, w, 3))
		to := remotetest.NewMemory(w.Store, nil)
		_, err := remote.Clone(t.Context(), to, all, remote.Trust{Publisher: w.Publisher.PublicKey()})
		if !errors.Is(err, auth.ErrRevoked) {
			t.Errorf("got %v, want auth.ErrRevoked", err)
		}
		untouched(t, to)
	})
}

// TestOriginsAllLost excludes different origins for different generations until none is left. The
// pull must end with an error instead of waiting for segments.
func TestOriginsAllLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t)
		lacks := func(h http.Handler, root int) http.Handler { // and is slow with the others
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				asked := r.URL.Query().Get("root")
				switch {
				case asked == "" || asked == w.Heads[2].Root.String() || r.Method != http.MethodGet:
				case asked == w.Heads[root].Root.String():
					time.Sleep(time.Second)
					http.Error(rw, "unknown root", http.StatusNotFound)
					return
				default:
					time.Sleep(3 * time.Second)
				}
				h.ServeHTTP(rw, r)
			})
		}
		all := mirrors(t, w, pieces, lacks(honest(t, w, 3), 0), lacks(honest(t, w, 3), 1))
		to := modulesOnly{remotetest.NewMemory(w.Store, nil)}
		trust := remote.Trust{Publisher: w.Publisher.PublicKey(), AllowUnsignedHistory: true}
		sync := remote.Sync{Trust: trust, AllGenerations: true}
		report, err := sync.Clone(t.Context(), to, all)
		if err == nil && len(report.Missing) == 0 {
			t.Errorf("%+v, %v", report, err)
		}
		if report == nil || len(report.Installed) == 0 || report.Installed[0].Root != w.Heads[2].Root {
			t.Errorf("the head is not there: %+v, %v", report, err)
		}
	})
}

// modulesOnly is a Local that is no Assembler.
type modulesOnly struct{ remote.Local }

// TestOriginsSlow checks that other origins take over the segments of a slow one.
func TestOriginsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world(t)
		fast, slow := honest(t, w, 3), honest(t, w, 3)
		crawling := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if len(r.URL.Query().Get("root")) > 0 {
				rw = &crawl{rw, r.Context()}
			}
			slow.ServeHTTP(rw, r)
		})
		to := remotetest.NewMemory(w.Store, nil)
		begun := time.Now()
		report, err := remote.Clone(t.Context(), to, mirrors(t, w, pieces, crawling, fast),
			remote.Trust{Publisher: w.Publisher.PublicKey()})
		if err != nil {
			t.Fatal(err)
		}
		holdsHead(t, w, to)
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		if a := report.Origins[0]; a.State != remote.OriginSlow && a.Bytes > 0 {
			t.Errorf("%+v", a)
		}
	})
}

// crawl sends a byte every ten seconds.
type crawl struct {
	http.ResponseWriter
	ctx context.Context
}

func (c *crawl) Write(p []byte) (n int, err error) {
	for n < len(p) {
		select {
		case <-time.After(10 * time.Second):
		case <-c.ctx.Done():
			return n, c.ctx.Err()
		}
		k, err := c.ResponseWriter.Write(p[n : n+1])
		if n += k; err != nil {
			return n, err
		}
		http.NewResponseController(c.ResponseWriter).Flush()
	}
	return n, nil
}

func (c *crawl) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// TestOriginsKeys checks that first use cannot choose between two publishers, but a key whose hash
// is the ID can.
func TestOriginsKeys(t *testing.T) {
	a, _ := store(t, launcher, 1)
	b := &direct{Memory: a.empty()}
	b.publish(t, key(9), 1)
	join := func(of ...remote.Origin) *remote.Origins {
		t.Helper()
		var list []remote.Mirror
		for _, o := range of {
			list = append(list, remote.Mirror{Origin: o})
		}
		all, err := remote.NewOrigins(list, nil)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	to := a.empty()
	_, err := remote.Clone(t.Context(), to, join(a, b), remote.Trust{FirstUse: true})
	refused(t, err, remote.CheckPublisher, remote.ErrUntrusted)
	untouched(t, to)

	proven, _ := store(t, [32]byte{}, 1)
	forged := &direct{Memory: proven.empty()}
	forged.publish(t, key(9), 1)
	to = proven.empty()
	report, err := remote.Clone(t.Context(), to, join(forged, proven), remote.Trust{FirstUse: true})
	if err != nil || report.Basis != remote.ByKeyHash {
		t.Fatalf("%+v, %v", report, err)
	}
	equal(t, "verdicts", verdicts(report),
		[]remote.OriginState{remote.OriginRefused, remote.OriginUsed})
	if _, err := remote.NewOrigins(nil, nil); !errors.Is(err, remote.ErrBadURL) {
		t.Errorf("none: %v", err)
	}
	// No origin has the store, or none answers.
	none := &direct{Memory: a.empty()}
	_, err = remote.Clone(t.Context(), a.empty(), join(none, none), remote.Trust{FirstUse: true})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestOriginsFalseKeyTombstone checks that an origin with a head and a tombstone signed by its own
// key does not prevent the clone of a store whose key another origin proves, and that its
// tombstone and key are not stored.
func TestOriginsFalseKeyTombstone(t *testing.T) {
	proven, _ := store(t, [32]byte{}, 1)
	forged := &direct{Memory: proven.empty()}
	forged.publish(t, key(9), 1)
	stone, err := auth.SignTombstone(t.Context(),
		auth.Tombstone{Store: proven.ID(), Reason: auth.Takedown}, key(9))
	if err != nil {
		t.Fatal(err)
	}
	forged.describe = func(d *remote.Descriptor) { d.Tombstones = []auth.Tombstone{stone} }
	liar, honest := remote.Mirror{Name: "a", Origin: forged}, remote.Mirror{Name: "b", Origin: proven}
	for _, list := range [][]remote.Mirror{{liar, honest}, {honest, liar}} {
		all, err := remote.NewOrigins(list, nil)
		if err != nil {
			t.Fatal(err)
		}
		to := proven.empty()
		report, err := remote.Clone(t.Context(), to, all, remote.Trust{FirstUse: true})
		kept, kerr := to.Tombstones(t.Context(), to.ID())
		if kerr != nil {
			t.Fatal(kerr)
		}
		if err != nil || report.Basis != remote.ByKeyHash || len(kept) != 0 {
			t.Errorf("first %s: %v, %d tombstones kept", list[0].Name, err, len(kept))
		}
	}
}

// TestOriginsFork checks that two branches of one publisher are refused with evidence, unless an
// anchor or the caller names one.
func TestOriginsFork(t *testing.T) {
	a, by := store(t, launcher, 2)
	b := &direct{Memory: a.empty()}
	b.publish(t, by, 0)
	b.publish(t, by, 7)
	all, err := remote.NewOrigins([]remote.Mirror{{Name: "a", Origin: a}, {Name: "b", Origin: b}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	to := a.empty()
	_, err = remote.Clone(t.Context(), to, all, remote.Trust{Publisher: by.PublicKey()})
	refused(t, err, remote.CheckFork, remote.ErrForked)
	untouched(t, to)
	docs, err := to.Evidence(t.Context())
	if err != nil || len(docs) != 1 {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	if e, err := remote.ParseEvidence(docs[0]); err != nil || e.Check() != nil || e.Held.By != "a" ||
		e.Offered.By != "b" || e.Held.Common == nil {
		t.Errorf("%+v, %v", e, err)
	}
	theirs := b.line(t, 1).Root
	report, err := remote.Clone(t.Context(), a.empty(), all, remote.Trust{Root: theirs})
	if err != nil || report.Root != theirs {
		t.Errorf("%+v, %v", report, err)
	}
}
