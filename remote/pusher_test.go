package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// publisher returns a site without stores that accepts first pushes, its listener, and a local
// store of n generations.
func publisher(t *testing.T, n int) (*site, *line, *direct) {
	t.Helper()
	s := newSite(t, 0, nil)
	s.stores = remotetest.NewStores(s.now)
	s.serve(s.stores, &server.Options{Policy: server.TrustOnFirstUse{}})
	local, _ := store(t, auth.StoreID{}, n)
	return s, s.listen(), local
}

// there returns the store at the site.
func (s *site) there() *remotetest.Memory {
	s.t.Helper()
	m, err := s.stores.Store(s.id)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func TestPusher(t *testing.T) {
	s, l, local := publisher(t, 3)
	c := s.client(l, nil)
	type step struct {
		root        merkle.Hash
		done, total int64
	}
	var last step
	p := remote.Pusher{Progress: func(root merkle.Hash, done, total int64) {
		last = step{root, done, total}
	}}
	report, err := p.Push(t.Context(), c, local.Memory)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "pushed", report.Pushed,
		[]merkle.Hash{local.line(t, 0).Root, local.line(t, 1).Root, local.line(t, 2).Root})
	equal(t, "requests", l.requests(), []string{"GET", "POST /module/upload", "PUT /module",
		"POST /module/upload", "PUT /module", "POST /module/upload", "PUT /module"})
	if report.Root != local.line(t, 2).Root || !report.Parent.IsZero() ||
		report.UpToDate || report.Pending ||
		last.root != report.Root || last.done != last.total || last.total == 0 {
		t.Errorf("report %+v, progress %+v", report, last)
	}
	want, err := local.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.there().Head(t.Context()); err != nil || got != want {
		t.Errorf("head there %+v, %v; want %+v with both signatures", got, err, want)
	}
	sameModule(t, local.Memory, s.there(), want.Root)

	if report, err = remote.Push(t.Context(), c, local.Memory); err != nil || !report.UpToDate ||
		len(report.Pushed) != 0 {
		t.Errorf("again: %+v, %v", report, err)
	}
	equal(t, "requests of nothing new", l.requests(), []string{"GET"})

	for n := 3; n < 5; n++ {
		local.publish(t, s.publisher, n)
	}
	report, err = (&remote.Pusher{HeadOnly: true}).Push(t.Context(), c, local.Memory)
	if err != nil || len(report.Pushed) != 1 || report.Parent != want.Root {
		t.Errorf("head only: %+v, %v", report, err)
	}

	// The pushed store can be cloned.
	if _, err := remote.Clone(t.Context(), local.empty(), c,
		remote.Trust{FirstUse: true}); err != nil {
		t.Error(err)
	}
}

