package chain

import (
	"slices"
	"time"
)

// A lineage is the sequence of coins of a store, or its last part. It is not changed after it
// was built.
type lineage struct {
	entries []Entry      // oldest first
	states  []*State     // of the last entries, from the newest settled one on
	whole   bool         // entries begin with the first coin
	settled int          // number of entries that were settled at any time; they must not vanish
	melted  *MeltedError // not nil if the spend of the last coin destroyed the store
	pending uint32       // height at which too few sources report the last coin as spent
	checked time.Time    // when the source last confirmed the last entry
}

// differs reports whether the entries of l, or the facts about them, differ from those of old.
func (l *lineage) differs(old *lineage) bool {
	return len(old.entries) != len(l.entries) || old.settled != l.settled ||
		old.whole != l.whole || (old.melted == nil) != (l.melted == nil) ||
		old.entries[len(old.entries)-1] != l.entries[len(l.entries)-1]
}

// clone returns a copy that can be changed without effect on l.
func (l *lineage) clone() *lineage {
	c := *l
	c.entries, c.states = slices.Clip(l.entries), slices.Clip(l.states)
	return &c
}

// state returns the state of entry i, or nil if it is not known.
func (l *lineage) state(i int) *State {
	if at := i - (len(l.entries) - len(l.states)); i >= 0 && at >= 0 && at < len(l.states) {
		return l.states[at]
	}
	return nil
}

// tip returns the newest state.
func (l *lineage) tip() *State { return l.state(len(l.entries) - 1) }

// deep returns the index of the newest entry with at least that depth, or -1.
func (l *lineage) deep(peak Block, want uint32) int {
	for i := len(l.entries) - 1; i >= 0; i-- {
		if depth(peak, l.entries[i].Height) >= want {
			return i
		}
	}
	return -1
}

// read returns the index of the newest entry that may be read, or -1: one with that depth, or
// one that was settled at any time. Its state is known if the lineage is whole.
func (l *lineage) read(peak Block, want uint32) int { return max(l.deep(peak, want), l.settled-1) }

// add appends a state that rec confirms.
func (l *lineage) add(s *State, rec *CoinRecord) {
	l.entries = append(l.entries, Entry{
		Generation: s.Generation, CoinID: s.CoinID(), Root: s.Root(), Height: rec.Confirmed,
		Time: rec.Time, By: s.By,
	})
	l.states = append(l.states, s)
}

// cut removes entry i and those after it. It does not change settled.
func (l *lineage) cut(i int) {
	dropped := len(l.entries) - i
	l.entries = slices.Clip(l.entries[:i])
	l.states = slices.Clip(l.states[:max(0, len(l.states)-dropped)])
	l.melted = nil
}

// settle updates the number of settled entries at that peak, and removes states that are not
// needed any more.
func (l *lineage) settle(peak Block, want uint32) {
	l.settled = max(l.settled, l.deep(peak, want)+1)
	if first := len(l.entries) - len(l.states); l.settled-1 > first {
		l.states = slices.Clone(l.states[l.settled-1-first:])
	}
}

// has reports whether a coin is in the lineage.
func (l *lineage) has(e Entry) bool {
	return slices.ContainsFunc(l.entries, func(o Entry) bool { return o.CoinID == e.CoinID })
}
