package digstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// incoming is a module that is being received, in a directory of its own below incoming/, locked as transferlock.go says:
//
//	pack.tmp  the chunks that the store does not have, a pack without its index
//	journal   how the bytes that came are made of chunks and others; see journalWriter
//
// The directory of an Install is named by the root and may be taken up again; that of a push has a name of chance.
// A generation that comes as recipe and chunks has no journal: its pack says itself what has arrived; see collect.
type incoming struct {
	fs    diskfs.FS
	dir   string
	packs *packdir.Dir // the store's; nil when the store does not exist yet
	lock  io.Closer
	pack  *packdir.Writer
	log   *journalWriter // nil: not to be resumed
	old   io.Reader      // what came before
	keep  bool
}

const (
	incomingDir  = "incoming"
	incomingPack = "pack.tmp"
)

// openIncoming begins to receive in dir, or goes on with what is there.
func openIncoming(fsys diskfs.FS, dir string, packs *packdir.Dir) (*incoming, error) {
	return beginIncoming(fsys, dir, packs, (*incoming).resume)
}

// beginIncoming locks the directory and has its files opened.
func beginIncoming(fsys diskfs.FS, dir string, packs *packdir.Dir, begin func(*incoming) error) (*incoming, error) {
	in := &incoming{fs: fsys, dir: dir, packs: packs}
	var err error
	if in.lock, err = lockTransfer(fsys, dir); err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if packs != nil {
		packs.Reload() // a gc may have removed packs before it could see this transfer; none does from now on
	}
	if err := begin(in); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// start begins without anything that came before.
func (in *incoming) start() (err error) {
	in.pack, err = packdir.Create(in.fs, filepath.Join(in.dir, incomingPack))
	return err
}

// resume goes on where the journal ends.
func (in *incoming) resume() error {
	j, err := readJournal(in.fs, in.dir, in.packs)
	if err != nil {
		return err
	}
	if j.size == 0 {
		if in.log, err = createJournal(in.fs, in.dir); err != nil {
			return err
		}
		return in.start()
	}
	var had []pack.Entry
	for _, r := range j.records {
		if r.fresh {
			had = append(had, pack.Entry{ID: r.chunk.ID, Offset: r.off, Len: r.chunk.Len})
		}
	}
	if in.pack, err = packdir.Reopen(in.fs, filepath.Join(in.dir, incomingPack), had, j.pack); err != nil {
		return err
	}
	if in.log, err = reopenJournal(in.fs, in.dir, j); err != nil {
		return err
	}
	in.old = &replay{j: j, src: packdir.NewAlone(in.pack.Path(), in.pack.File(), had, in.packs)}
	return nil
}

// newIncoming begins to receive under a random name below dir.
func newIncoming(w *Workspace, dir string, packs *packdir.Dir) (*incoming, error) {
	var b [8]byte
	if _, err := io.ReadFull(w.rand, b[:]); err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	name := filepath.Join(dir, incomingDir, "push-"+hex.EncodeToString(b[:]))
	return beginIncoming(w.fs, name, packs, (*incoming).start)
}

// decompose reads the module, after which its chunks can be read. An error of r leaves what arrived to be taken up again.
func (in *incoming) decompose(ctx context.Context, r io.Reader) (*module.Recipe, error) {
	tee := &teeReader{r: r}
	from := io.Reader(tee)
	if in.old != nil {
		from = io.MultiReader(in.old, tee)
	}
	if in.log != nil {
		from = &logReader{from, in.log}
	}
	recipe, err := module.Decompose(ctx, from, func(c module.Chunk, sealed []byte) error {
		fresh := !in.pack.Has(c.ID)
		if fresh && in.packs != nil {
			had, err := in.packs.Has(c.ID)
			if err != nil {
				return err
			}
			fresh = !had
		}
		if fresh {
			if err := in.pack.Add(c.ID, sealed); err != nil {
				return err
			}
		}
		if in.log != nil {
			return in.log.chunk(c, sealed, fresh)
		}
		return nil
	})
	if err != nil && in.log != nil && (tee.err != nil || ctx.Err() != nil) {
		if in.pack.Flush() == nil && in.log.flush() == nil {
			in.keep = true
		}
	}
	if err != nil {
		return nil, err
	}
	return recipe, in.pack.EndChunks()
}

// Chunk implements module.ChunkSource: what has arrived, and what the store has. All has arrived before the first call.
func (in *incoming) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	if in.pack != nil && in.pack.Has(c.ID) {
		return in.pack.Chunk(c)
	}
	if in.packs == nil {
		return nil, 0, packdir.Missing(c)
	}
	return in.packs.Chunk(c)
}

