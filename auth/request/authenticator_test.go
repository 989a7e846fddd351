package request_test

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
)

func hexBytes(s string) ([]byte, error) { return hex.DecodeString(s) }

func TestOps(t *testing.T) {
	seen := make(map[request.Op]bool)
	for _, r := range routes {
		op, ok := request.OpOf(r.method, r.tail)
		same(t, op, r.op)
		same(t, ok && op.Valid(), true)
		seen[op] = true
	}
	same(t, len(seen), 10)
	for _, r := range [][2]string{
		{"POST", ""}, {"PUT", ""}, {"DELETE", ""}, {"get", ""}, {"GET", "/"}, {"GET", "/content"}, {"HEAD", "/proof"},
		{"POST", "/module"}, {"GET", "/module/upload"}, {"PUT", "/module/complete"}, {"POST", "/roots"},
		{"GET", "/tombstone"}, {"GET", "/module/"}, {"OPTIONS", "/module"}, {"", ""},
	} {
		if op, ok := request.OpOf(r[0], r[1]); ok || op != "" {
			t.Errorf("%s %s is %q", r[0], r[1], op)
		}
	}
	for op := range seen {
		same(t, op.Mutating(), strings.HasPrefix(string(op), "push") || op == request.Tombstone)
	}
	same(t, request.Op("").Valid() || request.Op("x").Valid(), false)
}

func TestUnknownOp(t *testing.T) {
	r := get(t)
	if err := request.Sign(r, "erase", auth.StoreID{}, auth.NewKey(seed(1))); err == nil {
		t.Error("signed")
	}
	_, err := new(request.Authenticator).Check(r, "erase", auth.StoreID{})
	if err == nil || errors.Is(err, request.ErrUnauthenticated) {
		t.Errorf("got %v, want an error of the program's own", err)
	}
}

// A request is good once while it is fresh, and then never again.
func TestReplay(t *testing.T) {
	for _, seconds := range []int{0, 1, 299, 300, 301, 302, 601, 3600} {
		t.Run(strconv.Itoa(seconds), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				guard, store := new(request.Authenticator), auth.StoreID{1}
				k := auth.NewKey(seed(1))
				r := get(t)
				if err := request.Sign(r, request.Push, store, k); err != nil {
					t.Fatal(err)
				}
				check := func() error { _, err := guard.Check(r, request.Push, store); return err }
				same(t, check(), nil)
				time.Sleep(time.Duration(seconds) * time.Second)
				want := request.Replayed
				if seconds > 300 {
					want = request.Stale
				}
				same(t, kind(check()), want)
				same(t, kind(check()), want)
			})
		})
	}
}

// The window is whole seconds, the same both ways, and the limit is inside.
func TestWindow(t *testing.T) {
	store, k, now := auth.StoreID{1}, auth.NewKey(seed(1)), time.Unix(1700000000, 999999999)
	for _, c := range []struct {
		window time.Duration
		offset int
		ok     bool
	}{
		{0, -301, false}, {0, -300, true}, {0, -299, true}, {0, 0, true}, {0, 299, true}, {0, 300, true}, {0, 301, false},
		{-time.Second, 300, true}, {10 * time.Second, 10, true}, {10 * time.Second, -11, false},
	} {
		guard := &request.Authenticator{Window: c.window, Now: clock(now)}
		r := get(t)
		r.Header = sign(t, request.Fetch, store, k, now.Add(time.Duration(c.offset)*time.Second), seed(1))
		_, err := guard.Check(r, request.Fetch, store)
		same(t, err == nil, c.ok)
		if !c.ok {
			same(t, kind(err), request.Stale)
		}
	}
}

