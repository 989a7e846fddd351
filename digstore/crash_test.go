package digstore_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
)

// TestCrashAtEveryOperation cuts the power at every operation of every scenario. What was not synced may be lost, kept or mixed: whatever
// is found afterwards must be the state that the finished steps had led to, or the next one.
func TestCrashAtEveryOperation(t *testing.T) {
	seeds := uint64(3)
	if vectors.Long(t) {
		seeds = 2 // at every operation
	}
	var points atomic.Int64
	t.Cleanup(func() { t.Logf("%d crashes", points.Load()) })
	for _, sc := range scenarios(t) {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			base, states := sc.prepare(t)
			whole := base.Recover(1)
			_, err := sc.run(whole, 0)
			check(t, err)
			calls := whole.Calls() - base.Calls()
			stride := strideFor(t, calls, 6)
			for n := 1; n <= calls+1; n += stride {
				disk := base.Recover(1)
				disk.StopAfter(n)
				done, err := sc.run(disk, 0)
				if n <= calls && done < len(sc.steps) && !errors.Is(err, diskfs.ErrPowerLost) {
					t.Errorf("operation %d of %d: %v, want the loss of power", n, calls, err)
				}
				for seed := range seeds {
					points.Add(1)
					if jerr := sc.judge(disk.Recover(seed), states, done); jerr != nil {
						t.Errorf("power lost at operation %d of %d, seed %d, after %d steps and %v:\n%v", n, calls, seed, done, err, jerr)
					}
				}
			}
		})
	}
}
