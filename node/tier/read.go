package tier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier/internal/state"
)

// Content is one capsule that is being read: an io.ReadSeekCloser and io.ReaderAt whose bytes are
// verified. It is for one goroutine, ReadAt excepted. The caller closes it.
type Content struct {
	Ref        capsule.Ref // Root is set even if the request was for the head
	Descriptor capsule.Descriptor
	Hit        cache.Hit   // in L1 or L2, or read from disk
	Plot       merkle.Hash // id of a plot that holds it; zero: none
	Tier       string      // where it was read from: "l1", "l2", "l3", "l4", or "storage"
	body
}

// body is how the bytes of a Content are read.
type body interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// Size returns the number of bytes.
func (c *Content) Size() int64 { return int64(c.Descriptor.Size) }

// absent turns fs.ErrNotExist into ErrUnavailable until everything was listed.
func (t *Tiers) absent(err error) error {
	if !errors.Is(err, fs.ErrNotExist) || t.complete() {
		return err
	}
	return &unavailableError{what: "what was not listed since the start", cause: err}
}

// Resolve returns the place of a capsule with the root of its generation, and its descriptor. A
// zero ref.Root means the head. It reads no disk.
func (t *Tiers) Resolve(ref capsule.Ref) (capsule.Ref, capsule.Descriptor, error) {
	if ref.Root.IsZero() {
		g, err := t.index.Generation(ref.Store, merkle.Hash{})
		if err != nil {
			return ref, capsule.Descriptor{}, t.absent(err)
		}
		ref.Root = g.Root
	}
	if t.state.IsRemoved(index.Key{Store: ref.Store, Root: ref.Root}) {
		return ref, capsule.Descriptor{}, fmt.Errorf("capsule %v: %w", ref, fs.ErrNotExist)
	}
	d, err := t.index.Stat(ref)
	return ref, d, t.absent(err)
}

// Stat implements capsule.Source. What is described and not held has a descriptor too.
func (t *Tiers) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	if err := context.Cause(ctx); err != nil {
		return capsule.Descriptor{}, err
	}
	_, d, err := t.Resolve(ref)
	return d, err
}

// Held reports whether the node holds content of a hash, and has it where it can be read or should
// be. A challenge about what is held and in no plot is not answered yet.
func (t *Tiers) Held(_ context.Context, hash merkle.Hash) (bool, error) {
	ref, _, err := t.index.Find(hash)
	if err == nil {
		places, err := t.index.Where(ref)
		return len(places) > 0, err
	}
	if err = t.absent(err); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return false, err
}

// Locate implements capsule.Locator: the plot that holds a capsule, and "l3", "l4" or, in no plot,
// "storage".
func (t *Tiers) Locate(
	_ context.Context, ref capsule.Ref,
) (plotID merkle.Hash, tier string, err error) {
	ref, _, err = t.Resolve(ref)
	if err != nil {
		return plotID, "", err
	}
	return t.locate(ref)
}

func (t *Tiers) locate(ref capsule.Ref) (plotID merkle.Hash, tier string, err error) {
	places, err := t.index.Where(ref)
	if err != nil {
		return plotID, "", t.absent(err)
	}
	for _, p := range places {
		if p.Source == storagePlace {
			tier = storagePlace
			continue
		}
		if id, v := t.plotID(p.Source, p.Name); v != nil {
			return id, v.Class.String(), nil
		}
	}
	if tier == "" {
		return plotID, "", t.absent(fmt.Errorf("capsule %v: %w", ref, fs.ErrNotExist))
	}
	return plotID, tier, nil
}

// Find implements capsule.Plots: the first plot that holds the capsule answers.
func (t *Tiers) Find(ctx context.Context, hash, plotID merkle.Hash) (capsule.Plotted, error) {
	err := fmt.Errorf("capsule with hash %v: %w", hash, fs.ErrNotExist)
	if ref, _, found := t.index.Find(hash); found != nil {
		return nil, t.absent(found)
	} else if t.state.IsRemoved(index.Key{Store: ref.Store, Root: ref.Root}) {
		return nil, err
	}
	for _, v := range t.volumes {
		plots, away := v.open()
		if away != nil || t.state.IsDamaged(hash, v.Path) {
			continue
		}
		p, open := plots.Find(ctx, hash, plotID)
		if open == nil {
			return p, nil
		}
		if !errors.Is(open, fs.ErrNotExist) {
			err = open
		}
	}
	return nil, t.absent(err)
}

// Get returns the capsule at ref, of the head if ref.Root is zero. client identifies the caller for
// prefetching; empty: no prefetching.
func (t *Tiers) Get(ctx context.Context, ref capsule.Ref, client string) (*Content, error) {
	ref, d, err := t.Resolve(ref)
	if err != nil {
		return nil, err
	}
	t.accessed(ref.Store)
	return t.get(ctx, ref, d, client)
}

