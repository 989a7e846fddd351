package cuda

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/internal/workhash"
)

// ErrUnavailable says that there is no GPU to work on: no driver, no device, or an unsupported
// system. The error that wraps it gives the reason.
var ErrUnavailable = errors.New("no CUDA device")

// Options are those of New. The zero value is the default.
type Options struct {
	// Device is the number of the GPU, from 0.
	Device int
	// Library is the driver's library; empty means libcuda.so.1.
	Library string
	// MinBits is the number of bits below which the CPU searches; not positive means 20.
	MinBits int
	// CPU does what the GPU does not; nil means a capsule.CPUWorker on all cores.
	CPU capsule.Worker
}

const (
	defaultLibrary = "libcuda.so.1"
	defaultMinBits = 20

	blockSize = 256                  // threads of a block
	perCore   = 8                    // blocks for each multiprocessor
	launch    = 5 * time.Millisecond // of a launch: cancelling waits no longer
)

// Worker searches on one GPU. It is safe for concurrent use; one search runs at a time. The
// caller closes it.
type Worker struct {
	gpu     gpu
	cpu     capsule.Worker
	minBits int
	turn    chan struct{} // holds one value, the right to use the GPU
}

var _ capsule.Worker = (*Worker)(nil)

// gpu is one device with the kernel loaded. It is used by one goroutine at a time, which is
// locked to its thread.
type gpu interface {
	// name is that of the device.
	name() string
	// blocks is how many blocks of blockSize threads keep the device busy.
	blocks() int
	// begin makes the device current on this thread and gives it the input of search.cu.
	begin(in []uint32) error
	// search runs the kernel over blocks × blockSize × count nonces from base, and returns the
	// lowest that fits, or math.MaxUint64.
	search(base uint64, blocks int, count uint32) (uint64, error)
	// end is the last call on this thread.
	end()
	close() error
}

//go:embed search.ptx
var ptx []byte

// New opens the driver and loads the kernel. Without a GPU the error wraps ErrUnavailable.
func New(o *Options) (*Worker, error) {
	if o == nil {
		o = new(Options)
	}
	w := &Worker{cpu: o.CPU, minBits: o.MinBits, turn: make(chan struct{}, 1)}
	w.turn <- struct{}{}
	if w.cpu == nil {
		w.cpu = capsule.NewCPUWorker(0)
	}
	if w.minBits <= 0 {
		w.minBits = defaultMinBits
	}
	library := o.Library
	if library == "" {
		library = defaultLibrary
	}
	var err error
	if w.gpu, err = open(library, o.Device); err != nil {
		return nil, fmt.Errorf("open GPU %d: %w", o.Device, err)
	}
	return w, nil
}

// Name returns "cuda: " and the name of the device.
func (w *Worker) Name() string { return "cuda: " + w.gpu.name() }

// Close releases the device after the search that is running. No method may be called afterwards.
func (w *Worker) Close() error {
	<-w.turn
	return w.gpu.close()
}

// Search implements capsule.Worker.
func (w *Worker) Search(ctx context.Context, in capsule.WorkInput, bits int) (uint64, error) {
	if bits < w.minBits {
		return w.cpu.Search(ctx, in, bits)
	}
	select {
	case <-w.turn:
		defer func() { w.turn <- struct{}{} }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	nonce, err := w.search(ctx, in, bits)
	if err != nil {
		return 0, fmt.Errorf("search on %s: %w", w.Name(), err)
	}
	return nonce, nil
}

func (w *Worker) search(ctx context.Context, in capsule.WorkInput, bits int) (uint64, error) {
	defer lockThread()()
	if err := w.gpu.begin(input(in, bits)); err != nil {
		return 0, err
	}
	defer w.gpu.end()
	blocks := w.gpu.blocks()
	threads := uint64(blocks) * blockSize
	count := uint64(1)
	for base := uint64(0); ; {
		if err := ctx.Err(); err != nil {
			return 0, context.Cause(ctx)
		}
		began := time.Now()
		nonce, err := w.gpu.search(base, blocks, uint32(count))
		if err != nil {
			return 0, err
		}
		if nonce != math.MaxUint64 {
			if found := capsule.ZeroBits(in.Hash(nonce)); found >= bits {
				return nonce, nil
			} else if bits <= 64 {
				return 0, fmt.Errorf("%w: nonce %d has %d zero bits, expected %d", capsule.ErrWork,
					nonce, found, bits)
			}
			base = nonce + 1 // the kernel looks at 64 bits only
			continue
		}
		base += threads * count
		count = next(count, time.Since(began))
	}
}

// next returns how many nonces each thread hashes in the next launch, after one of count took so
// long.
func next(count uint64, took time.Duration) uint64 {
	switch {
	case took < launch/2:
		return min(2*count, 1<<20)
	case took > launch:
		return max(count/2, 1)
	}
	return count
}

// input returns the words that search.cu reads.
func input(in capsule.WorkInput, bits int) []uint32 {
	msg := in.Message(0)
	b := workhash.Prepare(&msg)
	mask := workhash.Mask(bits)
	words := append(make([]uint32, 0, 90), b.State[:]...)
	words = append(words, b.Second[:]...)
	words = append(words, b.Last[:]...)
	return append(words, uint32(mask>>32), uint32(mask))
}
