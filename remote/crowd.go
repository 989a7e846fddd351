package remote

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
)

// A crowd is those of several origins that the modules of one visit are fetched from.
type crowd struct {
	opt OriginsOptions

	mu      sync.Mutex
	sources []*source
	rounds  map[merkle.Hash]*round
}

var (
	_ RangeOrigin  = (*crowd)(nil)
	_ RecipeOrigin = (*crowd)(nil)
)

// A source is one of them.
type source struct {
	*sight
	size  int64 // of the head's module, as it says
	lost  int   // pieces in a row that another one brought first, or that broke
	whole bool  // it gives no parts
}

// A round is what has been tried for one generation.
type round struct {
	said  []saying // who sent what, while it is not known to be right
	alone *source  // the only one that is asked; nil: all are
	tried []*source
	broke bool     // the last transfer broke off
	doubt []saying // parts that did not agree with another source's recipe
}

// A saying is a piece that a source sent.
type saying struct {
	by     *source
	offset int64
	n      int64
	sum    [sha256.Size]byte
}

// crowd makes the origin that modules come from: the only one, or all those whose history has the chosen head and, where
// it is their own head, announce the same length.
func (v *visit) crowd(best *sight, all []*sight) *crowd {
	if v.from = best.from; len(all) == 1 {
		return nil
	}
	c := &crowd{rounds: map[merkle.Hash]*round{}}
	if v.several != nil {
		c.opt = v.several.opt
	}
	for _, s := range append([]*sight{best}, all...) {
		has := s.err == nil && (s.d.Root == best.d.Root || find(s.lines, best.d.Root) >= 0)
		if best.target != nil {
			root := best.target.line().Root
			has = s.err == nil && (find(s.lines, root) >= 0 || s.lines == nil && s.d.Root == root)
			has = has && (!best.target.head || s.d.Root != root || s.d.Size == best.d.Size)
		}
		if has && !slices.ContainsFunc(c.sources, func(have *source) bool { return have.sight == s }) {
			c.sources = append(c.sources, &source{sight: s, size: s.d.Size})
		}
	}
	v.from = c
	return c
}

// gaveUp takes the sources of a transfer that failed out, and reports whether others are left to try.
func (v *visit) gaveUp(ctx context.Context, c *crowd, err error) (others bool) {
	var moved *movedError
	if c == nil || ctx.Err() != nil || errors.As(err, &moved) || len(v.report.Installed) > 0 {
		return false
	}
	for _, s := range c.sources {
		if s.err == nil {
			s.err = err
		}
	}
	return true
}

// live returns those that are not out.
func (c *crowd) live() (out []*source) {
	for _, s := range c.sources {
		if s.err == nil {
			out = append(out, s)
		}
	}
	return out
}

// drop takes a source out for good. The caller has the lock.
func (c *crowd) drop(s *source, err error) {
	if s.err == nil {
		s.err = err
	}
}

// out reports whether a source was taken out.
func (c *crowd) out(s *source) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.err != nil
}

func (c *crowd) round(root merkle.Hash) *round {
	r := c.rounds[root]
	if r == nil {
		r = &round{}
		c.rounds[root] = r
	}
	return r
}

// Describe implements [Origin]; a visit has asked already.
func (c *crowd) Describe(context.Context) (*Descriptor, error) { return c.sources[0].d, nil }

// Generations implements [Origin]; a visit has asked already.
func (c *crowd) Generations(context.Context) ([]module.Generation, error) {
	return c.sources[0].lines, nil
}

// Module implements [Origin].
func (c *crowd) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	r, _, err := c.ModuleFrom(ctx, root, 0)
	return r, err
}

// ModuleFrom implements [RangeOrigin]: in pieces of all sources where there are several that can give parts, and
// where the module is long enough.
func (c *crowd) ModuleFrom(ctx context.Context, root merkle.Hash, offset int64) (io.ReadCloser, int64, error) {
	c.mu.Lock()
	alone := c.round(root).alone
	able := slices.DeleteFunc(c.live(), func(s *source) bool { return s.whole })
	c.mu.Unlock()
	if alone != nil {
		return c.fromOne(ctx, alone, root, offset)
	}
	if len(able) > 1 {
		if size := c.sizeOf(ctx, able, root); size-offset > c.opt.Piece {
			return c.spread(ctx, root, able, offset, size), offset, nil
		}
	}
	// One after another.
	var all []error
	for _, s := range c.sources {
		if c.out(s) {
			continue
		}
		r, start, err := c.fromOne(ctx, s, root, offset)
		if err == nil {
			return r, start, nil
		}
		if all = append(all, fmt.Errorf("%s: %w", s.name, err)); ctx.Err() != nil {
			break
		}
	}
	if len(all) == 0 {
		return nil, 0, &VerificationError{Check: CheckSources, Want: "one origin that passes every check", Got: "none is left"}
	}
	return nil, 0, errors.Join(all...)
}

