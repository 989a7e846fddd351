package remotetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

var (
	_ remote.Local      = (*Memory)(nil)
	_ remote.Resumer    = (*Memory)(nil)
	_ remote.TrustStore = (*Memory)(nil)
	_ remote.History    = (*Memory)(nil)
)

// A Memory is one store kept in memory: generations as recipes, and every sealed chunk once. It is
// a [remote.Local] with all optional interfaces, and part of a [Stores]. It is safe for concurrent
// use.
type Memory struct {
	id  auth.StoreID
	now func() time.Time

	chunks *pool // has its own lock

	mu      sync.RWMutex
	lines   []module.Generation
	held    map[merkle.Hash]*module.Recipe // confirmed and pending
	signed  map[merkle.Hash]auth.SignedRoot
	pending []pendingRoot
	tombs   []auth.Tombstone
	pins    module.Pins
	parts   map[merkle.Hash][]byte // bytes received by failed installs
	proofs  [][]byte               // evidence, oldest first
}

type pendingRoot struct {
	root, parent merkle.Hash
	at           time.Time
}

// NewMemory returns an empty store. now is the clock for the times of received generations; nil
// means [time.Now].
func NewMemory(id auth.StoreID, now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{id: id, now: now, chunks: &pool{byID: make(map[merkle.Hash]*bytes.Reader)},
		held:   make(map[merkle.Hash]*module.Recipe),
		signed: make(map[merkle.Hash]auth.SignedRoot), parts: make(map[merkle.Hash][]byte)}
}

// ID implements [remote.Local].
func (m *Memory) ID() auth.StoreID { return m.id }

// Head implements [remote.Local].
func (m *Memory) Head(context.Context) (auth.SignedRoot, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.head(), nil
}

func (m *Memory) head() auth.SignedRoot {
	if len(m.lines) == 0 {
		return auth.SignedRoot{Store: m.id, PublicKey: m.pins.Publisher}
	}
	return m.signature(m.lines[len(m.lines)-1].Root)
}

// signature returns the known signatures of a root of the history.
func (m *Memory) signature(root merkle.Hash) auth.SignedRoot {
	r := m.signed[root]
	r.Store, r.Root = m.id, root
	return r
}

// SignedRoot implements [remote.History].
func (m *Memory) SignedRoot(_ context.Context, root merkle.Hash) (auth.SignedRoot, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.line(root) < 0 {
		return auth.SignedRoot{}, m.absent(root)
	}
	return m.signature(root), nil
}

// KeepSigned implements [remote.History].
func (m *Memory) KeepSigned(_ context.Context, r auth.SignedRoot) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.line(r.Root) < 0 {
		return m.absent(r.Root)
	}
	m.signed[r.Root] = r
	return nil
}

// Generations implements [remote.Local].
func (m *Memory) Generations(context.Context) ([]module.Generation, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.lines), nil
}

// Line implements [remote.History].
func (m *Memory) Line(_ context.Context, root merkle.Hash) (module.Generation, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if at := m.line(root); at >= 0 {
		return m.lines[at], nil
	}
	return module.Generation{}, m.absent(root)
}

// Tail implements [remote.History].
func (m *Memory) Tail(_ context.Context, n int) ([]module.Generation, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.lines[max(0, len(m.lines)-n):]), nil
}

// PutEvidence implements [remote.TrustStore].
func (m *Memory) PutEvidence(_ context.Context, doc []byte) (string, error) {
	if len(doc) > remote.MaxEvidenceSize {
		return "", fmt.Errorf("keep evidence in store %s: %w: %d bytes", m.id,
			remote.ErrTooLarge, len(doc))
	}
	name := "evidence " + merkle.Sum(doc).String()[:16]
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.ContainsFunc(m.proofs, func(have []byte) bool { return bytes.Equal(have, doc) }) {
		m.proofs = append(m.proofs, slices.Clone(doc))
		m.proofs = m.proofs[max(0, len(m.proofs)-remote.MaxEvidence):]
	}
	return name, nil
}

// Evidence implements [remote.TrustStore].
func (m *Memory) Evidence(context.Context) ([][]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.proofs), nil
}

