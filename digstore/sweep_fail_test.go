package digstore_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
)

var errDisk = errors.New("the disk is full")

// TestFailEveryOperation lets every operation of every scenario fail, first alone and then with all
// that follow. Another process, which has read everything before, reads everything again after the
// failure.
func TestFailEveryOperation(t *testing.T) {
	sweep(t, 7, func(sc *scenario, base *diskfs.Crash, states []string, n, calls int) (points int) {
		for _, always := range []bool{false, true} {
			points++
			if err := sc.failAt(base, states, n, always); err != nil {
				t.Errorf("%s: operation %d of %d failed, all later ones too: %v\n%v", sc.name, n,
					calls, always, err)
			}
		}
		return points
	})
}

// sweep calls try for points of every scenario. In a short run these are about short points of each
// small scenario, and one in the middle of every third large one. In a long run they are a part of
// all points, or of points spread over a large scenario.
func sweep(t *testing.T, short int,
	try func(sc *scenario, base *diskfs.Crash, states []string, n, calls int) int) {
	part, parts := vectors.Part(t)
	long := vectors.Long(t)
	var points atomic.Int64
	t.Cleanup(func() { t.Logf("%d points", points.Load()) })
	for i, sc := range scenarios(t) {
		if sc.large && !long && i%3 != short%3 {
			continue // another sweep covers it
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			base, states := sc.prepare(t)
			whole := base.Recover(1)
			_, err := sc.run(whole)
			check(t, err)
			calls := whole.Calls() - base.Calls()
			stride := 1
			switch {
			case !long && sc.large:
				stride = calls
			case !long:
				stride = max(1, calls/short)
			case sc.large:
				stride = max(1, calls/pointsOfLarge)
			}
			first := 1
			if sc.large && !long {
				first = calls/2 + 1
			}
			for i, n := 0, first; n <= calls; i, n = i+1, n+stride {
				if i%parts == part {
					points.Add(int64(try(&sc, base, states, n, calls)))
				}
			}
		})
	}
}

// pointsOfLarge is the number of points of a large scenario in all parts of a long run.
const pointsOfLarge = 32

// failAt lets the n-th operation fail.
func (sc *scenario) failAt(base *diskfs.Crash, states []string, n int, always bool) error {
	disk := base.Recover(1)
	other, err := newWitness(disk)
	if err != nil {
		return err
	}
	defer other.close()
	var done, calls atomic.Int64
	var seen error
	err = sc.runCounting(diskfs.Before(disk, func(string, string) error {
		switch at := calls.Add(1); {
		case at == int64(n):
			if !always {
				seen = other.look(sc, states, int(done.Load()))
			}
			return errDisk
		case at > int64(n) && always:
			return errDisk
		}
		return nil
	}), &done)
	if seen != nil {
		return fmt.Errorf("another process, before the operation: %w", seen)
	}
	if err != nil && !errors.Is(err, errDisk) {
		return fmt.Errorf("%s: the error does not say what the disk said: %w",
			sc.steps[done.Load()].what, err)
	}
	if jerr := sc.judge(disk, states, int(done.Load())); jerr != nil {
		return fmt.Errorf("after %d steps and %v: %w", done.Load(), err, jerr)
	}
	if err := other.look(sc, states, len(sc.steps)); err != nil {
		return fmt.Errorf("another process, at the end: %w", err)
	}
	return nil
}

// A witness is another process that reads a disk and has caches from an earlier read.
type witness struct {
	disk diskfs.FS
	w    *digstore.Workspace // nil while there is none
}

func newWitness(disk diskfs.FS) (*witness, error) {
	o := &witness{disk: diskfs.NewProcess(disk)}
	_, err := o.state()
	return o, err
}

func (o *witness) state() (string, error) {
	if o.w == nil {
		w, err := digstore.Open(home, sweepOptions(o.disk))
		if errors.Is(err, digstore.ErrNoWorkspace) {
			return "no workspace", nil
		}
		if err != nil {
			return "", err
		}
		o.w = w
	}
	return stateIn(o.disk, o.w)
}

// look reads everything, and checks that the state is permitted after done steps and a part of the
// next one.
func (o *witness) look(sc *scenario, states []string, done int) error {
	got, err := o.state()
	if err != nil {
		return err
	}
	if done == len(sc.steps) && unstaged(got) == unstaged(states[done]) {
		return nil // the staging file need not have been emptied
	}
	return sc.permits(got, states, done)
}

func (o *witness) close() {
	if o.w != nil {
		_ = o.w.Close()
	}
}
