package plot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Defaults of Options.
const (
	DefaultDifficulty = 12
	// NoWork as Options.Difficulty makes a plot without work.
	NoWork = -1
)

// Options are the settings of Create. The zero value, and nil, are the
// defaults.
type Options struct {
	// Compression of the blocks. Default: Zstd.
	Compression Compression
	// Difficulty is the number of leading zero bits of the work of each table
	// and each capsule, at most MaxDifficulty. Default: DefaultDifficulty;
	// NoWork makes none.
	Difficulty int
	// Anchor is the block that the plot is made after. Default: none.
	Anchor Anchor
	// Created is the creation time, in whole seconds. Default: now. A resumed
	// plot keeps the time that it began with.
	Created time.Time
	// Keep chooses the capsules that go into the plot. Default: all.
	Keep func(auth.StoreID, capsule.Descriptor) bool
	// Workers is the number of goroutines that compress and search for work.
	// Default: GOMAXPROCS. The bytes do not depend on it.
	Workers int
	// Worker searches for the work of the capsules. Default: a CPU pool of
	// Workers goroutines.
	Worker capsule.Worker
	// Resume keeps what is written when the Writer is closed before the end,
	// and continues from what an earlier one left.
	Resume bool
	// Progress, when not nil, is called from the goroutine of Add and Seal,
	// after each capsule and each hundredth of the search for work.
	Progress func(Progress)
	// FS is where the plot is written. Default: the disk, where no link in the
	// directory is followed and only regular files are opened.
	FS diskfs.FS
}

// A Progress says how far a long operation has come.
type Progress struct {
	Phase       string // "write", "work", "quick" or "full"
	Done, Total int64  // bytes of content in phases "write" and "full", else capsules
}

// An Info describes a finished plot.
type Info struct {
	ID          merkle.Hash
	Path        string // of the file; empty for one that is read through an io.ReaderAt
	Size        int64  // of the file in bytes
	Created     time.Time
	Key         auth.NodePublicKey // of its owner
	Root        merkle.Hash        // over its plot leaves
	Difficulty  int
	Compression Compression // that the writer was set to; blocks that do not get shorter are raw
	Anchor      Anchor
	Capsules    int   // records
	Content     int64 // bytes of content of all records
	Stored      int64 // bytes of the distinct extents
	Datastores  []Datastore
}

// An ExistsError says that a plot of the same id and the same datastores is in
// the directory. It matches fs.ErrExist.
type ExistsError struct {
	ID   merkle.Hash
	Path string
}

// Error names the file.
func (e *ExistsError) Error() string { return fmt.Sprintf("plot %s exists: %s", e.ID, e.Path) }

// Is reports whether target is fs.ErrExist.
func (e *ExistsError) Is(target error) bool { return target == fs.ErrExist }

// FileName returns the name of the file of a plot.
func FileName(id merkle.Hash) string { return "dig-" + id.String() + ".plot" }

// A Writer writes one plot. It is for one goroutine.
type Writer struct {
	plan    *plan
	o       Options
	fs      diskfs.FS
	dir     string
	key     auth.NodeSigner
	created uint64
	code    uint8

	lock     *plotLock
	file     diskfs.File // the plot under its temporary name
	scratch  diskfs.File // subroots of the extents so far
	subroots *output
	out      *output
	extents  *extentWriter
	stored   []int64 // size of each extent so far
	written  int64   // bytes of content
	total    int64
	failed   error // after which nothing more can be written
	done     bool
}

// The files of a plot that is being written lie beside it: the job that says
// with which settings, the plot under a temporary name, the subroots of the
// extents so far, and the lock of the process that writes.
const (
	jobSuffix     = ".job"
	partSuffix    = ".tmp"
	scratchSuffix = ".sub"
	lockSuffix    = ".lock"
)

