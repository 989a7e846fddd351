package tier

import (
	"errors"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/tier/internal/state"
	"github.com/dig-network/digstore/plot"
)

// foundDamaged quarantines the loose copy of a content after an error that says that it is
// damaged, and reports whether another try may find another copy. Plots report damage themselves.
func (t *Tiers) foundDamaged(ref capsule.Ref, d capsule.Descriptor, err error) bool {
	var bad *plot.FormatError
	if errors.As(err, &bad) {
		return true
	}
	if !errors.Is(err, capsule.ErrContentMismatch) || t.state.IsDamaged(d.Hash, storagePlace) {
		return false
	}
	t.damaged(ref.Store, d, storagePlace, "", err)
	return true
}

func (t *Tiers) damagedInStorage(d capsule.Descriptor, err error) {
	ref, _, _ := t.index.Find(d.Hash)
	t.damaged(ref.Store, d, storagePlace, "", err)
}

// damagedInPlots quarantines a capsule of the plots of a volume when an error says that it is
// damaged there.
func (t *Tiers) damagedInPlots(d capsule.Descriptor, v *volume, err error) {
	var bad *plot.FormatError
	if !errors.As(err, &bad) && !errors.Is(err, capsule.ErrContentMismatch) || v.inPlace() != nil {
		return
	}
	ref, _, _ := t.index.Find(d.Hash)
	t.damaged(ref.Store, d, v.Path, v.Path, err)
}

// damaged quarantines a copy: it is not read any more until it is repaired.
func (t *Tiers) damaged(
	store auth.StoreID, d capsule.Descriptor, place, path string, cause error,
) {
	if t.state.IsDamaged(d.Hash, place) {
		return
	}
	err := t.state.Change(func(s *state.Data) {
		q := state.Damage{Hash: d.Hash, Place: place, Found: t.c.Now(), Text: cause.Error()}
		s.Quarantine[q.Key()] = q
	})
	if err != nil {
		t.failed("", err)
	}
	t.mark(d.Hash, place, false)
	select {
	case t.repairs <- d:
	default: // the scrub repairs it
	}
	t.notify(Event{Kind: CorruptFound, Store: store, Hash: d.Hash, Path: path, Err: cause})
}

// mark notes in the index whether a place has a content.
func (t *Tiers) mark(hash merkle.Hash, place string, have bool) {
	name := storagePlace
	for _, v := range t.volumes {
		if v.Path == place {
			name = v.source.Name()
		}
	}
	t.index.Mark(name, hash, have)
}

// mended removes the quarantine of a copy.
func (t *Tiers) mended(hash merkle.Hash, place string) error {
	t.mark(hash, place, true)
	if !t.state.IsDamaged(hash, place) {
		return nil
	}
	k := state.DamageKey{Hash: hash, Place: place}
	err := t.state.Change(func(s *state.Data) { delete(s.Quarantine, k) })
	if err != nil {
		return err
	}
	t.notify(Event{Kind: Repaired, Hash: hash})
	return nil
}

// applyQuarantine removes quarantined copies from an updated index, and drops quarantine entries
// that are no longer in the index.
func (t *Tiers) applyQuarantine() {
	var list []state.Damage
	t.state.Read(func(d *state.Data) {
		for _, d := range d.Quarantine {
			list = append(list, d)
		}
	})
	for _, d := range list {
		t.mark(d.Hash, d.Place, false)
		_, _, err := t.index.Find(d.Hash)
		if errors.Is(err, fs.ErrNotExist) && t.complete() {
			t.state.Note(func(s *state.Data) { delete(s.Quarantine, d.Key()) })
		}
	}
}
