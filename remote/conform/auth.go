package conform

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
)

// What the reference is known to do otherwise.
const (
	knownReplay = "the reference remembers no nonces (§12)"
	knownHead   = "the reference answers HEAD without authentication (§12)"
	knownPlus   = "the reference reads a leading + (§3.4)"
	knownOpen   = "as an origin of anonymous mode does (§3.6); check it as one"
)

// authChecks look at the door: what a request has to be signed for, and what is wrong with those
// that are refused. Most ask for the descriptor.
func authChecks() []check {
	list := []check{
		{"auth/signed", "§3.1", Must, func(ctx context.Context, s *session) error {
			a, err := s.send(ctx, probe{})
			if err != nil {
				return err
			}
			if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
				return found("any identity let in", "%s", a)
			}
			return nil
		}},
	}
	for _, h := range []struct{ name, header string }{
		{"identity", request.HeaderIdentity}, {"timestamp", request.HeaderTimestamp},
		{"nonce", request.HeaderNonce}, {"signature", request.HeaderAuth},
	} {
		list = append(list, door("auth/missing-"+h.name, "§3.4", Must, "", func(r *http.Request) {
			r.Header.Del(h.header)
		}))
	}
	replace := func(header string, values ...string) []func(*http.Request) {
		var all []func(*http.Request)
		for _, v := range values {
			all = append(all, func(r *http.Request) { r.Header.Set(header, v) })
		}
		return all
	}
	cut := func(header string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(header, r.Header.Get(header)[2:]) }
	}
	infinity := func(r *http.Request) {
		r.Header.Set(request.HeaderIdentity, "c0"+strings.Repeat("00", 47))
		r.Header.Set(request.HeaderAuth, "c0"+strings.Repeat("00", 95))
	}
	list = append(list,
		door("auth/malformed-identity", "§3.4", Must, "",
			append(replace(request.HeaderIdentity, "x", strings.Repeat("zz", 48), strings.Repeat("ff", 48),
				strings.Repeat("00", 48)), cut(request.HeaderIdentity))...),
		door("auth/infinity", "§1.2", Must, "", infinity),
		door("auth/malformed-timestamp", "§3.4", Must, "",
			append(replace(request.HeaderTimestamp, "x", "-1", "1e9", "0x10", "18446744073709551616"),
				func(r *http.Request) {
					r.Header.Set(request.HeaderTimestamp, r.Header.Get(request.HeaderTimestamp)+".0")
				})...),
		door("auth/plus-timestamp", "§3.4", Extension, knownPlus, func(r *http.Request) {
			r.Header.Set(request.HeaderTimestamp, "+"+r.Header.Get(request.HeaderTimestamp))
		}),
		door("auth/malformed-nonce", "§3.4", Must, "",
			append(replace(request.HeaderNonce, "x", strings.Repeat("zz", 32)),
				cut(request.HeaderNonce))...),
		door("auth/malformed-signature", "§3.4", Must, "",
			append(replace(request.HeaderAuth, "x", strings.Repeat("zz", 96), strings.Repeat("ff", 96)),
				cut(request.HeaderAuth))...),
	)
	var twice []func(*http.Request)
	for _, header := range []string{request.HeaderIdentity, request.HeaderTimestamp,
		request.HeaderNonce, request.HeaderAuth} {
		twice = append(twice, func(r *http.Request) { r.Header.Add(header, r.Header.Get(header)) })
	}
	list = append(list, door("auth/duplicate-header", "§3.4", Extension,
		"the reference takes the first (§3.4)", twice...),
		check{"auth/stale", "§3.4", Must, func(ctx context.Context, s *session) error {
			return s.aged(ctx, 401, 310*time.Second, 24*time.Hour)
		}},
		check{"auth/future", "§3.4", Must, func(ctx context.Context, s *session) error {
			return s.aged(ctx, 401, -310*time.Second, -24*time.Hour)
		}},
		check{"auth/window", "§3.4", Must, func(ctx context.Context, s *session) error {
			if _, err := s.head(ctx); err != nil {
				return err
			}
			return s.aged(ctx, 200, 290*time.Second, -290*time.Second)
		}},
		forged("auth/binds-route", func(s *session, r *http.Request) error {
			return s.sign(r, request.Roots, s.store, s.opt.Identity, 0)
		}),
		forged("auth/binds-store", func(s *session, r *http.Request) error {
			return s.sign(r, request.Fetch, nowhere(), s.opt.Identity, 0)
		}),
		forged("auth/binds-timestamp", func(s *session, r *http.Request) error {
			n, err := strconv.ParseInt(r.Header.Get(request.HeaderTimestamp), 10, 64)
			r.Header.Set(request.HeaderTimestamp, strconv.FormatInt(n-1, 10))
			return err
		}),
		forged("auth/binds-nonce", func(s *session, r *http.Request) error {
			r.Header.Set(request.HeaderNonce, random().String())
			return nil
		}),
		forged("auth/binds-identity", func(s *session, r *http.Request) error {
			r.Header.Set(request.HeaderIdentity, freshKey().PublicKey().String())
			return nil
		}),
		check{"auth/upper-case", "§1.1", Must, func(ctx context.Context, s *session) error {
			if _, err := s.head(ctx); err != nil {
				return err
			}
			return s.refused(ctx, probe{edit: func(r *http.Request) error {
				for _, h := range []string{request.HeaderIdentity, request.HeaderNonce, request.HeaderAuth} {
					r.Header.Set(h, strings.ToUpper(r.Header.Get(h)))
				}
				return nil
			}}, http.StatusOK)
		}},
		check{"auth/replay", "§3.5", Must, func(ctx context.Context, s *session) error {
			return s.replayed(ctx, probe{}, probe{})
		}},
		check{"auth/replay-with-another-query", "§3.5", Must,
			func(ctx context.Context, s *session) error {
				head, err := s.head(ctx)
				if err != nil {
					return err
				}
				return s.replayed(ctx, probe{method: http.MethodHead, tail: "/module",
					query: "root=" + head.String()}, probe{method: http.MethodHead, tail: "/module"})
			}},
		check{"auth/replay-in-parallel", "§3.5", Must, replayRace},
	)
	return append(list, unsignedChecks()...)
}