// Create begins a plot of the capsules of manifests, at most one for each
// datastore, in the directory dir. Content is then given to Add in the order of
// Next, and Seal ends the plot; Close must be called in any case. The Writer
// reads the manifests until then. Nothing but a whole plot ever has the name of
// a plot.
//
// The disk must have room for the content and 3 % more, else the error is
// syscall.ENOSPC and nothing is written.
//
// A plot of the same id that holds the same generations is an *ExistsError.
// The plot is locked for this process; another process that writes it is
// ErrLocked.
func Create(ctx context.Context, dir string, manifests []*capsule.Manifest, key auth.NodeSigner,
	o *Options) (*Writer, error) {
	w := &Writer{dir: dir, key: key}
	if o != nil {
		w.o = *o
	}
	w.setDefaults()
	var err error
	if w.code, err = w.o.Compression.code(); err != nil {
		return nil, err
	}
	if w.o.Difficulty > MaxDifficulty {
		return nil, fmt.Errorf("create plot of difficulty %d: %w of %d", w.o.Difficulty, ErrLimit,
			MaxDifficulty)
	}
	if a := w.o.Anchor; a.Network > maxNetwork || a.Network == 0 && a != (Anchor{}) {
		return nil, fmt.Errorf("create plot: anchor of network %d, expected 1 to %d", a.Network,
			maxNetwork)
	}
	if err := key.PublicKey().Check(); err != nil {
		return nil, fmt.Errorf("create plot: %w", err)
	}
	w.plan, err = newPlan(ctx, manifests, w.o.Keep, key.PublicKey(), w.o.Difficulty, w.o.Anchor)
	if err != nil {
		return nil, err
	}
	_, distinct := w.plan.contentSize()
	w.total = int64(distinct)
	if w.extents, err = newExtentWriter(w.code, w.o.Workers); err != nil {
		return nil, err
	}
	if err := w.begin(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *Writer) setDefaults() {
	if w.o.Compression == "" {
		w.o.Compression = Zstd
	}
	switch {
	case w.o.Difficulty == 0:
		w.o.Difficulty = DefaultDifficulty
	case w.o.Difficulty < 0:
		w.o.Difficulty = 0
	}
	if w.o.Created.IsZero() {
		w.o.Created = time.Now()
	}
	w.created = uint64(max(0, w.o.Created.Unix()))
	if w.o.Workers <= 0 {
		w.o.Workers = runtime.GOMAXPROCS(0)
	}
	if w.o.Worker == nil {
		w.o.Worker = capsule.NewCPUWorker(w.o.Workers)
	}
	w.fs = w.o.FS
	if w.fs == nil {
		w.fs = diskfs.Beneath(w.dir)
	}
}

// ID returns the id that the plot will have.
func (w *Writer) ID() merkle.Hash { return w.plan.id }

func (w *Writer) path(suffix string) string {
	return filepath.Join(w.dir, FileName(w.plan.id)+suffix)
}

// A job is what a resumed plot must agree with, as JSON. What is not in it is
// bound by the plot id, which is part of its name.
type job struct {
	Version     int         `json:"version"`
	Created     uint64      `json:"creation_time"` // Unix seconds
	Compression Compression `json:"compression"`
	Datastores  merkle.Hash `json:"datastores"` // hash of the datastore list
}

const maxJob = 64 << 10

func (w *Writer) job() job {
	return job{Version: version, Created: w.created, Compression: w.o.Compression,
		Datastores: bodyHash(w.plan.datastores())}
}

// begin takes the lock and opens the files.
func (w *Writer) begin(ctx context.Context) error {
	var err error
	if w.lock, err = lockPlot(w.fs, w.path("")); err != nil {
		return fmt.Errorf("create plot %s: %w", w.plan.id, err)
	}
	var exists *ExistsError
	if err := w.checkExisting(); errors.As(err, &exists) {
		// A crash behind the rename has left the other files.
		return errors.Join(err, w.discard())
	} else if err != nil {
		return err
	}
	resumed, err := w.takeOver()
	if err != nil {
		return err
	}
	if resumed {
		if w.file, err = w.fs.OpenFile(w.path(partSuffix), os.O_RDWR, 0o644); errors.Is(err,
			fs.ErrNotExist) {
			resumed = false
		} else if err != nil {
			return err
		}
	}
	if !resumed {
		if err := w.discard(); err != nil {
			return err
		}
		if err := w.checkFree(); err != nil {
			return err
		}
		text, err := json.Marshal(w.job())
		if err != nil {
			return err
		}
		if err := diskfs.WriteFile(w.fs, w.path(jobSuffix), text, 0o644); err != nil {
			return err
		}
		if w.file, err = w.fs.OpenFile(w.path(partSuffix), os.O_RDWR|os.O_CREATE|os.O_EXCL,
			0o644); err != nil {
			return err
		}
	}
	if w.scratch, err = w.fs.OpenFile(w.path(scratchSuffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC,
		0o644); err != nil {
		return err
	}
	w.subroots = newOutput(w.scratch, 0)
	w.out = newOutput(w.file, 0)
	if resumed {
		return w.resume(ctx)
	}
	return w.out.zeros(2 * pageSize)
}

// checkFree compares the free space of the disk with the size of the content and
// 3 % for the tables. A plot that is resumed has taken a part of it already, and
// is not checked.
func (w *Writer) checkFree() error {
	if w.o.FS != nil { // another disk than that of dir
		return nil
	}
	free, err := diskfs.Free(w.dir)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create plot %s: %w", w.plan.id, err)
	}
	if need := w.total + w.total*3/100; free < need {
		return fmt.Errorf("create plot %s: %d bytes are free in %s, expected %d: %w",
			w.plan.id, free, w.dir, need, syscall.ENOSPC)
	}
	return nil
}

// checkExisting returns an *ExistsError when the plot is there already.
func (w *Writer) checkExisting() error {
	r, err := openFS(w.fs, w.path(""), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		var bad *FormatError
		if errors.As(err, &bad) {
			return nil // a damaged file is replaced once the new one is whole
		}
		return err
	}
	defer r.Close()
	if bytes.Equal(r.stores, w.plan.datastores()) {
		return &ExistsError{ID: w.plan.id, Path: w.path("")}
	}
	return nil
}

// takeOver reports whether there is a job to go on with, and takes its
// creation time.
func (w *Writer) takeOver() (bool, error) {
	if !w.o.Resume {
		return false, nil
	}
	text, err := diskfs.ReadFile(w.fs, w.path(jobSuffix), maxJob)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var j job
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return false, nil // torn or foreign: the plot begins anew
	}
	mine := w.job()
	mine.Created = j.Created
	if j != mine || j.Created > 1<<62 {
		return false, nil
	}
	w.created = j.Created
	return true, nil
}