func TestPusherRefused(t *testing.T) {
	t.Run("nothing to push", func(t *testing.T) {
		s, l, local := publisher(t, 0)
		if _, err := remote.Push(t.Context(), s.client(l, nil),
			local.Memory); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
		equal(t, "requests", l.requests(), nil)
	})
	t.Run("another store", func(t *testing.T) {
		s, l, _ := publisher(t, 0)
		local, _ := store(t, launcher, 1)
		if _, err := remote.Push(t.Context(), s.client(l, nil),
			local.Memory); !errors.Is(err, remote.ErrBadURL) {
			t.Errorf("got %v, want ErrBadURL", err)
		}
	})
	t.Run("not a fast-forward", func(t *testing.T) {
		s, l, local := publisher(t, 1)
		if _, err := remote.Push(t.Context(), s.client(l, nil), local.Memory); err != nil {
			t.Fatal(err)
		}
		l.requests()
		other := &direct{Memory: local.empty()}
		other.publish(t, s.publisher, 8)
		if _, err := remote.Push(t.Context(), s.client(l, nil),
			other.Memory); !errors.Is(err, remote.ErrNonFastForward) {
			t.Errorf("got %v, want ErrNonFastForward", err)
		}
		equal(t, "requests", l.requests(), []string{"GET"})
	})
	t.Run("unknown store", func(t *testing.T) {
		s, l, local := publisher(t, 1)
		s.serve(s.stores, nil)
		if _, err := remote.Push(t.Context(), s.client(l, nil),
			local.Memory); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
		equal(t, "requests", l.requests(), []string{"GET", "POST /module/upload", "PUT /module"})
	})
	t.Run("revoked", func(t *testing.T) {
		s, l, local := publisher(t, 1)
		stone, err := auth.SignTombstone(t.Context(),
			auth.Tombstone{Store: s.id, Root: local.line(t, 0).Root}, s.publisher)
		if err != nil {
			t.Fatal(err)
		}
		if err := local.Revoke(t.Context(), stone); err != nil {
			t.Fatal(err)
		}
		_, err = remote.Push(t.Context(), s.client(l, nil), local.Memory)
		refused(t, err, remote.CheckTombstone, auth.ErrRevoked)
	})
	t.Run("unsigned", func(t *testing.T) {
		s, l, local := publisher(t, 0)
		mod, head := s.build(s.id, s.publisher, 0)
		head.Tagged, head.Untagged = auth.Signature{}, auth.Signature{}
		if err := local.Add(t.Context(), head, bytes.NewReader(mod)); err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Push(t.Context(), s.client(l, nil),
			local.Memory); !errors.Is(err, auth.ErrUnsigned) {
			t.Errorf("got %v, want ErrUnsigned", err)
		}
		report, err := (&remote.Pusher{Signer: s.publisher}).Push(t.Context(),
			s.client(l, nil), local.Memory)
		if err != nil || len(report.Pushed) != 1 {
			t.Errorf("with the key: %+v, %v", report, err)
		}
	})
	t.Run("signed by another", func(t *testing.T) {
		s, l, local := publisher(t, 0)
		mod, head := s.build(s.id, s.publisher, 0)
		forged, err := auth.SignRoot(t.Context(), s.id, head.Root, key(5))
		if err != nil {
			t.Fatal(err)
		}
		head.Tagged, head.Untagged = forged.Tagged, forged.Untagged
		if err := local.Add(t.Context(), head, bytes.NewReader(mod)); err != nil {
			t.Fatal(err)
		}
		_, err = remote.Push(t.Context(), s.client(l, nil), local.Memory)
		refused(t, err, remote.CheckSignature, auth.ErrSignature)
		equal(t, "requests", l.requests(), []string{"GET"})
	})
}

func TestPusherPending(t *testing.T) {
	s, l, local := publisher(t, 1)
	c := s.client(l, nil)
	if _, err := remote.Push(t.Context(), c, local.Memory); err != nil {
		t.Fatal(err)
	}
	before := local.line(t, 0).Root
	local.publish(t, s.publisher, 1)
	report, err := (&remote.Pusher{Pending: true}).Push(t.Context(), c, local.Memory)
	if err != nil || !report.Pending || len(report.Pushed) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if d, err := c.Describe(t.Context()); err != nil || d.Root != before {
		t.Errorf("the head moved to %v, %v", d.Root, err)
	}
	if report, err = remote.Push(t.Context(), c, local.Memory); err != nil || report.Pending {
		t.Errorf("promotion: %+v, %v", report, err)
	}
}

// TestPusherSkipsWhatIsNotHeld checks that a clone pushes its head although it lacks generations
// before it.
func TestPusherSkipsWhatIsNotHeld(t *testing.T) {
	s, l, local := publisher(t, 1)
	c := s.client(l, nil)
	if _, err := remote.Push(t.Context(), c, local.Memory); err != nil {
		t.Fatal(err)
	}
	clone := local.empty()
	if _, err := remote.Clone(t.Context(), clone, c, remote.Trust{FirstUse: true}); err != nil {
		t.Fatal(err)
	}
	local.publish(t, s.publisher, 1)
	local.publish(t, s.publisher, 2)
	if _, err := remote.Pull(t.Context(), clone, local, remote.Trust{}); err != nil {
		t.Fatal(err)
	}
	report, err := remote.Push(t.Context(), c, clone) // without the publisher's key
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "pushed", report.Pushed, []merkle.Hash{local.line(t, 2).Root})
}

// onlyForm refuses pushes whose first signature is not of the given form, like hosts of the
// reference and of the seed. then answers the others, or leaves them to the server.
func (l *line) onlyForm(form auth.PushForm,
	then func(w http.ResponseWriter, r *http.Request, tail string) bool) {
	l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
		if !strings.HasPrefix(tail, "/module") || r.Method == http.MethodGet {
			return false
		}
		tagged := r.Header.Get("X-Dig-Signature") == r.Header.Get("X-Dig-Signature-Tagged")
		if tagged != (form == auth.FormTagged) {
			http.Error(w, "push not authorized: bad BLS signature", http.StatusForbidden)
			return true
		}
		return then != nil && then(w, r, tail)
	}
}

