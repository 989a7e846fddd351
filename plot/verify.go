package plot

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// A Level says how much Verify checks, beyond what NewReader has checked.
type Level int

const (
	// Quick reads all tables except the content.
	Quick Level = iota
	// Full does what Quick does and reads all content. Every byte of the file
	// has then been checked.
	Full
)

// Damage is an extent that did not pass a full verification.
type Damage struct {
	Store  auth.StoreID // of the first record that uses the extent
	Index  uint32       // of that record
	Hash   merkle.Hash
	Offset int64 // of the extent in the file
	Blocks []int // the blocks that are damaged; nil when the extent itself is
	Err    error // the first thing found
}

// A Report is the outcome of a verification.
type Report struct {
	Level   Level
	Bytes   int64    // of content that was checked
	Damaged []Damage // in file order
}

// Verify checks the plot. Damage outside of the content is an error at once, by
// the class of what is found first. Damaged extents are all found: they are
// listed in the report, and the first of them is the error. progress may be
// nil; it is called about a hundred times, from one goroutine at a time.
//
// Memory is at most 64 MiB and 200 bytes for each capsule.
func (r *Reader) Verify(ctx context.Context, l Level, progress func(Progress)) (*Report, error) {
	v := &verifier{r: r, progress: progress}
	report := &Report{Level: l}
	if err := v.quick(ctx); err != nil {
		return report, err
	}
	r.verified.Store(true)
	if l == Quick {
		return report, nil
	}
	return report, v.full(ctx, report)
}

type verifier struct {
	r          *Reader
	progress   func(Progress)
	records    []Record
	first      []uint32 // ordinal of the first record of the same hash
	extents    []uint32 // ordinals of the records that have their own extent, in order
	chunkRoots []merkle.Hash
}

func (v *verifier) report(phase string, done, total int64) {
	if v.progress != nil {
		v.progress(Progress{Phase: phase, Done: done, Total: total})
	}
}

func (v *verifier) quick(ctx context.Context) error {
	n := int64(v.r.head.capsules)
	steps := []func(context.Context) error{v.padding, v.index, v.buckets, v.merkleTable, v.work}
	for i, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
		v.report("quick", n*int64(i+1)/int64(len(steps)), n)
	}
	return nil
}

// padding checks the bytes between the body of each table and its next page.
// Those of C3 are part of its body, and C4 fills its pages.
func (v *verifier) padding(context.Context) error {
	for i := 1; i <= 7; i++ {
		size := v.r.tables[i-1].bodySize
		b := make([]byte, align(size)-size)
		at := v.r.bodyOf(i) + size
		if err := readFull(v.r.src, b, at); err != nil {
			return err
		}
		if !isZero(b) {
			return damaged(ErrTable, fmt.Sprintf("padding of C%d", i), at, "is not zero")
		}
	}
	return nil
}

// index checks the hash of C3 and its records: their order, their offsets, and
// that equal hashes have equal sizes and offsets.
func (v *verifier) index(ctx context.Context) error {
	r := v.r
	h := sha256.New()
	page := make([]byte, pageSize)
	if err := readFull(r.src, page, r.bodyOf(indexTable)); err != nil {
		return err
	}
	h.Write(page)
	v.records = make([]Record, 0, r.head.capsules)
	var content uint64
	if err := r.eachRecord(ctx, func(_ int, rec *Record, raw []byte) error {
		h.Write(raw)
		v.records = append(v.records, *rec)
		content += uint64(rec.Size)
		return nil
	}); err != nil {
		return err
	}
	size := int64(len(v.records)) * recordSize
	rest := io.NewSectionReader(r.src, r.bodyOf(indexTable)+recordsOff+size,
		r.layout.size-recordsOff-size)
	if n, err := io.CopyBuffer(h, onlyReader{contextReader{ctx, rest}},
		make([]byte, bufferSize(rest.Size()))); err != nil || n != rest.Size() {
		return errors.Join(err, shortRead(n, rest.Size()))
	}
	if got := merkle.Hash(h.Sum(nil)); got != r.tables[indexTable-1].bodyHash {
		return damaged(ErrIndex, "C3", r.bodyOf(indexTable), "hash %s, expected %s", got,
			r.tables[indexTable-1].bodyHash)
	}
	if content != r.meta.content {
		return damaged(ErrTable, "C1", r.bodyOf(metaTable)+104,
			"%d bytes of content, the records have %d", r.meta.content, content)
	}
	v.first = sameHash(recordSlice(v.records))
	v.extents = firstOfHash(v.first)
	return v.sharing()
}

