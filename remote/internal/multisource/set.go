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

// An Origin reads modules. It may also implement [Ranger], [Spanner], [RecipeOpener] and [Sizer].
type Origin interface {
	Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error)
}

// A Ranger opens a module at an offset.
type Ranger interface {
	ModuleFrom(ctx context.Context, root merkle.Hash,
		offset int64) (r io.ReadCloser, start int64, err error)
}

// A Spanner reads single spans of a module.
type Spanner interface {
	Spans(ctx context.Context, root merkle.Hash, want []Span,
		take func(i int, body io.Reader) error) error
}

// A RecipeOpener reads the recipe of a generation.
type RecipeOpener interface {
	OpenRecipe(ctx context.Context, root merkle.Hash, bases []*module.Recipe) (*RecipeAnswer, error)
}

// A Sizer returns the length of a module without reading it.
type Sizer interface {
	Stat(ctx context.Context, root merkle.Hash) (int64, error)
}

// A Span is consecutive bytes of a module.
type Span = wire.Span

// A RecipeAnswer is the answer to a request for a recipe: the recipe, or the module.
type RecipeAnswer struct {
	Recipe *module.Recipe // nil: Module is set
	Size   int64          // of the packed recipe, in bytes
	Module io.ReadCloser  // nil if Recipe is set; the caller closes it
}

// OpenAt opens a module at an offset if the origin can, or else at its start.
func OpenAt(ctx context.Context, from Origin, root merkle.Hash,
	offset int64) (r io.ReadCloser, start int64, err error) {
	if ranger, ok := from.(Ranger); ok && offset > 0 {
		return ranger.ModuleFrom(ctx, root, offset)
	}
	r, err = from.Module(ctx, root)
	return r, 0, err
}

// A Sized is a module reader that knows the length of the whole module; -1 means unknown.
type Sized interface{ Size() int64 }

// SizeOf returns the length of the whole module if its reader is a [Sized], and 0 if it is unknown.
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

// Options are settings of a [Set]. All fields are required.
type Options struct {
	// Segment is how many bytes are requested at once.
	Segment int64
	// Lasting reports whether a request that failed with err would fail again.
	Lasting func(err error) bool
	// Retried reports whether err is the error after the last of several attempts.
	Retried func(err error) bool
	// NotServed reports whether err means that an origin does not have the generation.
	NotServed func(err error) bool
	// Refusal returns the error of a failed check.
	Refusal func(check, want, got string) error
}

// ErrSlow is the error of a source that was excluded because it is much slower than others.
var ErrSlow = errors.New("much slower than another origin")

// errWhole is the error of a source that sends modules from their start only.
var errWhole = fmt.Errorf("the origin does not support ranges of modules: %w",
	errors.ErrUnsupported)

// A Source is one of the origins of a [Set].
type Source struct {
	name string
	from Origin
	head merkle.Hash // the generation that size is of
	size int64

	// Guarded by the set's mutex.
	err   error // why it was excluded
	bytes int64 // received from it and used
	lost  int   // consecutive segments lost to a faster source or failed
	whole bool  // it does not support ranges
}

// NewSource returns a source. name is for errors; size is the length of the module of head in the
// origin's descriptor.
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

// A transfer records the attempts to fetch one generation.
type transfer struct {
	contributions []*contribution // bytes that are not verified yet
	alone         *Source         // the only source that is used; nil: all are
	tried         []*Source
	broke         bool           // the connection failed in the last attempt
	disputed      []contribution // spans that contradict the recipe of another source
}

// A contribution is a span of bytes that a source sent.
type contribution struct {
	by     *Source
	offset int64
	n      int64
	sum    [sha256.Size]byte
}

// Outcome returns how many bytes of the i-th source were used, and why it was excluded, or nil.
func (c *Set) Outcome(i int) (bytes int64, excluded error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sources[i].bytes, c.sources[i].err
}

// ExcludeAll excludes all sources.
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

// exclude excludes a source permanently. The caller has the lock.
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

// accuse excludes a source because of the bytes that it sent.
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

// ModuleFrom implements [Ranger]. If several sources support ranges and the module is longer than a
// segment, it reads segments from all of them. Otherwise it tries one source after another.
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
		return nil, 0, c.opt.Refusal(CheckSources, "one origin that passes every check", "none")
	}
	return nil, 0, errors.Join(all...)
}

// Stat implements [Sizer]. The error is [errors.ErrUnsupported] if no source knows the size.
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

// sizeAt returns the length of a module from a descriptor, or from the first Sizer that knows it.
// It is 0 if no source does.
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

// fromOne opens the module at one source, and records that it was tried.
func (c *Set) fromOne(ctx context.Context, s *Source, root merkle.Hash,
	offset int64) (io.ReadCloser, int64, error) {
	r, start, err := OpenAt(ctx, s.from, root, offset)
	if err != nil {
		return nil, 0, err
	}
	return &trackedReader{ReadCloser: r, c: c, by: s, root: root, from: start, at: start,
		size: SizeOf(r)}, start, nil
}

// A trackedReader reads a module from one source and counts the bytes.
type trackedReader struct {
	io.ReadCloser
	c        *Set
	by       *Source
	root     merkle.Hash
	from, at int64
	size     int64
}

// Size returns the length of the whole module, or -1 if it is not known.
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

// Close closes the reader and adds its bytes to the source.
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

// broke records that a connection failed during a transfer.
func (c *Set) broke(root merkle.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transfer(root).broke = true
}

// Retry reports whether to fetch the module of root again after err, from one source alone that was
// not tried alone before. It excludes a source that failed alone.
func (c *Set) Retry(ctx context.Context, root merkle.Hash, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.transfer(root)
	gone, fault := c.opt.NotServed(err), wire.IsFault(err)
	broke := t.broke
	t.broke = false
	if ctx.Err() != nil || gone && t.alone == nil || !fault && !gone && !broke {
		return false // no single source caused the error
	}
	if t.alone == nil && len(t.contributions) == 0 && len(t.tried) == 1 {
		// only one source was used
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

// Settle ends the transfer of a generation whose module passed verification. It excludes the
// sources that sent other bytes than the module has. open returns the module.
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
		return fmt.Errorf("remote: compare with generation %s: %w", root, err)
	}
	return nil
}

// compare excludes the sources of contributions that differ from the module.
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
