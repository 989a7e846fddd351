package module

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"github.com/dig-network/digstore/merkle"
)

// A pipeline hashes the pieces of a module while the next ones are read. One
// goroutine computes the id of each piece and calls put, another one hashes the
// content of resources with several chunks.
type pipeline struct {
	put  func(Chunk, []byte) error
	sent int // pieces so far

	ids    chan *piece
	sums   chan *piece
	free   chan *piece // pieces of up to pieceSize bytes
	made   int         // how many of these exist
	large  chan *piece // the one longer piece
	wg     sync.WaitGroup
	once   sync.Once
	failed atomic.Bool

	// Valid after close:
	err    error
	chunks []Chunk             // distinct chunks
	places []uint32            // for each piece its index in chunks
	leaves map[int]merkle.Hash // hashes of the content of resources, by row
}

const (
	pieceSize = 256<<10 + 16 // the longest chunk of the default chunking
	maxMade   = 16
)

// A piece is a run of bytes of a module that is being hashed.
type piece struct {
	data  []byte
	steps []step
	users atomic.Int32
}

// A step is one operation of the content hash: write the piece (row stepWrite),
// write earlier bytes (data), reset (row stepReset), or finish the resource of that
// row.
type step struct {
	row  int
	data []byte
}

const (
	stepWrite = -1
	stepReset = -2
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

// get returns a piece of n bytes. It waits until one is free.
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

// send passes a filled piece to the goroutines.
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

// close waits until all pieces that were sent are processed.
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
			switch {
			case s.data != nil:
				h.Write(s.data)
			case s.row == stepWrite:
				h.Write(got.data)
			case s.row == stepReset:
				h.Reset()
			default:
				p.leaves[s.row] = merkle.Hash(h.Sum(nil))
				h.Reset()
			}
		}
		p.drop(got)
	}
}