// sharing checks that records with equal hashes use one extent, and others
// different ones in order of first use.
func (v *verifier) sharing() error {
	if uint32(len(v.extents)) != v.r.tables[dataTable-1].entries {
		return damaged(ErrTable, "C4 header", v.r.head.table(dataTable)+0x50,
			"%d extents, the records name %d",
			v.r.tables[dataTable-1].entries, len(v.extents))
	}
	start, next := v.r.bodyOf(dataTable), 0
	byOffset := make([]int64, 0, len(v.extents))
	for i := range v.records {
		rec := &v.records[i]
		if next < len(v.extents) && int(v.extents[next]) == i {
			if next == 0 && rec.Offset != start || next > 0 && rec.Offset <= byOffset[next-1] {
				return damaged(ErrIndex, fmt.Sprintf("C3 record %d", i), -1,
					"offset %d is not in order of first use", rec.Offset)
			}
			byOffset = append(byOffset, rec.Offset)
			next++
		}
	}
	for i := range v.records {
		a, b := &v.records[i], &v.records[v.first[i]]
		if a.Size != b.Size || a.Offset != b.Offset {
			return damaged(ErrIndex, fmt.Sprintf("C3 record %d", i), -1,
				"size %d and offset %d, record %d with the same hash has %d and %d",
				a.Size, a.Offset, v.first[i], b.Size, b.Offset)
		}
	}
	return nil
}

// buckets makes both indexes again from the records and compares them with the
// file.
func (v *verifier) buckets(ctx context.Context) error {
	r := v.r
	x, err := newIndex(ctx, r.head.id, recordSlice(v.records), v.extents)
	if err != nil {
		return err
	}
	at := r.bodyOf(indexTable)
	if x.layout != r.layout {
		return damaged(ErrIndex, "C3 head", at, "2^%d and 2^%d buckets, expected 2^%d and 2^%d",
			r.layout.keyLog2, r.layout.hashLog2, x.layout.keyLog2, x.layout.hashLog2)
	}
	in := bufio.NewReaderSize(contextReader{ctx, io.NewSectionReader(r.src, at, r.layout.size)},
		bufferSize(r.layout.size))
	got := make([]byte, bufferSize(r.layout.size))
	return x.write(func(want []byte) error {
		b := got[:len(want)]
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		if !bytes.Equal(b, want) {
			return damaged(ErrIndex, "C3", at, "is not the index of its records")
		}
		at += int64(len(want))
		return nil
	})
}

