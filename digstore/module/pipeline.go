package module

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"github.com/dig-network/digstore/merkle"
)

// A pipeline hashes the pieces of a module while the next ones are read: one
// goroutine gives each its id and hands it to put, another hashes the content of
// resources of several chunks.
type pipeline struct {
	put  func(Chunk, []byte) error
	sent int // pieces so far

	ids    chan *piece
	sums   chan *piece
	free   chan *piece // of the usual size
	made   int         // how many of them there are
	large  chan *piece // the one that is longer
	wg     sync.WaitGroup
	once   sync.Once
	failed atomic.Bool

	// Once close has returned:
	err    error
	chunks []Chunk             // the distinct ones
	places []uint32            // for each piece its place in chunks
	leaves map[int]merkle.Hash // hashes of the content of resources, by their rows
}

const (
	pieceSize = 256<<10 + 16 // the longest chunk of the default chunking
	maxMade   = 16
)

// A piece is a stretch of a module on its way.
type piece struct {
	data  []byte
	steps []step
	users atomic.Int32
}

// A step is what the content hash does with a piece: write it, begin anew, or
// finish the resource of that row.
type step int

const (
	stepWrite step = -1
	stepReset step = -2
)

func newPipeline(put func(Chunk, []byte) error) *pipeline {
	p := &pipeline{
		put:    put,
		ids:    make(chan *piece, maxMade),
		sums:   make(chan *piece, maxMade),
		free:   make(chan *piece, maxMade),
		large:  make(chan *piece, 1),
		leaves: make(map[int]merkle.Hash),
	}
	p.large <- new(piece)
	p.wg.Go(p.identify)
	p.wg.Go(p.sum)
	return p
}

// get returns a piece of n bytes to fill. It waits until one is free.
func (p *pipeline) get(n int) (*piece, error) {
	var got *piece
	if n > pieceSize {
		got = <-p.large
	} else {
		select {
		case got = <-p.free:
		default:
			if p.made < maxMade {
				p.made++
				got = &piece{data: make([]byte, pieceSize)}
			} else {
				got = <-p.free
			}
		}
	}
	if p.failed.Load() {
		p.release(got)
		p.close()
		return nil, p.err
	}
	if cap(got.data) < n {
		got.data = make([]byte, n)
	}
	got.data = got.data[:n]
	return got, nil
}

func (p *pipeline) release(got *piece) {
	if cap(got.data) > pieceSize || cap(got.data) == 0 {
		p.large <- got
	} else {
		p.free <- got
	}
}

// send passes on a piece that has been filled.
func (p *pipeline) send(got *piece, steps []step) {
	p.sent++
	got.steps = steps
	got.users.Store(1)
	if len(steps) > 0 {
		got.users.Add(1)
		p.sums <- got
	}
	p.ids <- got
}

func (p *pipeline) drop(got *piece) {
	if got.users.Add(-1) == 0 {
		p.release(got)
	}
}

// close waits until everything that was sent is done with.
func (p *pipeline) close() {
	p.once.Do(func() {
		close(p.ids)
		close(p.sums)
		p.wg.Wait()
	})
}

func (p *pipeline) identify() {
	places := make(map[merkle.Hash]uint32)
	for got := range p.ids {
		if p.err == nil {
			id := merkle.Sum(got.data)
			place, ok := places[id]
			if !ok {
				place = uint32(len(p.chunks))
				places[id] = place
				c := Chunk{id, uint32(len(got.data))}
				p.chunks = append(p.chunks, c)
				if p.err = p.put(c, got.data); p.err != nil {
					p.failed.Store(true)
				}
			}
			p.places = append(p.places, place)
		}
		p.drop(got)
	}
}

func (p *pipeline) sum() {
	h := sha256.New()
	for got := range p.sums {
		for _, s := range got.steps {
			switch s {
			case stepWrite:
				h.Write(got.data)
			case stepReset:
				h.Reset()
			default:
				p.leaves[int(s)] = merkle.Hash(h.Sum(nil))
				h.Reset()
			}
		}
		p.drop(got)
	}
}

// A walker says what each chunk of a pool means for the content hashes. It
// follows the rows as long as they name chunks in the order of the pool; one
// that goes back is given up.
type walker struct {
	t   *table // nil: nothing is known
	row int
	at  uint32 // in refs
}

func newWalker(t *table) *walker { return &walker{t: t} }

// steps appends what is to be done with chunk number ref, called for 0, 1, 2, …
func (w *walker) steps(steps []step, ref uint32) []step {
	if w.t == nil {
		return nil
	}
	for w.row < len(w.t.keys) {
		start, end := w.t.starts[w.row], w.t.starts[w.row+1]
		if w.at < start {
			w.at = start
		}
		if end-start > 1 {
			next := w.t.refs[w.at]
			if next > ref {
				break
			}
			if next == ref {
				steps = append(steps, stepWrite)
				if w.at++; w.at < end {
					continue
				}
				steps = append(steps, step(w.row))
			} else if w.at > start {
				steps = append(steps, stepReset)
			}
		}
		w.row++
	}
	return steps
}
