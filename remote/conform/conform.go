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

// Options are settings of [Run]. Zero and negative fields mean the defaults.
type Options struct {
	// Identity signs the requests. nil: a new key for this run.
	Identity auth.Signer
	// Transport sends the requests. It must neither follow redirects nor request compression by
	// itself. nil: [remote.NewTransport] with its defaults, which dials public addresses and literal
	// loopback.
	Transport http.RoundTripper
	// UserAgent is <product>/<version>. Default "digstore-conform/1".
	UserAgent string
	// Anonymous says that the origin is configured to answer unsigned reads (remote/PROTOCOL.md
	// 3.6). Checks of signatures of reads are skipped. Writes must still be authenticated.
	Anonymous bool
	// Write, if set, configures the store that the checks push to. nil: no check pushes.
	Write *Write
	// Only selects the checks whose names match one of these patterns of [path.Match], such as
	// "auth/*". nil: all.
	Only []string
	// MaxModule limits the head's module, in bytes. If it is longer, the checks that need it are
	// skipped. Default [remote.DefaultMaxModule].
	MaxModule int64
	// TempDir is the folder of the temporary file. Default: [os.TempDir].
	TempDir string
	// Now is the clock for signing requests. Default [time.Now].
	Now func() time.Time
	// Progress, if set, is called with each result. done counts from 1 to total.
	Progress func(done, total int, r Result)
}

// Write configures the store that the checks push to. It should be a store for this purpose only,
// because some of its generations are revoked.
type Write struct {
	// Key is the publisher's key. nil: a new key for this run, whose store remains at the origin.
	Key auth.Signer
	// Store is the store's ID. Zero: the hash of the key.
	Store auth.StoreID
	// Token is sent with pushes. It does not appear in reports.
	Token string
	// RevokeStore revokes the whole store at the end, so that its generations can be neither pushed
	// nor installed again.
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

// freshKey returns a new random key.
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
	Writes  bool // requires [Options.Write]
}

// Checks returns all checks in the order in which they are made.
func Checks() []Check {
	var all []Check
	for _, c := range table() {
		all = append(all, Check{c.name, c.spec, c.level, c.writes()})
	}
	return all
}

// table returns all checks. Those that write are first: if the URL names no store, the other
// checks read the store that they made.
func table() []check {
	return slices.Concat(pushChecks(), refusalChecks(), revokeChecks(), routeChecks(), authChecks(),
		describeChecks(), moduleChecks(),
		rangeChecks(), recipeChecks(), contentChecks(), deltaChecks(), tombstoneChecks(), rpcChecks(),
		rpcWindowChecks(), errorChecks(), lastChecks())
}

// Run makes the checks one after the other. u names an origin and a store that it serves. With
// [Options.Write] u may name no store; then the checks read the store that they push to. Run fails
// if u or the options are wrong, if the origin does not answer, or if ctx ends. Failed checks are
// in the report, not in the error.
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

// redact removes the token from a text of the origin, which may repeat it.
func (s *session) redact(text string) string {
	if s.opt.Write == nil || s.opt.Write.Token == "" {
		return text
	}
	return strings.ReplaceAll(text, s.opt.Write.Token, "[token]")
}

// chosen returns the checks that the options select.
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

// reach checks that the origin answers. A dig URL of a loopback host falls back to plain HTTP
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
	if s.opt.Write == nil || s.opt.Write.Store != s.store { // else it will change
		s.described.get(func() (described, error) { return parseDescriptor(a) })
	}
	return nil
}
