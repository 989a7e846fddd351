package digstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"unicode/utf8"

	"github.com/dig-network/digstore/internal/diskfs"
)

// A Staged resource waits for the next commit.
type Staged struct {
	Name string // the resource key
	Size int64  // bytes of content
}

// record is a frame of the staging file: u32 key length || key || u64 content length || content.
// See LAYOUT.md 9.1.
type record struct {
	name string
	off  int64 // of the content
	size int64
}

const maxKey = 64 << 10

func (s *Store) stagingName() string {
	return filepath.Join(s.dir, s.set.id.String()+".staging.bin")
}

// scanStaging reads the frames of a staging file. For equal keys the last one counts, in the place
// of the first. whole is the length of the part that parses; a rest is ErrCorrupt.
func scanStaging(name string, r io.ReaderAt, size int64) (recs []record, whole int64, err error) {
	at := map[string]int{}
	var b [4 + maxKey + 8]byte
	for off := int64(0); off < size; {
		n, err := r.ReadAt(b[:min(int64(len(b)), size-off)], off)
		if err != nil && err != io.EOF {
			return nil, whole, fmt.Errorf("read staging: %w", err)
		}
		short := corrupt(name,
			"corrupt staging: the frame at byte %d is cut short (unstage, and add again)", off)
		if n < 4 {
			return recs, whole, short
		}
		k := int64(binary.BigEndian.Uint32(b[:]))
		if k == math.MaxUint32 {
			return recs, whole, fmt.Errorf("%w: %w",
				corrupt(name, "corrupt staging: adding at byte %d broke off (unstage, and add again)",
					off), errHidden)
		}
		if k > maxKey {
			return recs, whole, corrupt(name,
				"corrupt staging: a key of %d bytes at byte %d (unstage, and add again)", k, off)
		}
		if k == 0 {
			return recs, whole, corrupt(name,
				"corrupt staging: an empty key at byte %d (unstage, and add again)", off)
		}
		if int64(n) < 4+k+8 {
			return recs, whole, short
		}
		if !utf8.Valid(b[4 : 4+k]) {
			return recs, whole, corrupt(name,
				"corrupt staging: the key at byte %d is not UTF-8 (unstage, and add again)", off)
		}
		rec := record{name: string(b[4 : 4+k]), off: off + 4 + k + 8,
			size: int64(binary.BigEndian.Uint64(b[4+k:]))}
		if rec.size < 0 || rec.size > size-rec.off {
			return recs, whole, short
		}
		if i, ok := at[rec.name]; ok {
			recs[i] = rec
		} else {
			at[rec.name] = len(recs)
			recs = append(recs, rec)
		}
		off = rec.off + rec.size
		whole = off
	}
	return recs, whole, nil
}

// openStaging opens the staging file and reads its frames; a nil file when there is none.
func (s *Store) openStaging(flag int) (diskfs.File, []record, int64, error) {
	f, err := s.w.fs.OpenFile(s.stagingName(), flag, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, 0, nil
	}
	if err != nil {
		return nil, nil, 0, fmt.Errorf("open staging: %w", err)
	}
	info, err := f.Stat()
	var recs []record
	var whole int64
	if err == nil {
		recs, whole, err = scanStaging(s.stagingName(), f, info.Size())
	}
	if err != nil && !(flag != openRead && errors.Is(err, ErrCorrupt)) {
		_ = f.Close()
		return nil, nil, 0, err
	}
	return f, recs, whole, nil
}

// errHidden says that a frame is not finished: its writer is at work, or has died.
var errHidden = errors.New("a frame that was not finished")

// readStaging reads the frames that are finished, without the lock. A writer may add some
// meanwhile, or remove all.
func (s *Store) readStaging() ([]record, error) {
	var before fileStamp
	for {
		info, err := s.w.fs.Stat(s.stagingName())
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read staging: %w", err)
		}
		f, err := s.w.fs.OpenFile(s.stagingName(), openRead, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("open staging: %w", err)
		}
		recs, _, err := scanStaging(s.stagingName(), f, info.Size())
		_ = f.Close()
		if errors.Is(err, errHidden) {
			return recs, nil
		}
		if !errors.Is(err, ErrCorrupt) || stampOf(info) == before {
			return recs, err
		}
		before = stampOf(info)
	}
}

// Staged lists what the next commit holds, in the order in which it was staged.
func (s *Store) Staged() ([]Staged, error) {
	recs, err := s.readStaging()
	if err != nil {
		return nil, err
	}
	list := make([]Staged, len(recs))
	for i, r := range recs {
		list[i] = Staged{r.name, r.size}
	}
	return list, nil
}

// Stage adds a resource to the next commit, in place of one of the same name that is staged
// already. A generation holds exactly what is staged for it; nothing is carried over from the one
// before.
func (s *Store) Stage(ctx context.Context, name string, r io.Reader) error {
	return s.stage(ctx, func(add func(string, io.Reader) error) error { return add(name, r) })
}

