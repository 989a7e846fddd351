package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/client"
	"github.com/dig-network/digstore/node/storage"
)

func holdingOne(t testing.TB) capsuletest.Generation {
	return capsuletest.Split(t, 1, 0, text(1, 1000))
}

// memory returns a source of the content of generations.
func memory(t testing.TB, all ...capsuletest.Generation) capsule.Source {
	t.Helper()
	m := new(capsule.Memory)
	for _, g := range all {
		for i, d := range g.Capsules {
			if err := m.Put(t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

// signed returns a generation with a statement of the writer.
func signed(t testing.TB, g capsuletest.Generation, generation uint64) capsuletest.Generation {
	t.Helper()
	m := *g.Manifest
	if err := m.SetStatement(sign(t, g, generation)); err != nil {
		t.Fatal(err)
	}
	return capsuletest.Generation{Manifest: &m, Content: g.Content}
}

// reads checks that a node has a generation as its head.
func reads(t *testing.T, base string, g capsuletest.Generation) {
	t.Helper()
	c := newClient(t, base, &client.Options{Trust: pinned(g)})
	m, err := c.Manifest(t.Context(), g.Store, merkle.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range m.Capsules {
		rc, err := c.Open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		rc.Close()
		if err != nil || !bytes.Equal(b, g.Content[i]) {
			t.Errorf("capsule %d: %d bytes, %v", i, len(b), err)
		}
	}
}

// A datastore is pushed, updated, and read by others, with inline content and in a session.
func TestPush(t *testing.T) {
	content := text(1, 450_000)
	for _, inline := range []int64{0, 1 << 20} {
		base := startNode(t, node.Config{})
		c := newClient(t, base, &client.Options{Token: ownerToken})
		one := signed(t, capsuletest.Split(t, 1, 100_000, content), 1)
		var mu sync.Mutex
		var sent, total int64
		push := func(g capsuletest.Generation) *client.PushResult {
			t.Helper()
			sent, total = 0, 0
			res, err := c.Push(t.Context(), &client.Push{Manifest: g.Manifest, Inline: inline,
				Content: memory(t, g), Progress: func(s, all int64) {
					mu.Lock()
					defer mu.Unlock()
					sent, total = max(sent, s), all
				}})
			if err != nil {
				t.Fatal(err)
			}
			reads(t, base, g)
			return res
		}
		res := push(one)
		if res.Root != one.Root || res.Sent != 450_000 || time.Until(res.Stored) > time.Minute {
			t.Errorf("%+v", res)
		}
		if inline == 0 && (sent != 450_000 || total != 450_000) {
			t.Errorf("progress %d of %d", sent, total)
		}
		if again := push(one); inline == 0 && again.Sent != 0 {
			t.Errorf("the same again has sent %d bytes", again.Sent)
		}
		// The writer changes one capsule, and needs no credential now.
		c = newClient(t, base, &client.Options{})
		two := signed(t, capsuletest.Split(t, 1, 100_000, flip(content, 250_000)), 2)
		two.Manifest.Parent = one.Root
		if res := push(two); inline == 0 && res.Sent != 100_000 {
			t.Errorf("the update has sent %d bytes, expected one capsule", res.Sent)
		}
	}
}

// Equal capsules are sent once, and an empty one too.
func TestPushShared(t *testing.T) {
	base := startNode(t, node.Config{})
	c := newClient(t, base, &client.Options{User: "ann", Password: "p:w"})
	block := text(3, 70_000)
	g := capsuletest.Of(t, 1, block, nil, block, text(4, 10))
	node := newClient(t, base, &client.Options{Token: ownerToken})
	if _, err := c.Push(t.Context(), &client.Push{Manifest: g.Manifest,
		Content: memory(t, g)}); !errors.Is(err, client.ErrDeclined) {
		t.Errorf("a user whom no list names: %v, expected ErrDeclined", err)
	}
	res, err := node.Push(t.Context(), &client.Push{Manifest: g.Manifest, Content: memory(t, g)})
	if err != nil || res.Sent != 70_010 {
		t.Fatalf("%+v, %v", res, err)
	}
	reads(t, base, g)
}

// TestPushRefused: every refusal has its error, and no session remains.
func TestPushRefused(t *testing.T) {
	g := capsuletest.Split(t, 1, 100_000, text(1, 250_000))
	newer := capsuletest.Split(t, 1, 100_000, text(2, 250_000))
	foreign := *newer.Manifest
	s, err := capsule.SignRoot(t.Context(), &foreign, 5, auth.NewKey([32]byte{9}))
	if err == nil {
		err = foreign.SetStatement(s)
	}
	if err != nil {
		t.Fatal(err)
	}
	forged := *signed(t, newer, 5).Manifest
	forged.Generation = 6
	child := *signed(t, newer, 5).Manifest
	child.Parent = merkle.Hash{1}
	incomplete := *newer.Manifest
	incomplete.Capsules = append([]capsule.Descriptor{}, incomplete.Capsules...)
	incomplete.Capsules[0].ChunkRoot = merkle.Hash{}
	broken := *newer.Manifest
	broken.Root = merkle.Hash{1}
	elsewhere := capsuletest.Split(t, 2, 100_000, text(2, 250_000))
	tests := []struct {
		name string
		m    *capsule.Manifest
		o    client.Options
		want error
	}{
		{"unsigned, to a tracked datastore", newer.Manifest, client.Options{Token: ownerToken},
			auth.ErrForbidden},
		{"signed by another key", &foreign, client.Options{Token: ownerToken}, auth.ErrForbidden},
		{"forged", &forged, client.Options{Token: ownerToken}, auth.ErrSignature},
		{"older", signed(t, newer, 3).Manifest, client.Options{}, client.ErrStale},
		{"the same generation", signed(t, newer, 4).Manifest, client.Options{}, client.ErrConflict},
		{"of another parent", &child, client.Options{}, client.ErrConflict},
		{"to a datastore that is not tracked", elsewhere.Manifest, client.Options{},
			request.ErrUnauthenticated},
		{"with a wrong token", elsewhere.Manifest, client.Options{Token: "x"},
			request.ErrUnauthenticated},
		{"declined", elsewhere.Manifest, client.Options{User: "ann", Password: "p:w"},
			client.ErrDeclined},
		{"without chunk roots", &incomplete, client.Options{Token: ownerToken}, capsule.ErrManifest},
		{"of another root", &broken, client.Options{Token: ownerToken}, capsule.ErrManifest},
	}
	base := startNode(t, node.Config{Storage: holding(t, g, 4)})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, base, &tt.o)
			_, err := c.Push(t.Context(), &client.Push{Manifest: tt.m,
				Content: memory(t, newer, elsewhere)})
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, expected %v", err, tt.want)
			}
			reads(t, base, g)
		})
	}
}

