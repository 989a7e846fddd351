package digstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/cdc"
	"github.com/dig-network/digstore/merkle"
)

// The pipeline makes sealed chunks of many resources on all cores, in bounded memory, and hands them on in order.
//
// The work is cut into units: some small resources, or a part of a large one. Every unit goes to the workers and,
// in its place, to the keeper, who takes the units as they were made, whichever is ready first: so the chunks of a
// resource, and of resources that follow each other, lie side by side in the pack. Workers read, cut, seal and
// hash small resources whole. A large one is read by the feeder, cut on all cores, sealed and hashed by workers,
// and its leaf, the hash of all its sealed bytes, is computed behind the keeper, the only step that one core has
// to do alone.
const (
	unitSize   = 512 << 10 // plaintext of one unit
	smallSize  = unitSize  // a resource up to this is read whole by a worker
	windowSize = 4 << 20   // plaintext of a large resource in memory at once
)

// input is the content of one resource.
type input struct {
	name string
	size int64 // as it was listed; what is read counts
	open func() (contentReader, error)
}

// contentReader is an open content: a file, or a part of the staging file.
type contentReader interface {
	stat() (statKey, error)
	readAt(b []byte, off int64) (int, error)
	close()
}

// job is one resource on its way through the pipeline.
type job struct {
	input
	entry module.Entry
	bytes int64       // plaintext
	stat  statKey     // of the file that was read, for the stat index
	plain merkle.Hash // SHA-256 of the plaintext, when asked for
	fresh bool        // went through the pipeline

	key   *urn.Key
	hash  *leafHash // of a large resource
	large bool
}

// unit is a piece of work and, when it is done, of frames.
type unit struct {
	jobs   []*job // small resources, or the one large
	plain  []byte // of a large resource: a part of win
	cuts   []int  // lengths of its chunks
	win    *window
	last   bool // of the large resource
	frames []byte
	chunks []module.Chunk
	done   chan struct{}
	refs   int // of frames, under pipeline.mu
}

// window is a buffer that units of a large resource are parts of.
type window struct {
	buf   []byte
	ends  []int
	units sync.WaitGroup
}

type pipeline struct {
	s       *Store
	workers int
	plain   bool // hash plaintexts too
	keep    func(chunks []module.Chunk, frames []byte) error
	step    func(n int64) // plaintext that went through

	frames  chan []byte  // free frame buffers
	windows chan *window // free windows
	leaves  chan *unit
	mu      sync.Mutex
}