// TestPusherForms checks a server that supports one form only. The client finds the form once, and
// later clients read it from PushForms. The client also notices when the host changes the form.
func TestPusherForms(t *testing.T) {
	s, l, local := publisher(t, 2)
	forms := &keptForms{}
	l.onlyForm(auth.FormTagged, nil)
	if _, err := remote.Push(t.Context(), s.client(l, &remote.ClientOptions{PushForms: forms}),
		local.Memory); err != nil {
		t.Fatal(err)
	}
	equal(t, "requests", l.requests(),
		[]string{"GET", "POST /module/upload", "POST /module/upload", "PUT /module",
			"POST /module/upload", "PUT /module"})
	local.publish(t, s.publisher, 2)
	if _, err := remote.Push(t.Context(), s.client(l, &remote.ClientOptions{PushForms: forms}),
		local.Memory); err != nil {
		t.Fatal(err)
	}
	equal(t, "requests of another process", l.requests(), []string{"GET", "PUT /module"})
	l.onlyForm(auth.FormUntagged, nil)
	local.publish(t, s.publisher, 3)
	if _, err := remote.Push(t.Context(), s.client(l, &remote.ClientOptions{PushForms: forms}),
		local.Memory); err != nil {
		t.Fatal(err)
	}
	equal(t, "requests after a change", l.requests(), []string{"GET", "PUT /module", "PUT /module"})
	if form, err := forms.PushForm(t.Context(), l.URL); err != nil || form != auth.FormUntagged {
		t.Errorf("kept form %q, %v", form, err)
	}
}

// keptForms is a PushForms in memory.
type keptForms map[string]auth.PushForm

func (k *keptForms) PushForm(_ context.Context, origin string) (auth.PushForm, error) {
	return (*k)[origin], nil
}

func (k *keptForms) KeepPushForm(_ context.Context, origin string, form auth.PushForm) error {
	(*k)[origin] = form
	return nil
}

// TestPusherLastOutcome checks that the result of the second form is that of the push, and that
// the form is stored.
func TestPusherLastOutcome(t *testing.T) {
	for _, c := range []struct {
		code int // 0: the connection breaks
		want error
		kept auth.PushForm
	}{
		{code: 403, want: auth.ErrForbidden},
		{code: 409, want: remote.ErrNonFastForward, kept: auth.FormTagged},
		{code: 413, want: remote.ErrTooLarge, kept: auth.FormTagged},
		{code: 422, kept: auth.FormTagged},
		{code: 429, kept: auth.FormTagged},
		{code: 503, kept: auth.FormTagged},
		{code: 0, want: remote.ErrConnection},
	} {
		for _, path := range []string{"/module/upload", "/module"} {
			t.Run(strconv.Itoa(c.code)+path, func(t *testing.T) {
				s, l, local := publisher(t, 1)
				forms := &keptForms{}
				l.onlyForm(auth.FormTagged, func(w http.ResponseWriter, r *http.Request, tail string) bool {
					if tail != path {
						return false
					}
					if c.code == 0 {
						panic(http.ErrAbortHandler)
					}
					http.Error(w, "as the test says", c.code)
					return true
				})
				_, err := remote.Push(t.Context(),
					s.client(l, &remote.ClientOptions{PushForms: forms, Attempts: 2}), local.Memory)
				var status *remote.StatusError
				if c.code != 0 && (!errors.As(err, &status) || status.Code != c.code) ||
					c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("got %v, want %d, %v", err, c.code, c.want)
				}
				if c.code != 403 && errors.Is(err, auth.ErrForbidden) {
					t.Errorf("the outcome of the first form is returned: %v", err)
				}
				want := c.kept
				if path == "/module" { // push-init has found the form
					want = auth.FormTagged
				}
				if form := (*forms)[l.URL]; form != want {
					t.Errorf("kept form %q, want %q", form, want)
				}
			})
		}
	}
}