// TestPushWrongContent: content that does not match the manifest is never sent completely, and the
// session is aborted.
func TestPushWrongContent(t *testing.T) {
	g := capsuletest.Split(t, 1, 100_000, text(1, 250_000))
	base, _ := lying(t, startNode(t, node.Config{}), nil)
	for name, content := range map[string]capsule.Source{
		"absent": memory(t), "wrong": wrongSource{},
	} {
		c := newClient(t, base, &client.Options{Token: ownerToken})
		_, err := c.Push(t.Context(), &client.Push{Manifest: g.Manifest, Content: content})
		var status *client.StatusError
		if err == nil || errors.As(err, &status) || errors.Is(err, client.ErrConnection) &&
			!errors.Is(err, capsule.ErrContentMismatch) {
			t.Errorf("%s: %v, expected an error of the content", name, err)
		}
		if _, err := newClient(t, base, &client.Options{Trust: pinned(g)}).Manifest(t.Context(),
			g.Store, g.Root); err == nil {
			t.Errorf("%s: the node has the generation", name)
		}
	}
	// Had sessions stayed open, the node would take no more than 16 of them.
	c := newClient(t, base, &client.Options{Token: ownerToken, Attempts: 1})
	for range 20 {
		if _, err := c.Push(t.Context(), &client.Push{Manifest: g.Manifest,
			Content: wrongSource{}}); errors.Is(err, client.ErrBusy) {
			t.Fatal(err)
		}
	}
}

// wrongSource has other content of the right length.
type wrongSource struct{ capsule.Source }

func (wrongSource) Open(_ context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(endless{}, int64(d.Size))), nil
}