// GetHash returns the capsule whose content has the hash.
func (t *Tiers) GetHash(ctx context.Context, hash merkle.Hash, client string) (*Content, error) {
	ref, d, err := t.index.Find(hash)
	if err == nil && t.state.IsRemoved(index.Key{Store: ref.Store, Root: ref.Root}) {
		err = fmt.Errorf("capsule with hash %v: %w", hash, fs.ErrNotExist)
	}
	if err != nil {
		return nil, t.absent(err)
	}
	t.accessed(ref.Store)
	return t.get(ctx, ref, d, client)
}

// accessed notes that a datastore was read.
func (t *Tiers) accessed(store auth.StoreID) {
	now := t.c.Now()
	t.state.Note(func(s *state.Data) { s.Accessed[store] = now })
}

// tries bounds how many damaged copies one read passes over.
const tries = 4

func (t *Tiers) get(
	ctx context.Context, ref capsule.Ref, d capsule.Descriptor, client string,
) (c *Content, err error) {
	for range tries {
		c, err = t.getOnce(ctx, ref, d, client)
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		if !t.foundDamaged(ref, d, err) {
			break
		}
	}
	return nil, t.expected(ref, d, err)
}

func (t *Tiers) getOnce(
	ctx context.Context, ref capsule.Ref, d capsule.Descriptor, client string,
) (*Content, error) {
	c := &Content{Ref: ref, Descriptor: d}
	b, hit, err := t.cache.Get(ctx, ref, client)
	switch {
	case errors.Is(err, cache.ErrNotAdmitted):
		c.body, err = t.openLarge(ctx, d)
		if err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		c.Hit, c.body = hit, blob{b.Reader(), b}
	}
	if err := firstByte(c.body, d); err != nil {
		c.Close()
		return nil, err
	}
	plotID, tier, err := t.locate(ref)
	if err != nil {
		tier = storagePlace // it was removed from the index since
	}
	c.Plot, c.Tier = plotID, tier
	switch c.Hit {
	case cache.L1Hit:
		c.Tier = "l1"
	case cache.L2Hit:
		c.Tier = "l2"
	}
	return c, nil
}

// firstByte waits until reading has begun, so that what is damaged or cannot be read there is the
// error of Get.
func firstByte(r io.ReaderAt, d capsule.Descriptor) error {
	if _, whole := r.(*looseReader); whole || d.Size == 0 {
		return nil // its first byte says nothing
	}
	_, err := r.ReadAt(make([]byte, 1), 0)
	if err == io.EOF {
		return nil
	}
	return err
}

type blob struct {
	*io.SectionReader
	io.Closer
}

// Pin loads a capsule into L2 and keeps it in L1 until release is called, as while a challenge
// about it is answered.
func (t *Tiers) Pin(ctx context.Context, ref capsule.Ref) (release func(), err error) {
	ref, d, err := t.Resolve(ref)
	if err != nil {
		return nil, err
	}
	release, err = t.cache.Pin(ctx, ref)
	if err != nil {
		return nil, t.expected(ref, d, err)
	}
	return release, nil
}

// expected says what a failed read means. What is described is held, in plots if not in the
// storage, so that it is absent only when it was removed meanwhile.
func (t *Tiers) expected(ref capsule.Ref, d capsule.Descriptor, err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	what := fmt.Sprintf("capsule %v", ref)
	if t.isQuarantined(d.Hash) || errors.Is(err, capsule.ErrContentMismatch) {
		return &unavailableError{what, err, ErrCorrupt}
	}
	if _, _, gone := t.Resolve(ref); errors.Is(gone, fs.ErrNotExist) {
		return gone
	}
	return &unavailableError{what: what, cause: err}
}

// isQuarantined reports whether some copy of a content is damaged.
func (t *Tiers) isQuarantined(hash merkle.Hash) bool {
	places := []string{storagePlace}
	for _, v := range t.volumes {
		places = append(places, v.Path)
	}
	for _, place := range places {
		if t.state.IsDamaged(hash, place) {
			return true
		}
	}
	return false
}

// source is the plots and the storage as the cache reads them.
type source struct{ t *Tiers }

// Stat implements capsule.Source.
func (s source) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	return s.t.Stat(ctx, ref)
}

// Open implements capsule.Source: from a plot, else from the storage.
func (s source) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	return s.t.openDisk(ctx, d)
}

// Open implements capsule.Source. What it returns has been verified, or is verified as it is read.
func (t *Tiers) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	rc, err := t.cache.Open(ctx, d)
	if err != nil {
		ref, _, found := t.index.Find(d.Hash)
		if found == nil {
			err = t.expected(ref, d, err)
		}
		return nil, t.absent(err)
	}
	return rc, nil
}

