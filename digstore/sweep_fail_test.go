package digstore_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
)

var errDisk = errors.New("the disk is full")

// TestFailEveryOperation lets every operation of every scenario fail once, and then all that follow it, too.
func TestFailEveryOperation(t *testing.T) {
	var points atomic.Int64
	t.Cleanup(func() { t.Logf("%d fault points", points.Load()) })
	for _, sc := range scenarios(t) {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			base, states := sc.prepare(t)
			counting := diskfs.Fail(base.Recover(1), 0, nil, nil)
			_, err := sc.run(counting, 0)
			check(t, err)
			stride := strideFor(t, counting.Calls(), 7)
			for n := 1; n <= counting.Calls(); n += stride {
				for _, always := range []bool{false, true} {
					points.Add(1)
					if err := sc.failAt(base, states, n, always); err != nil {
						t.Errorf("operation %d of %d failed, all later ones too: %v\n%v", n, counting.Calls(), always, err)
					}
				}
			}
		})
	}
}

// strideFor spreads about so many samples over calls; all of them when tests may be long.
func strideFor(t *testing.T, calls, samples int) int {
	if vectors.Long(t) {
		return 1
	}
	return max(1, calls/samples)
}

// failAt lets the n-th operation fail.
func (sc *scenario) failAt(base *diskfs.Crash, states []string, n int, always bool) error {
	disk := base.Recover(1)
	failing := diskfs.Fail(disk, n, errDisk, &diskfs.FailOptions{Always: always})
	done, err := sc.run(failing, 0)
	if err != nil && !errors.Is(err, errDisk) {
		return fmt.Errorf("%s: the error does not say what the disk said: %w", sc.steps[done].what, err)
	}
	if jerr := sc.judge(disk, states, done); jerr != nil {
		return fmt.Errorf("after %d steps and %v: %w", done, err, jerr)
	}
	return nil
}