// TestPushGoesOn: a push continues if its session has ended, if an answer is lost, and if the node
// is busy.
func TestPushGoesOn(t *testing.T) {
	g := signed(t, capsuletest.Split(t, 1, 100_000, text(1, 250_000)), 1)
	tests := []struct {
		name string
		path string // suffix of the requests that it happens to
		fail func(r *http.Response)
		want error
	}{
		{"the answer of the commit is lost", "/commit", func(r *http.Response) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("")), 100
			r.Header.Set("Content-Length", "100")
		}, nil},
		{"the session of an upload has ended", "/1", gone, nil},
		{"the session has ended before the commit", "/commit", gone, nil},
		{"an upload finds the node busy", "/2", func(r *http.Response) {
			setBody(r, nil)
			r.StatusCode = 503
		}, nil},
		{"the push finds the node busy", "/push", func(r *http.Response) {
			setBody(r, nil)
			r.StatusCode = 429
		}, nil},
		{"something is missing after the commit", "/commit", func(r *http.Response) {
			setBody(r, []byte(`{"accepted":true,"upload":{"session":"ab","missing":[0]}}`))
		}, client.ErrProtocol},
		{"the commit fails", "/commit", func(r *http.Response) {
			setBody(r, nil)
			r.StatusCode = 507
		}, client.ErrNoSpace},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			honest := startNode(t, node.Config{})
			var happened atomic.Bool
			base, _ := lying(t, honest, func(t testing.TB, r *http.Response) {
				if strings.HasSuffix(r.Request.URL.Path, tt.path) && !happened.Swap(true) {
					r.Body.Close()
					tt.fail(r)
				}
			})
			c := newClient(t, base, &client.Options{Token: ownerToken})
			_, err := c.Push(soon(t), &client.Push{Manifest: g.Manifest, Content: memory(t, g)})
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, expected %v", err, tt.want)
			}
			if !happened.Load() {
				t.Error("nothing happened")
			}
			if tt.want == nil {
				reads(t, honest, g)
			}
		})
	}
}

func gone(r *http.Response) {
	r.StatusCode = 404
	r.Header.Set("Content-Type", "application/problem+json")
	setBody(r, []byte(`{"code":"session_not_found"}`))
}

// TestPushGivesUp: if sessions end repeatedly, the client gives up.
func TestPushGivesUp(t *testing.T) {
	g := holdingOne(t)
	base, count := lying(t, startNode(t, node.Config{}), func(_ testing.TB, r *http.Response) {
		if r.Request.Method == http.MethodPut {
			r.Body.Close()
			gone(r)
		}
	})
	c := newClient(t, base, &client.Options{Token: ownerToken})
	_, err := c.Push(soon(t), &client.Push{Manifest: g.Manifest, Content: memory(t, g)})
	if err == nil || count.Load() > 12 {
		t.Errorf("%v after %d requests", err, count.Load())
	}
}

// TestPushLies: inconsistent answers of a push are refused.
func TestPushLies(t *testing.T) {
	g := capsuletest.Split(t, 1, 100_000, text(1, 250_000))
	for _, answer := range []string{
		`{}`, `[]`, `{"accepted":null}`, `{"accepted":"yes"}`,
		`{"accepted":true,"upload":{"session":"","missing":[]}}`,
		`{"accepted":true,"upload":{"session":"../x","missing":[]}}`,
		`{"accepted":true,"upload":{"session":"ab","missing":[3]}}`,
		`{"accepted":true,"upload":{"session":"ab","missing":[1,1]}}`,
		`{"accepted":true,"upload":{"session":"ab","missing":[1,0]}}`,
		`{"accepted":true,"upload":{"session":"ab","missing":[-1]}}`,
		`{"accepted":true,"storage_estimate":"soon"}`,
		`{"accepted":true}` + strings.Repeat(" ", 2<<20),
	} {
		base, count := lying(t, startNode(t, node.Config{}), func(_ testing.TB, r *http.Response) {
			r.Body.Close()
			setBody(r, []byte(answer))
		})
		c := newClient(t, base, &client.Options{Token: ownerToken})
		_, err := c.Push(soon(t), &client.Push{Manifest: g.Manifest, Content: memory(t, g)})
		if !errors.Is(err, client.ErrProtocol) || count.Load() != 1 {
			t.Errorf("%.80s: %v after %d requests", answer, err, count.Load())
		}
	}
}

// TestPushInterrupted: after an interrupted push the node accepts it again.
func TestPushInterrupted(t *testing.T) {
	g := signed(t, capsuletest.Split(t, 1, 10_000, text(1, 450_000)), 1)
	st := storage.NewMemory(nil)
	base := startNode(t, node.Config{Storage: st})
	c := newClient(t, base, &client.Options{Token: ownerToken, Uploads: 1})
	for i := range int64(3) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := c.Push(ctx, &client.Push{Manifest: g.Manifest, Content: memory(t, g),
			Progress: func(sent, _ int64) {
				if sent > i*100_000 {
					cancel()
				}
			}})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("%v, expected context.Canceled", err)
		}
	}
	if u, err := st.Usage(t.Context()); err != nil || u.Bytes != 0 {
		t.Errorf("%+v, %v after pushes that were interrupted", u, err)
	}
	if _, err := c.Push(t.Context(), &client.Push{Manifest: g.Manifest,
		Content: memory(t, g)}); err != nil {
		t.Fatal(err)
	}
	reads(t, base, g)
}
