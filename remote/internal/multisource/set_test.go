package multisource_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"time"

	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/multisource"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// memory is an origin of one module with support for ranges.
type memory struct {
	body []byte
	err  error
	wait time.Duration // before it answers
}

func (m memory) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	r, _, err := m.ModuleFrom(ctx, root, 0)
	return r, err
}

func (m memory) ModuleFrom(_ context.Context, _ merkle.Hash,
	offset int64) (io.ReadCloser, int64, error) {
	time.Sleep(m.wait)
	if m.err != nil {
		return nil, 0, m.err
	}
	return io.NopCloser(bytes.NewReader(m.body[offset:])), offset, nil
}

func (m memory) Spans(_ context.Context, _ merkle.Hash, want []multisource.Span,
	take func(int, io.Reader) error) error {
	time.Sleep(m.wait)
	if m.err != nil {
		return m.err
	}
	for i, s := range want {
		if err := take(i, bytes.NewReader(m.body[s.Offset:s.End()])); err != nil {
			return err
		}
	}
	return nil
}

// whole is an origin without support for ranges.
type whole struct{ m memory }

func (w whole) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	return w.m.Module(ctx, root)
}

var options = multisource.Options{
	Segment:   1000,
	Lasting:   wire.IsFault,
	Retried:   func(error) bool { return false },
	NotServed: func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
	Refusal: func(check, want, got string) error {
		return fmt.Errorf("%w: %s: want %s, got %s", wire.ErrVerification, check, want, got)
	},
}

// fetch works like a sync: it retries until it has the module want, and settles.
func fetch(t *testing.T, set *multisource.Set, want []byte) error {
	t.Helper()
	root := merkle.Sum(want)
	for {
		err := attempt(t, set, root)
		if err == nil {
			return set.Settle(root, func() (io.ReadSeekCloser, error) {
				return seekCloser{bytes.NewReader(want)}, nil
			})
		}
		if !set.Retry(t.Context(), root, err) {
			return err
		}
	}
}

func attempt(t *testing.T, set *multisource.Set, root merkle.Hash) error {
	r, err := set.Module(t.Context(), root)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && merkle.Sum(got) != root {
		err = fmt.Errorf("%w: another module", wire.ErrVerification)
	}
	return err
}

type seekCloser struct{ *bytes.Reader }

func (seekCloser) Close() error { return nil }

// TestSet: a faulty source does not prevent the fetch from another, and a source that sent wrong
// bytes is excluded.
func TestSet(t *testing.T) {
	body := make([]byte, 50_500)
	for i := range body {
		body[i] = byte(i / 100)
	}
	false1 := bytes.Clone(body)
	for i := range false1 {
		false1[i] ^= 1
	}
	honest := memory{body: body}
	slower := memory{body: body, wait: 2 * time.Millisecond} // so that the first sends some bytes
	for _, c := range []struct {
		name     string
		first    multisource.Origin
		excluded bool
	}{
		{"two that are honest", honest, false},
		{"false bytes", memory{body: false1}, true},
		{"a short module", memory{err: fmt.Errorf("%w: a short body", wire.ErrProtocol)}, true},
		{"one that does not have it", whole{memory{err: fs.ErrNotExist}}, true},
		{"one that gives no parts", whole{honest}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			head := merkle.Sum(body)
			set := multisource.New([]*multisource.Source{
				multisource.NewSource("first", c.first, head, int64(len(body))),
				multisource.NewSource("second", slower, head, int64(len(body))),
			}, options)
			if err := fetch(t, set, body); err != nil {
				t.Fatal(err)
			}
			n, first := set.Outcome(0)
			m, second := set.Outcome(1)
			if (first != nil) != c.excluded || second != nil {
				t.Errorf("excluded: %v and %v", first, second)
			}
			if n+m < int64(len(body)) {
				t.Errorf("%d and %d bytes were used of %d", n, m, len(body))
			}
		})
	}
}

// TestSetOfLiars: if no source sends the module, the error is ErrVerification and all are excluded.
func TestSetOfLiars(t *testing.T) {
	body := bytes.Repeat([]byte("module"), 1000)
	other := bytes.Repeat([]byte("others"), 1000)
	head := merkle.Sum(body)
	var sources []*multisource.Source
	for _, name := range []string{"first", "second"} {
		sources = append(sources,
			multisource.NewSource(name, memory{body: other}, head, int64(len(other))))
	}
	set := multisource.New(sources, options)
	if err := fetch(t, set, body); !errors.Is(err, wire.ErrVerification) {
		t.Errorf("error %v, want a failed verification", err)
	}
	for i := range sources {
		if _, err := set.Outcome(i); err == nil {
			t.Errorf("source %d is not excluded", i)
		}
	}
	if _, err := set.Module(t.Context(), merkle.Hash{1}); !errors.Is(err, wire.ErrVerification) {
		t.Errorf("a module of no source: %v", err)
	}
}

// TestSpans: spans are read from all sources, and a refused span is read from another source.
func TestSpans(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 1000)
	bad := bytes.ToUpper(bytes.Repeat([]byte("abcdefghij"), 1000))
	head := merkle.Sum(body)
	set := multisource.New([]*multisource.Source{
		multisource.NewSource("first", memory{body: bad}, head, int64(len(body))),
		multisource.NewSource("second", memory{body: body, wait: 2 * time.Millisecond}, head, int64(len(body))),
	}, options)
	var want []multisource.Span
	for at := int64(0); at < int64(len(body)); at += 500 {
		want = append(want, multisource.Span{Offset: at, Length: 300})
	}
	taken := make([]bool, len(want))
	err := set.Spans(t.Context(), head, want, func(i int, r io.Reader) error {
		got, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, body[want[i].Offset:want[i].End()]) {
			return fmt.Errorf("%w: chunk %d", wire.ErrVerification, i)
		}
		taken[i] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range taken {
		if !ok {
			t.Errorf("part %d did not come", i)
		}
	}
	// The recipe was right, so the first source is excluded for its refused spans.
	if err := set.Settle(head, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := set.Outcome(0); n > 0 || !errors.Is(err, wire.ErrVerification) {
		t.Errorf("the first source: %v, %d bytes", err, n)
	}
}
