package conform

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
)

// Options are the choices of [Run]. Fields that are not positive, and nil ones, take their
// defaults.
type Options struct {
	// Identity signs the requests. nil: a key made for this run.
	Identity auth.Signer
	// Transport carries them. It must neither follow redirects nor ask for compression on its own.
	// nil: [remote.NewTransport] with its defaults, which dials public addresses and literal loopback.
	Transport http.RoundTripper
	// UserAgent is <product>/<version>. Default "digstore-conform/1".
	UserAgent string
	// Anonymous says that the origin means to answer reads to anybody (remote/PROTOCOL.md 3.6). Checks
	// of signatures on reads are skipped; writes have to be authenticated all the same.
	Anonymous bool
	// Write, when set, makes a store at the origin and pushes to it.
	Write *Write
	// Only narrows the checks to those whose names match one of these patterns, as [path.Match] has
	// them: "auth/*". nil: all.
	Only []string
	// MaxModule is the longest head module that is downloaded, in bytes; checks that need it are
	// skipped where it is longer. Default [remote.DefaultMaxModule].
	MaxModule int64
	// TempDir is where the module is kept meanwhile. Default: the system's.
	TempDir string
	// Now is the clock that requests are signed by. Default [time.Now].
	Now func() time.Time
	// Progress, if set, is told each result when it is there. done counts from 1 to total.
	Progress func(done, total int, r Result)
}

// Write says which store may be written to. It should be made for the purpose: some of its
// generations are revoked.
type Write struct {
	// Key is the publisher's. nil: one made for this run, whose store is left behind.
	Key auth.Signer
	// Store is the store's id. Zero: the hash of the key.
	Store auth.StoreID
	// Token goes with pushes, where the origin asks for one. It is in no report.
	Token string
	// RevokeStore ends by revoking the whole store, so that nothing of it can be pushed again or
	// installed by anybody.
	RevokeStore bool
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Identity == nil {
		d.Identity = freshKey()
	}
	if d.UserAgent == "" {
		d.UserAgent = "digstore-conform/1"
	}
	if d.MaxModule <= 0 {
		d.MaxModule = remote.DefaultMaxModule
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Write != nil {
		w := *d.Write
		if w.Key == nil {
			w.Key = freshKey()
		}
		if w.Store.IsZero() {
			w.Store = auth.StoreIDFromKey(w.Key.PublicKey())
		}
		d.Write = &w
	}
	return d
}

// freshKey is a key that nobody else has.
func freshKey() *auth.Key {
	var seed [auth.SeedSize]byte
	rand.Read(seed[:]) // never fails
	return auth.NewKey(seed)
}

// A Check names one line of the table.
type Check struct {
	Name    string // group/what
	Section string // of PROTOCOL.md, or of RECIPES.md in package remote
	Level   Level
	Writes  bool // it is made only with [Options.Write]
}

// Checks lists the whole table in its order.
func Checks() []Check {
	var all []Check
	for _, c := range table() {
		all = append(all, Check{c.name, c.spec, c.level, c.writes()})
	}
	return all
}

// table is every check. Those that write come first, so that a URL that names no store can be read
// afterwards: it is the store that was made.
func table() []check {
	return slices.Concat(pushChecks(), refusalChecks(), revokeChecks(), routeChecks(), authChecks(),
		describeChecks(), moduleChecks(),
		rangeChecks(), recipeChecks(), contentChecks(), deltaChecks(), tombstoneChecks(), rpcChecks(),
		rpcWindowChecks(), errorChecks(), lastChecks())
}

// Run makes the checks one after the other. u names an origin and a store that it serves; with
// [Options.Write] the store may be left out, and is then the one that is written. The error says
// that u or the options cannot be meant, that nothing answers there, or that ctx is done; what the
// origin does wrong is in the report.
func Run(ctx context.Context, u remote.URL, o *Options) (*Report, error) {
	opt := o.withDefaults()
	u, err := u.Canonical()
	if err != nil {
		return nil, err
	}
	if u.Store.IsZero() {
		if opt.Write == nil {
			return nil, fmt.Errorf("conform: %w: %s names no store; add its id, or let a store be written",
				remote.ErrBadURL, u)
		}
		u.Store = opt.Write.Store
	}
	checks, err := chosen(opt)
	if err != nil {
		return nil, err
	}
	s := &session{opt: opt, origin: u.Origin(), prefix: u.Prefix, store: u.Store, http: opt.Transport}
	if s.http == nil {
		if s.http, err = remote.NewTransport(nil); err != nil {
			return nil, err
		}
		if t, ok := s.http.(interface{ CloseIdleConnections() }); ok {
			defer t.CloseIdleConnections()
		}
	}
	defer s.close()
	start := time.Now()
	if err := s.reach(ctx, u); err != nil {
		return nil, err
	}
	report := &Report{Origin: s.origin, Store: s.store, Started: opt.Now().UTC()}
	if opt.Write != nil {
		report.Written = &opt.Write.Store
	}
	for i, c := range checks {
		began := time.Now()
		err := c.run(ctx, s)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("conform: %s: %w", c.name, context.Cause(ctx))
		}
		r := c.result(err, s.redact)
		r.Took = time.Since(began)
		report.Results = append(report.Results, r)
		if opt.Progress != nil {
			opt.Progress(i+1, len(checks), r)
		}
	}
	report.Asked, report.Took = s.asked, time.Since(start)
	return report, nil
}

// redact takes the token out of what an origin said, which may have thrown it back.
func (s *session) redact(text string) string {
	if s.opt.Write == nil || s.opt.Write.Token == "" {
		return text
	}
	return strings.ReplaceAll(text, s.opt.Write.Token, "[token]")
}

// chosen are the checks that the options ask for.
func chosen(opt Options) (list []check, err error) {
	for _, pattern := range opt.Only {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("conform: pattern %q: %w", pattern, err)
		}
	}
	for _, c := range table() {
		wanted := opt.Only == nil || slices.ContainsFunc(opt.Only, func(p string) bool {
			ok, _ := path.Match(p, c.name)
			return ok
		})
		if wanted && (opt.Write != nil || !c.writes()) {
			list = append(list, c)
		}
	}
	if list == nil {
		return nil, fmt.Errorf("conform: no check has a name like %q", opt.Only)
	}
	return list, nil
}

// reach finds out whether anything answers. A dig URL of a loopback host falls back to plain HTTP
// (remote/PROTOCOL.md 2.3).
func (s *session) reach(ctx context.Context, u remote.URL) error {
	a, err := s.send(ctx, probe{})
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && u.Scheme == "dig" && u.Loopback() {
		s.origin = "http://" + u.Host
		a, err = s.send(ctx, probe{})
	}
	if err != nil {
		return fmt.Errorf("conform: nothing answers at %s: %w", s.origin, err)
	}
	if s.opt.Write == nil || s.opt.Write.Store != s.store { // else it is about to change
		s.described.get(func() (described, error) { return parseDescriptor(a) })
	}
	return nil
}