// openDisk opens a content in the first place that has it. What the storage has is not verified. If
// it finds none, it searches once more, because the content may have been moved during the search.
func (t *Tiers) openDisk(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	rc, err := t.openDiskOnce(ctx, d)
	if errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		rc, err = t.openDiskOnce(ctx, d)
	}
	return rc, err
}

func (t *Tiers) openDiskOnce(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	rc, err := t.openPlots(ctx, d)
	if err == nil || ctx.Err() != nil {
		return rc, err
	}
	if t.state.IsDamaged(d.Hash, storagePlace) {
		return nil, fmt.Errorf("capsule with hash %v in the storage: %w", d.Hash, ErrCorrupt)
	}
	loose, open := t.c.Storage.Open(ctx, d, 0, -1)
	if open == nil {
		return loose, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = open
	}
	return nil, err
}

// openPlots opens a content in the plots. What is read is verified, and where one volume gives
// damaged blocks another one goes on.
func (t *Tiers) openPlots(ctx context.Context, d capsule.Descriptor) (*plotReader, error) {
	r := &plotReader{t: t, ctx: ctx, d: d}
	if err := r.next(); err != nil {
		return nil, err
	}
	return r, nil
}

// plotReader reads a capsule from the plots of one volume after the other.
type plotReader struct {
	t      *Tiers
	ctx    context.Context
	d      capsule.Descriptor
	tried  int // volumes
	place  *volume
	opened io.ReadCloser
	at     io.ReaderAt
	pos    int64
}

// HashKnown implements cache.VerifiedReader: full verification has checked the hash and the chunk
// root of what a plot holds.
func (r *plotReader) HashKnown() bool {
	ref, d, err := r.t.index.Find(r.d.Hash)
	if err != nil || d.ChunkRoot != r.d.ChunkRoot {
		return false
	}
	places, err := r.t.index.Where(ref)
	return err == nil && slices.ContainsFunc(places, func(p index.Place) bool {
		return r.t.state.IsVerified(p.Name)
	})
}

// next opens the capsule in the next volume that has it.
func (r *plotReader) next() error {
	err := fmt.Errorf("capsule with hash %v: %w", r.d.Hash, fs.ErrNotExist)
	for r.tried < len(r.t.volumes) {
		v := r.t.volumes[r.tried]
		r.tried++
		plots, away := v.open()
		if away != nil || r.t.state.IsDamaged(r.d.Hash, v.Path) {
			continue
		}
		rc, open := plots.Open(r.ctx, r.d)
		if open == nil {
			at, ok := rc.(io.ReaderAt)
			if !ok {
				rc.Close()
				return fmt.Errorf("open capsule %v in volume %s: %T is no io.ReaderAt", r.d.Hash, v.Path, rc)
			}
			r.Close()
			r.place, r.opened, r.at = v, rc, at
			return nil
		}
		if !errors.Is(open, fs.ErrNotExist) {
			err = open
			r.t.damagedInPlots(r.d, v, open)
		}
	}
	return err
}

// ReadAt implements io.ReaderAt, for one goroutine.
func (r *plotReader) ReadAt(p []byte, off int64) (n int, err error) {
	for {
		m, err := r.at.ReadAt(p[n:], off+int64(n))
		n += m
		if err == nil || err == io.EOF || errors.Is(err, fs.ErrInvalid) || r.ctx.Err() != nil {
			return n, err
		}
		if r.place == nil { // the storage was the last
			return n, err
		}
		r.t.damagedInPlots(r.d, r.place, err)
		if r.next() != nil && r.fromStorage() != nil {
			return n, err
		}
	}
}

// fromStorage continues with the loose content, after damage in all plots.
func (r *plotReader) fromStorage() error {
	if r.t.state.IsDamaged(r.d.Hash, storagePlace) {
		return ErrCorrupt
	}
	l := &looseReader{t: r.t, ctx: r.ctx, d: r.d}
	if err := l.pass(); err != nil {
		return err
	}
	r.Close()
	r.place, r.opened, r.at = nil, l, l
	return nil
}

// Read implements io.Reader.
func (r *plotReader) Read(p []byte) (int, error) {
	n, err := r.ReadAt(p, r.pos)
	r.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Seek implements io.Seeker.
func (r *plotReader) Seek(off int64, whence int) (int64, error) {
	return seek(&r.pos, r.d, off, whence)
}

// seek moves a position in the content of d.
func seek(pos *int64, d capsule.Descriptor, off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += *pos
	case io.SeekEnd:
		off += int64(d.Size)
	}
	if off < 0 {
		return 0, fmt.Errorf("seek in capsule %v: %w: offset %d", d.Hash, fs.ErrInvalid, off)
	}
	*pos = off
	return off, nil
}

