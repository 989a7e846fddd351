package plot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A RepairReport is the outcome of a repair.
type RepairReport struct {
	Pages     int // pages outside of the content that were written again
	Blocks    int // blocks that were written again
	Extents   int // extents that were written again as a whole
	Remaining []Damage
}

// Repair verifies the plot file at path in full and writes its damaged content
// again in place, from src. Every block is checked against the plot's own
// subroots before it is written, so src need not be trusted: content that does
// not match changes nothing. A block is only written when its compressed form
// has the length and checksum that the plot has recorded. What could not be
// repaired remains in the report, and the first of it is the error; a new plot
// can be made of it then, from the same source.
//
// Damage outside of the content, in the header, the footer or a table, is
// repaired when src is a *Set that holds another copy of the same file, whose
// own content may be damaged. The copy need not be trusted either: its tables
// are verified before any of them is written. Without a copy see Salvage.
//
// Only bytes that are wrong are written, so that a repair that is killed leaves
// the file no worse, and can be run again. Readers of the file may go on
// meanwhile. Another process that repairs tables or whole extents of the same
// file, or writes a plot of its name, is ErrLocked.
func Repair(ctx context.Context, path string, src capsule.Source,
	progress func(Progress)) (*RepairReport, error) {
	return repairFS(ctx, diskfs.OS(), diskfs.Beneath(filepath.Dir(path)), path, src, progress)
}

// repairFS repairs the plot file at path in fsys and makes files beside it in
// beside.
func repairFS(ctx context.Context, fsys, beside diskfs.FS, path string, src capsule.Source,
	progress func(Progress)) (*RepairReport, error) {
	f, size, err := openRegular(fsys, path, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	j := &repair{fs: beside, path: path, f: f, src: src}
	report, err := j.run(ctx, size, progress)
	return report, errors.Join(err, f.Close())
}

// repairSuffix is that of the file beside a plot in which an extent is made
// before it replaces a damaged one.
const repairSuffix = ".repair"

// A repair is the repair of one plot file.
type repair struct {
	fs   diskfs.FS // for the files beside the plot
	path string    // of the plot
	f    diskfs.File
	src  capsule.Source
	r    *Reader
}

func (j *repair) run(
	ctx context.Context, size int64, progress func(Progress),
) (*RepairReport, error) {
	out := &RepairReport{}
	found, err := j.verify(ctx, size, progress)
	var bad *FormatError
	if errors.As(err, &bad) && len(found.Damaged) == 0 {
		if out.Pages, size, err = j.tables(ctx, size, err); err != nil {
			return out, err
		}
		found, err = j.verify(ctx, size, progress)
	}
	if err == nil || len(found.Damaged) == 0 {
		return out, err
	}
	for _, d := range found.Damaged {
		if err := j.extent(ctx, &d, out); err != nil {
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			d.Err = err
			out.Remaining = append(out.Remaining, d)
		}
	}
	if err := j.f.Sync(); err != nil {
		return out, err
	}
	if len(out.Remaining) > 0 {
		return out, out.Remaining[0].Err
	}
	_, err = j.r.Verify(ctx, Full, progress)
	return out, err
}

// verify opens the file of size bytes as a plot and verifies it in full.
func (j *repair) verify(ctx context.Context, size int64, progress func(Progress)) (*Report, error) {
	r, err := NewReader(j.f, size, nil)
	if err != nil {
		return &Report{}, err
	}
	j.r = r
	return r.Verify(ctx, Full, progress)
}

func (j *repair) extent(ctx context.Context, d *Damage, out *RepairReport) error {
	r := j.r
	rec, err := r.LookupHash(d.Hash)
	if err != nil {
		return err
	}
	desc, err := r.Descriptor(rec)
	if err != nil {
		return err
	}
	rc, err := j.src.Open(ctx, desc)
	if err != nil {
		return fmt.Errorf("repair capsule %d of datastore %s: %w", rec.Index, rec.Store, err)
	}
	defer rc.Close()
	if d.Blocks == nil {
		if err := j.rewriteExtent(ctx, &rec, desc.ChunkRoot, rc); err != nil {
			return err
		}
		out.Extents++
		return nil
	}
	c, err := r.openRecord(rec, desc.ChunkRoot, Verified)
	if err != nil {
		return err
	}
	n, err := c.repairBlocks(ctx, j.f, d.Blocks, rc)
	out.Blocks += n
	return err
}

// repairBlocks writes blocks again, in ascending order, and returns how many.
func (c *Capsule) repairBlocks(ctx context.Context, f diskfs.File, blocks []int,
	src io.Reader) (int, error) {
	subroots, err := c.subrootList()
	if err != nil {
		return 0, err
	}
	enc, err := newEncoder(c.head.compression)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, blockSize)
	at := int64(0)
	for n, i := range blocks {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		content := buf[:blockLength(c.rec.Size, i)]
		if at, err = readBlockOf(src, content, at, int64(i)*blockSize); err != nil {
			return n, fmt.Errorf("repair block %d of capsule %s: %w", i, c.rec.Hash, err)
		}
		if got := capsule.Subroot(content); got != subroots[i] {
			return n, fmt.Errorf("repair block %d of capsule %s: %w: subroot %s, expected %s", i,
				c.rec.Hash, ErrContentMismatch, got, subroots[i])
		}
		list, err := c.entries(i, i)
		if err != nil {
			return n, err
		}
		stored, raw := content, true
		if !list[0].raw {
			if stored, raw, err = enc.encode(content); err != nil {
				return n, err
			}
		}
		if raw != list[0].raw || len(stored) != list[0].length ||
			crc32.Checksum(stored, castagnoli) != list[0].crc {
			return n, damaged(ErrBlock, blockPart(i), c.rec.Offset+list[0].offset,
				"was compressed by another encoder and cannot be written in place")
		}
		if _, err := f.WriteAt(stored, c.rec.Offset+list[0].offset); err != nil {
			return n, err
		}
	}
	return len(blocks), nil
}

