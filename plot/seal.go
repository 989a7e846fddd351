package plot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// Seal writes the tables, searches for the work, signs, and makes the file a
// plot by writing page 0 last and renaming it. All capsules must have been
// added. A plot is there after an error only when the error is about what comes
// after the rename.
func (w *Writer) Seal(ctx context.Context) (*Info, error) {
	if w.failed != nil {
		return nil, w.failed
	}
	if _, d, more := w.Next(); more {
		return nil, fmt.Errorf("seal plot %s: capsule %d with hash %s was not added", w.plan.id,
			d.Index, d.Hash)
	}
	info, err := w.seal(ctx)
	if err != nil {
		w.failed = fmt.Errorf("seal plot %s: %w", w.plan.id, err)
		return nil, w.failed
	}
	return info, nil
}

func (w *Writer) seal(ctx context.Context) (*Info, error) {
	s := &sealer{w: w, h: header{created: w.created, id: w.plan.id,
		capsules: uint32(w.plan.count())}}
	if err := s.tables(ctx); err != nil {
		return nil, err
	}
	head := s.h.encode()
	f := footer{size: s.h.size, id: s.h.id, tip: s.previous, headerHash: [32]byte(head[4064:])}
	if _, err := w.out.Write(f.encode()); err != nil {
		return nil, err
	}
	if err := w.out.flush(); err != nil {
		return nil, err
	}
	if err := w.file.Truncate(s.h.size); err != nil {
		return nil, err
	}
	if err := w.file.Sync(); err != nil {
		return nil, err
	}
	if _, err := w.file.WriteAt(head, 0); err != nil {
		return nil, err
	}
	if err := w.file.Sync(); err != nil {
		return nil, err
	}
	return w.publish(ctx, s)
}

// publish gives the file its name and removes what was beside it.
func (w *Writer) publish(ctx context.Context, s *sealer) (*Info, error) {
	if err := w.checkReplaced(ctx); err != nil {
		return nil, err
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return nil, err
	}
	if err := w.fs.Rename(w.path(partSuffix), w.path("")); err != nil {
		return nil, err
	}
	w.done = true
	if err := w.fs.SyncDir(w.dir); err != nil {
		return nil, err
	}
	scratch := w.scratch
	w.scratch = nil
	if err := errors.Join(scratch.Close(), w.discard()); err != nil {
		return nil, err
	}
	info := s.meta.info(&s.h, &w.plan.anchor, w.plan.datastores())
	info.Path = w.path("")
	return info, nil
}

// checkReplaced verifies the new file in full when another one has its name,
// so that a good file is never replaced by a bad one.
func (w *Writer) checkReplaced(ctx context.Context) error {
	if _, err := w.fs.Lstat(w.path("")); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	info, err := w.file.Stat()
	if err != nil {
		return err
	}
	r, err := NewReader(w.file, info.Size(), nil)
	if err != nil {
		return err
	}
	_, err = r.Verify(ctx, Full, nil)
	return err
}

// A sealer writes the tables behind the extents.
type sealer struct {
	w        *Writer
	h        header
	meta     metadata
	previous merkle.Hash // table hash of the table before
}

func (s *sealer) tables(ctx context.Context) error {
	w, p := s.w, s.w.plan
	for i := range p.places {
		p.places[i].offset = p.places[p.first[i]].offset
	}
	data := tableHeader{index: dataTable, bodySize: w.out.offset() - 2*pageSize,
		entries: uint32(len(p.extents))}
	data.bodyHash = s.dataHash()
	s.h.tables[dataTable-1] = 1

	content, _ := p.contentSize()
	s.meta = metadata{key: p.key, root: p.root, seed: p.seed, difficulty: p.difficulty,
		compression: w.code,
		content:     content, datastores: uint32(len(p.manifests))}
	for _, n := range w.stored {
		s.meta.stored += uint64(n)
	}
	if err := s.table(ctx, metaTable, s.meta.datastores, func(b io.Writer) error {
		_, err := b.Write(append(s.meta.encode(), p.datastores()...))
		return err
	}); err != nil {
		return err
	}
	if err := s.table(ctx, anchorTable, 1, func(b io.Writer) error {
		_, err := b.Write(p.anchor.encode())
		return err
	}); err != nil {
		return err
	}
	if err := s.table(ctx, indexTable, s.h.capsules, func(b io.Writer) error {
		x, err := newIndex(ctx, p.id, p, p.extents)
		if err != nil {
			return err
		}
		return x.write(func(part []byte) error {
			_, err := b.Write(part)
			return err
		})
	}); err != nil {
		return err
	}
	if err := s.finish(ctx, &data, pageSize); err != nil {
		return err
	}
	if err := s.table(ctx, merkleTable, s.h.capsules, s.writeMerkle); err != nil {
		return err
	}
	if err := s.table(ctx, workTable, s.h.capsules,
		func(b io.Writer) error { return s.writeWork(ctx, b) }); err != nil {
		return err
	}
	if err := s.table(ctx, sealTable, 1, func(b io.Writer) error {
		return s.writeSeal(ctx,
			b)
	}); err != nil {
		return err
	}
	s.h.size = w.out.offset() + pageSize
	if s.h.size > MaxSize {
		return fmt.Errorf("plot of %d bytes: %w of %d", s.h.size, ErrLimit, int64(MaxSize))
	}
	return nil
}