// seal finishes and syncs the pack.
func (in *incoming) seal() error {
	if err := in.pack.Finish(); err != nil {
		return err
	}
	return in.pack.Sync()
}

// packed returns the name of the sealed pack, "" when it has no chunk. The pack can no longer be read through in.
func (in *incoming) packed() (string, error) {
	if err := in.pack.Close(); err != nil {
		return "", fmt.Errorf("receive: %w", err)
	}
	if len(in.pack.Entries()) == 0 {
		return "", nil
	}
	return in.pack.Path(), nil
}

// close lets go; without keep it removes the directory.
func (in *incoming) close() {
	if in.pack != nil {
		_ = in.pack.Close()
	}
	if in.log != nil {
		in.log.close()
	}
	if in.keep {
		_ = in.lock.Close()
		return
	}
	_ = removeTransfer(in.fs, in.dir, in.lock) // else a sweep does
}

// teeReader remembers that the error came from the other side.
type teeReader struct {
	r   io.Reader
	err error
}

func (t *teeReader) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	if err != nil {
		t.err = err // io.EOF too: a stream that ends early may be taken up again
	}
	return n, err
}

// sweepIncoming removes rests of modules that were being received: of pushes, and of roots that are held by now.
func (s *Store) sweepIncoming(*history.History) error {
	return sweepIncoming(s.w.fs, filepath.Join(s.dir, incomingDir), func(name string) bool {
		root, err := merkle.ParseHash(strings.TrimSuffix(name, partsExt))
		if err != nil {
			return false
		}
		there, err := s.holds(root)
		return err != nil || !there
	})
}

// transfers returns how many generations are being received.
func (s *Store) transfers() (n int, err error) {
	dir := filepath.Join(s.dir, incomingDir)
	if _, err := s.w.fs.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	gate, n, err := s.lockTransfers()
	if err != nil {
		return 0, err
	}
	return n, gate.Close()
}

// lockTransfers keeps transfers from beginning until gate is closed, and returns how many are under way.
func (s *Store) lockTransfers() (gate io.Closer, n int, err error) {
	dir := filepath.Join(s.dir, incomingDir)
	gate, err = lockGate(s.w.fs, dir)
	if err != nil {
		return nil, 0, fmt.Errorf("look for transfers: %w", err)
	}
	n, err = s.countTransfers(dir)
	if err != nil {
		_ = gate.Close()
		return nil, 0, err
	}
	return gate, n, nil
}

// countTransfers is transfers for a caller that holds the gate of dir.
func (s *Store) countTransfers(dir string) (n int, err error) {
	list, err := s.w.fs.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("look for transfers: %w", err)
	}
	for _, e := range list {
		if e.Name() == gateName || filepath.Ext(e.Name()) != lockExt {
			continue
		}
		l, err := s.w.fs.TryLock(filepath.Join(dir, e.Name()))
		if errors.Is(err, diskfs.ErrLocked) {
			n++
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("look for transfers: %w", err)
		}
		_ = l.Close()
	}
	return n, nil
}

func sweepIncoming(fsys diskfs.FS, dir string, keep func(name string) bool) error {
	list, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	for _, e := range list {
		name := strings.TrimSuffix(e.Name(), lockExt)
		if e.Name() == gateName || keep(name) {
			continue
		}
		err := clearTransfer(fsys, filepath.Join(dir, name))
		if err != nil && !errors.Is(err, diskfs.ErrLocked) && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sweep: %w", err)
		}
	}
	return nil
}

