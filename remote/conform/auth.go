package conform

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/merkle"
)

// Known deviations of the reference, as texts for findings.
const (
	knownReplay    = "the reference remembers no nonces (§12)"
	knownHead      = "the reference answers HEAD without authentication (§12)"
	knownPlus      = "the reference reads a leading + (§3.4)"
	knownDuplicate = "the reference takes the first (§3.4)"
	knownOpen      = "as an origin of anonymous mode does (§3.6); check it as one"
)

// authChecks are the checks of authentication: what a request must sign, and which requests must
// be refused. Most request the descriptor.
func authChecks() []check {
	const (
		identity  = request.HeaderIdentity
		timestamp = request.HeaderTimestamp
		nonce     = request.HeaderNonce
		signature = request.HeaderAuth
	)
	list := []check{
		{"auth/signed", "§3.1", Must, authSigned},
		badHeaders("missing-identity", "§3.4", Must, "", removed(identity)),
		badHeaders("missing-timestamp", "§3.4", Must, "", removed(timestamp)),
		badHeaders("missing-nonce", "§3.4", Must, "", removed(nonce)),
		badHeaders("missing-signature", "§3.4", Must, "", removed(signature)),
		badHeaders("malformed-identity", "§3.4", Must, "", malformed(identity, "x", strings.Repeat("zz", 48), strings.Repeat("ff", 48), strings.Repeat("00", 48))...),
		badHeaders("infinity", "§1.2", Must, "", pointAtInfinity),
		badHeaders("malformed-timestamp", "§3.4", Must, "", malformedTimestamps()...),
		badHeaders("plus-timestamp", "§3.4", Extension, knownPlus, plusTimestamp),
		badHeaders("malformed-nonce", "§3.4", Must, "", malformed(nonce, "x", strings.Repeat("zz", 32))...),
		badHeaders("malformed-signature", "§3.4", Must, "", malformed(signature, "x", strings.Repeat("zz", 96), strings.Repeat("ff", 96))...),
		badHeaders("duplicate-header", "§3.4", Extension, knownDuplicate, doubled(identity), doubled(timestamp), doubled(nonce), doubled(signature)),
		{"auth/stale", "§3.4", Must, authStale},
		{"auth/future", "§3.4", Must, authFuture},
		{"auth/window", "§3.4", Must, authWindow},
		forged("auth/binds-route", anotherRoute),
		forged("auth/binds-store", anotherStoreSigned),
		forged("auth/binds-timestamp", earlierTimestamp),
		forged("auth/binds-nonce", anotherNonce),
		forged("auth/binds-identity", anotherIdentity),
		{"auth/upper-case", "§1.1", Must, authUpperCase},
		{"auth/replay", "§3.5", Must, authReplay},
		{"auth/replay-with-another-query", "§3.5", Must, authReplayWithAnotherQuery},
		{"auth/replay-in-parallel", "§3.5", Must, authReplayInParallel},
	}
	return append(list, unsignedChecks()...)
}

// A headerChange changes the headers of a signed request.
type headerChange func(http.Header)

// badHeaders is a check that requests for the descriptor are refused with 401 if they are changed
// after signing, each in one of these ways.
func badHeaders(name, spec string, level Level, known string, changes ...headerChange) check {
	return check{"auth/" + name, spec, level, func(ctx context.Context, s *session) error {
		if err := s.closed(); err != nil {
			return err
		}
		for _, change := range changes {
			p := probe{edit: func(r *http.Request) error {
				change(r.Header)
				return nil
			}}
			if err := s.refused(ctx, p, http.StatusUnauthorized); err != nil {
				return as(known, err)
			}
		}
		return nil
	}}
}

func removed(name string) headerChange { return func(h http.Header) { h.Del(name) } }

func doubled(name string) headerChange {
	return func(h http.Header) { h.Add(name, h.Get(name)) }
}

// replaced sets a header to each of the values in turn.
func replaced(name string, values ...string) (changes []headerChange) {
	for _, v := range values {
		changes = append(changes, func(h http.Header) { h.Set(name, v) })
	}
	return changes
}

// malformed sets a header to each of the values in turn, and then to the right one without its
// first two characters.
func malformed(name string, values ...string) []headerChange {
	return append(replaced(name, values...), func(h http.Header) { h.Set(name, h.Get(name)[2:]) })
}

func malformedTimestamps() []headerChange {
	const name = request.HeaderTimestamp
	return append(replaced(name, "x", "-1", "1e9", "0x10", "18446744073709551616"),
		func(h http.Header) { h.Set(name, h.Get(name)+".0") })
}

func plusTimestamp(h http.Header) {
	h.Set(request.HeaderTimestamp, "+"+h.Get(request.HeaderTimestamp))
}

func pointAtInfinity(h http.Header) {
	h.Set(request.HeaderIdentity, "c0"+strings.Repeat("00", 47))
	h.Set(request.HeaderAuth, "c0"+strings.Repeat("00", 95))
}

func authSigned(ctx context.Context, s *session) error {
	a, err := s.send(ctx, probe{})
	if err != nil {
		return err
	}
	if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
		return found("any identity let in", "%s", a)
	}
	return nil
}

func authStale(ctx context.Context, s *session) error {
	return s.aged(ctx, 401, 310*time.Second, 24*time.Hour)
}