// What was captured before a restart does not work after it. Reads need no such rule.
func TestStart(t *testing.T) {
	store, k, start := auth.StoreID{1}, auth.NewKey(seed(1)), time.Unix(1700000000, 0)
	for _, route := range routes {
		for _, c := range []struct {
			signed time.Duration
			ok     bool
		}{
			{-6 * time.Second, !route.op.Mutating()}, {-5 * time.Second, true}, {0, true}, {20 * time.Second, true},
		} {
			guard := &request.Authenticator{Now: clock(start.Add(10 * time.Second)), Start: start}
			r := get(t)
			r.Header = sign(t, route.op, store, k, start.Add(c.signed), seed(1))
			_, err := guard.Check(r, route.op, store)
			if (err == nil) != c.ok {
				t.Errorf("%s signed %v after the start: %v", route.op, c.signed, err)
			}
		}
	}
	// Without a start, it is the first check.
	guard := &request.Authenticator{Now: clock(start)}
	r := get(t)
	r.Header = sign(t, request.Push, store, k, start.Add(-6*time.Second), seed(1))
	_, err := guard.Check(r, request.Push, store)
	same(t, kind(err), request.Stale)
}

// TestTimestamp: one text for each time.
func TestTimestamp(t *testing.T) {
	for _, c := range []struct {
		text string
		now  int64
		kind request.Kind
	}{
		{"1700000000", 1700000000, 0}, {"0", 0, 0}, {"9", 9, 0},
		{"01700000000", 1700000000, request.Malformed}, {"00", 0, request.Malformed}, {"000", 0, request.Malformed},
		{"+1700000000", 1700000000, request.Malformed}, {"-0", 0, request.Malformed}, {" 9", 9, request.Malformed},
		{"9 ", 9, request.Malformed}, {"1_700_000_000", 1700000000, request.Malformed}, {"0x9", 9, request.Malformed},
		{"9.0", 9, request.Malformed}, {"9e0", 9, request.Malformed}, {"٩", 9, request.Malformed}, {"", 0, request.Malformed},
		{"18446744073709551616", 0, request.Malformed}, {"18446744073709551615", 0, request.Stale},
	} {
		r, now := get(t), time.Unix(c.now, 0)
		r.Header = sign(t, request.Push, auth.StoreID{1}, auth.NewKey(seed(1)), now, seed(1))
		r.Header[request.HeaderTimestamp] = []string{c.text}
		guard := &request.Authenticator{Now: clock(now), Start: now}
		_, err := guard.Check(r, request.Push, auth.StoreID{1})
		if kind(err) != c.kind || (err == nil) != (c.kind == 0) {
			t.Errorf("%q: %v, want %v", c.text, err, c.kind)
		}
	}
}

// TestNonceOfTwoIdentities: a nonce that one identity used is not used up for another one,
// which could choose the nonces that others must not use.
func TestNonceOfTwoIdentities(t *testing.T) {
	now, store := time.Unix(1700000000, 0), auth.StoreID{1}
	guard := &request.Authenticator{Now: clock(now)}
	for _, want := range []request.Kind{0, request.Replayed} {
		for b := range byte(3) {
			r := get(t)
			r.Header = sign(t, request.Push, store, auth.NewKey(seed(b)), now, seed(7))
			who, err := guard.Check(r, request.Push, store)
			if kind(err) != want || err == nil && who != auth.NewKey(seed(b)).PublicKey() {
				t.Errorf("identity %d: %v, want %v", b, err, want)
			}
		}
	}
}

