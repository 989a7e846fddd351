package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// ranged is an origin that supports resuming and records the requested offsets.
type ranged struct {
	*direct
	from    []int64
	restart bool // it always starts at 0
}

func (r *ranged) ModuleFrom(ctx context.Context, root merkle.Hash,
	offset int64) (io.ReadCloser, int64, error) {
	r.from = append(r.from, offset)
	if r.restart {
		offset = 0
	}
	rc, err := r.Module(ctx, root)
	if err == nil && offset > 0 {
		_, err = io.CopyN(io.Discard, rc, offset)
	}
	return rc, offset, err
}

func (r *ranged) Stat(context.Context, merkle.Hash) (int64, error) {
	return 0, errors.ErrUnsupported
}

func (r *ranged) Spans(context.Context, merkle.Hash, []remote.Span,
	func(int, io.Reader) error) error {
	return errors.ErrUnsupported
}

// breakAt makes the origin's n-th module break after the n-th number of bytes. Later modules are
// complete.
func (d *direct) breakAt(after ...int) {
	d.open = func(_ merkle.Hash, r io.ReadCloser) (io.ReadCloser, error) {
		if len(after) == 0 {
			return r, nil
		}
		n := after[0]
		after = after[1:]
		return &breaking{r, n}, nil
	}
}

func TestResume(t *testing.T) {
	for _, c := range []struct {
		name    string
		breaks  []int
		restart bool
		from    []int64
		ok      bool
	}{
		{name: "whole", ok: true},
		{name: "once", breaks: []int{1000}, from: []int64{1000}, ok: true},
		{name: "three times", breaks: []int{1000, 1500, 1600}, from: []int64{1000, 1500, 1600}, ok: true},
		{name: "four times without getting on", breaks: []int{10, 20, 30, 40}, from: []int64{10, 20, 30}},
		{name: "the origin begins anew", breaks: []int{1000}, restart: true, from: []int64{1000}, ok: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				origin, by := store(t, launcher, 1)
				r := &ranged{direct: origin, restart: c.restart}
				origin.breakAt(c.breaks...)
				to := origin.empty()
				told := 0
				sync := remote.Sync{Trust: remote.Trust{Publisher: by.PublicKey()},
					OnRetry: func(error, time.Duration) { told++ }}
				_, err := sync.Clone(t.Context(), to, r)
				equal(t, "asked from", r.from, c.from)
				if told != len(c.from) {
					t.Errorf("told %d times, want %d", told, len(c.from))
				}
				if !c.ok {
					if !errors.Is(err, errBroken) {
						t.Errorf("got %v, want the transfer's error", err)
					}
					untouched(t, to)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				sameModule(t, origin.Memory, to, origin.line(t, 0).Root)
			})
		})
	}
}

// TestResumeLater checks that a clone resumes an interrupted one.
func TestResumeLater(t *testing.T) {
	origin, by := store(t, launcher, 1)
	r := &ranged{direct: origin}
	to := origin.empty()
	sync := remote.Sync{Trust: remote.Trust{Publisher: by.PublicKey()}, Attempts: 1}
	origin.breakAt(2000)
	if _, err := sync.Clone(t.Context(), to, r); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	if _, err := sync.Clone(t.Context(), to, r); err != nil {
		t.Fatal(err)
	}
	equal(t, "asked from", r.from, []int64{2000})
	sameModule(t, origin.Memory, to, origin.line(t, 0).Root)
}

// TestResumePoisoned checks that a kept part that does not match the module costs one download
// from the start.
func TestResumePoisoned(t *testing.T) {
	origin, by := store(t, launcher, 1)
	r := &ranged{direct: origin}
	to := origin.empty()
	sync := remote.Sync{Trust: remote.Trust{Publisher: by.PublicKey()}, Attempts: 1}
	var at int
	origin.open = func(_ merkle.Hash, rc io.ReadCloser) (io.ReadCloser, error) {
		mod, err := io.ReadAll(rc)
		if err != nil {
			return nil, err
		}
		at = bytes.Index(mod, firstChunk(t, mod))
		mod[at] ^= 1
		return &breaking{io.NopCloser(bytes.NewReader(mod)), at + 10}, nil
	}
	if _, err := sync.Clone(t.Context(), to, r); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	origin.open = nil
	if _, err := sync.Clone(t.Context(), to, r); err != nil {
		t.Fatal(err)
	}
	equal(t, "asked from", r.from, []int64{int64(at + 10)})
	sameModule(t, origin.Memory, to, origin.line(t, 0).Root)
}

// TestResumeOverHTTP resumes with Range and If-Range at the server.
func TestResumeOverHTTP(t *testing.T) {
	s := newSite(t, 1, nil)
	l := s.listen()
	to := (&direct{Memory: s.memory}).empty()
	half := len(s.modules[0]) / 2
	broken := &direct{Memory: s.memory}
	broken.breakAt(half)
	sync := remote.Sync{Trust: remote.Trust{FirstUse: true}, Attempts: 1}
	if _, err := sync.Clone(t.Context(), to, broken); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	var got int64
	sync.Progress = func(_ merkle.Hash, done, _ int64) {
		if got == 0 {
			got = done
		}
	}
	if _, err := sync.Clone(t.Context(), to, s.client(l, nil)); err != nil {
		t.Fatal(err)
	}
	if got != int64(half) {
		t.Errorf("went on from %d, want %d", got, half)
	}
	sameModule(t, s.memory, to, s.head().Root)
}

func TestCloneCancelled(t *testing.T) {
	origin, by := store(t, launcher, 1)
	ctx, cancel := context.WithCancel(t.Context())
	origin.open = func(_ merkle.Hash, r io.ReadCloser) (io.ReadCloser, error) {
		cancel()
		return &breaking{r, 100}, nil
	}
	to := origin.empty()
	if _, err := remote.Clone(ctx, to, origin,
		remote.Trust{Publisher: by.PublicKey()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	untouched(t, to)
}