func authFuture(ctx context.Context, s *session) error {
	return s.aged(ctx, 401, -310*time.Second, -24*time.Hour)
}

func authWindow(ctx context.Context, s *session) error {
	if _, err := s.head(ctx); err != nil {
		return err
	}
	return s.aged(ctx, 200, 290*time.Second, -290*time.Second)
}

func authUpperCase(ctx context.Context, s *session) error {
	if _, err := s.head(ctx); err != nil {
		return err
	}
	return s.refused(ctx, probe{edit: func(r *http.Request) error {
		for _, h := range []string{request.HeaderIdentity, request.HeaderNonce, request.HeaderAuth} {
			r.Header.Set(h, strings.ToUpper(r.Header.Get(h)))
		}
		return nil
	}}, http.StatusOK)
}

func authReplay(ctx context.Context, s *session) error {
	return s.replayed(ctx, probe{}, probe{})
}

func authReplayWithAnotherQuery(ctx context.Context, s *session) error {
	head, err := s.head(ctx)
	if err != nil {
		return err
	}
	return s.replayed(ctx, probe{method: http.MethodHead, tail: "/module",
		query: "root=" + head.String()}, probe{method: http.MethodHead, tail: "/module"})
}

// forged is a check that a signature is refused if the request differs from what was signed.
func forged(name string, change func(*session, *http.Request) error) check {
	return check{name, "§1.3", Must, func(ctx context.Context, s *session) error {
		if err := s.closed(); err != nil {
			return err
		}
		return s.refused(ctx, probe{edit: func(r *http.Request) error { return change(s, r) }},
			http.StatusUnauthorized)
	}}
}

func anotherRoute(s *session, r *http.Request) error {
	return s.sign(r, request.Roots, s.store, s.opt.Identity, 0)
}

func anotherStoreSigned(s *session, r *http.Request) error {
	return s.sign(r, request.Fetch, nowhere(), s.opt.Identity, 0)
}

func earlierTimestamp(_ *session, r *http.Request) error {
	n, err := strconv.ParseInt(r.Header.Get(request.HeaderTimestamp), 10, 64)
	r.Header.Set(request.HeaderTimestamp, strconv.FormatInt(n-1, 10))
	return err
}

func anotherNonce(_ *session, r *http.Request) error {
	r.Header.Set(request.HeaderNonce, random().String())
	return nil
}

func anotherIdentity(_ *session, r *http.Request) error {
	r.Header.Set(request.HeaderIdentity, freshKey().PublicKey().String())
	return nil
}

// closed skips a check that does not apply to an origin in anonymous mode.
func (s *session) closed() error {
	if s.opt.Anonymous {
		return skip("reads are open to anybody here")
	}
	return nil
}

// aged sends requests with timestamps of these ages, and checks the status.
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

// replayed sends p, and then again with the signature of p. Both have the same operation.
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

// authReplayInParallel sends one signed request several times at once. One must succeed.
func authReplayInParallel(ctx context.Context, s *session) error {
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

// unsignedChecks request every route without a signature.
func unsignedChecks() []check {
	zero := strings.Repeat("00", 32)
	lookup := map[string]string{"retrieval_key": zero, "root": zero}
	return []check{
		unsigned("descriptor", "", probe{}),
		unsigned("roots", "", probe{tail: "/roots", most: 64 << 20}),
		unsigned("module", "", probe{tail: "/module", peek: true}),
		unsigned("content", "", probe{tail: "/content"}.asJSON(lookup)),
		unsigned("proof", "", probe{tail: "/proof"}.asJSON(lookup)),
		unsigned("get-delta", "", probe{tail: "/delta", query: "from=" + zero + "&to=" + zero}),
		unsigned("post-delta", "", postDelta(merkle.Hash{}, []string{})),
		unsigned("head-descriptor", knownHead, probe{method: http.MethodHead}),
		unsigned("head-roots", knownHead, probe{method: http.MethodHead, tail: "/roots"}),
		unsigned("head-module", knownHead, probe{method: http.MethodHead, tail: "/module"}),
		unsigned("head-delta", knownHead, probe{method: http.MethodHead, tail: "/delta", query: "from=" + zero + "&to=" + zero}),
		unsigned("push", "", probe{method: http.MethodPut, tail: "/module", body: []byte("x")}),
		unsigned("push-init", "", probe{tail: "/module/upload"}.asText("{}")),
		unsigned("push-complete", "", probe{tail: "/module/complete"}.asText("{}")),
		unsigned("tombstone", "", probe{tail: "/tombstone"}.asJSON(map[string]string{"record": "", "signature": ""})),
	}
}

// unsigned is a check that p is refused without a signature. known describes the reference's
// answer.
func unsigned(name, known string, p probe) check {
	return check{"auth/unsigned-" + name, "§3.2", Must, func(ctx context.Context, s *session) error {
		method := p.method
		if method == "" {
			method = http.MethodGet
		}
		op, _ := request.OpOf(method, p.tail)
		if !op.Mutating() {
			if err := s.closed(); err != nil {
				return err
			}
		}
		p := p
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
		known := known
		if known == "" && a.status == http.StatusOK && !op.Mutating() {
			known = knownOpen
		}
		return as(known, a.is(http.StatusUnauthorized))
	}}
}