// journalWriter writes down how the bytes that came are made up, so that a broken transfer can be taken up:
//
//	'L' || u32 n || n bytes || u32 CRC-32C     bytes that are no chunk
//	'N' || id(32) || u32 n  || u32 CRC-32C     a chunk, the next one in the pack
//	'S' || id(32) || u32 n  || u32 CRC-32C     a chunk that the store, or the pack, had already
//
// A record counts when all of it is there and its checksum, of what stands before it in the record, agrees, and the chunk it
// names is there. The chunk's bytes are checked when the module is verified; of the others the root says nothing.
type journalWriter struct {
	f     diskfs.File
	mu    sync.Mutex // one goroutine reads, another takes what came out of it
	buf   []byte
	raw   []byte // what has been read; what stands before done is written down already
	done  int
	skip  int64 // bytes of the stream that the journal has already
	at    int64 // bytes of the stream that were accounted for
	since int64
	lost  bool // what was read and what came out of it do not fit: nothing more is written down
	err   error
}

// journalEvery is how many bytes of the stream may come before the journal is written.
const journalEvery = 8 << 20

func journalName(dir string) string { return filepath.Join(dir, "journal") }

func createJournal(fsys diskfs.FS, dir string) (*journalWriter, error) {
	f, err := fsys.OpenFile(journalName(dir), openTrunc, 0o644)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	return &journalWriter{f: f}, nil
}

func reopenJournal(fsys diskfs.FS, dir string, j *journal) (*journalWriter, error) {
	f, err := fsys.OpenFile(journalName(dir), os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if err = f.Truncate(j.length); err == nil {
		_, err = f.Seek(j.length, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("receive: %w", err)
	}
	return &journalWriter{f: f, skip: j.size}, nil
}

// chunk accounts for all that was read up to the end of a chunk.
func (j *journalWriter) chunk(c module.Chunk, sealed []byte, fresh bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lost {
		return nil
	}
	rest := j.raw[j.done:]
	i := bytes.Index(rest, sealed)
	if i < 0 {
		j.lost, j.raw = true, nil
		return nil
	}
	j.record('L', rest[:i], nil, 0)
	kind := byte('S')
	if fresh {
		kind = 'N'
	}
	j.record(kind, nil, &c.ID, c.Len)
	j.done += i + len(sealed)
	if j.since > journalEvery {
		return j.flush()
	}
	return j.err
}

func (j *journalWriter) record(kind byte, plain []byte, id *merkle.Hash, n uint32) {
	size := int64(len(plain)) + int64(n)
	j.at += size
	if j.at <= j.skip || size == 0 && id == nil {
		return
	}
	j.since += size
	at := len(j.buf)
	j.buf = append(j.buf, kind)
	if id != nil {
		j.buf = append(j.buf, id[:]...)
		j.buf = binary.BigEndian.AppendUint32(j.buf, n)
	} else {
		j.buf = binary.BigEndian.AppendUint32(j.buf, uint32(len(plain)))
		j.buf = append(j.buf, plain...)
	}
	j.buf = binary.BigEndian.AppendUint32(j.buf, crc32.Checksum(j.buf[at:], castagnoli))
}

// read takes what was read. It moves the rest to the front only when that is the smaller part.
func (j *journalWriter) read(b []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lost {
		return
	}
	if j.done > len(j.raw)/2 {
		j.raw = append(j.raw[:0], j.raw[j.done:]...)
		j.done = 0
	}
	j.raw = append(j.raw, b...)
}

func (j *journalWriter) flush() error {
	if j.err == nil {
		_, j.err = j.f.Write(j.buf)
	}
	j.buf, j.since = j.buf[:0], 0
	return j.err
}

func (j *journalWriter) close() { _ = j.f.Close() }

// logReader lets the journal see what is read.
type logReader struct {
	r io.Reader
	j *journalWriter
}

func (l *logReader) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	l.j.read(b[:n])
	return n, err
}