// door is a check that the descriptor is refused with 401 to requests that were signed well and
// then changed, each in one of these ways.
func door(name, spec string, level Level, known string, changes ...func(*http.Request)) check {
	return check{name, spec, level, func(ctx context.Context, s *session) error {
		if err := s.closed(); err != nil {
			return err
		}
		for _, change := range changes {
			if err := s.refused(ctx, probe{edit: func(r *http.Request) error {
				change(r)
				return nil
			}}, http.StatusUnauthorized); err != nil {
				return as(known, err)
			}
		}
		return nil
	}}
}

// forged is a check that a signature does not go with something else than what was signed.
func forged(name string, change func(*session, *http.Request) error) check {
	return check{name, "§1.3", Must, func(ctx context.Context, s *session) error {
		if err := s.closed(); err != nil {
			return err
		}
		return s.refused(ctx, probe{edit: func(r *http.Request) error { return change(s, r) }},
			http.StatusUnauthorized)
	}}
}

// closed skips what anonymous mode has no use for.
func (s *session) closed() error {
	if s.opt.Anonymous {
		return skip("reads are open to anybody here")
	}
	return nil
}

// aged asks with timestamps that are so far from now.
func (s *session) aged(ctx context.Context, status int, ages ...time.Duration) error {
	if err := s.closed(); err != nil {
		return err
	}
	if err := s.inStep(ctx); err != nil {
		return err
	}
	for _, age := range ages {
		if err := s.refused(ctx, probe{age: age}, status); err != nil {
			return err
		}
	}
	return nil
}

// replayed asks twice under one signature, first p and then again. Both need the same operation.
func (s *session) replayed(ctx context.Context, p, again probe) error {
	if err := s.closed(); err != nil {
		return err
	}
	if _, err := s.head(ctx); err != nil {
		return err
	}
	var signature http.Header
	p.edit = func(r *http.Request) error { signature = r.Header.Clone(); return nil }
	if _, err := s.expect(ctx, p, http.StatusOK); err != nil {
		return err
	}
	again.bare = true
	again.edit = func(r *http.Request) error { r.Header = signature; return nil }
	return as(knownReplay, s.refused(ctx, again, http.StatusUnauthorized))
}

