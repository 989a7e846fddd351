package incoming

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/internal/journal"
	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

const (
	// Dir is the directory of transfers, below that of a store or of a workspace.
	Dir = "incoming"
	// ChunksExt ends the name of the directory of a transfer of a recipe and chunks.
	ChunksExt = ".parts"

	packFile    = "pack.tmp"
	journalFile = "journal"

	// maxJournal is the limit of a journal in bytes: the part of a module outside of chunks, and 46
	// bytes for each chunk.
	maxJournal = 1 << 29
)

// A Transfer is a generation that is being received.
type Transfer struct {
	fs    diskfs.FS
	dir   string
	packs *packdir.Dir // of the store; nil if the store does not exist yet
	lock  io.Closer
	pack  *packdir.Writer
	old   io.Reader // what was received before; nil: nothing
	keep  bool      // Close leaves the directory

	log     *journal.Writer // nil: not resumable, or resumable without a journal
	logFile diskfs.File
}

// Open begins or resumes the transfer of a module in the directory dir. packs are the packs of the
// store. The caller calls Close.
func Open(ctx context.Context, fsys diskfs.FS, dir string, packs *packdir.Dir) (*Transfer, error) {
	return begin(ctx, fsys, dir, packs, (*Transfer).resume)
}

// OpenChunks begins or resumes the transfer of the chunks of r in the directory dir. The caller
// calls Close.
func OpenChunks(ctx context.Context, fsys diskfs.FS, dir string, packs *packdir.Dir,
	r *module.Recipe) (*Transfer, error) {
	return begin(ctx, fsys, dir, packs, func(t *Transfer) error { return t.resumeChunks(r) })
}

// New begins a transfer under a random name below parent, the directory of a store or of a
// workspace. packs is nil if the store does not exist yet. The caller calls Close.
func New(ctx context.Context, fsys diskfs.FS, parent string, packs *packdir.Dir,
	random io.Reader) (*Transfer, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	dir := filepath.Join(parent, Dir, "push-"+hex.EncodeToString(b[:]))
	return begin(ctx, fsys, dir, packs, (*Transfer).start)
}

// begin locks the directory and calls open to open its files.
func begin(ctx context.Context, fsys diskfs.FS, dir string, packs *packdir.Dir,
	open func(*Transfer) error) (*Transfer, error) {
	t := &Transfer{fs: fsys, dir: dir, packs: packs}
	var err error
	if t.lock, err = lock(ctx, fsys, dir); err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if packs != nil {
		packs.Reload() // a gc that did not see this transfer may have removed packs
	}
	if err := open(t); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Transfer) packName() string { return filepath.Join(t.dir, packFile) }

// start begins a transfer without earlier chunks.
func (t *Transfer) start() (err error) {
	t.pack, err = packdir.Create(t.fs, t.packName())
	return err
}

// resume continues where the journal ends.
func (t *Transfer) resume() error {
	j, err := readJournal(t.fs, t.dir, t.packs)
	if err != nil {
		return err
	}
	if err := t.openJournal(j); err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	if j.Size == 0 {
		return t.start()
	}
	if t.pack, err = packdir.Reopen(t.fs, t.packName(), j.Fresh, j.Pack); err != nil {
		return err
	}
	t.old = j.Replay(packdir.NewAlone(t.packName(), t.pack.File(), j.Fresh, t.packs))
	return nil
}