// TestPusherFallback pushes to a node without push-init, like those of the seed.
func TestPusherFallback(t *testing.T) {
	for _, code := range []int{404, 405, 501} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			s, l, local := publisher(t, 1)
			l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
				if tail == "/module/upload" {
					w.WriteHeader(code)
				}
				return tail == "/module/upload"
			}
			if _, err := remote.Push(t.Context(), s.client(l, nil), local.Memory); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPusherLostAnswer loses the answer after the body was received.
func TestPusherLostAnswer(t *testing.T) {
	s, l, local := publisher(t, 1)
	l.instead = func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.Method != http.MethodPut {
			return false
		}
		s.server.ServeHTTP(discard{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}
	report, err := remote.Push(t.Context(), s.client(l, nil), local.Memory)
	if err != nil || len(report.Pushed) != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	equal(t, "requests", l.requests(), []string{"GET", "POST /module/upload", "PUT /module", "GET"})
}

// discard is a ResponseWriter that discards the answer.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// TestPusherInterrupted checks that a push that breaks off is repeated, unless the host's head has
// changed.
func TestPusherInterrupted(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails int
		code  int // 0: the connection breaks
		moved bool
		want  error // nil: it succeeds
		puts  int
	}{
		{name: "broken once", fails: 1, puts: 2},
		{name: "unavailable twice", fails: 2, code: 503, puts: 3},
		{name: "broken for good", fails: 9, want: remote.ErrConnection, puts: 4},
		{name: "another push came between", fails: 1, moved: true, want: remote.ErrConnection, puts: 1},
		{name: "refused", fails: 1, code: 422, want: errAny, puts: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, l, local := publisher(t, 2)
			old := &direct{Memory: local.empty()}
			old.publish(t, s.publisher, 0)
			if _, err := remote.Push(t.Context(), s.client(l, nil), old.Memory); err != nil {
				t.Fatal(err)
			}
			puts := 0
			l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
				if r.Method != http.MethodPut {
					return false
				}
				if puts++; puts > c.fails {
					return false
				}
				if c.moved {
					mod, head := s.build(s.id, s.publisher, 9)
					if err := s.stores.Receive(t.Context(), module.Push{Head: head, Parent: old.line(t, 0).Root},
						bytes.NewReader(mod), accept); err != nil {
						t.Error(err)
					}
				}
				if c.code == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(c.code)
				return true
			}
			_, err := remote.Push(t.Context(), s.client(l, nil), local.Memory)
			if (err == nil) != (c.want == nil) ||
				c.want != nil && c.want != errAny && !errors.Is(err, c.want) || puts != c.puts {
				t.Errorf("%d PUTs, %v: want %d, %v", puts, err, c.puts, c.want)
			}
		})
	}
}

var errAny = errors.New("any error")

// TestPusherRace checks a push after another push of the same, or of another, generation came
// first.
func TestPusherRace(t *testing.T) {
	for _, same := range []bool{true, false} {
		s, l, local := publisher(t, 1)
		l.instead = func(w http.ResponseWriter, r *http.Request, _ string) bool {
			if r.Method != http.MethodPut {
				return false
			}
			n := 0
			if !same {
				n = 9
			}
			mod, head := s.build(s.id, s.publisher, n)
			if err := s.stores.Receive(t.Context(), module.Push{Head: head},
				bytes.NewReader(mod), accept); err != nil {
				t.Error(err)
			}
			http.Error(w, "non-fast-forward push", http.StatusConflict)
			return true
		}
		_, err := remote.Push(t.Context(), s.client(l, nil), local.Memory)
		if same && err != nil || !same && !errors.Is(err, remote.ErrNonFastForward) {
			t.Errorf("same %v: %v", same, err)
		}
	}
}