// stage appends frames under the lock: those that were added whole stay, also when a later one
// fails.
func (s *Store) stage(ctx context.Context,
	each func(add func(string, io.Reader) error) error) error {
	l, err := s.lock(ctx)
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	defer l.Close()
	f, _, end, err := s.openStaging(openCreate)
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	defer f.Close()
	buf, first := make([]byte, 256<<10), end
	var shown []byte // the first frame's key length, written last
	add := func(name string, r io.Reader) error {
		n, err := appendFrame(ctx, f, end, name, r, buf, end == first)
		if err != nil {
			return fmt.Errorf("stage %.200q: %w", name, err)
		}
		if end == first {
			shown = binary.BigEndian.AppendUint32(nil, uint32(len(name)))
		}
		end += n
		return nil
	}
	err = f.Truncate(end) // what a writer that died has left
	if err == nil {
		err = each(add)
	}
	if ferr := s.finishStaging(f, first, end, shown); err == nil && ferr != nil {
		err = fmt.Errorf("stage: %w", ferr)
	}
	return err
}

// finishStaging makes the frames from first to end count, once they are on the disk.
func (s *Store) finishStaging(f diskfs.File, first, end int64, shown []byte) error {
	if err := f.Truncate(end); err != nil {
		return err
	}
	if err := f.Sync(); err != nil || first == end {
		return err
	}
	if _, err := f.WriteAt(shown, first); err != nil {
		return err
	}
	if err := f.Sync(); err != nil || first > 0 {
		return err
	}
	return s.w.fs.SyncDir(s.dir)
}

// appendFrame writes one frame at off and returns its length. The content's length is filled in
// last. A hidden frame has a key length that is none, so that neither it nor what follows it
// counts.
func appendFrame(ctx context.Context, f diskfs.File, off int64, name string, r io.Reader,
	buf []byte, hidden bool) (int64, error) {
	switch {
	case name == "":
		return 0, errors.New("the empty name is no resource key")
	case len(name) > maxKey:
		return 0, fmt.Errorf("a name of %d bytes, at most %d are allowed", len(name), maxKey)
	case !utf8.ValidString(name):
		return 0, errors.New("the name is not UTF-8")
	}
	length := uint32(len(name))
	if hidden {
		length = math.MaxUint32
	}
	head := binary.BigEndian.AppendUint32(nil, length)
	head = append(head, name...)
	head = append(head, make([]byte, 8)...)
	if _, err := f.WriteAt(head, off); err != nil {
		return 0, err
	}
	at, size := off+int64(len(head)), int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return 0, context.Cause(ctx)
		}
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if _, werr := f.WriteAt(buf[:n], at+size); werr != nil {
				return 0, werr
			}
			size += int64(n)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	_, err := f.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(size)), at-8)
	return int64(len(head)) + size, err
}

// Unstage takes resources out of the next commit and returns how many it took; without names all of
// them. A name that is not staged is fs.ErrNotExist, and then nothing is changed.
func (s *Store) Unstage(ctx context.Context, names ...string) (int, error) {
	l, err := s.lock(ctx)
	if err != nil {
		return 0, fmt.Errorf("unstage: %w", err)
	}
	defer l.Close()
	f, recs, _, err := s.openStaging(openCreate)
	if err != nil {
		return 0, fmt.Errorf("unstage: %w", err)
	}
	defer f.Close()
	if len(names) == 0 {
		return len(recs), s.clearStaging()
	}
	drop := map[string]bool{}
	for _, n := range names {
		drop[n] = true
	}
	var keep []record
	for _, r := range recs {
		if drop[r.name] {
			delete(drop, r.name)
			continue
		}
		keep = append(keep, r)
	}
	for n := range drop {
		return 0, fmt.Errorf("unstage %.200q: %w", n, fs.ErrNotExist)
	}
	tmp := s.stagingName() + ".tmp"
	err = s.copyStaging(ctx, tmp, f, keep)
	if cerr := f.Close(); err == nil { // Windows replaces no open file
		err = cerr
	}
	if err != nil {
		_ = s.w.fs.Remove(tmp)
		return 0, fmt.Errorf("unstage: %w", err)
	}
	if err := s.w.fs.Rename(tmp, s.stagingName()); err != nil {
		return 0, fmt.Errorf("unstage: %w", err)
	}
	if err := s.w.fs.SyncDir(s.dir); err != nil {
		return 0, fmt.Errorf("unstage: %w", err)
	}
	return len(recs) - len(keep), nil
}

func (s *Store) copyStaging(ctx context.Context, tmp string, from diskfs.File,
	keep []record) error {
	f, err := s.w.fs.OpenFile(tmp, openTrunc, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	buf, end := make([]byte, 256<<10), int64(0)
	for _, r := range keep {
		n, err := appendFrame(ctx, f, end, r.name, io.NewSectionReader(from, r.off, r.size), buf, false)
		if err != nil {
			return err
		}
		end += n
	}
	return f.Sync()
}

// clearStaging empties the staging file. The caller holds the lock.
func (s *Store) clearStaging() error {
	f, err := s.w.fs.OpenFile(s.stagingName(), openCreate, 0o600)
	if err != nil {
		return fmt.Errorf("clear staging: %w", err)
	}
	if err = f.Truncate(0); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("clear staging: %w", err)
	}
	return nil
}