// openJournal opens the journal and truncates it after its valid part.
func (t *Transfer) openJournal(j *journal.Journal) error {
	f, err := t.fs.OpenFile(filepath.Join(t.dir, journalFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	length := j.Length
	if j.Size == 0 {
		length = 0
	}
	if err = f.Truncate(length); err == nil {
		_, err = f.Seek(length, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	t.logFile, t.log = f, journal.NewWriter(f, j.Size)
	return nil
}

// readJournal reads the journal in dir. A missing file is an empty journal.
func readJournal(fsys diskfs.FS, dir string, packs *packdir.Dir) (*journal.Journal, error) {
	var text []byte
	info, err := fsys.Stat(filepath.Join(dir, packFile))
	if err == nil {
		text, err = diskfs.ReadFile(fsys, filepath.Join(dir, journalFile), maxJournal)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return journal.Parse(nil, 0, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("take up a transfer: %w", err)
	}
	return journal.Parse(text, info.Size(), packs.Has)
}

// Held returns how many bytes of a module an interrupted transfer has left in dir.
func Held(fsys diskfs.FS, dir string, packs *packdir.Dir) (int64, error) {
	j, err := readJournal(fsys, dir, packs)
	if err != nil {
		return 0, err
	}
	return j.Size, nil
}

// resumeChunks continues with the chunks of r that are in the pack.
func (t *Transfer) resumeChunks(r *module.Recipe) error {
	had, end, err := arrived(t.fs, t.packName(), r)
	if err != nil {
		return err
	}
	if len(had) == 0 {
		return t.start()
	}
	t.pack, err = packdir.Reopen(t.fs, t.packName(), had, end)
	return err
}

// Arrived returns the chunks of r that an interrupted transfer has left in dir.
func Arrived(fsys diskfs.FS, dir string, r *module.Recipe) ([]pack.Entry, error) {
	had, _, err := arrived(fsys, filepath.Join(dir, packFile), r)
	return had, err
}

// arrived reads an unfinished pack of chunks of r and hashes them. end is the length of its valid
// part.
func arrived(fsys diskfs.FS, name string,
	r *module.Recipe) (had []pack.Entry, end int64, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("take up a transfer: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("take up a transfer: %w", err)
	}
	want := make(map[merkle.Hash]uint32, len(r.Pool()))
	for _, c := range r.Pool() {
		want[c.ID] = c.Len
	}
	had, end, err = pack.ReadUnfinished(f, info.Size(), func(id merkle.Hash) (uint32, bool) {
		n, ok := want[id]
		return n, ok
	})
	if err != nil {
		return nil, 0, fmt.Errorf("take up a transfer: %w", err)
	}
	return had, end, nil
}

// Decompose reads the module in r. Its chunks can be read afterwards. If r fails or ctx ends, a
// resumable transfer keeps the bytes that have arrived.
func (t *Transfer) Decompose(ctx context.Context, r io.Reader) (*module.Recipe, error) {
	stream := &endReader{r: r}
	from := io.Reader(stream)
	if t.old != nil {
		from = io.MultiReader(t.old, stream)
	}
	if t.log != nil {
		from = &logReader{from, t.log}
	}
	recipe, err := module.Decompose(ctx, from, t.take)
	if err != nil && t.log != nil && (stream.err != nil || ctx.Err() != nil) {
		t.keep = t.pack.Flush() == nil && t.log.Flush() == nil
	}
	if err != nil {
		return nil, err
	}
	return recipe, t.pack.EndChunks()
}

// take stores a chunk that was found in the stream.
func (t *Transfer) take(c module.Chunk, sealed []byte) error {
	fresh := !t.pack.Has(c.ID)
	if fresh && t.packs != nil {
		had, err := t.packs.Has(c.ID)
		if err != nil {
			return err
		}
		fresh = !had
	}
	if fresh {
		if err := t.pack.Add(c.ID, sealed); err != nil {
			return err
		}
	}
	if t.log != nil {
		return t.log.Chunk(c, sealed, fresh)
	}
	return nil
}

// Accept reads the module in r, calls check on the module as the store would return it, and makes
// the pack durable. check may be nil. If the id of the module is not id, the error is
// module.ErrVerify.
func (t *Transfer) Accept(ctx context.Context, id module.ID, r io.Reader,
	check func(*module.Module) error) (*module.Recipe, error) {
	recipe, err := t.Decompose(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := CheckModule(recipe, t, id, check); err != nil {
		return nil, err
	}
	return recipe, t.Seal()
}

// CheckModule calls check on the module that r and chunks make. check may be nil. If the id of the
// module is not id, the error is module.ErrVerify.
func CheckModule(r *module.Recipe, chunks module.ChunkSource, id module.ID,
	check func(*module.Module) error) error {
	mod, err := r.Module(chunks)
	if err != nil {
		return err
	}
	if check != nil {
		if err := check(mod); err != nil {
			return err
		}
	}
	if r.ID() != id {
		return fmt.Errorf("the module is %s, want %s: %w", r.ID(), id, module.ErrVerify)
	}
	return nil
}

// Chunk implements module.ChunkSource, after everything has arrived. It finds received chunks and
// those of the store.
func (t *Transfer) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	if t.pack.Has(c.ID) {
		return t.pack.Chunk(c)
	}
	if t.packs == nil {
		return nil, 0, packdir.Missing(c)
	}
	return t.packs.Chunk(c)
}

// Has reports whether a chunk was received.
func (t *Transfer) Has(id merkle.Hash) bool { return t.pack.Has(id) }

// Entries returns the received chunks. The caller must not change them.
func (t *Transfer) Entries() []pack.Entry { return t.pack.Entries() }

// Seal finishes the pack and makes it durable.
func (t *Transfer) Seal() error {
	if err := t.pack.Finish(); err != nil {
		return err
	}
	return t.pack.Sync()
}

// Packed closes the sealed pack and returns its path, or "" if it has no chunk. The caller may
// rename the file. Chunks of the pack can no longer be read through t.
func (t *Transfer) Packed() (string, error) {
	if err := t.pack.Close(); err != nil {
		return "", fmt.Errorf("receive: %w", err)
	}
	if len(t.pack.Entries()) == 0 {
		return "", nil
	}
	return t.pack.Path(), nil
}

// Close ends the transfer. It removes the directory, unless the transfer may be resumed.
func (t *Transfer) Close() {
	if t.pack != nil {
		_ = t.pack.Close()
	}
	if t.logFile != nil {
		_ = t.logFile.Close()
	}
	if t.keep {
		_ = t.lock.Close()
		return
	}
	_ = remove(t.fs, t.dir, t.lock) // after an error, Sweep removes it later
}

// endReader records the error of the stream. io.EOF counts too: a stream that ends early may be
// resumed.
type endReader struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (e *endReader) Read(b []byte) (int, error) {
	n, err := e.r.Read(b)
	if err != nil {
		e.err = err
	}
	return n, err
}

// logReader passes what is read to the journal.
type logReader struct {
	r io.Reader
	j *journal.Writer
}

// Read implements io.Reader.
func (l *logReader) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	l.j.Read(b[:n])
	return n, err
}
