package multisource

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// An Origin gives modules. It may also have the methods of [Ranger], [Spanner], [RecipeOpener] and
// [Sizer].
type Origin interface {
	Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error)
}

// A Ranger opens a module at an offset.
type Ranger interface {
	ModuleFrom(ctx context.Context, root merkle.Hash,
		offset int64) (r io.ReadCloser, start int64, err error)
}

// A Spanner gives single parts of a module.
type Spanner interface {
	Spans(ctx context.Context, root merkle.Hash, want []Span,
		take func(i int, body io.Reader) error) error
}

// A RecipeOpener gives the recipe of a generation.
type RecipeOpener interface {
	OpenRecipe(ctx context.Context, root merkle.Hash, bases []*module.Recipe) (*RecipeAnswer, error)
}

// A Sizer tells the length of a module without the module.
type Sizer interface {
	Stat(ctx context.Context, root merkle.Hash) (int64, error)
}

// A Span is a run of bytes of a module.
type Span struct{ Offset, Length int64 }

// End returns the offset of the first byte behind the span.
func (s Span) End() int64 { return s.Offset + s.Length }

// A RecipeAnswer is what an origin gave that was asked for a recipe: that, or the module itself.
type RecipeAnswer struct {
	Recipe *module.Recipe // nil: the module is what came
	Size   int64          // of the recipe as it travelled, in bytes
	Module io.ReadCloser  // as from Origin.Module, to be closed; nil when Recipe is not
}

// OpenAt opens a module at an offset where the origin can, else at its start.
func OpenAt(ctx context.Context, from Origin, root merkle.Hash,
	offset int64) (r io.ReadCloser, start int64, err error) {
	if ranger, ok := from.(Ranger); ok && offset > 0 {
		return ranger.ModuleFrom(ctx, root, offset)
	}
	r, err = from.Module(ctx, root)
	return r, 0, err
}

// A Sized is a module reader that knows the length of the whole module, -1 where it does not.
type Sized interface{ Size() int64 }

// SizeOf is the length of the whole module where its reader is a [Sized]; 0 when it does not tell.
func SizeOf(r io.Reader) int64 {
	if s, ok := r.(Sized); ok {
		return max(0, s.Size())
	}
	return 0
}

// Names of the checks that a [Set] makes.
const (
	CheckContent = "content"
	CheckSize    = "size"
	CheckSources = "sources"
)

// Options say how a [Set] shares transfers and judges errors. All fields are needed.
type Options struct {
	// Segment is how many bytes are asked for at once.
	Segment int64
	// Lasting reports whether a request that failed with err would fail so again.
	Lasting func(err error) bool
	// Retried reports whether err is that of the last of several attempts.
	Retried func(err error) bool
	// NotServed reports whether err is an origin that does not have the generation.
	NotServed func(err error) bool
	// Refusal is the error of a check that failed.
	Refusal func(check, want, got string) error
}

// ErrSlow is the reason why a source is excluded that answers much later than others.
var ErrSlow = errors.New("much slower than another origin")

// errWhole is a source that gives modules from their start only.
var errWhole = fmt.Errorf("the origin gives no parts of a module: %w", errors.ErrUnsupported)

// A Source is one of the origins of a [Set].
type Source struct {
	name string
	from Origin
	head merkle.Hash // of which size is known
	size int64

	// Guarded by the set's mutex.
	err   error // why it is excluded
	bytes int64 // that came from it and were used
	lost  int   // consecutive segments lost to a faster source or failed
	whole bool  // it gives no parts
}

// NewSource returns a source. name is for errors; size is the length of the module of head, as the
// origin tells it.
func NewSource(name string, from Origin, head merkle.Hash, size int64) *Source {
	return &Source{name: name, from: from, head: head, size: size}
}

// A Set fetches the modules of one store from several sources. It is an [Origin], [Ranger],
// [Spanner] and [RecipeOpener]. Safe for concurrent use, for one transfer of each generation at a
// time.
type Set struct {
	opt     Options
	sources []*Source

	mu        sync.Mutex
	transfers map[merkle.Hash]*transfer
}

// New returns a set of sources, the preferred one first.
func New(sources []*Source, o Options) *Set {
	return &Set{opt: o, sources: sources, transfers: map[merkle.Hash]*transfer{}}
}