// line returns the last index of a root in the history, or -1.
func (m *Memory) line(root merkle.Hash) int {
	for i, g := range slices.Backward(m.lines) {
		if g.Root == root {
			return i
		}
	}
	return -1
}

func (m *Memory) absent(root merkle.Hash) error {
	return fmt.Errorf("generation %s of store %s: %w", root, m.id, fs.ErrNotExist)
}

// Has implements [remote.Local].
func (m *Memory) Has(_ context.Context, root merkle.Hash) (bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.held[root] != nil && m.line(root) >= 0, nil
}

// Module implements [remote.Local]. The reader also implements [io.ReaderAt] and [io.WriterTo].
func (m *Memory) Module(_ context.Context, root merkle.Hash) (io.ReadSeekCloser, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	recipe, ok := m.held[root]
	if !ok || m.line(root) < 0 {
		return nil, m.absent(root)
	}
	image := recipe.Image(m.chunks)
	return &imageReader{io.NewSectionReader(image, 0, image.Size()), image, recipe}, nil
}

// An imageReader reads a module from recipe and chunks.
type imageReader struct {
	*io.SectionReader
	image  *module.Image
	recipe *module.Recipe
}

// Digest implements [remote.Digested].
func (r *imageReader) Digest() (merkle.Hash, error) { return r.recipe.Digest() }

// WriteTo writes the remaining bytes.
func (r *imageReader) WriteTo(w io.Writer) (int64, error) {
	if at, _ := r.Seek(0, io.SeekCurrent); at != 0 {
		return io.Copy(w, struct{ io.Reader }{r.SectionReader})
	}
	n, err := r.image.WriteTo(w)
	r.Seek(n, io.SeekStart)
	return n, err
}

// Close does nothing.
func (r *imageReader) Close() error { return nil }

// Install implements [remote.Local]. If r fails, the bytes received are kept for the next Install;
// if check fails, none are.
func (m *Memory) Install(ctx context.Context, lines []module.Generation,
	head auth.SignedRoot, r io.Reader,
	check func(*module.Module) error) error {
	if len(lines) == 0 {
		return errors.New("install: no line of history given")
	}
	root := lines[len(lines)-1].Root
	if held := m.heldAgain(lines); held != nil {
		return m.installHeld(lines, head, held, check)
	}
	m.mu.Lock()
	arrived := bytes.NewBuffer(m.parts[root])
	delete(m.parts, root)
	m.mu.Unlock()
	tap := &tap{r: r, kept: arrived}
	recipe, chunks, err := decompose(ctx,
		io.MultiReader(bytes.NewReader(slices.Clone(arrived.Bytes())), tap), check)
	if err != nil {
		if tap.err != nil {
			m.mu.Lock()
			m.parts[root] = arrived.Bytes()
			m.mu.Unlock()
		}
		return fmt.Errorf("install generation %s of store %s: %w", root, m.id, err)
	}
	return m.commit(lines, head, recipe, chunks)
}

// heldAgain returns the recipe of a held generation that lines name again, or nil.
func (m *Memory) heldAgain(lines []module.Generation) *module.Recipe {
	m.mu.RLock()
	defer m.mu.RUnlock()
	root := lines[len(lines)-1].Root
	if m.line(root) < 0 || lines[0].Number < uint64(len(m.lines)) {
		return nil
	}
	return m.held[root]
}

// installHeld appends the new lines of a held generation.
func (m *Memory) installHeld(lines []module.Generation, head auth.SignedRoot, held *module.Recipe,
	check func(*module.Module) error) error {
	mod, err := held.Module(m.chunks)
	if err == nil && check != nil {
		err = check(mod)
	}
	if err != nil {
		return fmt.Errorf("install generation %s of store %s: %w", held.Root(), m.id, err)
	}
	return m.commit(lines, head, held, &pool{})
}

