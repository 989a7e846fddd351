package digstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/digstore/internal/scan"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/cdc"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
)

// The pipeline makes sealed chunks of many resources on all cores, in bounded memory, and hands
// them on in order.
//
// The work is cut into units: some small resources, or a part of a large one. Every unit goes to
// the workers and, in its place, to the keeper, who takes the units as they were made, whichever is
// ready first: so the chunks of a resource, and of resources that follow each other, lie side by
// side in the pack. Workers read, cut, seal and hash small resources whole. A large one is read by
// the feeder, cut on all cores, sealed and hashed by workers, and its leaf, the hash of all its
// sealed bytes, is computed behind the keeper, the only step that one core has to do alone.
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
	Stat() (scan.Stat, error)
	// Since compares the content with how it was when Stat returned before: still says that it looks
	// the same, replaced that its name has been given to another file, so that this one is as it will
	// ever be.
	Since(before scan.Stat) (still, replaced bool, err error)
	ReadAt(b []byte, off int64) (int, error)
	Close()
}

// outcome is what became of a job.
type outcome uint8

const (
	settled  outcome = iota // the content that the file had at one moment was read
	changing                // the file changed while it was read
	gone                    // the name does not lead to a regular file any more
)

// job is one resource on its way through the pipeline.
type job struct {
	input
	entry module.Entry
	bytes int64       // plaintext
	stat  scan.Stat   // of the file that was read, for the stat index
	plain merkle.Hash // SHA-256 of the plaintext, when asked for
	fresh bool        // went through the pipeline

	outcome outcome
	still   bool        // the file looks as it did before it was read
	sure    bool        // a change while it was read would show
	limit   int64       // read no more than this many bytes; 0: all
	before  merkle.Hash // the leaf of the previous attempt, of limit bytes; zero: none
	first   scan.Stat   // the stat of that attempt
	calm    bool        // the file held still during an attempt before
	opened  int64       // when this attempt began, in nanoseconds since 1970

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
	salt    *urn.Salt
	workers int
	plain   bool  // hash plaintexts too
	most    int64 // a resource of more bytes is a *TooLargeError; 0: no limit
	keep    func(chunks []module.Chunk, frames []byte) error
	step    func(n int64) // plaintext that went through

	frames  chan []byte  // free frame buffers
	windows chan *window // free windows
	leaves  chan *unit
	mu      sync.Mutex
}

// pauses are the times between the attempts to read a file that changes.
var pauses = [...]time.Duration{0, 10 * time.Millisecond, 50 * time.Millisecond,
	250 * time.Millisecond}

