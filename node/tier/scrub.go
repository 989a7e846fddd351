package tier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/node/tier/internal/state"
	"github.com/dig-network/digstore/plot"
)

// ScrubStatus is the state of the scrub. Bytes, Damaged and Repaired are of the running scrub, or
// else of the last one.
type ScrubStatus struct {
	Running  bool
	Started  time.Time
	Finished time.Time // of the last one that was finished; zero: none was
	Bytes    int64
	Damaged  int
	Repaired int
}

// Scrub reads all held content, in order and at most at Settings.ScrubRate, and repairs damage. It
// continues an interrupted scrub, also of an earlier process. Content that it cannot repair is
// quarantined, and not served until it is repaired. The error is that of ctx, or says what could
// not be read.
func (t *Tiers) Scrub(ctx context.Context) error {
	t.scrubbing.Lock()
	defer t.scrubbing.Unlock()
	now := t.c.Now()
	t.state.Note(func(s *state.Data) {
		if !s.Scrub.Running {
			s.Scrub = state.Scrub{Running: true, Started: now, Finished: s.Scrub.Finished}
		}
	})
	p := &pacer{rate: t.c.Settings.ScrubRate, began: now, now: t.c.Now}
	err := t.scrubStorage(ctx, p)
	if err == nil {
		err = t.scrubPlots(ctx, p)
	}
	if err != nil {
		return errors.Join(err, t.state.Flush())
	}
	return t.state.Change(func(s *state.Data) {
		s.Scrub.Running, s.Scrub.Finished = false, t.c.Now()
	})
}

// pacer limits the rate of reading.
type pacer struct {
	rate  int64
	began time.Time
	now   func() time.Time
	bytes int64
}

// spent waits for the time that n bytes take at the rate.
func (p *pacer) spent(ctx context.Context, n int64) error {
	p.bytes += n
	due := time.Duration(float64(p.bytes) / float64(p.rate) * float64(time.Second))
	wait := due - p.now().Sub(p.began)
	if wait <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// pacedReader reads at the rate of a pacer.
type pacedReader struct {
	ctx context.Context
	p   *pacer
	r   io.ReadCloser
}

func (r pacedReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b[:min(len(b), 1<<20)])
	if wait := r.p.spent(r.ctx, int64(n)); wait != nil {
		return n, wait
	}
	return n, err
}

func (r pacedReader) Close() error { return r.r.Close() }

// scrubStorage reads the contents of the storage, ascending by datastore and hash.
func (t *Tiers) scrubStorage(ctx context.Context, p *pacer) error {
	at := t.scrubAt()
	if at.Plots {
		return nil
	}
	for _, id := range t.index.Stores() {
		if id.Compare(at.Store) < 0 {
			continue
		}
		if err := t.scrubStore(ctx, p, id, at); err != nil {
			return err
		}
	}
	t.state.Note(func(s *state.Data) { s.Scrub.Plots = true })
	return nil
}

func (t *Tiers) scrubAt() (at state.Scrub) {
	t.state.Read(func(d *state.Data) { at = d.Scrub })
	return at
}

func (t *Tiers) scrubStore(ctx context.Context, p *pacer, id auth.StoreID, at state.Scrub) error {
	var list []capsule.Descriptor
	for d, err := range t.c.Storage.Held(ctx, id) {
		if errors.Is(err, capsule.ErrManifest) {
			t.notify(Event{Kind: CorruptFound, Store: id, Err: err})
			continue
		}
		if err != nil {
			return fmt.Errorf("scrub store %v: %w", id, err)
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b capsule.Descriptor) int { return a.Hash.Compare(b.Hash) })
	for _, d := range list {
		if id == at.Store && d.Hash.Compare(at.Hash) <= 0 {
			continue
		}
		if err := t.scrubContent(ctx, p, id, d); err != nil {
			return err
		}
		t.state.Note(func(s *state.Data) {
			s.Scrub.Store, s.Scrub.Hash = id, d.Hash
			s.Scrub.Bytes += int64(d.Size)
		})
	}
	return nil
}

