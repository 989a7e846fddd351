package staging

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/dig-network/digstore/internal/diskfs"
)

// Append calls each, which adds resources. If each returns an error, the resources that it added
// completely remain.
func (f *File) Append(ctx context.Context,
	each func(add func(name string, r io.Reader) error) error) error {
	file, _, end, err := f.open(os.O_RDWR | os.O_CREATE)
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	defer file.Close()
	w := &writer{file: file, end: end, buf: make([]byte, bufferSize)}
	var length []byte // length field of the name in the first frame; it is written last
	add := func(name string, r io.Reader) error {
		first := w.end == end
		if err := w.append(ctx, name, r, first); err != nil {
			return fmt.Errorf("stage %.200q: %w", name, err)
		}
		if first {
			length = binary.BigEndian.AppendUint32(nil, uint32(len(name)))
		}
		return nil
	}
	err = file.Truncate(end) // remove what a crashed writer has left
	if err == nil {
		err = each(add)
	}
	if ferr := f.finish(w, end, length); err == nil && ferr != nil {
		err = fmt.Errorf("stage: %w", ferr)
	}
	return err
}

// finish makes the frames from first on durable, and then valid.
func (f *File) finish(w *writer, first int64, length []byte) error {
	if err := w.file.Truncate(w.end); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil || first == w.end {
		return err
	}
	if _, err := w.file.WriteAt(length, first); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil || first > 0 {
		return err
	}
	return f.fs.SyncDir(filepath.Dir(f.path))
}

// Remove removes resources, durably, and returns how many. Without names it removes all. If a name
// is not staged, the error is fs.ErrNotExist and nothing changes.
func (f *File) Remove(ctx context.Context, names []string) (int, error) {
	file, recs, _, err := f.open(os.O_RDWR | os.O_CREATE)
	if err != nil {
		return 0, fmt.Errorf("unstage: %w", err)
	}
	defer file.Close()
	if len(names) == 0 {
		return len(recs), f.Clear()
	}
	drop := map[string]bool{}
	for _, n := range names {
		drop[n] = true
	}
	var keep []Record
	for _, r := range recs {
		if drop[r.Name] {
			delete(drop, r.Name)
			continue
		}
		keep = append(keep, r)
	}
	for n := range drop {
		return 0, fmt.Errorf("unstage %.200q: %w", n, fs.ErrNotExist)
	}
	tmp := f.path + ".tmp"
	err = f.copy(ctx, tmp, file, keep)
	if cerr := file.Close(); err == nil { // Windows cannot replace an open file
		err = cerr
	}
	if err != nil {
		_ = f.fs.Remove(tmp)
		return 0, fmt.Errorf("unstage: %w", err)
	}
	if err := f.fs.Rename(tmp, f.path); err != nil {
		return 0, fmt.Errorf("unstage: %w", err)
	}
	if err := f.fs.SyncDir(filepath.Dir(f.path)); err != nil {
		return 0, fmt.Errorf("unstage: %w", err)
	}
	return len(recs) - len(keep), nil
}

// copy writes the frames of keep to a new file at the path tmp, and syncs it.
func (f *File) copy(ctx context.Context, tmp string, from diskfs.File, keep []Record) error {
	file, err := f.fs.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	w := &writer{file: file, buf: make([]byte, bufferSize)}
	for _, r := range keep {
		content := io.NewSectionReader(from, r.Off, r.Size)
		if err := w.append(ctx, r.Name, content, false); err != nil {
			return err
		}
	}
	return file.Sync()
}

// Clear empties the file, durably.
func (f *File) Clear() error {
	file, err := f.fs.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("clear staging: %w", err)
	}
	if err = file.Truncate(0); err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("clear staging: %w", err)
	}
	return nil
}

// writer appends frames.
type writer struct {
	file diskfs.File
	end  int64 // where the next frame begins
	buf  []byte
}

// append writes one frame. The length of its content is written last. In a hidden frame the length
// of the name is invalid, so a reader ignores it and what follows.
func (w *writer) append(ctx context.Context, name string, r io.Reader, hidden bool) error {
	switch {
	case name == "":
		return errors.New("empty name")
	case len(name) > MaxKey:
		return fmt.Errorf("name of %d bytes, limit %d", len(name), MaxKey)
	case !utf8.ValidString(name):
		return errors.New("name is not UTF-8")
	}
	length := uint32(len(name))
	if hidden {
		length = math.MaxUint32
	}
	head := binary.BigEndian.AppendUint32(nil, length)
	head = append(head, name...)
	head = append(head, make([]byte, 8)...)
	if _, err := w.file.WriteAt(head, w.end); err != nil {
		return err
	}
	at, size := w.end+int64(len(head)), int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(r, w.buf)
		if n > 0 {
			if _, werr := w.file.WriteAt(w.buf[:n], at+size); werr != nil {
				return werr
			}
			size += int64(n)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if _, err := w.file.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(size)), at-8); err != nil {
		return err
	}
	w.end = at + size
	return nil
}
