package module

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/cdc"
	"github.com/dig-network/digstore/merkle"
)

// A Builder makes a module from plaintext. It cuts, seals and hashes each
// resource, and keeps the sealed chunks in a temporary file until Build. It needs
// about 100 bytes of memory for each chunk. It is not safe for concurrent use.
// Close removes the file.
type Builder struct {
	store     auth.StoreID
	publisher auth.PublicKey
	o         Options

	entries []Entry
	names   map[merkle.Hash]string
	content int64 // plaintext so far

	cut   *cdc.Reader
	spool *os.File
	named bool // the spool has a name that Close removes
	w     *bufio.Writer
	size  int64
	at    map[merkle.Hash]int64 // where the frames begin in the spool
}

// NewBuilder returns a Builder of a module of that store and publisher. Nil
// options are the defaults.
func NewBuilder(store auth.StoreID, publisher auth.PublicKey, o *Options) *Builder {
	b := &Builder{store: store, publisher: publisher,
		names: make(map[merkle.Hash]string), at: make(map[merkle.Hash]int64)}
	if o != nil {
		b.o = *o
	}
	if b.o.MaxContent <= 0 {
		b.o.MaxContent = MaxContent
	}
	return b
}

// Add reads a resource to its end and adds it. Resources stand in the key table
// in the order in which they were added; the root does not depend on the order. A
// name that was added before is fs.ErrExist, content above the limit ErrTooLarge.
// After an error the resource is not in the module and the Builder can be used
// further.
func (b *Builder) Add(ctx context.Context, name string, r io.Reader) error {
	e, err := b.begin(name)
	if err != nil {
		return err
	}
	key := urn.NewKey(b.store, name, b.o.Salt)
	cut, err := b.cutter(r)
	if err != nil {
		return fmt.Errorf("add %q: %w", name, err)
	}
	whole := sha256.New()
	content := b.content
	var sealed []byte
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("add %q: %w", name, err)
		}
		plain, err := cut.Next()
		if err != nil && err != io.EOF {
			return fmt.Errorf("add %q: %w", name, err)
		}
		if err == io.EOF && len(e.Chunks) > 0 {
			break
		}
		// Empty content is one empty chunk.
		if content += int64(len(plain)); content > b.o.MaxContent {
			return b.tooLarge(name)
		}
		sealed = key.Seal(sealed[:0], plain)
		if err := b.chunk(&e, sealed); err != nil {
			return fmt.Errorf("add %q: %w", name, err)
		}
		whole.Write(sealed)
		if err == io.EOF {
			break
		}
	}
	if whole.Sum(e.Leaf[:0]); len(e.Chunks) == 1 {
		e.Leaf = e.Chunks[0].ID
	}
	b.end(name, e, content)
	return nil
}

// AddSealed adds a resource that is sealed already, as one chunk. It does not
// open it.
func (b *Builder) AddSealed(ctx context.Context, name string, sealed []byte) error {
	e, err := b.begin(name)
	if err != nil {
		return err
	}
	content := b.content + max(0, int64(len(sealed))-urn.Overhead)
	if content > b.o.MaxContent {
		return b.tooLarge(name)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("add %q: %w", name, err)
	}
	if err := b.chunk(&e, sealed); err != nil {
		return fmt.Errorf("add %q: %w", name, err)
	}
	e.Leaf = e.Chunks[0].ID
	b.end(name, e, content)
	return nil
}

func (b *Builder) tooLarge(name string) error {
	return fmt.Errorf("add %q: want at most %d bytes of content in all: %w",
		name, b.o.MaxContent, ErrTooLarge)
}

// cutter returns the Reader that cuts r.
func (b *Builder) cutter(r io.Reader) (*cdc.Reader, error) {
	if b.cut != nil {
		b.cut.Reset(r)
		return b.cut, nil
	}
	p := cdc.Params{Min: b.o.ChunkMin, Target: b.o.ChunkTarget, Max: b.o.ChunkMax}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.Max > MaxChunk-urn.Overhead {
		return nil, fmt.Errorf("chunk sizes: maximum %d is above %d", p.Max, MaxChunk-urn.Overhead)
	}
	b.cut = cdc.NewReader(r, p)
	return b.cut, nil
}

func (b *Builder) begin(name string) (Entry, error) {
	e := Entry{Key: urn.RetrievalKey(b.store, name)}
	if _, ok := b.names[e.Key]; ok {
		return e, fmt.Errorf("add %q: %w", name, fs.ErrExist)
	}
	if b.spool == nil {
		f, err := os.CreateTemp(b.o.TempDir, "digstore-module-*")
		if err != nil {
			return e, fmt.Errorf("add %q: %w", name, err)
		}
		// Where the system permits it the name is removed at once, so that a killed process leaves
		// no file.
		b.named = os.Remove(f.Name()) != nil
		b.spool, b.w = f, bufio.NewWriterSize(f, 1<<18)
	}
	return e, nil
}

func (b *Builder) end(name string, e Entry, content int64) {
	b.names[e.Key] = name
	b.entries = append(b.entries, e)
	b.content = content
}

// chunk appends a chunk to the resource, and to the spool if it is new.
func (b *Builder) chunk(e *Entry, sealed []byte) error {
	c := Chunk{merkle.Sum(sealed), uint32(len(sealed))}
	e.Chunks = append(e.Chunks, c)
	if _, ok := b.at[c.ID]; ok {
		return nil
	}
	var frame [4]byte
	binary.BigEndian.PutUint32(frame[:], c.Len)
	if _, err := b.w.Write(frame[:]); err != nil {
		return err
	}
	if _, err := b.w.Write(sealed); err != nil {
		return err
	}
	b.at[c.ID] = b.size
	b.size += 4 + int64(len(sealed))
	return nil
}

// A spool is a Builder as a ChunkSource.
type spool Builder

func (s *spool) Chunk(c Chunk) (io.ReaderAt, int64, error) {
	at, ok := s.at[c.ID]
	if !ok {
		return nil, 0, fmt.Errorf("chunk %v: %w", c.ID, fs.ErrNotExist)
	}
	return s.spool, at, nil
}

// Build writes the module of all resources that were added to w and returns the
// root. It may be called again, also after further calls of Add.
func (b *Builder) Build(ctx context.Context, w io.Writer) (merkle.Hash, error) {
	r, err := Compose(b.store, b.publisher, b.entries, &b.o)
	if err != nil {
		return merkle.Hash{}, err
	}
	if b.w != nil {
		if err := b.w.Flush(); err != nil {
			return merkle.Hash{}, fmt.Errorf("build module: %w", err)
		}
	}
	if _, err := r.Image((*spool)(b)).WriteTo(contextWriter{ctx, w}); err != nil {
		return merkle.Hash{}, fmt.Errorf("build module: %w", err)
	}
	return r.Root(), nil
}

// A contextWriter fails when its context has ended.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c contextWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// Close removes the temporary file. The Builder cannot be used afterwards.
func (b *Builder) Close() error {
	if b.spool == nil {
		return nil
	}
	err := b.spool.Close()
	if b.named {
		err = errors.Join(err, os.Remove(b.spool.Name()))
	}
	b.spool = nil
	if err != nil {
		return fmt.Errorf("close builder: %w", err)
	}
	return nil
}