// A transfer is what has been tried for one generation.
type transfer struct {
	contributions []*contribution // bytes that are not known to be right yet
	alone         *Source         // the only one that is asked; nil: all are
	tried         []*Source
	broke         bool           // the last attempt broke off
	disputed      []contribution // parts that did not agree with the recipe of another source
}

// A contribution is a run of bytes that a source sent.
type contribution struct {
	by     *Source
	offset int64
	n      int64
	sum    [sha256.Size]byte
}

// Outcome returns how many bytes of the i-th source were used, and why it was excluded; nil when it
// was not.
func (c *Set) Outcome(i int) (bytes int64, excluded error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sources[i].bytes, c.sources[i].err
}

// ExcludeAll excludes the sources that are left.
func (c *Set) ExcludeAll(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sources {
		c.exclude(s, err)
	}
}

// live returns the sources that are not excluded. The caller has the lock.
func (c *Set) live() (out []*Source) {
	for _, s := range c.sources {
		if s.err == nil {
			out = append(out, s)
		}
	}
	return out
}

// exclude excludes a source for good. The caller has the lock.
func (c *Set) exclude(s *Source, err error) {
	if s.err == nil {
		s.err = err
	}
}

// excluded reports whether a source was excluded.
func (c *Set) excluded(s *Source) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.err != nil
}

// accuse excludes a source for what it sent.
func (c *Set) accuse(s *Source, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exclude(s, fmt.Errorf("remote: fetch from %s: %w", s.name, err))
}

// transfer returns the transfer of a generation. The caller has the lock.
func (c *Set) transfer(root merkle.Hash) *transfer {
	t := c.transfers[root]
	if t == nil {
		t = &transfer{}
		c.transfers[root] = t
	}
	return t
}

// Module implements [Origin].
func (c *Set) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	r, _, err := c.ModuleFrom(ctx, root, 0)
	return r, err
}

