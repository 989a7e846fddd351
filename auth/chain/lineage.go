package chain

import (
	"slices"
	"time"
)

// A lineage is the coins of a store, or the last of them. It is changed only while it is built; every holder of a
// view sees it as it was.
type lineage struct {
	entries []Entry      // oldest first
	states  []*State     // of the last entries: from the newest settled one on
	whole   bool         // entries begin with the first coin
	settled int          // how many entries are settled, by the deepest that was ever seen: the guard against rollback
	melted  *MeltedError // the last coin was spent to end the store
	pending uint32       // height at which the last coin is said to be spent, by too few sources
	checked time.Time    // when the source last confirmed the last entry
}

// clone returns a lineage that can be changed without a trace in l.
func (l *lineage) clone() *lineage {
	c := *l
	c.entries, c.states = slices.Clip(l.entries), slices.Clip(l.states)
	return &c
}

// state returns the state of entry i, nil when it is not at hand.
func (l *lineage) state(i int) *State {
	if at := i - (len(l.entries) - len(l.states)); i >= 0 && at >= 0 && at < len(l.states) {
		return l.states[at]
	}
	return nil
}

// tip returns the newest state.
func (l *lineage) tip() *State { return l.state(len(l.entries) - 1) }

// deep returns the index of the newest entry of at least that depth, -1 when there is none.
func (l *lineage) deep(peak Block, want uint32) int {
	for i := len(l.entries) - 1; i >= 0; i-- {
		if depth(peak, l.entries[i].Height) >= want {
			return i
		}
	}
	return -1
}

// read returns the index of the newest entry that may be read: of that depth, or settled once, whatever the peak is
// now; -1 when there is none. Its state is at hand if the lineage is whole.
func (l *lineage) read(peak Block, want uint32) int { return max(l.deep(peak, want), l.settled-1) }

// add appends a state that is confirmed by rec.
func (l *lineage) add(s *State, rec *CoinRecord) {
	l.entries = append(l.entries, Entry{
		Generation: s.Generation, CoinID: s.CoinID(), Root: s.Root(), Height: rec.Confirmed, Time: rec.Time, By: s.By,
	})
	l.states = append(l.states, s)
}

// cut drops entry i and what follows. It does not touch what settled says.
func (l *lineage) cut(i int) {
	dropped := len(l.entries) - i
	l.entries = slices.Clip(l.entries[:i])
	l.states = slices.Clip(l.states[:max(0, len(l.states)-dropped)])
	l.melted = nil
}

// settle notes which entries are settled at that peak, and lets go of states that nothing will go back to.
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
