package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
)

// Source is a holder of capsules that an Index can read. Its name must be the same in every
// process.
type Source interface {
	Name() string
	// Items yields all items, without reading them. After an error the sequence ends.
	Items(ctx context.Context) iter.Seq2[Item, error]
	// Read yields what an item holds. If the item was removed, the error is fs.ErrNotExist. A
	// holding must not be changed afterwards.
	Read(ctx context.Context, it Item) iter.Seq2[Holding, error]
}

// Report is the result of an Update.
type Report struct {
	Kept    int       // items that have not changed
	Read    int       // items that are new or have changed
	Gone    int       // items that were removed
	Damaged []Damaged // items that cannot be read; the index has nothing of them
	Failed  []error   // sources that could not be listed; their items stay in the index
}

// Damaged is an item that cannot be read.
type Damaged struct {
	Source string
	Item   Item
	Err    error
}

// Update updates the index from the sources: it reads new and changed items, and drops removed
// ones. Damaged items and sources that cannot be listed are in the report. The only error is that
// of ctx; the changes until then stay. Concurrent updates of one source are not allowed.
func (x *Index) Update(ctx context.Context, sources ...Source) (*Report, error) {
	report := new(Report)
	for _, s := range sources {
		if err := x.update(ctx, s, report); err != nil {
			return report, err
		}
	}
	return report, nil
}

func (x *Index) update(ctx context.Context, s Source, report *Report) error {
	seenKeys, seenNames := map[Key]bool{}, map[string]bool{}
	var changed []Item
	for it, err := range s.Items(ctx) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			report.Failed = append(report.Failed, fmt.Errorf("list %s: %w", s.Name(), err))
			return nil
		}
		if it.Name == "" {
			seenKeys[it.Key] = true
		} else {
			seenNames[it.Name] = true
		}
		if x.unchanged(s.Name(), it) {
			report.Kept++
		} else {
			changed = append(changed, it)
		}
	}
	for _, it := range changed {
		if err := x.reread(ctx, s, it, report); err != nil {
			return err
		}
	}
	for _, it := range x.known(s.Name()) {
		if it.Name == "" && !seenKeys[it.Key] || it.Name != "" && !seenNames[it.Name] {
			x.Drop(s.Name(), it)
			report.Gone++
		}
	}
	return nil
}

// reread puts a changed item into the index.
func (x *Index) reread(ctx context.Context, s Source, it Item, report *Report) error {
	var holdings []Holding
	var err error
	for h, herr := range s.Read(ctx, it) {
		if err = herr; err != nil {
			break
		}
		holdings = append(holdings, h)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = x.Set(s.Name(), it, holdings...)
	}
	switch {
	case err == nil:
		report.Read++
	case errors.Is(err, fs.ErrNotExist):
		x.Drop(s.Name(), it)
		report.Gone++
	default:
		x.Drop(s.Name(), it)
		report.Damaged = append(report.Damaged, Damaged{s.Name(), it, err})
	}
	return nil
}

// unchanged reports whether an item is known as it is. A changed head is taken over.
func (x *Index) unchanged(source string, it Item) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	src, ok := x.sourceOf(source)
	if !ok || it.Size < 0 {
		return false
	}
	if it.Name != "" {
		n := x.items[itemKey{src, it.Name}]
		return n != nil && n.stamp == stampOf(it)
	}
	g := x.find(it.Key)
	if g == nil {
		return false
	}
	h := g.holder(src, 0)
	if h == nil || h.stamp != stampOf(it) {
		return false
	}
	was := g.isHead()
	h.head = it.Head
	x.headChanged(g, was)
	return true
}

// known returns the items of a source.
func (x *Index) known(source string) []Item {
	x.mu.RLock()
	defer x.mu.RUnlock()
	src, ok := x.sourceOf(source)
	if !ok {
		return nil
	}
	var list []Item
	for k := range x.items {
		if k.source == src {
			list = append(list, Item{Name: k.name})
		}
	}
	for _, g := range x.gens {
		if g != nil && g.holder(src, 0) != nil {
			list = append(list, Item{Key: g.key})
		}
	}
	return list
}