// ModuleFrom implements [Ranger]: in segments of all sources where several can give parts and the
// module is longer than a segment, else from one source after another.
func (c *Set) ModuleFrom(ctx context.Context, root merkle.Hash,
	offset int64) (io.ReadCloser, int64, error) {
	c.mu.Lock()
	alone := c.transfer(root).alone
	able := slices.DeleteFunc(c.live(), func(s *Source) bool { return s.whole })
	c.mu.Unlock()
	if alone != nil {
		return c.fromOne(ctx, alone, root, offset)
	}
	if len(able) > 1 {
		if size := sizeAt(ctx, able, root); size-offset > c.opt.Segment {
			return c.striped(ctx, root, able, offset, size), offset, nil
		}
	}
	var all []error
	for _, s := range c.sources {
		if c.excluded(s) {
			continue
		}
		r, start, err := c.fromOne(ctx, s, root, offset)
		if err == nil {
			return r, start, nil
		}
		all = append(all, fmt.Errorf("%s: %w", s.name, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(all) == 0 {
		return nil, 0, c.opt.Refusal(CheckSources, "one origin that passes every check", "none is left")
	}
	return nil, 0, errors.Join(all...)
}

// Stat implements [Sizer]. [errors.ErrUnsupported] says that no source can tell.
func (c *Set) Stat(ctx context.Context, root merkle.Hash) (int64, error) {
	c.mu.Lock()
	able := c.live()
	c.mu.Unlock()
	n := sizeAt(ctx, able, root)
	if n == 0 {
		return 0, fmt.Errorf("remote: size of %s: %w", root, errors.ErrUnsupported)
	}
	return n, nil
}

// sizeAt is the length of a module: that of a head, or what the first source tells that can tell it
// without the module; 0 when none can.
func sizeAt(ctx context.Context, able []*Source, root merkle.Hash) int64 {
	for _, s := range able {
		if s.head == root {
			return s.size
		}
	}
	for _, s := range able {
		sizer, ok := s.from.(Sizer)
		if !ok {
			continue
		}
		if n, err := sizer.Stat(ctx, root); err == nil && n > 0 {
			return n
		}
	}
	return 0
}

// fromOne opens the module at one source, and notes what it sends.
func (c *Set) fromOne(ctx context.Context, s *Source, root merkle.Hash,
	offset int64) (io.ReadCloser, int64, error) {
	r, start, err := OpenAt(ctx, s.from, root, offset)
	if err != nil {
		return nil, 0, err
	}
	return &trackedReader{ReadCloser: r, c: c, by: s, root: root, from: start, at: start,
		size: SizeOf(r)}, start, nil
}

// A trackedReader is a module that comes from one source.
type trackedReader struct {
	io.ReadCloser
	c        *Set
	by       *Source
	root     merkle.Hash
	from, at int64
	size     int64
}

// Size is the length of the whole module, as the source tells it; -1 when it does not.
func (r *trackedReader) Size() int64 {
	if r.size == 0 {
		return -1
	}
	return r.size
}

func (r *trackedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.at += int64(n)
	if err != nil && err != io.EOF {
		r.c.broke(r.root)
	}
	return n, err
}

// Close also counts.
func (r *trackedReader) Close() error {
	r.c.mu.Lock()
	r.by.bytes += r.at - r.from
	t := r.c.transfer(r.root)
	if !slices.Contains(t.tried, r.by) {
		t.tried = append(t.tried, r.by)
	}
	r.c.mu.Unlock()
	return r.ReadCloser.Close()
}

// broke notes that a transfer broke off.
func (c *Set) broke(root merkle.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transfer(root).broke = true
}

// Retry decides what follows when the module of root failed with err: true is another attempt with
// one source alone, which has not been tried so. A source that failed alone is excluded.
func (c *Set) Retry(ctx context.Context, root merkle.Hash, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.transfer(root)
	gone, fault := c.opt.NotServed(err), wire.IsFault(err)
	broke := t.broke
	t.broke = false
	if ctx.Err() != nil || gone && t.alone == nil || !fault && !gone && !broke {
		return false // the fault of no source, or of all of them
	}
	if t.alone == nil && len(t.contributions) == 0 && len(t.tried) == 1 {
		// it came from one source anyway
		t.alone = t.tried[0]
	}
	if t.alone != nil && (!gone || fault) {
		c.exclude(t.alone, err)
	}
	if t.alone == nil {
		t.tried = nil
	}
	for _, s := range c.live() {
		if !slices.Contains(t.tried, s) {
			t.alone, t.tried = s, append(t.tried, s)
			return true
		}
	}
	return false
}

// Settle ends the transfer of a generation whose module passed: the sources that sent other bytes
// than that module has are excluded. open returns the module.
func (c *Set) Settle(root merkle.Hash, open func() (io.ReadSeekCloser, error)) error {
	c.mu.Lock()
	t := c.transfer(root)
	delete(c.transfers, root)
	if t.alone == nil {
		for _, s := range t.contributions {
			s.by.bytes += s.n
		}
	}
	c.mu.Unlock()
	if t.alone == nil {
		for _, s := range t.disputed { // the recipe was right
			c.accuse(s.by, c.opt.Refusal(CheckContent,
				fmt.Sprintf("%d bytes of generation %s at %d", s.n, root, s.offset), "others"))
		}
		return nil
	}
	if len(t.contributions) == 0 {
		return nil
	}
	if err := c.compare(root, t.contributions, open); err != nil {
		return fmt.Errorf("remote: read generation %s again: %w", root, err)
	}
	return nil
}

// compare excludes the sources of contributions that are not of the module.
func (c *Set) compare(root merkle.Hash, sent []*contribution,
	open func() (io.ReadSeekCloser, error)) error {
	mod, err := open()
	if err != nil {
		return err
	}
	defer mod.Close()
	size, err := mod.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	slices.SortFunc(sent, func(a, b *contribution) int {
		return int(min(1, max(-1, a.offset-b.offset)))
	})
	for _, s := range sent {
		if s.offset+s.n > size {
			c.accuse(s.by, c.opt.Refusal(CheckSize, strconv.FormatInt(size, 10)+" bytes", "more"))
			continue
		}
		if _, err := mod.Seek(s.offset, io.SeekStart); err != nil {
			return err
		}
		sum := sha256.New()
		if _, err := io.CopyN(sum, mod, s.n); err != nil {
			return err
		}
		if [sha256.Size]byte(sum.Sum(nil)) != s.sum {
			want := fmt.Sprintf("bytes %d to %d of generation %s", s.offset, s.offset+s.n, root)
			c.accuse(s.by, c.opt.Refusal(CheckContent, want, "others"))
		}
	}
	return nil
}
