package capsule

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// SplitOptions says how Split cuts and how much it may use. The zero value is the default.
type SplitOptions struct {
	Size    uint32 // bytes of each capsule but the last; 0 means DefaultSize
	Workers int    // capsules that are hashed at once; not positive means GOMAXPROCS
}

// splitMemory is what the capsules in memory may take together, when that is more than two.
const splitMemory = 64 << 20

// Split reads content to its end, cuts it into capsules and returns their manifest, with Created
// zero. It calls put, which may be nil, for each capsule in order, one call at a time and not on
// the caller's goroutine. The reader that put gets is a *bytes.Reader over the whole capsule; it
// must not be used after put has returned. Empty content is one empty capsule.
//
// Split holds two capsules in memory, or more up to the number of workers while they take at
// most 64 MiB together. It stops at the first error of r or put, or when ctx ends, but not
// before a call of r.Read or put in progress has returned.
func Split(
	ctx context.Context, s auth.StoreID, r io.Reader, o *SplitOptions, put func(Descriptor,
		io.Reader) error,
) (*Manifest, error) {
	if o == nil {
		o = new(SplitOptions)
	}
	size, workers := o.Size, o.Workers
	if size == 0 {
		size = DefaultSize
	}
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if put == nil {
		put = func(Descriptor, io.Reader) error { return nil }
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sp := &splitter{size: int(size), put: put, m: &Manifest{Store: s}}
	buffers := max(2, min(workers, splitMemory/int(size)))
	sp.free = make(chan []byte, buffers)
	for range buffers {
		sp.free <- nil
	}
	sp.hashed = make(chan chan splitCapsule, buffers)
	done := make(chan struct{})
	go func() {
		defer close(done)
		sp.putAll(ctx, cancel)
	}()
	err := sp.readAll(ctx, r)
	if err != nil {
		cancel(err)
	}
	close(sp.hashed)
	<-done
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("split content of store %v: %w", s, err)
	}
	sp.m.Root = merkle.Root(sp.m.leaves())
	return sp.m, nil
}

// splitCapsule is a capsule in memory with its descriptor.
type splitCapsule struct {
	d       Descriptor
	content []byte
}

type splitter struct {
	size   int
	put    func(Descriptor, io.Reader) error
	free   chan []byte            // buffers that are not in use
	hashed chan chan splitCapsule // results in the order of capsules
	m      *Manifest
}

// readAll reads one capsule after the other and starts hashing it.
func (sp *splitter) readAll(ctx context.Context, r io.Reader) error {
	for i := uint64(0); ; i++ {
		var buf []byte
		select {
		case buf = <-sp.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		buf, err := readUpTo(ctx, r, buf[:0], sp.size)
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return fmt.Errorf("read capsule %d: %w", i, err)
		}
		if len(buf) == 0 && i > 0 {
			return nil
		}
		if i > math.MaxUint32 {
			return fmt.Errorf("more than %d capsules", uint32(math.MaxUint32))
		}
		result := make(chan splitCapsule, 1)
		sp.hashed <- result // never blocks: no more results than buffers
		go func() {
			result <- splitCapsule{describe(uint32(i), buf), buf}
		}()
		if last {
			return nil
		}
	}
}

// putAll hands the capsules over in their order. After an error it cancels and only waits for
// what is hashed.
func (sp *splitter) putAll(ctx context.Context, cancel context.CancelCauseFunc) {
	for result := range sp.hashed {
		c := <-result
		if ctx.Err() == nil {
			if err := sp.put(c.d, bytes.NewReader(c.content)); err != nil {
				cancel(fmt.Errorf("put capsule %d: %w", c.d.Index, err))
			}
		}
		sp.m.Capsules = append(sp.m.Capsules, c.d)
		sp.free <- c.content
	}
}

// readUpTo appends n bytes of r to buf, which grows with what was read. At the end of r the
// error is io.EOF.
func readUpTo(ctx context.Context, r io.Reader, buf []byte, n int) ([]byte, error) {
	for len(buf) < n {
		if err := context.Cause(ctx); err != nil {
			return buf, err
		}
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(n, max(64<<10, 2*cap(buf))))
			copy(grown, buf)
			buf = grown
		}
		m, err := r.Read(buf[len(buf):min(n, cap(buf))])
		buf = buf[:len(buf)+m]
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// describe hashes a capsule that is in memory: the whole on one goroutine, the chunks on another.
func describe(index uint32, content []byte) Descriptor {
	d := Descriptor{Index: index, Size: uint32(len(content))}
	if len(content) <= BlockSize {
		d.Hash, d.ChunkRoot = sha256.Sum256(content), Subroot(content)
		return d
	}
	var wg sync.WaitGroup
	wg.Go(func() { d.Hash = sha256.Sum256(content) })
	subroots := make([]merkle.Hash, 0, BlockCount(d.Size))
	for at := 0; at < len(content); at += BlockSize {
		subroots = append(subroots, Subroot(content[at:min(at+BlockSize, len(content))]))
	}
	d.ChunkRoot = merkle.Root(subroots)
	wg.Wait()
	return d
}