// merkleTable checks C5: its hash, that its arrays follow each other without
// gaps, that subroots fold to chunk roots, that the plot leaves fold to the
// plot root, and that each path leads to the root of its datastore.
func (v *verifier) merkleTable(ctx context.Context) error {
	r := v.r
	t := &r.tables[merkleTable-1]
	at := r.bodyOf(merkleTable)
	h := sha256.New()
	in := bufio.NewReaderSize(contextReader{ctx,
		io.TeeReader(io.NewSectionReader(r.src, at, t.bodySize), h)}, bufferSize(t.bodySize))
	head := make([]byte, merkleHead)
	if _, err := io.ReadFull(in, head); err != nil {
		return err
	}
	if !bytes.Equal(head, merkleHeadBytes(r.head.capsules)) {
		return damaged(ErrTable, "C5 head", at, "is not that of %d records", r.head.capsules)
	}
	v.chunkRoots = make([]merkle.Hash, len(v.records))
	pathSteps := make([]uint8, len(v.records))
	next := int64(merkleHead + len(v.records)*merkleEntrySize)
	var leaves folder
	b := make([]byte, merkleEntrySize)
	for i := range v.records {
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		rec := &v.records[i]
		e, err := parseMerkleEntry(b, int64(i), rec.Size, r.head.capsules, t.bodySize, at)
		if err != nil {
			return err
		}
		if e.subrootsOff != next {
			return damaged(ErrTable, fmt.Sprintf("C5 entry %d", i),
				at+merkleHead+int64(i)*merkleEntrySize, "subroots at %d, expected %d",
				e.subrootsOff, next)
		}
		next = e.pathOff + int64(e.path)*stepSize
		v.chunkRoots[i], pathSteps[i] = e.chunkRoot, uint8(e.path)
		leaves.add(capsule.Descriptor{Index: rec.Index, Size: rec.Size, Hash: rec.Hash,
			ChunkRoot: e.chunkRoot}.PlotLeaf(rec.Store))
	}
	if next != t.bodySize {
		return damaged(ErrTable, "C5", at, "arrays end at %d, the body at %d", next, t.bodySize)
	}
	if err := v.arrays(in, at, pathSteps); err != nil {
		return err
	}
	if got := merkle.Hash(h.Sum(nil)); got != t.bodyHash {
		return damaged(ErrTable, "C5", at, "hash %s, expected %s", got, t.bodyHash)
	}
	if got := leaves.root(); got != r.meta.root {
		return damaged(ErrTable, "C1", r.bodyOf(metaTable)+32,
			"plot root %s, the records fold to %s", r.meta.root, got)
	}
	for i, n := range v.first {
		if v.chunkRoots[i] != v.chunkRoots[n] {
			return damaged(ErrTable, fmt.Sprintf("C5 entry %d", i), -1,
				"chunk root differs from that of record %d with the same hash", n)
		}
	}
	return nil
}

// arrays reads the subroots and paths of all records.
func (v *verifier) arrays(in io.Reader, at int64, pathSteps []uint8) error {
	off := at + merkleHead + int64(len(v.records))*merkleEntrySize
	var sub folder
	var one [hashSize]byte
	path := make([]byte, maxPath*stepSize)
	store, used := -1, 0
	for i := range v.records {
		rec := &v.records[i]
		sub.reset()
		for range subrootsOf(rec.Size) {
			if _, err := io.ReadFull(in, one[:]); err != nil {
				return err
			}
			sub.add(one)
			off += hashSize
		}
		if got := sub.root(); got != v.chunkRoots[i] {
			return damaged(ErrTable, fmt.Sprintf("C5 subroots of record %d", i), off,
				"fold to %s, expected %s", got, v.chunkRoots[i])
		}
		b := path[:int(pathSteps[i])*stepSize]
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		e := merkleEntry{chunkRoot: v.chunkRoots[i]}
		if _, err := v.r.checkPath(rec, &e, b, off); err != nil {
			return err
		}
		off += int64(len(b))
		// Each datastore of C1 has at least one record, in the same order.
		if store < 0 || v.r.stores.at(store).Store != rec.Store {
			store++
			used++
			if store >= v.r.stores.len() || v.r.stores.at(store).Store != rec.Store {
				return damaged(ErrTable, "C1", v.r.bodyOf(metaTable),
					"datastores differ from those of the records")
			}
		}
	}
	if used != v.r.stores.len() {
		return damaged(ErrTable, "C1", v.r.bodyOf(metaTable), "%d datastores, %d have records",
			v.r.stores.len(), used)
	}
	return nil
}

// work checks C6.
func (v *verifier) work(ctx context.Context) error {
	r := v.r
	t := &r.tables[workTable-1]
	at := r.bodyOf(workTable)
	h := sha256.New()
	in := bufio.NewReaderSize(contextReader{ctx,
		io.TeeReader(io.NewSectionReader(r.src, at, t.bodySize), h)}, bufferSize(t.bodySize))
	b := make([]byte, workEntrySize)
	for i := range v.records {
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		work := capsule.WorkInput{TableDataHash: v.chunkRoots[i],
			PreviousHash: r.hashes[merkleTable-1],
			PlotSeed:     r.meta.seed, CapsuleHash: v.records[i].Hash}
		if err := checkWork(b, int64(i), at, r.meta.difficulty, work); err != nil {
			return err
		}
	}
	if got := merkle.Hash(h.Sum(nil)); got != t.bodyHash {
		return damaged(ErrTable, "C6", at, "hash %s, expected %s", got, t.bodyHash)
	}
	return nil
}

