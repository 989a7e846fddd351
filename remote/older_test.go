package remote_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// A queue is an origin that serves modules only when a given number are requested concurrently, or
// no further request can arrive.
type queue struct {
	remote.Origin
	mu      sync.Mutex
	open    int
	most    int
	refuse  merkle.Hash // a generation that fails verification
	missing merkle.Hash // a generation that the origin lacks
	wait    time.Duration
}

func (q *queue) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	q.mu.Lock()
	q.open++
	q.most = max(q.most, q.open)
	q.mu.Unlock()
	time.Sleep(q.wait)
	defer func() {
		q.mu.Lock()
		q.open--
		q.mu.Unlock()
	}()
	if root == q.missing {
		return nil, fs.ErrNotExist
	}
	r, err := q.Origin.Module(ctx, root)
	if err == nil && root == q.refuse {
		return io.NopCloser(io.MultiReader(io.LimitReader(r, 5000), endlessZeros{})), nil
	}
	return r, err
}

type endlessZeros struct{}

func (endlessZeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// ordered is a Local that records in which order generations became visible.
type ordered struct {
	remote.Local
	mu    sync.Mutex
	order []merkle.Hash
}

func (o *ordered) Install(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
	r io.Reader, check func(*module.Module) error) error {
	err := o.Local.Install(ctx, lines, head, r, check)
	if err == nil {
		o.mu.Lock()
		o.order = append(o.order, lines[len(lines)-1].Root)
		o.mu.Unlock()
	}
	return err
}

// TestOlder checks that after the head the older generations are fetched four at a time and become
// visible oldest first. A missing one is reported; one that fails verification ends the sync and
// cancels the others.
func TestOlder(t *testing.T) {
	const generations = 9
	origin, by := store(t, launcher, generations)
	locked := &lockedOrigin{Origin: origin}
	clone := func(q *queue, s remote.Sync) (*ordered, *remotetest.Memory, *remote.Report, error) {
		m := origin.empty()
		to := &ordered{Local: bare{m}}
		s.AllGenerations = true
		s.Trust.Publisher, s.Trust.AllowUnsignedHistory = by.PublicKey(), true
		report, err := s.Clone(t.Context(), to, q)
		return to, m, report, err
	}
	var roots []merkle.Hash
	for n := range generations {
		roots = append(roots, origin.line(t, n).Root)
	}
	inOrder := append([]merkle.Hash{roots[generations-1]}, roots[:generations-1]...)

	t.Run("all", func(t *testing.T) {
		q := &queue{Origin: locked, wait: 5 * time.Millisecond}
		to, m, report, err := clone(q, remote.Sync{})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "order", to.order, inOrder)
		if q.most < 2 || q.most > 4 {
			t.Errorf("%d at a time", q.most)
		}
		if len(report.Installed) != generations || len(report.Missing) != 0 {
			t.Errorf("%+v", report)
		}
		for i, g := range report.Installed {
			if g.Root != inOrder[i] {
				t.Errorf("report: %d is %s", i, g.Root)
			}
		}
		for _, root := range roots {
			sameModule(t, origin.Memory, m, root)
		}
	})
	t.Run("missing", func(t *testing.T) {
		_, m, report, err := clone(&queue{Origin: locked, missing: roots[3]}, remote.Sync{})
		if err != nil || len(report.Missing) != 1 || report.Missing[0].Root != roots[3] ||
			!errors.Is(report.Missing[0].Err, fs.ErrNotExist) {
			t.Fatalf("%+v, %v", report, err)
		}
		equal(t, "held", holds(t, m), []bool{true, true, true, false, true, true, true, true, true})
	})
	t.Run("lie", func(t *testing.T) {
		to, _, report, err := clone(&queue{Origin: locked, refuse: roots[2]},
			remote.Sync{MaxModule: 1 << 20})
		if err == nil {
			t.Fatal("it was believed")
		}
		if n := len(to.order); n > 3 || n < 1 || len(report.Installed) != n {
			t.Errorf("%d installed, %d in the report", n, len(report.Installed))
		}
		equal(t, "order", to.order, inOrder[:len(to.order)])
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := origin.empty()
		n := 0
		sync := remote.Sync{AllGenerations: true,
			Trust: remote.Trust{Publisher: by.PublicKey(), AllowUnsignedHistory: true},
			Progress: func(root merkle.Hash, done, total int64) {
				if n++; root == roots[4] {
					cancel()
				}
			}}
		if _, err := sync.Clone(ctx, m, locked); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if held := holds(t, m); !held[generations-1] || held[7] {
			t.Errorf("held %v", held)
		}
	})
}

// bare is a Local without optional interfaces.
type bare struct{ remote.Local }

// lockedOrigin may be called concurrently.
type lockedOrigin struct {
	remote.Origin
	mu sync.Mutex
}

func (l *lockedOrigin) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Origin.Module(ctx, root)
}
