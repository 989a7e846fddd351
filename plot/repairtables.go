package plot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/dig-network/digstore/internal/diskfs"
)

// tables writes everything outside of the content again, of which damage is the
// error, from a copy of the file in the Set that the repair has as its source.
// It returns the number of pages that it wrote, and the size of the file, which
// is that of the copy. Without a copy that fits and is whole nothing is written
// and damage is returned.
func (j *repair) tables(
	ctx context.Context, size int64, damage error,
) (pages int, newSize int64, err error) {
	set, ok := j.src.(*Set)
	if !ok {
		return 0, size, damage
	}
	info, err := j.f.Stat()
	if err != nil {
		return 0, size, err
	}
	errs := []error{damage}
	for r := range set.readers(info) {
		same, err := isCopy(j.f, r)
		if err != nil {
			return 0, size, err
		}
		if !same {
			continue
		}
		pages, err := j.tablesOf(ctx, size, r)
		if err == nil && pages > 0 {
			return pages, r.head.size, nil
		}
		var bad *FormatError
		if err != nil && !errors.As(err, &bad) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return pages, size, err
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("copy %s: %w", r.path, err))
		}
	}
	return 0, size, errors.Join(errs...)
}

// isCopy reports whether f, which is damaged, was the same file as the plot of
// r. The footer and the header of C7 each commit to all tables and the creation
// time, and so do page 0 and the header of C4 behind it, together: f must still
// have one of these as the copy has it. Page 0 and the footer carry their own
// hash: one that is whole and differs shows that f is another file.
func isCopy(f io.ReaderAt, r *Reader) (bool, error) {
	head, err := comparePage(f, r, 0)
	if err != nil || head == otherPage {
		return false, err
	}
	foot, err := comparePage(f, r, r.head.size-pageSize)
	if err != nil || foot == otherPage || foot == samePage {
		return foot == samePage, err
	}
	seal, err := comparePage(f, r, r.head.table(sealTable))
	if err != nil || seal == samePage {
		return seal == samePage, err
	}
	data, err := comparePage(f, r, r.head.table(dataTable))
	return head == samePage && data == samePage, err
}

type pageState int

const (
	damagedPage pageState = iota
	samePage
	otherPage // with a hash of its own that holds
)

// comparePage compares the page at offset at of f with that of the plot of r.
func comparePage(f io.ReaderAt, r *Reader, at int64) (pageState, error) {
	have, want := make([]byte, pageSize), make([]byte, pageSize)
	if err := readFull(f, have, at); errors.Is(err, io.ErrUnexpectedEOF) {
		return damagedPage, nil
	} else if err != nil {
		return damagedPage, err
	}
	if err := readFull(r.src, want, at); errors.Is(err, io.ErrUnexpectedEOF) {
		return otherPage, nil // the copy has shrunk since it was opened
	} else if err != nil {
		return damagedPage, err
	}
	sum := sha256.Sum256(have[:4064])
	switch {
	case bytes.Equal(have, want):
		return samePage, nil
	case bytes.Equal(sum[:], have[4064:]):
		return otherPage, nil
	}
	return damagedPage, nil
}

// tablesOf writes everything outside of the content again from the plot of r.
// It is taken into a file of its own and verified there first, so that a copy
// that is damaged, or changes meanwhile, changes nothing. Page 0 is written
// last.
func (j *repair) tablesOf(ctx context.Context, size int64, r *Reader) (pages int, err error) {
	scratch, remove, err := j.createScratch()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	t := &tablesFile{f: scratch, end: r.bodyOf(dataTable) + r.tables[dataTable-1].bodySize}
	if err := t.fill(ctx, r.src, r.head.size); err != nil {
		return 0, err
	}
	checked, err := NewReader(t, r.head.size, nil)
	if err != nil {
		return 0, err
	}
	if _, err := checked.Verify(ctx, Quick, nil); err != nil {
		return 0, err
	}
	// The scratch file may have become another plot than r meanwhile.
	if same, err := isCopy(j.f, checked); err != nil || !same {
		return 0, err
	}
	if size != r.head.size {
		if err := j.f.Truncate(r.head.size); err != nil {
			return 0, err
		}
		pages++
	}
	for _, part := range []*io.SectionReader{
		io.NewSectionReader(t, t.end, r.head.size-t.end),
		io.NewSectionReader(t, pageSize, pageSize),
		io.NewSectionReader(t, 0, pageSize),
	} {
		_, at, _ := part.Outer()
		n, err := rewrite(ctx, j.f, at, part)
		pages += n
		if err != nil {
			return pages, err
		}
		if err := j.f.Sync(); err != nil {
			return pages, err
		}
	}
	return pages, nil
}

// A tablesFile reads as the plot of which f holds everything except the content:
// the two pages before it, and what follows its end.
type tablesFile struct {
	f   diskfs.File
	end int64 // of the content in the plot
}

// fill copies the plot of size bytes behind src, without its content.
func (t *tablesFile) fill(ctx context.Context, src io.ReaderAt, size int64) error {
	out := newOutput(t.f, 0)
	for _, part := range []io.Reader{
		io.NewSectionReader(src, 0, 2*pageSize), io.NewSectionReader(src, t.end, size-t.end),
	} {
		if _, err := io.Copy(out, contextReader{ctx, part}); err != nil {
			return err
		}
	}
	return out.flush()
}

// ReadAt implements io.ReaderAt outside of the content.
func (t *tablesFile) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off >= t.end:
		return t.f.ReadAt(p, off-t.end+2*pageSize)
	case off+int64(len(p)) <= 2*pageSize:
		return t.f.ReadAt(p, off)
	default:
		return 0, fmt.Errorf("read %d bytes of content at offset %d: not copied", len(p), off)
	}
}
