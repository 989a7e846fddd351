package conform

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dig-network/digstore/auth"
)

// ErrNonconforming is matched by [Report.Err]: a check of level [Must] has failed.
var ErrNonconforming = errors.New("origin does not conform")

// A Result is the outcome of one check.
type Result struct {
	Check   string        `json:"check"`   // group/name
	Section string        `json:"section"` // of PROTOCOL.md, or of RECIPES.md in package remote
	Level   Level         `json:"level"`
	Verdict Verdict       `json:"verdict"`
	Wanted  string        `json:"wanted,omitempty"` // of a finding
	Found   string        `json:"found,omitempty"`  // of a finding: one line, shortened
	Known   string        `json:"known,omitempty"`  // how the reference is known to do the same
	Reason  string        `json:"reason,omitempty"` // why the check was skipped
	Took    time.Duration `json:"took_ns"`
}

// A Report has the results of a run. It has no secrets and can be published.
type Report struct {
	Origin  string        `json:"origin"`
	Store   auth.StoreID  `json:"store_id"`             // the store that was read
	Written *auth.StoreID `json:"written_id,omitempty"` // the store that was pushed to
	Started time.Time     `json:"started"`              // UTC
	Took    time.Duration `json:"took_ns"`              // from the first request to the last answer
	Asked   int           `json:"requests"`             // sent requests
	Results []Result      `json:"results"`              // in the order of [Checks]
}

// Count returns the number of results with a verdict.
func (r *Report) Count(v Verdict) int {
	n := 0
	for _, c := range r.Results {
		if c.Verdict == v {
			n++
		}
	}
	return n
}

// Err returns nil if no check failed, or else an error that matches [ErrNonconforming] and names
// the failed checks.
func (r *Report) Err() error {
	var names []string
	for _, c := range r.Results {
		if c.Verdict == Fail {
			names = append(names, c.Check)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: %d of %d checks failed: %s", r.Origin, ErrNonconforming, len(names),
		len(r.Results), strings.Join(names, ", "))
}

// String returns the text that WriteTable writes.
func (r *Report) String() string {
	var b strings.Builder
	r.WriteTable(&b) // writes to a Builder do not fail
	return b.String()
}

// WriteTable writes the report as text: a line for each check, below it what was wanted and found
// if the check failed, and a summary. It writes no colours.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  store %s\n", r.Origin, r.Store)
	if r.Written != nil {
		fmt.Fprintf(&b, "pushed to store %s\n", *r.Written)
	}
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range r.Results {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", c.Verdict, c.Check, c.Level, c.Section)
		switch c.Verdict {
		case Fail, Warn:
			fmt.Fprintf(tw, "\twanted: %s\n\tfound:  %s\n", c.Wanted, c.Found)
			if c.Known != "" {
				fmt.Fprintf(tw, "\tknown:  %s\n", c.Known)
			}
		case Skip:
			fmt.Fprintf(tw, "\t%s\n", c.Reason)
		}
	}
	tw.Flush() // writes to a Builder do not fail
	fmt.Fprintf(&b, "%d passed, %d failed, %d warnings, %d skipped; %d requests in %v\n",
		r.Count(Pass), r.Count(Fail), r.Count(Warn), r.Count(Skip), r.Asked,
		r.Took.Round(time.Millisecond))
	_, err := io.WriteString(w, b.String())
	return err
}