// table appends table i: a page for its header, the body that write makes, and
// zeros to a page.
func (s *sealer) table(ctx context.Context, i int, entries uint32,
	write func(io.Writer) error) error {
	out := s.w.out
	s.h.tables[i-1] = uint32(out.offset() / pageSize)
	b, err := newBody(out)
	if err != nil {
		return err
	}
	if err := write(b); err != nil {
		return err
	}
	if err := out.pad(); err != nil {
		return err
	}
	t := tableHeader{index: i, bodyHash: b.sum(), bodySize: b.bytes, entries: entries}
	return s.finish(ctx, &t, b.at)
}

// finish chains a table to the one before and writes its header at offset at.
func (s *sealer) finish(ctx context.Context, t *tableHeader, at int64) error {
	t.previous, t.difficulty = s.previous, s.w.plan.difficulty
	hash, err := t.mine(ctx, s.w.plan.seed)
	if err != nil {
		return err
	}
	s.previous = hash
	return s.w.out.patch(t.encode(), at)
}

var dataTag = []byte("dig:plot:c4:v1")

// dataHash returns the body hash of C4.
func (s *sealer) dataHash() (sum merkle.Hash) {
	p := s.w.plan
	stored := make([]int64, p.count())
	for n, i := range p.extents {
		stored[i] = s.w.stored[n]
	}
	h := sha256.New()
	h.Write(dataTag)
	for i := range p.count() {
		r := p.record(uint32(i))
		h.Write(dataHashEntry(&r, stored[p.first[i]]))
	}
	h.Sum(sum[:0])
	return sum
}

func dataHashEntry(r *Record, stored int64) []byte {
	b := be.AppendUint64(make([]byte, 0, 48), uint64(r.Offset))
	b = be.AppendUint64(b, uint64(stored))
	return append(b, r.Hash[:]...)
}

// writeMerkle writes the body of C5. The subroots come from the scratch file.
func (s *sealer) writeMerkle(b io.Writer) error {
	w, p := s.w, s.w.plan
	if err := w.subroots.flush(); err != nil {
		return err
	}
	if _, err := b.Write(merkleHeadBytes(s.h.capsules)); err != nil {
		return err
	}
	at := int64(merkleHead) + int64(p.count())*merkleEntrySize
	store := 0
	for i := range p.count() {
		r := p.record(uint32(i))
		for p.manifests[store].Store != r.Store {
			store++
		}
		all := p.manifests[store].Capsules
		e := merkleEntry{chunkRoot: all[r.Index].ChunkRoot, subrootsOff: at,
			subroots: subrootsOf(r.Size), path: pathLength(r.Index, uint32(len(all)))}
		e.pathOff = at + int64(e.subroots)*hashSize
		at = e.pathOff + int64(e.path)*stepSize
		if _, err := b.Write(e.append(make([]byte, 0, merkleEntrySize))); err != nil {
			return err
		}
	}
	offsets := s.subrootOffsets()
	buf, steps := make([]byte, 32<<10), make([]byte, 0, maxPath*stepSize)
	store = 0
	var paths *pathMaker
	for i := range p.count() {
		r := p.record(uint32(i))
		for p.manifests[store].Store != r.Store {
			store++
			paths = nil
		}
		if paths == nil {
			paths = newPathMaker(p.manifests[store])
		}
		size := int64(subrootsOf(r.Size)) * hashSize
		src := io.NewSectionReader(w.scratch, offsets[p.first[i]], size)
		if n, err := io.CopyBuffer(b, src, buf); err != nil || n != size {
			return fmt.Errorf("read %d bytes of subroots: %d: %w", size, n,
				errors.Join(err, io.ErrUnexpectedEOF))
		}
		path, err := paths.path(int(r.Index))
		if err != nil {
			return err
		}
		steps = appendSteps(steps[:0], path)
		if _, err := b.Write(steps); err != nil {
			return err
		}
	}
	return nil
}

