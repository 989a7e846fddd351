package conform

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dig-network/digstore/internal/oneline"
)

// A Level says how important a check is.
type Level string

// The levels.
const (
	Must      Level = "must"      // clients and other servers depend on it
	Should    Level = "should"    // recommended
	Extension Level = "extension" // an addition to the reference's protocol
)

// A Verdict is the outcome of a check.
type Verdict string

// The verdicts.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail" // a requirement is not met
	Warn Verdict = "warn" // a recommendation is not followed, or an extension is missing or wrong
	Skip Verdict = "skip" // the check could not be made; Result.Reason says why
)

// A check is one line of the table. run returns nil if the check passed, or else a *finding or a
// *skipped. Any other error says why there was no answer, and is reported as a finding.
type check struct {
	name  string // group/what, unique
	spec  string // section
	level Level
	run   func(ctx context.Context, s *session) error
}

// writes reports whether a check needs [Options.Write].
func (c *check) writes() bool {
	return c.group() == "push" || c.group() == "refuse" || c.group() == "revoke"
}

// group returns the part of a check's name before the slash.
func (c *check) group() string {
	name, _, _ := strings.Cut(c.name, "/")
	return name
}

// A finding is a difference between the expected and the actual answer.
type finding struct{ wanted, found, known string }

func (f *finding) Error() string { return "wanted " + f.wanted + ", found " + f.found }

// found returns a finding.
func found(wanted, format string, args ...any) error {
	return &finding{wanted: wanted, found: fmt.Sprintf(format, args...)}
}

// as adds to a finding how the reference implementation is known to behave. It returns other errors
// unchanged.
func as(known string, err error) error {
	var f *finding
	if errors.As(err, &f) {
		return &finding{f.wanted, f.found, known}
	}
	return err
}

// A skipped is the reason why a check was not made.
type skipped struct{ reason string }

func (s *skipped) Error() string { return s.reason }

func skip(format string, args ...any) error { return &skipped{fmt.Sprintf(format, args...)} }

// result returns the result of a check from the error of its run. redact removes secrets.
func (c *check) result(err error, redact func(string) string) Result {
	r := Result{Check: c.name, Section: c.spec, Level: c.level, Verdict: Pass}
	if err == nil {
		return r
	}
	var skip *skipped
	if errors.As(err, &skip) {
		r.Verdict, r.Reason = Skip, excerpt(redact(skip.reason))
		return r
	}
	if r.Verdict = Warn; c.level == Must {
		r.Verdict = Fail
	}
	var f *finding
	if errors.As(err, &f) {
		r.Wanted, r.Found, r.Known = f.wanted, excerpt(redact(f.found)), f.known
		return r
	}
	r.Wanted, r.Found = "an answer", excerpt(redact(err.Error()))
	return r
}

// excerpt returns the beginning of a text of the origin as one line.
func excerpt(s string) string { return oneline.Excerpt(s, 300) }
