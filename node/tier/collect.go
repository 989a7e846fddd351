package tier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier/internal/state"
)

// Reason is why a generation is removed.
type Reason string

// The reasons.
const (
	Superseded Reason = "superseded" // beyond Settings.KeepGenerations
	Expired    Reason = "expired"    // not read for the TTL of the policy
	Refused    Reason = "refused"    // the policy no longer accepts it
)

// Removal is a generation that collection removes.
type Removal struct {
	index.Key
	Reason Reason
	Code   string // of the policy's decision
	Bytes  uint64
}

// Plan is what a collection would remove.
type Plan struct {
	Orphans     []storage.Orphan // content that no generation names
	Generations []Removal        // ascending by datastore
}

// Bytes returns how many bytes the plan frees at most. Content that plots hold, or that other
// generations name, is not freed at once.
func (p *Plan) Bytes() (n uint64) {
	for _, o := range p.Orphans {
		n += uint64(o.Size)
	}
	for _, g := range p.Generations {
		n += g.Bytes
	}
	return n
}

// Plan returns what Collect would remove now, and changes nothing. If Facts fails for a datastore,
// Plan leaves it out and returns the error together with the plan of the rest.
func (t *Tiers) Plan(ctx context.Context) (*Plan, error) {
	p := new(Plan)
	var errs []error
	for _, id := range t.index.Stores() {
		if ctx.Err() != nil {
			return p, context.Cause(ctx)
		}
		list, err := t.removals(ctx, id)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.Generations = append(p.Generations, list...)
	}
	lister, ok := t.c.Storage.(storage.OrphanLister)
	if !ok {
		return p, errors.Join(errs...)
	}
	for o, err := range lister.Orphans(ctx) {
		if err != nil {
			errs = append(errs, err)
			break
		}
		if t.isOrphan(o) {
			p.Orphans = append(p.Orphans, o)
		}
	}
	return p, errors.Join(errs...)
}

// isOrphan reports whether staged content is older than the grace period.
func (t *Tiers) isOrphan(o storage.Orphan) bool {
	t.mu.Lock()
	put := t.staged[o.Hash]
	t.mu.Unlock()
	since := t.c.Now().Add(-t.c.Settings.Grace)
	return !o.Modified.After(since) && !put.After(since)
}

// kept is a generation with what decides about it.
type kept struct {
	index.Generation
	meta storage.Meta
}

func (k kept) received() time.Time {
	return time.Unix(int64(cmp.Or(k.meta.Received, k.Created)), 0)
}

// generations returns the generations of a datastore that are served, the head first and then the
// newest.
func (t *Tiers) generations(ctx context.Context, id auth.StoreID) ([]kept, error) {
	metas := map[merkle.Hash]storage.Meta{}
	for g, err := range t.c.Storage.Generations(ctx, id) {
		if err != nil {
			return nil, fmt.Errorf("generations of store %v: %w", id, err)
		}
		m, err := storage.DecodeMeta(g.Meta)
		if err != nil {
			m = storage.Meta{} // for example of a program without metadata
		}
		metas[g.Manifest.Root] = m
	}
	var list []kept
	for _, g := range t.index.Generations(id) {
		if !t.state.IsRemoved(g.Key) {
			list = append(list, kept{g, metas[g.Root]})
		}
	}
	slices.SortStableFunc(list, func(a, b kept) int {
		switch {
		case a.Head != b.Head && a.Head:
			return -1
		case a.Head != b.Head:
			return 1
		}
		return cmp.Or(cmp.Compare(b.meta.Generation, a.meta.Generation),
			b.received().Compare(a.received()))
	})
	return list, nil
}

// removals returns the generations of a datastore to remove now. A pinned datastore has none.
func (t *Tiers) removals(ctx context.Context, id auth.StoreID) ([]Removal, error) {
	facts, err := t.c.Facts(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("facts about store %v: %w", id, err)
	}
	if facts.Pinned {
		return nil, nil
	}
	list, err := t.generations(ctx, id)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if reason, code := t.drop(ctx, list, facts); reason != "" {
		return listed(list, reason, code), nil
	}
	return listed(t.superseded(list), Superseded, ""), nil
}

func listed(list []kept, reason Reason, code string) []Removal {
	var out []Removal
	for _, g := range list {
		out = append(out, Removal{g.Key, reason, code, g.Bytes})
	}
	return out
}

// superseded returns the generations beyond those to keep. While the head is new, its predecessors
// stay for clients that are reading them.
func (t *Tiers) superseded(list []kept) []kept {
	now := t.c.Now()
	if now.Sub(list[0].received()) < t.c.Settings.Grace {
		return nil
	}
	list = list[min(len(list), t.c.Settings.KeepGenerations):]
	return slices.DeleteFunc(slices.Clone(list), func(g kept) bool {
		return now.Sub(g.received()) < t.c.Settings.Grace
	})
}

