package digstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
)

// TestCrashAtEveryOperation cuts the power at every operation of every scenario. Writes that were
// not synced are lost (seed 0), kept (seed 1) or mixed. The state afterwards must be that after the
// finished steps, or the next one.
func TestCrashAtEveryOperation(t *testing.T) {
	seeds := uint64(3)
	if vectors.Long(t) {
		seeds = 6
	}
	sweep(t, 6, func(sc *scenario, base *diskfs.Crash, states []string, n, calls int) (points int) {
		disk := base.Recover(1)
		disk.StopAfter(n)
		done, err := sc.run(disk)
		if done < len(sc.steps) && !errors.Is(err, diskfs.ErrPowerLost) {
			t.Errorf("%s: operation %d of %d: %v, want the loss of power", sc.name, n, calls, err)
		}
		for seed := range seeds {
			points++
			// Use other mixtures for each operation.
			if seed > 1 {
				seed += uint64(n) * seeds
			}
			if jerr := sc.judge(disk.Recover(seed), states, done); jerr != nil {
				t.Errorf("%s: power lost at operation %d of %d, seed %d, after %d steps and %v:\n%v", sc.name,
					n, calls, seed, done, err, jerr)
			}
		}
		return points
	})
}

// TestKillAtEveryOperation kills the process at every operation of every scenario, while another
// process reads all the time. A third process completes the scenario.
func TestKillAtEveryOperation(t *testing.T) {
	sweep(t, 2, func(sc *scenario, base *diskfs.Crash, states []string, n, calls int) int {
		if err := sc.killAt(base, states, n); err != nil {
			t.Errorf("%s: killed at operation %d of %d: %v", sc.name, n, calls, err)
		}
		return 1
	})
}

func (sc *scenario) killAt(base *diskfs.Crash, states []string, n int) error {
	disk := base.Recover(1)
	other, err := newWitness(disk)
	if err != nil {
		return err
	}
	defer other.close()
	var done atomic.Int64
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for running := true; running && err == nil; {
			err = other.read(sc, states, &done)
			select {
			case <-stop:
				running = false
			default:
			}
		}
		stopped <- err
	}()
	p := diskfs.NewProcess(disk)
	p.KillAfter(n)
	err = sc.runCounting(p, &done)
	p.Kill()
	close(stop)
	if serr := <-stopped; serr != nil {
		return fmt.Errorf("a reader beside it: %w", serr)
	}
	if int(done.Load()) < len(sc.steps) && !errors.Is(err, diskfs.ErrKilled) {
		return fmt.Errorf("%v, want the kill", err)
	}
	if err := other.look(sc, states, int(done.Load())); err != nil {
		return fmt.Errorf("another process, after the kill: %w", err)
	}
	if err := sc.judge(disk, states, int(done.Load())); err != nil {
		return fmt.Errorf("after %d steps and %v: %w", done.Load(), err, err)
	}
	if err := other.look(sc, states, len(sc.steps)); err != nil {
		return fmt.Errorf("another process, at the end: %w", err)
	}
	return nil
}

// read is look while a scenario runs. It may see a mixture of several states, but must see
// everything that all of them have.
func (o *witness) read(sc *scenario, states []string, done *atomic.Int64) error {
	from := int(done.Load())
	got, err := o.state()
	to := min(int(done.Load())+1, len(states)-1)
	window := sc.steps[min(from, len(sc.steps)-1):to]
	if errors.Is(err, fs.ErrNotExist) && slices.ContainsFunc(window, func(s step) bool {
		return s.piecemeal || s.removes
	}) {
		return nil // a listed generation has been dropped
	}
	if errors.Is(err, digstore.ErrRemoved) &&
		slices.ContainsFunc(window, func(s step) bool { return s.removes }) {
		return nil
	}
	if err != nil {
		return err
	}
	for done := from; done <= to; done++ {
		if sc.permits(got, states, done) == nil {
			return nil
		}
	}
	if common := inAll(states[from : to+1]); !within(common, got) {
		return fmt.Errorf("what all states have (+) is missing (-):\n%s", diff(got, common))
	}
	return nil
}