// run sends the jobs through. keep is called from one goroutine, in order.
//
// A file that changes while it is read, or so recently that its times would not show it, is read
// again, a few times. It is settled when it held still, or when its first bytes are the same as in
// the attempt before: those are what the file began with between the two attempts, which is the
// whole file at that moment where it only grows. The outcome of each job says what came of it; a
// job that is gone or still changing has no entry that counts. The chunks of given-up attempts stay
// in the pack.
func (p *pipeline) run(ctx context.Context, jobs []*job) error {
	for attempt := 0; ; attempt++ {
		if err := p.pass(ctx, jobs); err != nil {
			return err
		}
		var again []*job
		for _, j := range jobs {
			if !j.settle(attempt == len(pauses)) {
				again = append(again, j)
			}
		}
		if len(again) == 0 || attempt == len(pauses) {
			return nil
		}
		select {
		case <-time.After(pauses[attempt]):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		jobs = again
	}
}

// settle decides whether the attempt counts, and else prepares the next one, if it is not the last.
func (j *job) settle(last bool) bool {
	read := j.large || j.entry.Chunks != nil
	part := j.bytes < j.stat.Size
	switch {
	case j.outcome == gone:
		return true
	case !read:
	case j.still && j.sure && !part:
		j.outcome = settled
		return true
	case j.still && part && !last && !j.calm: // the file holds still: try once to have all of it
		j.limit, j.before, j.calm = 0, merkle.Hash{}, true
	case !j.before.IsZero() && j.before == j.entry.Leaf:
		j.outcome, j.stat = settled, j.first
		j.stat.Size = j.bytes // so that the stat index does not take the file for what was read
		return true
	default:
		j.limit, j.before, j.first = j.bytes, j.entry.Leaf, j.stat
	}
	j.outcome, j.large, j.size = changing, false, j.stat.Size
	j.entry.Chunks, j.entry.Leaf = nil, merkle.Hash{}
	return false
}

// length is how many bytes to read of the open file that j.stat describes.
func (j *job) length() int64 {
	if j.limit > 0 {
		return min(j.limit, j.stat.Size)
	}
	return j.stat.Size
}

// finish notes whether the file changed while it was read.
func (j *job) finish(r contentReader) error {
	still, replaced, err := r.Since(j.stat)
	other := j.first.Inode != 0 && j.first.Inode != j.stat.Inode // than in the attempt before
	j.still, j.sure = still, replaced || other || j.stat.OlderThan(j.opened)
	return err
}

// openJob opens the content. A nil reader without an error is a name that does not lead to a
// regular file any more.
func (j *job) openJob() (contentReader, error) {
	j.still, j.bytes, j.opened = false, 0, time.Now().UnixNano()
	r, err := j.open()
	if isGone(err) {
		j.outcome = gone
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if j.stat, err = r.Stat(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// isGone reports whether a file that was listed is not there any more, or something else is in its
// place.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, regular.ErrNotRegular)
}

// pass reads the jobs once.
func (p *pipeline) pass(ctx context.Context, jobs []*job) error {
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
	if err != nil || plain == nil {
		return err
	}
	if p.plain {
		j.plain = merkle.Sum(plain)
	}
	j.bytes = int64(len(plain))
	j.key = urn.NewKey(p.s.set.id, j.name, p.salt)
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

// readSmall reads a resource whole; nil when it is gone or not small any more.
func (j *job) readSmall(scratch []byte) ([]byte, error) {
	r, err := j.openJob()
	if err != nil || r == nil {
		return nil, err
	}
	defer r.Close()
	if j.stat.Size > smallSize {
		return nil, nil
	}
	n := 0
	for most := int(j.length()); n < most; {
		m, err := r.ReadAt(scratch[n:most], int64(n))
		if err != nil {
			return nil, err
		}
		if m == 0 {
			break // it has been cut off
		}
		n += m
	}
	plain := scratch[:n:n]
	if err := j.finish(r); err != nil || !j.still || j.sure {
		return plain, err
	}
	same, err := reads(r, plain)
	if err != nil || !same {
		return plain, err
	}
	err = j.finish(r)
	j.sure = j.still
	return plain, err
}

// reads reports whether a content begins with want.
func reads(r contentReader, want []byte) (bool, error) {
	var buf [32 << 10]byte
	for n := 0; n < len(want); {
		m, err := r.ReadAt(buf[:min(len(buf), len(want)-n)], int64(n))
		if err != nil || m == 0 || !bytes.Equal(buf[:m], want[n:n+m]) {
			return false, err
		}
		n += m
	}
	return true, nil
}

// feedLarge reads and cuts a large resource.
func (p *pipeline) feedLarge(ctx context.Context, j *job, emit func(*unit) error) error {
	r, err := j.openJob()
	if err != nil || r == nil {
		return err
	}
	defer r.Close()
	if j.stat.Size <= smallSize {
		return nil // the next attempt reads it as a small one
	}
	length := j.length()
	if p.most > 0 && length > p.most {
		return &TooLargeError{length, p.most}
	}
	j.key = urn.NewKey(p.s.set.id, j.name, p.salt)
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
		for n < len(win.buf) && !eof {
			most := min(int64(len(win.buf)-n), length-j.bytes)
			m, err := r.ReadAt(win.buf[n:n+int(most)], j.bytes)
			if err != nil {
				return err
			}
			if m == 0 { // it has been cut off
				eof = true
				break
			}
			if plain != nil {
				plain.add(win.buf[n : n+m])
			}
			n += m
			j.bytes += int64(m)
			eof = j.bytes == length
		}
		used, err := p.emitWindow(j, win, n, eof, emit)
		if err != nil {
			return err
		}
		carry = append(carry[:0], win.buf[used:n]...)
		free := p.windows
		go func() { // the buffer is free again when its units are sealed
			win.units.Wait()
			free <- win
		}()
	}
	if plain != nil {
		j.plain = plain.sum()
	}
	return j.finish(r)
}

// emitWindow cuts n bytes of a window into chunks and those into units, and returns how many bytes
// it used.
func (p *pipeline) emitWindow(j *job, win *window, n int, eof bool,
	emit func(*unit) error) (used int, err error) {
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

// take hands a unit on to where it is kept, and to the leaf hash when it belongs to a large
// resource.
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
