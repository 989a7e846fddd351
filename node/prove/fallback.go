package prove

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dig-network/digstore/capsule"
)

// DefaultRetry is how long a failed device is not used.
const DefaultRetry = time.Minute

// ErrWrong: a device returned a nonce that does not have the work.
var ErrWrong = errors.New("nonce does not have the work")

// Fallback is a capsule.Worker that uses a device first, and the CPU if the device fails. Both find
// the lowest nonce, so the result is the same. Its fields may be changed until the first call of a
// method. It is safe for concurrent use and must not be copied after its first use.
type Fallback struct {
	Device capsule.Worker // required
	CPU    capsule.Worker // nil: a capsule.CPUWorker on all cores
	// Retry is how long a failed device is not used: 0 means DefaultRetry.
	Retry time.Duration
	// Failed, if not nil, is called when the device fails.
	Failed func(err error)
	Now    func() time.Time // nil: time.Now

	once sync.Once
	mu   sync.Mutex
	off  time.Time // the device is not used until this time
}

var _ capsule.Worker = (*Fallback)(nil)

func (f *Fallback) init() {
	f.once.Do(func() {
		if f.CPU == nil {
			f.CPU = capsule.NewCPUWorker(0)
		}
		if f.Retry <= 0 {
			f.Retry = DefaultRetry
		}
		if f.Now == nil {
			f.Now = time.Now
		}
	})
}

// Name implements capsule.Worker: the name of the worker in use.
func (f *Fallback) Name() string {
	f.init()
	if f.healthy() {
		return f.Device.Name()
	}
	return f.CPU.Name()
}

func (f *Fallback) healthy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.Now().Before(f.off)
}

// Search implements capsule.Worker.
func (f *Fallback) Search(ctx context.Context, in capsule.WorkInput, bits int) (uint64, error) {
	f.init()
	if f.healthy() {
		nonce, err := f.device(ctx, in, bits)
		if err == nil {
			return nonce, nil
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		f.mu.Lock()
		f.off = f.Now().Add(f.Retry)
		f.mu.Unlock()
		if f.Failed != nil {
			f.Failed(fmt.Errorf("search work on %s: %w", f.Device.Name(), err))
		}
	}
	return f.CPU.Search(ctx, in, bits)
}

// device searches on the device and checks what it returns.
func (f *Fallback) device(
	ctx context.Context, in capsule.WorkInput, bits int,
) (nonce uint64, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrPanic, r)
		}
	}()
	nonce, err = f.Device.Search(ctx, in, bits)
	if err != nil {
		return 0, err
	}
	if found := capsule.ZeroBits(in.Hash(nonce)); found < bits {
		return 0, fmt.Errorf("%w: nonce %d has %d bits, expected %d", ErrWrong, nonce, found, bits)
	}
	return nonce, nil
}
