package economy

import "time"

// Outcome is the result of one challenge.
type Outcome uint8

// The outcomes. Late means that the answer did not come in time: the same challenge is asked
// once more.
const (
	Pass Outcome = iota
	Late
	Wrong
)

// Limits of Standing.
const (
	maxWrong   = 3 // wrong answers after which a plot is withdrawn
	wrongSpell = 24 * time.Hour
)

// Standing is the record of challenges of one plot. The zero value is a plot without challenges. It
// is immutable: the methods return a new value.
type Standing struct {
	Passes    uint64
	Wrongs    [maxWrong]time.Time // the last wrong answers, the newest first; zero: none
	Withdrawn bool                // not announced until a full verification passes
	Retry     bool                // the last answer was late: repeat the same challenge once
}

// After returns the standing after an outcome. A first late answer sets Retry, and a second one
// clears it. Three wrong answers within 24 hours withdraw the plot.
func (s Standing) After(o Outcome, at time.Time) Standing {
	retried := s.Retry
	s.Retry = false
	switch o {
	case Pass:
		s.Passes++
	case Late:
		s.Retry = !retried
	case Wrong:
		copy(s.Wrongs[1:], s.Wrongs[:])
		s.Wrongs[0] = at
		oldest := s.Wrongs[maxWrong-1]
		s.Withdrawn = s.Withdrawn || !oldest.IsZero() && at.Sub(oldest) < wrongSpell
	}
	return s
}

// Verified returns the standing after a full verification of the plot has passed.
func (s Standing) Verified() Standing {
	return Standing{Passes: s.Passes}
}