// full checks C4: the stored sizes by the body hash, and every extent.
func (v *verifier) full(ctx context.Context, report *Report) error {
	var total int64
	for _, i := range v.extents {
		total += int64(v.records[i].Size)
	}
	stored := make([]int64, len(v.extents))
	damage := make([]*Damage, len(v.extents))
	var next, done atomic.Int64
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), len(v.extents)) {
		g.Go(func() error {
			end := v.r.bodyOf(dataTable) + v.r.tables[dataTable-1].bodySize
			c := newExtentChecker(v.r.src, end)
			defer c.release()
			for {
				n := int(next.Add(1)) - 1
				if n >= len(v.extents) {
					return nil
				}
				limit := end
				if n+1 < len(v.extents) {
					limit = v.records[v.extents[n+1]].Offset
				}
				d, size, err := v.extent(gctx, c, v.extents[n], limit)
				if err != nil {
					return err
				}
				stored[n], damage[n] = size, d
				now := done.Add(int64(v.records[v.extents[n]].Size))
				mu.Lock()
				v.report("full", now, total)
				mu.Unlock()
			}
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	report.Bytes = total
	for _, d := range damage {
		if d != nil {
			report.Damaged = append(report.Damaged, *d)
		}
	}
	if len(report.Damaged) > 0 {
		return report.Damaged[0].Err
	}
	return v.dataHash(stored)
}

// extent checks the extent of record i, which must end at limit. Damage is
// returned as such, a file that cannot be read as an error.
func (v *verifier) extent(
	ctx context.Context, c *extentChecker, i uint32, limit int64,
) (*Damage, int64, error) {
	rec := &v.records[i]
	d := &Damage{Store: rec.Store, Index: rec.Index, Hash: rec.Hash, Offset: rec.Offset}
	h, _, err := c.check(ctx, rec, v.chunkRoots[i],
		func(block int, _ error) { d.Blocks = append(d.Blocks, block) })
	if err == nil && rec.Offset+align(h.stored) != limit {
		err = damaged(ErrExtent, "extent header", rec.Offset, "ends at %d, the next begins at %d",
			rec.Offset+align(h.stored), limit)
	}
	if err == nil && (h.store != rec.Store || h.index != rec.Index) {
		err = damaged(ErrExtent, "extent header", rec.Offset+8,
			"names capsule %d of datastore %s, expected %d of %s", h.index, h.store, rec.Index,
			rec.Store)
	}
	if err == nil {
		return nil, h.stored, nil
	}
	var bad *FormatError
	if !errors.As(err, &bad) {
		return nil, 0, err
	}
	d.Err = err
	return d, 0, nil
}

func (v *verifier) dataHash(stored []int64) error {
	r := v.r
	sizes := make([]int64, len(v.records))
	var total uint64
	for n, i := range v.extents {
		sizes[i] = stored[n]
		total += uint64(stored[n])
	}
	if total != r.meta.stored {
		return damaged(ErrTable, "C1", r.bodyOf(metaTable)+112,
			"%d bytes stored, the extents have %d", r.meta.stored, total)
	}
	h := sha256.New()
	h.Write(dataTag)
	for i, n := range v.first {
		h.Write(dataHashEntry(&v.records[i], sizes[n]))
	}
	if got := merkle.Hash(h.Sum(nil)); got != r.tables[dataTable-1].bodyHash {
		return damaged(ErrTable, "C4 header", r.head.table(dataTable)+0x28,
			"body hash %s, expected %s", r.tables[dataTable-1].bodyHash, got)
	}
	return nil
}

// bufferSize returns the size of a buffer for reading n bytes in order.
func bufferSize(n int64) int { return int(min(1<<18, max(pageSize, n))) }

// shortRead returns an error unless all of want bytes were read.
func shortRead(got, want int64) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%d of %d bytes: %w", got, want, io.ErrUnexpectedEOF)
}

// A contextReader ends with the error of its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// onlyReader hides the other methods of a reader from io.Copy.
type onlyReader struct{ io.Reader }