// discard removes what an earlier writer left.
func (w *Writer) discard() error {
	for _, suffix := range []string{partSuffix, scratchSuffix, jobSuffix} {
		if err := w.fs.Remove(w.path(suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// resume keeps the extents that are whole and are those that are expected.
func (w *Writer) resume(ctx context.Context) error {
	info, err := w.file.Stat()
	if err != nil {
		return err
	}
	at := int64(2 * pageSize)
	c := newExtentChecker(w.file, info.Size())
	defer c.release()
	for len(w.stored) < len(w.plan.extents) {
		i := w.plan.extents[len(w.stored)]
		r := w.plan.record(i)
		r.Offset = at
		h, subroots, err := c.check(ctx, &r, w.plan.capsule(i).ChunkRoot, nil)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var bad *FormatError
			if errors.As(err, &bad) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			return err
		}
		if err := w.keep(i, at, h, subroots); err != nil {
			return err
		}
		at += align(h.stored)
	}
	w.out.start = at
	// Pages 0 and 1 are zero until the end, whatever a crash left there.
	if _, err := w.file.WriteAt(make([]byte, 2*pageSize), 0); err != nil {
		return err
	}
	return w.file.Truncate(at)
}

// keep notes the extent of record i.
func (w *Writer) keep(i uint32, at int64, h *extentHeader, subroots []merkle.Hash) error {
	w.plan.places[i].offset = at
	w.stored = append(w.stored, h.stored)
	for _, s := range subroots {
		if _, err := w.subroots.Write(s[:]); err != nil {
			return err
		}
	}
	w.written += int64(h.size)
	w.progress("write", w.written, w.total)
	return nil
}

func (w *Writer) progress(phase string, done, total int64) {
	if w.o.Progress != nil {
		w.o.Progress(Progress{Phase: phase, Done: done, Total: total})
	}
}

// Next returns the capsule whose content Add takes next. Equal capsules are
// asked for once. It returns false when Seal is next.
func (w *Writer) Next() (auth.StoreID, capsule.Descriptor, bool) {
	if len(w.stored) == len(w.plan.extents) {
		return auth.StoreID{}, capsule.Descriptor{}, false
	}
	i := w.plan.extents[len(w.stored)]
	return w.plan.store(i), w.plan.descriptor(i), true
}

// Add reads r to its end and appends it as the content of d, which must be what
// Next returns. Content that differs from d is ErrContentMismatch: nothing was
// appended, and Add can be called again. After any other error the Writer can
// only be closed.
func (w *Writer) Add(ctx context.Context, d capsule.Descriptor, r io.Reader) error {
	if w.failed != nil {
		return w.failed
	}
	_, want, ok := w.Next()
	if !ok || d != want {
		return fmt.Errorf(
			"add capsule %d with hash %s: expected capsule %d with hash %s (more to add: %t)",
			d.Index, d.Hash, want.Index, want.Hash, ok)
	}
	i := w.plan.extents[len(w.stored)]
	at := w.out.offset()
	rec := w.plan.record(i)
	h, subroots, err := w.extents.write(ctx, w.out, &rec, d.ChunkRoot, r)
	if err == nil {
		err = w.keep(i, at, h, subroots)
	}
	if err == nil {
		return nil
	}
	if cut := w.out.cut(at); cut != nil {
		err = errors.Join(err, cut)
		w.failed = err
	} else if !errors.Is(err, ErrContentMismatch) {
		w.failed = err
	}
	return err
}

// AddFrom adds all capsules that are missing from src, in order.
func (w *Writer) AddFrom(ctx context.Context, src capsule.Source) error {
	for {
		_, d, ok := w.Next()
		if !ok {
			return nil
		}
		if err := w.addOne(ctx, src, d); err != nil {
			return err
		}
	}
}

func (w *Writer) addOne(ctx context.Context, src capsule.Source, d capsule.Descriptor) error {
	r, err := src.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	return w.Add(ctx, d, r)
}

// Close ends the Writer. Before Seal has succeeded it removes what was written,
// unless Options.Resume asks to keep it. Calls after the first do nothing.
func (w *Writer) Close() error {
	if w.lock == nil {
		return nil
	}
	var errs []error
	if w.out != nil && !w.done && w.o.Resume && w.failed == nil {
		errs = append(errs, w.out.flush())
	}
	for _, f := range []diskfs.File{w.file, w.scratch} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if !w.done && !w.o.Resume {
		errs = append(errs, w.discard())
	}
	errs = append(errs, w.lock.release())
	w.lock = nil
	w.file, w.scratch = nil, nil
	if w.failed == nil {
		w.failed = fs.ErrClosed
	}
	return errors.Join(errs...)
}

// A plotLock is the lock of the process that writes or repairs a plot.
type plotLock struct {
	fs   diskfs.FS
	name string
	held io.Closer
}

// lockPlot takes the lock of the plot file at path.
func lockPlot(fsys diskfs.FS, path string) (*plotLock, error) {
	l := &plotLock{fs: fsys, name: path + lockSuffix}
	var err error
	if l.held, err = fsys.TryLock(l.name); err != nil {
		return nil, err
	}
	return l, nil
}

// release gives up the lock. Its file is removed first where that is possible
// while it is held, else after it was released.
func (l *plotLock) release() error {
	removed := l.fs.Remove(l.name) == nil
	err := l.held.Close()
	if !removed {
		l.fs.Remove(l.name)
	}
	return err
}