// drop returns the reason to remove a whole datastore; empty: keep it.
func (t *Tiers) drop(ctx context.Context, list []kept, facts Facts) (Reason, string) {
	p, now := t.c.Policy, t.c.Now()
	if p == nil || !p.MayDrop(facts.Providers) {
		return "", ""
	}
	for _, g := range list {
		retained := g.meta.Retain > 0 && now.Before(time.Unix(int64(g.meta.Retain), 0))
		if retained || now.Sub(g.received()) < t.c.Settings.Grace {
			return "", ""
		}
	}
	d := p.Review(ctx, t.candidate(list, facts), policyState(facts))
	if ctx.Err() != nil {
		return "", ""
	}
	if !d.Accept {
		var first time.Time
		t.state.Read(func(d *state.Data) { first = d.Refused[list[0].Store] })
		if first.IsZero() || now.Sub(first) < t.c.Settings.ReviewInterval {
			return "", "" // refused once only
		}
		return Refused, d.Code
	}
	if d.TTL > 0 && p.Expired(t.lastAccess(list), now) {
		return Expired, d.Code
	}
	return "", ""
}

// lastAccess returns when a datastore was last read, or else when it was received.
func (t *Tiers) lastAccess(list []kept) time.Time {
	var last time.Time
	t.state.Read(func(d *state.Data) { last = d.Accessed[list[0].Store] })
	for _, g := range list {
		if at := g.received(); at.After(last) {
			last = at
		}
	}
	return last
}

func policyState(f Facts) policy.State {
	return policy.State{Pinned: f.Pinned, Tracked: f.Tracked, MaxPlots: -1}
}

// candidate describes a stored datastore for the policy.
func (t *Tiers) candidate(list []kept, f Facts) policy.Candidate {
	g := list[0]
	return policy.Candidate{
		Store: economy.ID(g.Store), Root: economy.ID(g.Root), Handle: f.Handle, Tier: f.Tier,
		Capsules: uint64(g.Count), Size: g.Bytes, Origin: origin(g.meta), Reward: f.Reward,
		Bribe: f.Bribe, Providers: f.Providers, Requests24h: f.Requests24h,
		Age: t.c.Now().Sub(time.Unix(int64(g.Created), 0)),
	}
}

// origin converts the origin of a generation. One without meta is in a plot that the operator has
// copied here.
func origin(m storage.Meta) policy.Origin {
	switch m.Origin {
	case storage.Local:
		return policy.Local
	case storage.Gossip:
		return policy.Gossip
	case storage.Repair:
		return policy.Repair
	case storage.Fetch:
		return policy.Fetch
	}
	return policy.Push
}

// Review asks the policy about every stored datastore, and records refusals. A datastore that is
// still refused after Settings.ReviewInterval is in the Plan.
func (t *Tiers) Review(ctx context.Context) error {
	if t.c.Policy == nil {
		return nil
	}
	var errs []error
	for _, id := range t.index.Stores() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := t.review(ctx, id); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errors.Join(errs...), t.state.Flush())
}

func (t *Tiers) review(ctx context.Context, id auth.StoreID) error {
	facts, err := t.c.Facts(ctx, id)
	if err != nil {
		return fmt.Errorf("facts about store %v: %w", id, err)
	}
	list, err := t.generations(ctx, id)
	if err != nil || len(list) == 0 {
		return err
	}
	d := t.c.Policy.Review(ctx, t.candidate(list, facts), policyState(facts))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	now := t.c.Now()
	t.state.Note(func(s *state.Data) {
		if d.Accept || facts.Pinned {
			delete(s.Refused, id)
		} else if s.Refused[id].IsZero() {
			s.Refused[id] = now
		}
	})
	return nil
}

// Collected is what a collection removed.
type Collected struct {
	Orphans     int
	Generations int
	Bytes       uint64
	// Kept are generations of the plan that were not to be removed any more.
	Kept []Removal
}

// Collect removes what is in a plan, except what was pinned, read or committed again since the plan
// was made. Errors about one generation do not stop the others.
func (t *Tiers) Collect(ctx context.Context, p *Plan) (Collected, error) {
	var done Collected
	var errs []error
	for _, r := range p.Generations {
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		now, err := t.removals(ctx, r.Store)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		still := slices.ContainsFunc(now, func(o Removal) bool { return o.Key == r.Key })
		if !still {
			done.Kept = append(done.Kept, r)
			continue
		}
		if err := t.Remove(ctx, r.Store, r.Root); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			continue
		}
		done.Generations++
		done.Bytes += r.Bytes
	}
	for batch := range slices.Chunk(p.Orphans, 1000) {
		n, size, err := t.discard(ctx, batch)
		done.Orphans += n
		done.Bytes += size
		errs = append(errs, err)
	}
	t.forgetStaged()
	return done, errors.Join(errs...)
}

// discard removes orphans that were not put again.
func (t *Tiers) discard(
	ctx context.Context, list []storage.Orphan,
) (n int, size uint64, err error) {
	t.discarding.Lock()
	defer t.discarding.Unlock()
	var hashes []merkle.Hash
	for _, o := range list {
		if t.isOrphan(o) {
			hashes = append(hashes, o.Hash)
			size += uint64(o.Size)
		}
	}
	if err := t.c.Storage.Discard(ctx, hashes); err != nil {
		return 0, 0, err
	}
	return len(hashes), size, nil
}

// forgetStaged forgets content that was put so long ago that its age alone decides.
func (t *Tiers) forgetStaged() {
	since := t.c.Now().Add(-t.c.Settings.Grace)
	t.mu.Lock()
	defer t.mu.Unlock()
	for hash, at := range t.staged {
		if !at.After(since) {
			delete(t.staged, hash)
		}
	}
}

// collectJob makes a plan and executes it.
func (t *Tiers) collectJob(ctx context.Context) error {
	p, err := t.Plan(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_, done := t.Collect(ctx, p)
	return errors.Join(err, done)
}