// TestPusherPresigned checks that the body is sent to the upload address without the push headers,
// and completion to the origin.
func TestPusherPresigned(t *testing.T) {
	s, l, local := publisher(t, 1)
	mod, head := s.build(s.id, s.publisher, 0)
	var steps []string
	l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
		switch {
		case tail == "/module/upload":
			io.WriteString(w, `{"mode":"presigned","upload_id":"ticket","url":"`+l.URL+`/bucket/x?secret=1"}`)
		case tail == "/bucket/x":
			body, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Equal(body, mod) || r.ContentLength != int64(len(mod)) ||
				r.URL.RawQuery != "secret=1" {
				t.Errorf("upload of %d bytes, %v", len(body), err)
			}
			for name := range r.Header {
				if strings.HasPrefix(name, "X-Dig") {
					t.Errorf("the upload carries %s", name)
				}
			}
		case tail == "/module/complete":
			body, err := io.ReadAll(r.Body)
			if want := `{"upload_id":"ticket","new_root":"` + head.Root.String() + `"}`; err != nil || string(body) != want {
				t.Errorf("complete: %s, %v", body, err)
			}
			w.WriteHeader(http.StatusCreated)
		default:
			return false
		}
		steps = append(steps, r.Method+" "+tail)
		return true
	}
	var progress []int64
	p := remote.Pusher{Progress: func(_ merkle.Hash, done, total int64) {
		progress = append(progress, done)
	}}
	if _, err := p.Push(t.Context(), s.client(l, nil), local.Memory); err != nil {
		t.Fatal(err)
	}
	equal(t, "steps", steps, []string{"POST /module/upload", "PUT /bucket/x", "POST /module/complete"})
	equal(t, "progress", progress, []int64{0, int64(len(mod))})
}

// TestPresignedTarget checks which upload addresses are refused.
func TestPresignedTarget(t *testing.T) {
	for _, target := range []string{"http://example.com/x", "https://10.0.0.1/x",
		"https://127.0.0.1/x", "https://localhost/x",
		"https://[::1]/x", "https://169.254.169.254/latest", "https://a:b@example.com/x",
		"ftp://example.com/x", "/x", ""} {
		s, l, local := publisher(t, 1)
		l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
			if tail == "/module/upload" {
				io.WriteString(w, `{"mode":"presigned","url":"`+target+`"}`)
			}
			return tail == "/module/upload"
		}
		_, err := remote.Push(t.Context(),
			s.client(l, &remote.ClientOptions{Guard: &remote.DialGuard{AllowPrivate: true}}), local.Memory)
		if !errors.Is(err, remote.ErrInsecure) && !errors.Is(err, remote.ErrProtocol) {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestPusherUnknownMode(t *testing.T) {
	s, l, local := publisher(t, 1)
	l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
		if tail == "/module/upload" {
			io.WriteString(w, `{"mode":"carrier pigeon"}`)
		}
		return tail == "/module/upload"
	}
	if _, err := remote.Push(t.Context(), s.client(l, nil),
		local.Memory); !errors.Is(err, remote.ErrProtocol) {
		t.Errorf("got %v, want ErrProtocol", err)
	}
}

// TestPusherHub checks that a push to a host of dig.net fails without a Publisher and succeeds
// with one.
func TestPusherHub(t *testing.T) {
	local, _ := store(t, auth.StoreID{}, 1)
	u, err := remote.ParseURL("dig://" + local.ID().String())
	if err != nil {
		t.Fatal(err)
	}
	dialled := false
	c, err := remote.NewClient(u,
		&remote.ClientOptions{Attempts: 1, Dial: func(context.Context, string, string) (net.Conn, error) {
			dialled = true
			return nil, errBroken
		}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Push(t.Context(), c,
		local.Memory); !errors.Is(err, remote.ErrHubPublisherRequired) || dialled {
		t.Errorf("got %v (dialled %v), want ErrHubPublisherRequired", err, dialled)
	}
	if _, err := (&remote.Pusher{ForceRoutes: true}).Push(t.Context(), c,
		local.Memory); !errors.Is(err, errBroken) || !dialled {
		t.Errorf("forced: %v", err)
	}
}

// TestRevoke checks that a tombstone is accepted only if the publisher signed it.
func TestClientRevoke(t *testing.T) {
	s := newSite(t, 1, nil)
	c := s.client(s.listen(), nil)
	for by, want := range map[*auth.Key]error{s.publisher: nil, key(1): auth.ErrForbidden} {
		stone, err := auth.SignTombstone(t.Context(),
			auth.Tombstone{Store: s.id, Root: s.head().Root, Reason: auth.Takedown}, by)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Revoke(t.Context(), stone); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if err := c.Revoke(t.Context(), auth.Tombstone{Store: launcher}); !errors.Is(err,
		remote.ErrBadURL) {
		t.Errorf("another store: %v", err)
	}
	_, err := remote.Clone(t.Context(), (&direct{Memory: s.memory}).empty(), c,
		remote.Trust{FirstUse: true})
	refused(t, err, remote.CheckTombstone, auth.ErrRevoked)
}

func accept(*module.Module) error { return nil }