// Close implements io.Closer.
func (r *plotReader) Close() error {
	if r.opened == nil {
		return nil
	}
	return r.opened.Close()
}

// openLarge opens a content that no tier of the cache admits, as openDisk does.
func (t *Tiers) openLarge(ctx context.Context, d capsule.Descriptor) (body, error) {
	b, err := t.openLargeOnce(ctx, d)
	if errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		b, err = t.openLargeOnce(ctx, d)
	}
	return b, err
}

func (t *Tiers) openLargeOnce(ctx context.Context, d capsule.Descriptor) (body, error) {
	r, err := t.openPlots(ctx, d)
	if err == nil {
		return r, nil
	}
	if ctx.Err() != nil || t.state.IsDamaged(d.Hash, storagePlace) {
		return nil, err
	}
	l := &looseReader{t: t, ctx: ctx, d: d}
	if open := l.restart(0); open != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = open
		}
		return nil, err
	}
	return l, nil
}

// looseReader reads a large content of the storage. From the beginning it is verified as it is
// read, and the last bytes come only when it is right. Any other part is read after a full pass.
type looseReader struct {
	t      *Tiers
	ctx    context.Context
	d      capsule.Descriptor
	rc     io.ReadCloser
	at     int64 // of rc
	pos    int64 // of the reader
	passed bool  // the whole was verified
}

// restart begins reading at an offset.
func (l *looseReader) restart(off int64) error {
	if err := l.Close(); err != nil {
		return err
	}
	l.rc = nil
	if off > 0 && !l.passed {
		if err := l.pass(); err != nil {
			return err
		}
	}
	rc, err := l.t.c.Storage.Open(l.ctx, l.d, off, -1)
	if err != nil {
		return err
	}
	if off == 0 {
		rc = capsule.VerifyReader(rc, l.d)
	}
	l.rc, l.at = rc, off
	return nil
}

// pass reads and verifies the whole.
func (l *looseReader) pass() error {
	rc, err := l.t.c.Storage.Open(l.ctx, l.d, 0, -1)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, capsule.VerifyReader(rc, l.d))
	if err = errors.Join(err, rc.Close()); err != nil {
		return l.note(err)
	}
	l.passed = true
	return nil
}

// note quarantines the content after an error that says that it is damaged.
func (l *looseReader) note(err error) error {
	if errors.Is(err, capsule.ErrContentMismatch) {
		l.t.damagedInStorage(l.d, err)
	}
	return err
}

// Read implements io.Reader.
func (l *looseReader) Read(p []byte) (int, error) {
	if l.pos >= int64(l.d.Size) && l.d.Size > 0 {
		return 0, io.EOF
	}
	if l.rc == nil || l.at != l.pos {
		if err := l.restart(l.pos); err != nil {
			return 0, err
		}
	}
	n, err := l.rc.Read(p)
	l.at += int64(n)
	l.pos += int64(n)
	if err != nil && err != io.EOF {
		err = l.note(err)
	}
	return n, err
}

// ReadAt implements io.ReaderAt. It reads in the file that was verified.
func (l *looseReader) ReadAt(p []byte, off int64) (int, error) {
	if !l.passed {
		if err := l.pass(); err != nil {
			return 0, err
		}
	}
	if off >= int64(l.d.Size) {
		return 0, io.EOF
	}
	rc, err := l.t.c.Storage.Open(l.ctx, l.d, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer rc.Close()
	n, err := io.ReadFull(rc, p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// Seek implements io.Seeker.
func (l *looseReader) Seek(off int64, whence int) (int64, error) {
	return seek(&l.pos, l.d, off, whence)
}

// Close implements io.Closer.
func (l *looseReader) Close() error {
	if l.rc == nil {
		return nil
	}
	return l.rc.Close()
}

// Manifest returns the manifest of a generation; a zero root means the head.
func (t *Tiers) Manifest(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (*capsule.Manifest, error) {
	g, err := t.Generation(ctx, store, root)
	if err != nil {
		return nil, err
	}
	return g.Manifest, nil
}

// Generation returns a generation as it was committed; a zero root means the head. One that should
// be there and cannot be read is ErrUnavailable.
func (t *Tiers) Generation(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (*storage.Generation, error) {
	known, err := t.index.Generation(store, root)
	if err == nil && t.state.IsRemoved(known.Key) {
		err = fmt.Errorf("root %v of store %v: %w", known.Root, store, fs.ErrNotExist)
	}
	if err != nil {
		return nil, t.absent(err)
	}
	g, err := t.c.Storage.Generation(ctx, store, known.Root)
	if errors.Is(err, fs.ErrNotExist) {
		what := fmt.Sprintf("root %v of store %v", known.Root, store)
		return nil, &unavailableError{what: what, cause: err}
	}
	return g, err
}