// fromOne opens the module at one source, and notes what it sends.
func (c *crowd) fromOne(ctx context.Context, s *source, root merkle.Hash, offset int64) (io.ReadCloser, int64, error) {
	r, start, err := moduleFrom(ctx, s.from, root, offset)
	if err != nil {
		return nil, 0, err
	}
	return &heard{ReadCloser: r, c: c, by: s, root: root, from: start, at: start, size: sizeOf(r)}, start, nil
}

// heard is a module that comes from one source.
type heard struct {
	io.ReadCloser
	c        *crowd
	by       *source
	root     merkle.Hash
	from, at int64
	size     int64
}

// Size is the length of the whole module, as the source says; -1 when it does not.
func (h *heard) Size() int64 {
	if h.size == 0 {
		return -1
	}
	return h.size
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	h.at += int64(n)
	if err != nil && err != io.EOF {
		h.c.mu.Lock()
		h.c.round(h.root).broke = true
		h.c.mu.Unlock()
	}
	return n, err
}

// Close also counts.
func (h *heard) Close() error {
	h.c.mu.Lock()
	h.by.account.Bytes += h.at - h.from
	r := h.c.round(h.root)
	if !slices.Contains(r.tried, h.by) {
		r.tried = append(r.tried, h.by)
	}
	h.c.mu.Unlock()
	return h.ReadCloser.Close()
}

// sizeOf is the length of a module: that which the visit was told of the head, or what the first source says that can
// say it without the module; 0 when none can.
func (c *crowd) sizeOf(ctx context.Context, able []*source, root merkle.Hash) int64 {
	for _, s := range able {
		if s.d.Root == root {
			return s.size
		}
	}
	for _, s := range able {
		if stat, ok := s.from.(interface {
			Stat(context.Context, merkle.Hash) (int64, error)
		}); ok {
			if n, err := stat.Stat(ctx, root); err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}

// again decides what follows when the module of root failed with err: another try with one source alone, which has not
// been tried so, or the end. A source that failed alone is out.
func (c *crowd) again(ctx context.Context, root merkle.Hash, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.round(root)
	_, gone := notServed(err)
	broke := r.broke
	r.broke = false
	if ctx.Err() != nil || gone && r.alone == nil || !isLie(err) && !gone && !broke {
		return false // nobody's fault, or everybody's
	}
	if r.alone == nil && len(r.said) == 0 && len(r.tried) == 1 { // it came from one source anyway
		r.alone = r.tried[0]
	}
	if r.alone != nil && (!gone || isLie(err)) {
		c.drop(r.alone, err)
	}
	if r.alone == nil {
		r.tried = nil
	}
	for _, s := range c.live() {
		if !slices.Contains(r.tried, s) {
			r.alone, r.tried = s, append(r.tried, s)
			return true
		}
	}
	return false
}

// settle holds what was sent of a module against the module that passed, and takes those out who sent something else.
func (c *crowd) settle(ctx context.Context, root merkle.Hash, l Local) error {
	c.mu.Lock()
	r := c.round(root)
	delete(c.rounds, root)
	c.mu.Unlock()
	if r.alone == nil {
		for _, s := range r.said {
			s.by.account.Bytes += s.n
		}
		for _, s := range r.doubt { // the recipe was right
			c.accuse(s.by, &VerificationError{Check: CheckContent, Want: fmt.Sprintf("%d bytes of generation %s at %d", s.n, root, s.offset), Got: "others"})
		}
		return nil
	}
	if len(r.said) == 0 {
		return nil
	}
	mod, err := l.Module(ctx, root)
	if err != nil {
		return fmt.Errorf("remote: read generation %s again: %w", root, err)
	}
	defer mod.Close()
	size, err := mod.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("remote: read generation %s again: %w", root, err)
	}
	slices.SortFunc(r.said, func(a, b saying) int { return int(min(1, max(-1, a.offset-b.offset))) })
	for _, s := range r.said {
		if s.offset+s.n > size {
			c.accuse(s.by, &VerificationError{Check: CheckSize, Want: strconv.FormatInt(size, 10) + " bytes", Got: "more"})
			continue
		}
		sum := sha256.New()
		if _, err = mod.Seek(s.offset, io.SeekStart); err == nil {
			_, err = io.CopyN(sum, mod, s.n)
		}
		if err != nil {
			return fmt.Errorf("remote: read generation %s again: %w", root, err)
		}
		if [sha256.Size]byte(sum.Sum(nil)) != s.sum {
			c.accuse(s.by, &VerificationError{Check: CheckContent, Want: fmt.Sprintf("bytes %d to %d of generation %s", s.offset, s.offset+s.n, root),
				Got: "others"})
		}
	}
	return nil
}

func (c *crowd) accuse(s *source, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(s, fmt.Errorf("remote: fetch from %s: %w", s.name, err))
}