// commit makes a received and checked generation visible.
func (m *Memory) commit(lines []module.Generation, head auth.SignedRoot, recipe *module.Recipe,
	chunks *pool) error {
	root := lines[len(lines)-1].Root
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.line(root) < 0 || lines[0].Number >= uint64(len(m.lines)) {
		for i, g := range lines {
			if g.Number != uint64(len(m.lines)+i) {
				return fmt.Errorf("install generation %s of store %s: line %d has number %d, want %d: %w",
					root, m.id, i, g.Number, len(m.lines)+i, module.ErrNotHead)
			}
		}
		m.lines = append(m.lines, lines...)
	}
	m.keep(recipe, chunks, head)
	return nil
}

// keep adds a held generation. The caller holds the lock.
func (m *Memory) keep(recipe *module.Recipe, chunks *pool, head auth.SignedRoot) {
	m.chunks.take(chunks)
	m.held[recipe.Root()] = recipe
	known := m.signed[recipe.Root()]
	known.PublicKey = recipe.PublicKey()
	if !head.Tagged.IsZero() {
		known.Tagged = head.Tagged
	}
	if !head.Untagged.IsZero() {
		known.Untagged = head.Untagged
	}
	m.signed[recipe.Root()] = known
}

// decompose reads a module into chunks and recipe, and calls check, unless it is nil, on the
// module that these restore.
func decompose(ctx context.Context, r io.Reader,
	check func(*module.Module) error) (*module.Recipe, *pool, error) {
	chunks := &pool{byID: make(map[merkle.Hash]*bytes.Reader)}
	recipe, err := module.Decompose(ctx, r, chunks.put)
	if err != nil || check == nil {
		return recipe, chunks, err
	}
	mod, err := recipe.Module(chunks)
	if err != nil {
		return nil, nil, err
	}
	return recipe, chunks, check(mod)
}

// Held implements [remote.Resumer].
func (m *Memory) Held(_ context.Context, root merkle.Hash) (int64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return int64(len(m.parts[root])), nil
}

// Discard implements [remote.Resumer].
func (m *Memory) Discard(_ context.Context, root merkle.Hash) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.parts, root)
	return nil
}

// Pins implements [remote.TrustStore].
func (m *Memory) Pins(context.Context) (module.Pins, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.pins, nil
}

// Pin implements [remote.TrustStore].
func (m *Memory) Pin(_ context.Context, p module.Pins) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pins = p
	return nil
}

// Tombstones implements [remote.TrustStore] for this store only.
func (m *Memory) Tombstones(_ context.Context, s auth.StoreID) ([]auth.Tombstone, error) {
	if s != m.id {
		return nil, fmt.Errorf("tombstones of store %s: %w", s, fs.ErrNotExist)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.tombs), nil
}

// Revoke implements [remote.TrustStore].
func (m *Memory) Revoke(_ context.Context, t auth.Tombstone) error {
	if t.Store != m.id {
		return fmt.Errorf("revoke in store %s: %w", t.Store, fs.ErrNotExist)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.tombs, func(k auth.Tombstone) bool { return k.Root == t.Root })
	if i < 0 {
		m.tombs = append(m.tombs, t)
	} else {
		m.tombs[i] = t
	}
	return nil
}

// A pool holds sealed chunks in the framing of a module's pool. It is a [module.ChunkSource].
type pool struct {
	mu   sync.RWMutex
	byID map[merkle.Hash]*bytes.Reader
}

func (p *pool) put(c module.Chunk, sealed []byte) error {
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(sealed)), uint32(len(sealed)))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byID[c.ID] = bytes.NewReader(append(frame, sealed...))
	return nil
}

// bytes returns the length of all chunks with their framing.
func (p *pool) bytes() (sum int64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, r := range p.byID {
		sum += r.Size()
	}
	return sum
}

// take adds the chunks of another pool, which must not change afterwards.
func (p *pool) take(from *pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.byID, from.byID)
}

// Chunk implements [module.ChunkSource].
func (p *pool) Chunk(c module.Chunk) (io.ReaderAt, int64, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r, ok := p.byID[c.ID]
	if !ok {
		return nil, 0, fmt.Errorf("chunk %s: %w", c.ID, fs.ErrNotExist)
	}
	return r, 0, nil
}

// A tap records the bytes read through it, and the error of its reader.
type tap struct {
	r    io.Reader
	kept *bytes.Buffer
	err  error
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.kept.Write(p[:n])
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}