// subrootOffsets returns where the subroots of the records that have their own
// extent begin in the scratch file.
func (s *sealer) subrootOffsets() []int64 {
	p := s.w.plan
	offsets := make([]int64, p.count())
	at := int64(0)
	for _, i := range p.extents {
		offsets[i] = at
		at += int64(subrootsOf(p.capsule(i).Size)) * hashSize
	}
	return offsets
}

// workBatch is the number of records whose work is searched before it is
// written.
const workBatch = 1024

// writeWork searches for the work of each record and writes the body of C6.
// Records are searched for at the same time, as many as there are workers.
func (s *sealer) writeWork(ctx context.Context, b io.Writer) error {
	total := s.w.plan.count()
	batch := make([]byte, 0, workBatch*workEntrySize)
	for first := 0; first < total; first += workBatch {
		n := min(workBatch, total-first)
		batch = batch[:n*workEntrySize]
		clear(batch)
		if err := s.searchWork(ctx, first, batch); err != nil {
			return err
		}
		if _, err := b.Write(batch); err != nil {
			return err
		}
	}
	return nil
}

// searchWork fills entries with those of the records from first on.
func (s *sealer) searchWork(ctx context.Context, first int, entries []byte) error {
	p := s.w.plan
	if p.difficulty == 0 {
		return ctx.Err() // all entries are zero
	}
	n, total := len(entries)/workEntrySize, p.count()
	var next atomic.Int64
	found := make(chan struct{}, n)
	g, gctx := errgroup.WithContext(ctx)
	for range min(n, s.w.o.Workers) {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				entry, err := s.searchOne(gctx, first+i)
				if err != nil {
					return err
				}
				copy(entries[i*workEntrySize:], entry)
				found <- struct{}{} // has room for all
			}
			return nil
		})
	}
	failed := make(chan error, 1)
	go func() {
		failed <- g.Wait()
		close(found)
	}()
	done := first
	for range found {
		done++
		if done*100/total != (done-1)*100/total {
			s.w.progress("work", int64(done), int64(total))
		}
	}
	return <-failed
}

// searchOne returns the entry of record i.
func (s *sealer) searchOne(ctx context.Context, i int) ([]byte, error) {
	p := s.w.plan
	d := p.capsule(uint32(i))
	in := capsule.WorkInput{TableDataHash: d.ChunkRoot, PreviousHash: s.previous,
		PlotSeed: p.seed, CapsuleHash: d.Hash}
	nonce, err := s.w.o.Worker.Search(ctx, in, p.difficulty)
	if err != nil {
		return nil, fmt.Errorf("work of capsule %d: %w", d.Index, err)
	}
	achieved := capsule.ZeroBits(in.Hash(nonce))
	if achieved < p.difficulty {
		return nil, fmt.Errorf("work of capsule %d: nonce %d has %d leading zero bits, expected %d",
			d.Index, nonce, achieved, p.difficulty)
	}
	return appendWork(make([]byte, 0, workEntrySize), nonce, achieved), nil
}

func (s *sealer) writeSeal(ctx context.Context, b io.Writer) error {
	sig, err := s.w.key.Sign(ctx, sealMessage(&s.h, s.previous))
	if err != nil {
		return err
	}
	key := s.w.plan.key
	if err := key.Verify(sealMessage(&s.h, s.previous), sig); err != nil {
		return fmt.Errorf("the signer's own signature: %w", err)
	}
	_, err = b.Write(append(key[:len(key):len(key)], sig[:]...))
	return err
}