// scrubContent reads one content of the storage.
func (t *Tiers) scrubContent(
	ctx context.Context, p *pacer, id auth.StoreID, d capsule.Descriptor,
) error {
	rc, err := t.c.Storage.Open(ctx, d, 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err == nil {
		_, err = io.Copy(io.Discard, capsule.VerifyReader(pacedReader{ctx, p, rc}, d))
		err = errors.Join(err, rc.Close())
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		return t.mendedIf(d, storagePlace)
	case t.storageAway(ctx):
		return fmt.Errorf("scrub: %w", err)
	}
	t.damaged(id, d, storagePlace, "", err)
	t.state.Note(func(s *state.Data) { s.Scrub.Damaged++ })
	return t.countRepair(t.repairLoose(ctx, d))
}

// storageAway reports whether the storage cannot be reached at all.
func (t *Tiers) storageAway(ctx context.Context) bool {
	t.watchStorage(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.storageErr != nil
}

// mendedIf removes the quarantine of content that was read without damage.
func (t *Tiers) mendedIf(d capsule.Descriptor, place string) error {
	if !t.state.IsDamaged(d.Hash, place) {
		return nil
	}
	return t.mended(d.Hash, place)
}

// countRepair counts the outcome of a repair. It is no error if there is no good copy: the content
// stays quarantined.
func (t *Tiers) countRepair(err error) error {
	if err == nil {
		t.state.Note(func(s *state.Data) { s.Scrub.Repaired++ })
	}
	if errors.Is(err, ErrNoSpace) {
		t.failed("", err)
	}
	return nil
}

// repairLoose replaces damaged content of the storage from a plot, or else by Refill.
func (t *Tiers) repairLoose(ctx context.Context, d capsule.Descriptor) error {
	var err error = &unavailableError{what: "capsule " + d.Hash.String(), cause: fs.ErrNotExist}
	if rc, open := t.openPlots(ctx, d); open == nil {
		err = t.Put(ctx, d, rc)
		rc.Close()
		if err == nil {
			return nil
		}
	}
	if t.c.Refill == nil {
		return err
	}
	rc, err := t.c.Refill(ctx, d)
	if err != nil {
		return fmt.Errorf("refill capsule %v: %w", d.Hash, err)
	}
	defer rc.Close()
	return t.Put(ctx, d, rc)
}

// scrubPlots verifies all plots in full, ascending by path.
func (t *Tiers) scrubPlots(ctx context.Context, p *pacer) error {
	at := t.scrubAt()
	type file struct {
		v    *volume
		path string
	}
	var files []file
	for _, v := range t.volumes {
		for _, held := range v.held() {
			if held.Path > at.Path {
				files = append(files, file{v, held.Path})
			}
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	for _, f := range files {
		if f.v.inPlace() != nil {
			continue // a scrub does not wait for it
		}
		if err := t.scrubPlot(ctx, p, f.v, f.path); err != nil {
			return err
		}
		if err := t.state.Change(func(s *state.Data) { s.Scrub.Path = f.path }); err != nil {
			return err
		}
	}
	return nil
}

// scrubPlot verifies and repairs one plot.
func (t *Tiers) scrubPlot(ctx context.Context, p *pacer, v *volume, path string) error {
	plots, err := v.open()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done int64
	report, err := plots.Verify(ctx, path, plot.Full, func(pr plot.Progress) {
		if pr.Phase != "full" {
			return
		}
		n := pr.Done - done
		done = pr.Done
		if err := p.spent(ctx, n); err != nil {
			cancel(err)
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.state.Note(func(s *state.Data) { s.Scrub.Bytes += done })
	if err == nil {
		return t.mendedPlots(ctx, v)
	}
	var bad *plot.FormatError
	if v.inPlace() != nil || !errors.As(err, &bad) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	t.state.Note(func(s *state.Data) { s.Scrub.Damaged += max(1, len(report.Damaged)) })
	t.notify(Event{Kind: CorruptFound, Path: path, Err: err})
	return t.countRepair(t.repairPlot(ctx, v, path))
}

// mendedPlots removes quarantines of a volume that are obsolete.
func (t *Tiers) mendedPlots(ctx context.Context, v *volume) error {
	var list []state.DamageKey
	t.state.Read(func(d *state.Data) {
		for k := range d.Quarantine {
			if k.Place == v.Path {
				list = append(list, k)
			}
		}
	})
	any := false
	for _, k := range list {
		_, d, err := t.index.Find(k.Hash)
		if err != nil || !t.readsRight(v, d) {
			continue
		}
		if err := t.mended(k.Hash, k.Place); err != nil {
			return err
		}
		any = true
	}
	if !any {
		return nil
	}
	v.setStale(true)
	return t.rescan(ctx, v)
}

// readsRight reports whether the plots of a volume return a content without damage.
func (t *Tiers) readsRight(v *volume, d capsule.Descriptor) bool {
	plots, err := v.open()
	if err != nil {
		return false
	}
	rc, err := plots.Open(context.Background(), d)
	if err != nil {
		return false
	}
	defer rc.Close()
	_, err = io.Copy(io.Discard, rc)
	return err == nil
}

// repairPlot rewrites the damaged parts of a plot, from other copies of the node or from Refill,
// and quarantines what cannot be repaired.
func (t *Tiers) repairPlot(ctx context.Context, v *volume, path string) error {
	report, err := plot.Repair(ctx, path, &elsewhere{t, v}, nil)
	for _, other := range t.volumes {
		if err == nil || ctx.Err() != nil {
			break
		}
		plots, open := other.open()
		if set, ok := plots.(*plot.Set); ok && open == nil && other != v {
			report, err = plot.Repair(ctx, path, set, nil)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		t.notify(Event{Kind: Repaired, Path: path})
		return errors.Join(t.rescan(ctx, v), t.mendedPlots(ctx, v))
	}
	if report == nil {
		return err
	}
	for _, d := range report.Remaining {
		have, _ := t.descriptor(d)
		if !t.readsRight(v, have) {
			t.damaged(d.Store, have, v.Path, path, d.Err)
		}
	}
	return err
}

// descriptor returns the descriptor of a damaged extent from the index.
func (t *Tiers) descriptor(d plot.Damage) (capsule.Descriptor, bool) {
	_, have, err := t.index.Find(d.Hash)
	if err != nil {
		have = capsule.Descriptor{Hash: d.Hash, Index: d.Index}
	}
	return have, err == nil
}

// elsewhere is a source of content from all places except one volume, and from Refill.
type elsewhere struct {
	t   *Tiers
	not *volume
}

// Stat implements capsule.Source.
func (e *elsewhere) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	return e.t.Stat(ctx, ref)
}

// Open implements capsule.Source. What it returns is verified.
func (e *elsewhere) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	t := e.t
	if _, known, err := t.index.Find(d.Hash); err == nil {
		d = known
	}
	if !t.state.IsDamaged(d.Hash, storagePlace) {
		if content, err := readAll(t.c.Storage.Open(ctx, d, 0, -1))(d); err == nil {
			return content, nil
		}
	}
	for _, v := range t.volumes {
		if v == e.not || t.state.IsDamaged(d.Hash, v.Path) {
			continue
		}
		if plots, err := v.open(); err == nil {
			if content, err := readAll(plots.Open(ctx, d))(d); err == nil {
				return content, nil
			}
		}
	}
	if t.c.Refill == nil {
		return nil, fmt.Errorf("capsule with hash %v: %w", d.Hash, fs.ErrNotExist)
	}
	return readAll(t.c.Refill(ctx, d))(d)
}

// readAll reads a content into memory and verifies it.
func readAll(rc io.ReadCloser, err error) func(capsule.Descriptor) (io.ReadCloser, error) {
	return func(d capsule.Descriptor) (io.ReadCloser, error) {
		if err != nil {
			return nil, err
		}
		defer rc.Close()
		b, err := io.ReadAll(capsule.VerifyReader(rc, d))
		if err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(b)), nil
	}
}

// repairFound repairs a capsule that a read has found damaged.
func (t *Tiers) repairFound(ctx context.Context, d capsule.Descriptor) {
	if t.state.IsDamaged(d.Hash, storagePlace) {
		if err := t.repairLoose(ctx, d); errors.Is(err, ErrNoSpace) {
			t.failed("", err)
		}
	}
	for _, v := range t.volumes {
		if !t.state.IsDamaged(d.Hash, v.Path) || v.inPlace() != nil {
			continue
		}
		for _, path := range t.plotsOf(v, d) {
			if t.repairPlot(ctx, v, path) != nil && ctx.Err() != nil {
				return
			}
		}
	}
}

// plotsOf returns the plots of a volume that name the datastore of a content.
func (t *Tiers) plotsOf(v *volume, d capsule.Descriptor) []string {
	ref, _, err := t.index.Find(d.Hash)
	if err != nil {
		return nil
	}
	var paths []string
	for _, p := range v.held() {
		if slices.ContainsFunc(p.Datastores, func(ds plot.Datastore) bool {
			return ds.Store == ref.Store
		}) {
			paths = append(paths, p.Path)
		}
	}
	return paths
}

// repairJob repairs what reads find damaged, until ctx ends.
func (t *Tiers) repairJob(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-t.repairs:
			t.repairFound(ctx, d)
		}
	}
}

// scrubJob scrubs at every ScrubInterval, and continues an interrupted scrub.
func (t *Tiers) scrubJob(ctx context.Context) {
	interval := t.c.Settings.ScrubInterval
	if interval < 0 {
		return
	}
	for ctx.Err() == nil {
		at := t.scrubAt()
		wait := at.Started.Add(interval).Sub(t.c.Now())
		if at.Running {
			wait = 0
		}
		timer := time.NewTimer(max(0, wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if err := t.Scrub(ctx); err != nil && ctx.Err() == nil {
			t.failed("", err)
			t.sleep(ctx, time.Minute)
		}
	}
}

func (t *Tiers) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
