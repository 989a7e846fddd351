package plot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// A writeBlock is one block on its way through the workers of an
// extentWriter.
type writeBlock struct {
	content []byte // of blockSize capacity
	stored  []byte
	raw     bool
	crc     uint32
	subroot merkle.Hash
	err     error
	done    chan struct{}
	enc     []byte // memory for stored
}

// An extentWriter appends extents. Content is read and hashed by one
// goroutine, compressed by several, and written by another in order.
type extentWriter struct {
	code    uint8
	workers int
	free    []*writeBlock
	encoder []*encoder
	hash    hash.Hash
}

func newExtentWriter(code uint8, workers int) (*extentWriter, error) {
	w := &extentWriter{code: code, workers: workers, hash: sha256.New()}
	for range workers {
		e, err := newEncoder(code)
		if err != nil {
			return nil, err
		}
		w.encoder = append(w.encoder, e)
	}
	for range 2*workers + 4 {
		w.free = append(w.free, &writeBlock{content: make([]byte, 0, blockSize),
			done: make(chan struct{}, 1)})
	}
	return w, nil
}

// prepare compresses one block and computes its checksum and subroot.
func (b *writeBlock) prepare(e *encoder) {
	b.subroot = capsule.Subroot(b.content)
	stored, raw, err := e.encode(b.content)
	b.raw, b.err = raw, err
	if raw || err != nil {
		b.stored = b.content
	} else {
		b.enc = append(b.enc[:0], stored...)
		b.stored = b.enc
	}
	b.crc = crc32.Checksum(b.stored, castagnoli)
}

// write appends the extent of the capsule of r, whose content is read from src
// to its end. It returns the header and the subroots. On an error the caller
// cuts off what was written.
func (w *extentWriter) write(ctx context.Context, out *output, r *Record, chunkRoot merkle.Hash,
	src io.Reader) (
	*extentHeader, []merkle.Hash, error) {
	start := out.offset()
	if err := out.zeros(firstBlock(r.Size)); err != nil {
		return nil, nil, err
	}
	x := &extentBuilder{out: out, start: start,
		entries: make([]byte, 0, blocksOf(r.Size)*blockEntrySize)}
	w.hash.Reset()
	run := w.parallel
	if blocksOf(r.Size) <= 1 {
		run = w.serial
	}
	if err := run(ctx, x, r, src); err != nil {
		return nil, nil, err
	}
	if err := atEnd(src, r); err != nil {
		return nil, nil, err
	}
	if r.Size == 0 {
		x.subroots = append(x.subroots, capsule.Subroot(nil))
	}
	if got := merkle.Hash(w.hash.Sum(nil)); got != r.Hash {
		return nil, nil, fmt.Errorf("capsule %d of datastore %s: %w: hash %s, expected %s", r.Index,
			r.Store, ErrContentMismatch, got, r.Hash)
	}
	if got := merkle.Root(x.subroots); got != chunkRoot {
		return nil, nil, fmt.Errorf("capsule %d of datastore %s: %w: chunk root %s, expected %s",
			r.Index, r.Store, ErrContentMismatch, got, chunkRoot)
	}
	h := &extentHeader{
		store: r.Store, index: r.Index, size: r.Size, hash: r.Hash, compression: w.code,
		chunkRoot: chunkRoot,
		stored:    out.offset() - start, tableCRC: crc32.Checksum(x.entries, castagnoli),
	}
	if err := out.patch(append(h.encode(), x.entries...), start); err != nil {
		return nil, nil, err
	}
	return h, x.subroots, out.pad()
}

// An extentBuilder collects the blocks of one extent in order.
type extentBuilder struct {
	out      *output
	start    int64
	entries  []byte
	subroots []merkle.Hash
}

func (x *extentBuilder) add(b *writeBlock) error {
	if b.err != nil {
		return b.err
	}
	e := blockEntry{offset: x.out.offset() - x.start, length: len(b.stored), raw: b.raw, crc: b.crc}
	x.entries = e.append(x.entries)
	x.subroots = append(x.subroots, b.subroot)
	_, err := x.out.Write(b.stored)
	return err
}

// fill reads block i of the capsule of r.
func (b *writeBlock) fill(src io.Reader, r *Record, i int) error {
	b.content = b.content[:blockLength(r.Size, i)]
	n, err := io.ReadFull(src, b.content)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("capsule %d of datastore %s: %w: %d bytes, expected %d",
			r.Index, r.Store, ErrContentMismatch, int64(i)*blockSize+int64(n), r.Size)
	}
	if err != nil {
		return fmt.Errorf("read capsule %d of datastore %s: %w", r.Index, r.Store, err)
	}
	return nil
}

// atEnd checks that src has nothing after the content of r.
func atEnd(src io.Reader, r *Record) error {
	var b [1]byte
	switch _, err := io.ReadFull(src, b[:]); {
	case err == nil:
		return fmt.Errorf("capsule %d of datastore %s: %w: more than %d bytes", r.Index, r.Store,
			ErrContentMismatch, r.Size)
	case errors.Is(err, io.EOF):
		return nil
	default:
		return fmt.Errorf("read capsule %d of datastore %s: %w", r.Index, r.Store, err)
	}
}

func (w *extentWriter) serial(_ context.Context, x *extentBuilder, r *Record, src io.Reader) error {
	b := w.free[0]
	for i := range blocksOf(r.Size) {
		if err := b.fill(src, r, i); err != nil {
			return err
		}
		w.hash.Write(b.content)
		b.prepare(w.encoder[0])
		if err := x.add(b); err != nil {
			return err
		}
	}
	return nil
}

func (w *extentWriter) parallel(ctx context.Context, x *extentBuilder, r *Record,
	src io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	free := make(chan *writeBlock, len(w.free))
	todo := make(chan *writeBlock, len(w.free))
	ordered := make(chan *writeBlock, len(w.free))
	for _, b := range w.free {
		free <- b
	}
	g.Go(func() error {
		defer close(todo)
		defer close(ordered)
		for i := range blocksOf(r.Size) {
			var b *writeBlock
			select {
			case b = <-free:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := b.fill(src, r, i); err != nil {
				return err
			}
			todo <- b // has room for all blocks, as has ordered
			ordered <- b
			w.hash.Write(b.content)
		}
		return nil
	})
	for i := range w.workers {
		g.Go(func() error {
			for b := range todo {
				b.prepare(w.encoder[i])
				b.done <- struct{}{}
			}
			return nil
		})
	}
	var failed error
	for b := range ordered {
		<-b.done
		// After an error the rest is only received, so that no goroutine waits.
		if failed == nil {
			if failed = x.add(b); failed != nil {
				cancel()
			}
		}
		free <- b
	}
	if err := g.Wait(); failed == nil {
		return err
	}
	return failed
}