// readBlockOf fills b with the content from offset want of a capsule, and
// returns the offset behind it. at is the offset that src stands at, unless it
// is an io.ReaderAt.
func readBlockOf(src io.Reader, b []byte, at, want int64) (int64, error) {
	if ra, ok := src.(io.ReaderAt); ok {
		n, err := ra.ReadAt(b, want)
		if n == len(b) {
			err = nil
		}
		return at, err
	}
	if _, err := io.CopyN(io.Discard, src, want-at); err != nil {
		return at, err
	}
	_, err := io.ReadFull(src, b)
	return want + int64(len(b)), err
}

// rewriteExtent writes an extent again whose header, table or padding is
// damaged. The new extent must take exactly the place of the old one. It is
// made in a file of its own first: nothing is overwritten by content that turns
// out to be wrong.
func (j *repair) rewriteExtent(ctx context.Context, rec *Record, chunkRoot merkle.Hash,
	src io.Reader) (err error) {
	end, err := j.r.extentEnd(rec)
	if err != nil {
		return err
	}
	scratch, remove, err := j.createScratch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	w, err := newExtentWriter(j.r.meta.compression, 1)
	if err != nil {
		return err
	}
	out := newOutput(scratch, 0)
	if _, _, err := w.write(ctx, out, rec, chunkRoot, src); err != nil {
		return err
	}
	if err := out.flush(); err != nil {
		return err
	}
	if out.offset() != end-rec.Offset {
		return damaged(ErrExtent, "extent of "+rec.Hash.String(), rec.Offset,
			"was compressed by another encoder and cannot be written in place")
	}
	_, err = rewrite(ctx, j.f, rec.Offset, io.NewSectionReader(scratch, 0, end-rec.Offset))
	return err
}

// createScratch locks the plot and makes the file beside it. remove closes and
// removes the file and releases the lock. A killed repair may have left a file.
func (j *repair) createScratch() (f diskfs.File, remove func() error, err error) {
	lock, err := lockPlot(j.fs, j.path)
	if err != nil {
		return nil, nil, fmt.Errorf("repair plot %s: %w", j.path, err)
	}
	name := j.path + repairSuffix
	if err = j.fs.Remove(name); err == nil || errors.Is(err, fs.ErrNotExist) {
		f, err = j.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, nil, errors.Join(err, lock.release())
	}
	return f, func() error { return errors.Join(f.Close(), j.fs.Remove(name), lock.release()) }, nil
}

// rewrite copies src, whole pages, to offset off of f, only where f differs. It
// returns the number of pages that it wrote.
func rewrite(
	ctx context.Context, f diskfs.File, off int64, src *io.SectionReader,
) (n int, err error) {
	have, want := make([]byte, pageSize), make([]byte, pageSize)
	for at := int64(0); at < src.Size(); at += pageSize {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		if err := readFull(src, want, at); err != nil {
			return n, err
		}
		if err := readFull(f, have, off+at); err == nil && bytes.Equal(have, want) {
			continue
		}
		if _, err := f.WriteAt(want, off+at); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// extentEnd returns where the extent of a record ends: where the next begins.
func (r *Reader) extentEnd(rec *Record) (int64, error) {
	end := r.bodyOf(dataTable) + r.tables[dataTable-1].bodySize
	for other, err := range r.Records() {
		if err != nil {
			return 0, err
		}
		if other.Offset > rec.Offset && other.Offset < end {
			end = other.Offset
		}
	}
	return end, nil
}
