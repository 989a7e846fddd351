package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// received is the result that clone and pull print.
type received struct {
	Store      string         `json:"store"`
	StoreID    auth.StoreID   `json:"store_id"`
	Root       merkle.Hash    `json:"root"`
	Generation uint64         `json:"generation"`
	ModuleSize int64          `json:"module_size,omitempty"`
	Bytes      int64          `json:"bytes_received"`
	PublicKey  auth.PublicKey `json:"public_key"`
	KeyProven  bool           `json:"key_proven"`
	Basis      remote.Basis   `json:"basis,omitempty"`
	Unanchored bool           `json:"unanchored"`
	UpToDate   bool           `json:"up_to_date"`
	NewerHead  *merkle.Hash   `json:"newer_unconfirmed_head,omitempty"`
	Anchor     *anchored      `json:"anchor,omitempty"`
	Report     *remote.Report `json:"report"`
}

// newReceived joins the report of a clone or pull with the state of the store.
func newReceived(s *digstore.Store, r *remote.Report) (received, error) {
	v := received{
		Store: s.Name(), StoreID: s.ID(), Root: r.Root, Generation: r.Generation,
		Bytes: r.Bytes, PublicKey: r.Publisher, KeyProven: r.KeyProven, Basis: r.Basis,
		Unanchored: r.Unanchored, UpToDate: r.UpToDate, NewerHead: nonZero(r.NewerHead),
		Report: r,
	}
	if r.UpToDate {
		return v, nil
	}
	g, err := s.At(r.Root)
	if err != nil {
		return v, err
	}
	v.ModuleSize = g.Module().Size()
	return v, nil
}

// printReceived prints the result of clone or pull and, with verbose, the checks.
func (a *app) printReceived(v received, verbose bool, format string, args ...any) error {
	if a.json || !verbose {
		return a.done(v, format, args...)
	}
	return a.answer(v, func(w io.Writer) {
		fmt.Fprintf(w, format+"\n", plainArgs(args)...)
		a.writeReport(w, v.Report)
	})
}

// writeReport writes the checks and the hosts of a report.
func (a *app) writeReport(w io.Writer, r *remote.Report) {
	var rows [][]string
	for _, c := range r.Checks {
		rows = append(rows, []string{"  checked " + string(c.Check), "against " + c.Against})
	}
	for _, o := range r.Origins {
		what := string(o.State)
		if o.Err != nil {
			what += ": " + o.Err.Error()
		}
		rows = append(rows, []string{"  host " + o.Origin, oneline.Message(what)})
	}
	if !r.HeadTime.IsZero() {
		at := r.HeadTime.Local().Format("2006-01-02 15:04:05")
		rows = append(rows, []string{"  head from",
			fmt.Sprintf("%s, %s ago by this machine's clock", at, r.HeadAge.Round(time.Second))})
	}
	table(w, rows)
}

// warnReport warns of a key or root that is not confirmed, of revocations, of
// missing generations and of hosts that failed.
func (a *app) warnReport(r *remote.Report) {
	switch {
	case r.Basis == remote.ByFirstUse:
		a.warn("publisher key %.16s… is not confirmed: it is trusted on first use and pinned from now on",
			r.Publisher)
	case r.KeyChanged && r.Basis == remote.ByAnchor:
		a.warn("the publisher key has changed to %.16s…; the chain confirms the root that it signed, "+
			"and the key is pinned from now on", r.Publisher)
	case r.KeyChanged:
		a.warn("the publisher key has changed to %.16s…, as you accepted; it is pinned from now on",
			r.Publisher)
	}
	if r.Diverged {
		a.warn("root %.16s… does not follow from the history that was here; it was taken as you accepted",
			r.Root)
	}
	if r.Unsigned {
		a.warn("root %.16s… has no signature of its publisher; it was taken because %s confirms it, "+
			"and no key was pinned", r.Root, confirmedBy(r.Basis))
	}
	if r.Reverted {
		a.warn("root %.16s… was here before: the publisher went back to it", r.Root)
	}
	for _, o := range r.Origins {
		if !r.UpToDate && o.Head == r.Root && o.Generation != r.Generation {
			a.note("%s calls this generation %d", o.Origin, o.Generation)
		}
	}
	if !r.NewerHead.IsZero() {
		a.warn("the origin's head %.16s… is newer and not confirmed; it was not taken", r.NewerHead)
	}
	for _, t := range r.Tombstones {
		what := "the whole store"
		if !t.WholeStore() {
			what = fmt.Sprintf("root %.16s…", t.Root)
		}
		a.warn("its publisher has revoked %s: %v", what, t.Reason)
	}
	for _, m := range r.Missing {
		a.warn("generation %d is missing: %v", m.Number, m.Err)
	}
	if len(r.Origins) > 1 {
		a.warnOrigins(r)
	}
}

// confirmedBy names what confirmed a root.
func confirmedBy(b remote.Basis) string {
	if b == remote.ByAnchor {
		return "the chain"
	}
	return "--root"
}

// warnOrigins names the hosts that were refused, were left out or are behind.
func (a *app) warnOrigins(r *remote.Report) {
	for _, o := range r.Origins {
		switch o.State {
		case remote.OriginRefused:
			a.warn("%s was refused: %v", o.Origin, o.Err)
		case remote.OriginUnreachable, remote.OriginSlow:
			a.note("%s was left out: %v", o.Origin, o.Err)
		case remote.OriginBehind:
			a.note("%s is behind, at %.16s…", o.Origin, o.Head)
		}
	}
}

// refused is an error of clone or pull with its report.
type refused struct {
	err    error
	report *remote.Report
}

func (e *refused) Error() string { return e.err.Error() }
func (e *refused) Unwrap() error { return e.err }

// withReport joins an error with its report. With verbose it also writes the report to stderr.
func (a *app) withReport(err error, r *remote.Report, verbose bool) error {
	if r == nil {
		return err
	}
	if verbose && !a.json {
		a.errMu.Lock()
		a.writeReport(a.err, r)
		a.errMu.Unlock()
	}
	return &refused{err, r}
}

// reportOf returns the report of an error, or nil.
func reportOf(err error) *remote.Report {
	var e *refused
	if errors.As(err, &e) {
		return e.report
	}
	return nil
}

// trusted describes why the publisher key and the head are trusted.
func (r received) trusted() string {
	why := "publisher key trusted by " + string(r.Basis)
	if r.KeyProven {
		why = "the store id proves the publisher key"
	}
	switch {
	case r.Anchor != nil:
		return why + "\n" + r.Anchor.String()
	case r.Unanchored:
		why += ", freshness not verified"
	}
	return why
}
