package packdir

import (
	"fmt"
	"io"
	"os"

	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A Writer is a pack.Writer that writes to a file. The concurrency rules are those of pack.Writer.
// After EndChunks several goroutines may call Chunk.
type Writer struct {
	*pack.Writer
	fs   diskfs.FS
	path string
	f    diskfs.File
}

// Create begins a pack at a path. An existing file is overwritten.
func Create(fsys diskfs.FS, path string) (*Writer, error) {
	f, err := fsys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create pack: %w", err)
	}
	w := &Writer{fs: fsys, path: path, f: f}
	w.Writer = pack.NewWriter(&pusher{f: f})
	return w, nil
}

// Reopen continues the unfinished pack at a path. Its valid part has size bytes and contains
// entries.
func Reopen(fsys diskfs.FS, path string, entries []pack.Entry, size int64) (*Writer, error) {
	f, err := fsys.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("reopen pack: %w", err)
	}
	if err = f.Truncate(size); err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("reopen pack: %w", err)
	}
	w := &Writer{fs: fsys, path: path, f: f}
	w.Writer = pack.Resume(&pusher{f: f, written: size, pushed: size}, entries, size)
	return w, nil
}

// Path returns the path of the file.
func (w *Writer) Path() string { return w.path }

// File returns the open file.
func (w *Writer) File() diskfs.File { return w.f }

// Add is pack.Writer.Add. Its errors name the file.
func (w *Writer) Add(id merkle.Hash, sealed []byte) error {
	return w.name(w.Writer.Add(id, sealed))
}

// AddFrames is pack.Writer.AddFrames. Its errors name the file.
func (w *Writer) AddFrames(frames []byte, chunks []module.Chunk) error {
	return w.name(w.Writer.AddFrames(frames, chunks))
}

// EndChunks is pack.Writer.EndChunks. Its errors name the file.
func (w *Writer) EndChunks() error { return w.name(w.Writer.EndChunks()) }

func (w *Writer) name(err error) error {
	if err != nil {
		err = fmt.Errorf("write pack %s: %w", w.path, err)
	}
	return err
}

// Finish writes the index and the footer, and checks the length of the file. The caller then calls
// Sync and Close.
func (w *Writer) Finish() error {
	if err := w.Writer.Finish(); err != nil {
		return w.name(err)
	}
	info, err := w.f.Stat()
	if err != nil {
		return w.name(err)
	}
	if info.Size() != w.Size() {
		return fmt.Errorf("write pack %s: the file has %d bytes, expected %d",
			w.path, info.Size(), w.Size())
	}
	return nil
}

// Chunk implements module.ChunkSource, so that a generation can be verified before its pack is
// finished. It fails before EndChunks. It does not hash the chunk.
func (w *Writer) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	if !w.Ended() {
		return nil, 0, fmt.Errorf("read pack %s: chunks are still being added", w.path)
	}
	e, ok := w.Find(c)
	if !ok {
		return nil, 0, Missing(c)
	}
	return w.f, e.Offset, nil
}

// Sync makes the content of the file durable.
func (w *Writer) Sync() error {
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("sync pack: %w", err)
	}
	return nil
}

// Close closes the file. It may be called again.
func (w *Writer) Close() error {
	if w.f == nil {
		return nil
	}
	err := w.f.Close()
	w.f = nil
	return err
}

// Abandon closes and removes the file.
func (w *Writer) Abandon() {
	_ = w.Close()
	_ = w.fs.Remove(w.path)
}

// pushAfter is the number of dirty bytes after which writeback is started.
const pushAfter = 8 << 20

// pusher writes to a file and starts writeback after every pushAfter bytes.
type pusher struct {
	f       diskfs.File
	written int64 // bytes of the file
	pushed  int64 // bytes for which writeback was started
}

// Write implements io.Writer.
func (p *pusher) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	p.written += int64(n)
	if err == nil && p.written-p.pushed >= pushAfter {
		diskfs.StartWriteback(p.f, p.pushed, p.written-p.pushed)
		p.pushed = p.written
	}
	return n, err
}