// replayRace sends one signed request several times at once. One gets through.
func replayRace(ctx context.Context, s *session) error {
	if err := s.closed(); err != nil {
		return err
	}
	if _, err := s.head(ctx); err != nil {
		return err
	}
	first, err := s.make(ctx, probe{})
	if err != nil {
		return err
	}
	const copies = 6
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		through int
		broken  error
	)
	for range copies {
		wg.Go(func() {
			r := first.Clone(ctx)
			a, err := s.roundTrip(r, probe{})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				broken = err
			case a.status == http.StatusOK:
				through++
			case a.status == http.StatusTooManyRequests:
				broken = skip("the origin was too busy to tell")
			}
		})
	}
	wg.Wait()
	if through > 1 {
		return as(knownReplay, found("one of the same requests let in", "%d", through))
	}
	if through == 0 && broken == nil {
		return found("one of the same requests let in", "none")
	}
	return broken
}

// unsignedChecks ask for every route without a signature.
func unsignedChecks() []check {
	zero := strings.Repeat("00", 32)
	lookup := map[string]string{"retrieval_key": zero, "root": zero}
	routes := []struct {
		name, known string
		p           probe
	}{
		{"descriptor", "", probe{}},
		{"roots", "", probe{tail: "/roots", most: 64 << 20}},
		{"module", "", probe{tail: "/module", peek: true}},
		{"content", "", probe{tail: "/content"}.asJSON(lookup)},
		{"proof", "", probe{tail: "/proof"}.asJSON(lookup)},
		{"get-delta", "", probe{tail: "/delta", query: "from=" + zero + "&to=" + zero}},
		{"post-delta", "", probe{tail: "/delta"}.asJSON(map[string]any{"to": zero, "have": []string{}})},
		{"head-descriptor", knownHead, probe{method: http.MethodHead}},
		{"head-roots", knownHead, probe{method: http.MethodHead, tail: "/roots"}},
		{"head-module", knownHead, probe{method: http.MethodHead, tail: "/module"}},
		{"head-delta", knownHead, probe{method: http.MethodHead, tail: "/delta", query: "from=" + zero + "&to=" + zero}},
		{"push", "", probe{method: http.MethodPut, tail: "/module", body: []byte("x")}},
		{"push-init", "", probe{tail: "/module/upload"}.asText("{}")},
		{"push-complete", "", probe{tail: "/module/complete"}.asText("{}")},
		{"tombstone", "", probe{tail: "/tombstone"}.asJSON(map[string]string{"record": "", "signature": ""})},
	}
	var list []check
	for _, rt := range routes {
		list = append(list,
			check{"auth/unsigned-" + rt.name, "§3.2", Must, func(ctx context.Context, s *session) error {
				method := rt.p.method
				if method == "" {
					method = http.MethodGet
				}
				op, _ := request.OpOf(method, rt.p.tail)
				if !op.Mutating() {
					if err := s.closed(); err != nil {
						return err
					}
				}
				p := rt.p
				if head, err := s.head(ctx); err == nil && p.tail == "/delta" && p.query != "" {
					p.query = "from=" + head.String() + "&to=" + head.String()
				}
				bare := p
				bare.bare = true
				a, err := s.send(ctx, bare)
				if err != nil {
					return err
				}
				if noRoute(a) {
					if signed, err := s.send(ctx, p); err != nil || noRoute(signed) {
						return skip("the origin has no such route")
					}
				}
				known := rt.known
				if known == "" && a.status == http.StatusOK && !op.Mutating() {
					known = knownOpen
				}
				return as(known, a.is(http.StatusUnauthorized))
			}})
	}
	return list
}

// hexOf is short for messages and bodies.
func hexOf(b []byte) string { return hex.EncodeToString(b) }

// tombstoneBody is the request of POST /stores/{id}/tombstone.
func tombstoneBody(t auth.Tombstone) map[string]string {
	record, _ := t.MarshalBinary() // never fails
	return map[string]string{"record": hexOf(record), "signature": t.Sig.String()}
}