func TestKindsAndOrder(t *testing.T) {
	store, k, now := auth.StoreID{1}, auth.NewKey(seed(1)), time.Unix(1700000000, 0)
	type change func(h http.Header)
	set := func(name, value string) change { return func(h http.Header) { h[name] = []string{value} } }
	del := func(name string) change { return func(h http.Header) { delete(h, name) } }
	// From the last check to the first: with each change the one before it no longer matters.
	steps := []struct {
		change change
		kind   request.Kind
		reason string
	}{
		{set(request.HeaderAuth, strings.Repeat("a", 192)), request.Signature, "signature does not verify"},
		{set(request.HeaderAuth, "zz"), request.Malformed, "bad X-Dig-Auth"},
		{set(request.HeaderNonce, "zz"), request.Malformed, "bad X-Dig-Nonce"},
		{set(request.HeaderIdentity, "c0"+strings.Repeat("0", 94)), request.Malformed, "bad X-Dig-Nonce"},
		{set(request.HeaderIdentity, "zz"), request.Malformed, "bad X-Dig-Identity hex"},
		{set(request.HeaderTimestamp, "1"), request.Stale, "stale request timestamp"},
		{del(request.HeaderAuth), request.Missing, "missing X-Dig-Auth"},
		{del(request.HeaderNonce), request.Missing, "missing X-Dig-Nonce"},
		{set(request.HeaderTimestamp, "-1"), request.Malformed, "missing/invalid X-Dig-Timestamp"},
		{del(request.HeaderTimestamp), request.Missing, "missing/invalid X-Dig-Timestamp"},
		{del(request.HeaderIdentity), request.Missing, "missing X-Dig-Identity"},
	}
	r := get(t)
	r.Header = sign(t, request.Fetch, store, k, now, seed(1))
	guard := &request.Authenticator{Now: clock(now)}
	for _, s := range steps {
		s.change(r.Header)
		_, err := guard.Check(r, request.Fetch, store)
		same(t, kind(err), s.kind)
		if err == nil || err.Error() != "request authentication failed: "+s.reason {
			t.Errorf("got %v, want %s", err, s.reason)
		}
	}
	// A key that is none, everything else being well-formed.
	r.Header = sign(t, request.Fetch, store, k, now, seed(1))
	set(request.HeaderIdentity, "c0"+strings.Repeat("0", 94))(r.Header)
	_, err := guard.Check(r, request.Fetch, store)
	same(t, err.Error(), "request authentication failed: bad identity public key")

	// Nothing that was refused used the nonce up.
	r.Header = sign(t, request.Fetch, store, k, now, seed(1))
	_, err = guard.Check(r, request.Fetch, store)
	same(t, err, nil)
	_, err = guard.Check(r, request.Fetch, store)
	same(t, kind(err), request.Replayed)
}

// Of many copies of one request that arrive at once, one gets in.
func TestReplayAtOnce(t *testing.T) {
	guard, store := new(request.Authenticator), auth.StoreID{1}
	r := get(t)
	if err := request.Sign(r, request.Module, store, auth.NewKey(seed(1))); err != nil {
		t.Fatal(err)
	}
	var in, out atomic.Int32
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			switch _, err := guard.Check(r, request.Module, store); {
			case err == nil:
				in.Add(1)
			case kind(err) == request.Replayed:
				out.Add(1)
			}
		})
	}
	wg.Wait()
	same(t, in.Load(), 1)
	same(t, out.Load(), 31)
}

// A replay is refused before its signature is verified.
func TestReplayBeforeSignature(t *testing.T) {
	now, k := time.Unix(1700000000, 0), auth.NewKey(seed(1))
	guard, r := &request.Authenticator{Now: clock(now)}, get(t)
	r.Header = sign(t, request.Module, auth.StoreID{}, k, now, seed(1))
	broken := r.Clone(t.Context())
	broken.Header.Set(request.HeaderAuth, strings.Repeat("a", 192))
	check := func(r *http.Request) error {
		_, err := guard.Check(r, request.Module, auth.StoreID{})
		return err
	}
	same(t, kind(check(broken)), request.Signature)
	same(t, check(r), nil)
	same(t, kind(check(broken)), request.Replayed)
}

// Of requests that many send at once, good ones and bad, each gets its own answer.
func TestManyAtOnce(t *testing.T) {
	for _, batch := range []int{0, 1, 3} {
		guard, good := &request.Authenticator{MaxBatch: batch}, auth.StoreID{1}
		var wg sync.WaitGroup
		for i := range byte(40) {
			wg.Go(func() {
				k, r := auth.NewKey(seed(i)), get(t)
				signed, want := good, request.Kind(0)
				if i%7 == 3 {
					signed, want = auth.StoreID{2}, request.Signature
				}
				if err := request.Sign(r, request.Push, signed, k); err != nil {
					t.Error(err)
				}
				who, err := guard.Check(r, request.Push, good)
				if want != 0 && kind(err) != want || want == 0 && (err != nil || who != k.PublicKey()) {
					t.Errorf("request %d: got %v, %v", i, who, err)
				}
			})
		}
		wg.Wait()
	}
}