// run sends the jobs through. keep is called from one goroutine, in order.
func (p *pipeline) run(ctx context.Context, jobs []*job) error {
	inFlight := 2*p.workers + 2
	p.frames = make(chan []byte, inFlight)
	for range inFlight {
		p.frames <- nil
	}
	p.windows = make(chan *window, 2)
	p.windows <- nil
	p.windows <- nil
	p.leaves = make(chan *unit, inFlight)
	work, order := make(chan *unit), make(chan *unit, inFlight)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(work)
		defer close(order)
		return p.feed(ctx, jobs, func(u *unit) error {
			select { // a unit is begun when there is a buffer for what it makes
			case u.frames = <-p.frames:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			u.done = make(chan struct{})
			order <- u // never waits: there are as many places as buffers
			select {
			case work <- u:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	for range p.workers {
		g.Go(func() error {
			scratch := make([]byte, smallSize)
			for u := range work {
				if err := p.do(u, scratch); err != nil {
					return err
				}
				close(u.done)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(p.leaves)
		for u := range order {
			select {
			case <-u.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if err := p.take(u); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		for u := range p.leaves {
			p.addLeaf(u)
		}
		return nil
	})
	return g.Wait()
}

// feed cuts the jobs into units.
func (p *pipeline) feed(ctx context.Context, jobs []*job, emit func(*unit) error) error {
	var batch []*job
	var size int64
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		u := &unit{jobs: batch}
		batch, size = nil, 0
		return emit(u)
	}
	for _, j := range jobs {
		if j.size > smallSize {
			if err := flush(); err != nil {
				return err
			}
			if err := p.feedLarge(ctx, j, emit); err != nil {
				return fmt.Errorf("read %s: %w", j.name, err)
			}
			continue
		}
		if size+j.size > unitSize || len(batch) >= 256 {
			if err := flush(); err != nil {
				return err
			}
		}
		batch = append(batch, j)
		size += j.size
	}
	return flush()
}

// do seals one unit.
func (p *pipeline) do(u *unit, scratch []byte) error {
	if u.win != nil {
		defer u.win.units.Done()
		j := u.jobs[0]
		u.frames = u.frames[:0]
		for at, i := 0, 0; i < len(u.cuts); i++ {
			u.seal(j.key, u.plain[at:at+u.cuts[i]])
			at += u.cuts[i]
		}
		return nil
	}
	u.frames = u.frames[:0]
	u.chunks = make([]module.Chunk, 0, len(u.jobs)+8)
	for _, j := range u.jobs {
		if err := p.doSmall(u, j, scratch); err != nil {
			return fmt.Errorf("read %s: %w", j.name, err)
		}
	}
	return nil
}

// seal appends the frame of one chunk.
func (u *unit) seal(key *urn.Key, plain []byte) {
	at := len(u.frames)
	u.frames = append(u.frames, 0, 0, 0, 0)
	u.frames = key.Seal(u.frames, plain)
	sealed := u.frames[at+4:]
	binary.BigEndian.PutUint32(u.frames[at:], uint32(len(sealed)))
	u.chunks = append(u.chunks, module.Chunk{ID: merkle.Sum(sealed), Len: uint32(len(sealed))})
}

func (p *pipeline) doSmall(u *unit, j *job, scratch []byte) error {
	plain, err := j.readSmall(scratch)
	if err != nil {
		return err
	}
	if p.plain {
		j.plain = merkle.Sum(plain)
	}
	j.bytes = int64(len(plain))
	j.key = urn.NewKey(p.s.set.id, j.name, p.s.set.salt)
	j.entry.Key = urn.RetrievalKey(p.s.set.id, j.name)
	first, at := len(u.chunks), len(u.frames)
	for rest := plain; ; {
		n := len(rest)
		if n > cdc.DefaultMin {
			n = cdc.Next(cdc.Params{}, rest, true)
		}
		u.seal(j.key, rest[:n])
		if rest = rest[n:]; len(rest) == 0 {
			break // an empty resource is one empty chunk
		}
	}
	j.entry.Chunks = u.chunks[first:len(u.chunks):len(u.chunks)]
	if len(j.entry.Chunks) == 1 {
		j.entry.Leaf = j.entry.Chunks[0].ID
	} else {
		h := newLeafHash()
		h.frames(u.frames[at:])
		j.entry.Leaf = h.sum()
	}
	j.key, j.fresh = nil, true
	return nil
}

// readSmall reads a resource whole.
func (j *job) readSmall(scratch []byte) ([]byte, error) {
	r, err := j.open()
	if err != nil {
		return nil, err
	}
	defer r.close()
	if j.stat, err = r.stat(); err != nil {
		return nil, err
	}
	if j.stat.size > smallSize {
		return nil, errGrew
	}
	n := 0
	for n < int(j.stat.size) {
		m, err := r.readAt(scratch[n:j.stat.size], int64(n))
		if err != nil {
			return nil, err
		}
		if m == 0 {
			return nil, errGrew
		}
		n += m
	}
	return scratch[:n], nil // what was added since gave the file a new time, which the stat index notices
}

var errGrew = errors.New("it changed while it was read (run the command again)")

// feedLarge reads and cuts a large resource.
func (p *pipeline) feedLarge(ctx context.Context, j *job, emit func(*unit) error) error {
	r, err := j.open()
	if err != nil {
		return err
	}
	defer r.close()
	if j.stat, err = r.stat(); err != nil {
		return err
	}
	j.key = urn.NewKey(p.s.set.id, j.name, p.s.set.salt)
	j.entry.Key = urn.RetrievalKey(p.s.set.id, j.name)
	j.hash, j.large, j.fresh, j.bytes = newLeafHash(), true, true, 0
	var plain *leafHash
	if p.plain {
		plain = newLeafHash()
	}
	var carry []byte
	for eof := false; !eof; {
		var win *window
		select {
		case win = <-p.windows:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if win == nil {
			win = &window{buf: make([]byte, windowSize)}
		}
		n := copy(win.buf, carry)
		for n < len(win.buf) {
			m, err := r.readAt(win.buf[n:], j.bytes)
			if err != nil {
				return err
			}
			if m == 0 {
				eof = true
				break
			}
			if plain != nil {
				plain.add(win.buf[n : n+m])
			}
			n += m
			j.bytes += int64(m)
		}
		used, err := p.emitWindow(j, win, n, eof, emit)
		if err != nil {
			return err
		}
		carry = append(carry[:0], win.buf[used:n]...)
		go func() { // the buffer is free again when its units are sealed
			win.units.Wait()
			p.windows <- win
		}()
	}
	if j.bytes != j.stat.size {
		return errGrew
	}
	if plain != nil {
		j.plain = plain.sum()
	}
	return nil
}

// emitWindow cuts n bytes of a window into chunks and those into units, and returns how many bytes it used.
func (p *pipeline) emitWindow(j *job, win *window, n int, eof bool, emit func(*unit) error) (used int, err error) {
	start := 0
	var cuts []int
	send := func(last bool) error {
		u := &unit{jobs: []*job{j}, plain: win.buf[start:used], cuts: cuts, win: win, last: last}
		start, cuts = used, nil
		win.units.Add(1)
		if err := emit(u); err != nil {
			win.units.Done()
			return err
		}
		return nil
	}
	win.ends = cdc.CutsParallel(win.buf[:n], cdc.Params{}, win.ends[:0], p.workers)
	for _, end := range win.ends {
		if !eof && n-used < cdc.DefaultMax { // what comes next may move this cut
			break
		}
		cuts = append(cuts, end-used)
		used = end
		if used-start >= unitSize {
			if err := send(eof && used == n); err != nil {
				return used, err
			}
		}
	}
	if len(cuts) > 0 || eof && start == used && used == n && n == 0 {
		err = send(eof && used == n)
	}
	return used, err
}

// take hands a unit on to where it is kept, and to the leaf hash when it belongs to a large resource.
func (p *pipeline) take(u *unit) error {
	n := int64(0)
	large := u.jobs[0].large
	if large {
		u.refs = 2
		u.jobs[0].entry.Chunks = append(u.jobs[0].entry.Chunks, u.chunks...)
		n = int64(len(u.plain))
		p.leaves <- u
	} else {
		u.refs = 1
		for _, j := range u.jobs {
			n += j.bytes
		}
	}
	err := p.keep(u.chunks, u.frames)
	p.release(u)
	if p.step != nil {
		p.step(n)
	}
	return err
}

// addLeaf hashes the sealed bytes of a part of a large resource.
func (p *pipeline) addLeaf(u *unit) {
	j := u.jobs[0]
	j.hash.frames(u.frames)
	if u.last {
		j.entry.Leaf = j.hash.sum()
		j.hash = nil
	}
	p.release(u)
}

func (p *pipeline) release(u *unit) {
	p.mu.Lock()
	u.refs--
	free := u.refs == 0
	p.mu.Unlock()
	if free {
		p.frames <- u.frames
		u.frames = nil
	}
}