// store is a NonceStore of one answer.
type store struct{ err error }

func (s store) Use(context.Context, request.Nonce, time.Time) error { return s.err }

func TestNonceStoreAnswers(t *testing.T) {
	broken := errors.New("connection lost")
	now := time.Unix(1700000000, 0)
	for _, c := range []struct {
		answer      error
		read, write error
	}{
		{nil, nil, nil},
		{request.ErrReplayed, request.ErrUnauthenticated, request.ErrUnauthenticated},
		{request.ErrForgotten, request.ErrUnauthenticated, request.ErrUnauthenticated},
		{request.ErrNoncesFull, nil, request.ErrNoncesFull},
		{&request.FullError{RetryAfter: time.Minute}, nil, request.ErrNoncesFull},
		{broken, broken, broken},
	} {
		for op, want := range map[request.Op]error{request.Roots: c.read, request.Push: c.write,
			request.Tombstone: c.write} {
			guard := &request.Authenticator{Now: clock(now), Nonces: store{c.answer}}
			r := get(t)
			r.Header = sign(t, op, auth.StoreID{}, auth.NewKey(seed(1)), now, seed(1))
			_, err := guard.Check(r, op, auth.StoreID{})
			refused(t, err, want)
			same(t, errors.Is(err, request.ErrUnauthenticated), want == request.ErrUnauthenticated)
		}
	}
}

// Many identities go through the cache of decoded keys; each is still distinguished from the
// others.
func TestManyIdentities(t *testing.T) {
	guard, store := new(request.Authenticator), auth.StoreID{1}
	keys := make([]*auth.Key, 20)
	for i := range keys {
		keys[i] = auth.NewKey(seed(byte(i)))
	}
	for range 3 {
		for i, k := range keys {
			r := get(t)
			if err := request.Sign(r, request.Fetch, store, k); err != nil {
				t.Fatal(err)
			}
			who, err := guard.Check(r, request.Fetch, store)
			same(t, err, nil)
			same(t, who, k.PublicKey())
			if err := request.Sign(r, request.Fetch, store, k); err != nil {
				t.Fatal(err)
			}
			r.Header.Set(request.HeaderIdentity, keys[(i+1)%len(keys)].PublicKey().String())
			_, err = guard.Check(r, request.Fetch, store)
			same(t, kind(err), request.Signature)
		}
	}
}

func FuzzAuthenticator(f *testing.F) {
	now := time.Unix(1700000000, 0)
	h := sign(f, request.Push, auth.StoreID{1}, auth.NewKey(seed(1)), now, seed(7))
	f.Add(h.Get(request.HeaderIdentity), h.Get(request.HeaderTimestamp), h.Get(request.HeaderNonce),
		h.Get(request.HeaderAuth))
	f.Add("", "18446744073709551616", "0x", "\x00")
	key := h.Get(request.HeaderIdentity)
	f.Fuzz(func(t *testing.T, identity, at, nonce, sig string) {
		guard := &request.Authenticator{Now: clock(now)}
		r := get(t)
		r.Header = http.Header{"X-Dig-Identity": {identity}, "X-Dig-Timestamp": {at},
			"X-Dig-Nonce": {nonce}, "X-Dig-Auth": {sig}}
		who, err := guard.Check(r, request.Push, auth.StoreID{1})
		if err != nil {
			if !reasons[err.Error()] {
				t.Fatalf("answer %q is none of the fixed ones", err)
			}
			return
		}
		if who.String() != key || !strings.EqualFold(sig, h.Get(request.HeaderAuth)) ||
			!strings.EqualFold(nonce, h.Get(request.HeaderNonce)) {
			t.Fatalf("accepted from %s", who)
		}
	})
}

// No request is accepted twice, whatever the clock does, as long as the memory is not full.
func TestNoncesOnAnyClock(t *testing.T) {
	for trial := range uint64(30) {
		dice := rand.New(rand.NewPCG(trial, 1))
		nonces := request.NewNonces(nil)
		now := int64(1700000000)
		type captured struct {
			nonce    request.Nonce
			accepted int
		}
		var all []*captured
		for range 3000 {
			switch dice.IntN(10) {
			case 0:
				now += dice.Int64N(400)
			case 1:
				now -= dice.Int64N(500)
			default:
				now += dice.Int64N(3)
			}
			var c *captured
			if len(all) == 0 || dice.IntN(2) == 0 {
				at := time.Unix(now+dice.Int64N(601)-300, 0)
				c = &captured{nonce: request.Nonce{Identity: auth.PublicKey{byte(dice.IntN(3))}, At: at,
					Until: at.Add(301 * time.Second)}}
				for i := range c.nonce.Value {
					c.nonce.Value[i] = byte(dice.Uint32())
				}
				all = append(all, c)
			} else {
				c = all[dice.IntN(len(all))]
			}
			if d := now - c.nonce.At.Unix(); d < -300 || d > 300 {
				continue // stale: refused without a look at the nonces
			}
			peeked := nonces.Peek(t.Context(), c.nonce, time.Unix(now, 0))
			err := nonces.Use(t.Context(), c.nonce, time.Unix(now, 0))
			same(t, peeked, err) // the memory is not full
			if err == nil {
				if c.accepted++; c.accepted > 1 {
					t.Fatalf("trial %d: a request was accepted twice", trial)
				}
			}
		}
	}
}

func TestNoncesAreBounded(t *testing.T) {
	now := time.Unix(1700000000, 0)
	nonces := request.NewNonces(&request.NoncesOptions{Max: 10, MaxPerIdentity: 4})
	n := 0
	use := func(identity byte, at time.Time) error {
		n++
		return nonces.Use(t.Context(), request.Nonce{Identity: auth.PublicKey{identity},
			Value: [32]byte{byte(n), byte(n >> 8)},
			At:    at, Until: at.Add(301 * time.Second)}, now)
	}
	for range 4 {
		same(t, use(1, now), nil)
	}
	refused(t, use(1, now), request.ErrNoncesFull)
	for i := range 6 {
		same(t, use(byte(2+i), now.Add(10*time.Second)), nil)
	}
	err := use(100, now)
	var full *request.FullError
	if !errors.As(err, &full) || full.RetryAfter != 302*time.Second {
		t.Errorf("got %v, want a *FullError of 302 s", err)
	}
	same(t, nonces.Len(), 10)

	now = now.Add(full.RetryAfter) // the first four are over
	same(t, use(1, now), nil)
	same(t, nonces.Len(), 7)
	now = now.Add(time.Hour)
	same(t, use(1, now), nil)
	same(t, nonces.Len(), 1)
}

// A clock that steps back makes requests fresh again whose nonces are forgotten.
func TestClockStepsBack(t *testing.T) {
	now := time.Unix(1700000000, 0)
	guard := &request.Authenticator{Now: func() time.Time { return now }, Start: now.Add(-time.Hour)}
	k, store := auth.NewKey(seed(1)), auth.StoreID{1}
	check := func(h http.Header) error {
		r := get(t)
		r.Header = h
		_, err := guard.Check(r, request.Push, store)
		return err
	}
	captured := sign(t, request.Push, store, k, now, seed(1))
	same(t, check(captured), nil)
	now = now.Add(10 * time.Minute)
	same(t, check(sign(t, request.Push, store, k, now, seed(2))), nil) // and the first is forgotten
	now = now.Add(-8 * time.Minute)
	same(t, kind(check(captured)), request.Stale)
	same(t, check(sign(t, request.Push, store, k, now, seed(3))), nil)
}
