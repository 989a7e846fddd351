package request

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/bls"
)

const (
	// DefaultWindow is how far a timestamp may be from now, either way.
	DefaultWindow = 300 * time.Second
	// startSlack is how much older than the server's start a mutating request may be.
	startSlack = 5 * time.Second
	// forgetSlack is how long a nonce is kept after its request is stale.
	forgetSlack = time.Second
)

// The errors of remote/PROTOCOL.md 3.4.
var (
	noIdentity   = &Error{Missing, "missing " + HeaderIdentity}
	noTimestamp  = &Error{Missing, "missing/invalid " + HeaderTimestamp}
	badTimestamp = &Error{Malformed, "missing/invalid " + HeaderTimestamp}
	noNonce      = &Error{Missing, "missing " + HeaderNonce}
	noAuth       = &Error{Missing, "missing " + HeaderAuth}
	stale        = &Error{Stale, "stale request timestamp"}
	badIdentity  = &Error{Malformed, "bad " + HeaderIdentity + " hex"}
	badKey       = &Error{Malformed, "bad identity public key"}
	badNonce     = &Error{Malformed, "bad " + HeaderNonce}
	badAuth      = &Error{Malformed, "bad " + HeaderAuth}
	badSignature = &Error{Signature, "signature does not verify"}
	replayed     = &Error{Replayed, "replayed nonce"}
)

// An Authenticator authenticates requests. Its zero value is ready to use. Its fields must not
// be changed, and it must not be copied, after the first Check. It is safe for concurrent use.
// A server uses one Authenticator for all requests.
type Authenticator struct {
	// Window is how far a timestamp may be before or after now, in whole seconds, the limit
	// included. Zero and negative values mean 300 seconds.
	Window time.Duration
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Nonces remembers the nonces of accepted requests. Nil means NewNonces(nil).
	Nonces NonceStore
	// Start is when the server started. If Nonces is not Persistent, mutating requests that were
	// signed more than 5 seconds before it are refused, because the server may have accepted them
	// before its start. Requests that it accepted with a timestamp in the future can be replayed
	// once. Zero means the time of the first Check.
	Start time.Time
	// MaxBatch is how many signatures are verified together at most, if more requests wait than
	// there are cores. 1 disables batches. Zero and negative values mean 64.
	MaxBatch int
	// MaxWaiting is how many requests may wait for a verification. Check refuses more with
	// ErrBusy. Zero and negative values mean 4,096.
	MaxWaiting int

	once  sync.Once
	keys  keyCache
	batch *batcher
}

func (g *Authenticator) init() {
	if g.Window <= 0 {
		g.Window = DefaultWindow
	}
	if g.Now == nil {
		g.Now = time.Now
	}
	if g.Nonces == nil {
		g.Nonces = NewNonces(nil)
	}
	if g.Start.IsZero() {
		g.Start = g.Now()
	}
	if g.MaxBatch <= 0 {
		g.MaxBatch = DefaultMaxBatch
	}
	if g.MaxWaiting <= 0 {
		g.MaxWaiting = DefaultMaxWaiting
	}
	g.batch = newBatcher(g.MaxBatch, g.MaxWaiting)
}

// Check authenticates r as a request for op on store s and returns the identity of its sender.
// It reads only the four headers of r. Cheap checks come first, and a request whose signature
// does not verify leaves no state. Check starts no goroutine: waiting signatures are verified
// together on the goroutines of the callers, at most one for each core.
//
// The error is an *Error, which wraps ErrUnauthenticated and may be sent to the client;
// ErrNoncesFull (a *FullError) for a mutating operation; ErrBusy; the error of r's context, if
// it ends while r waits; or an error of the NonceStore. A server answers ErrNoncesFull and
// ErrBusy with status 503 and Retry-After. Check accepts any valid key: it does not decide what
// the identity may do.
func (g *Authenticator) Check(r *http.Request, op Op, s auth.StoreID) (auth.PublicKey, error) {
	g.once.Do(g.init)
	if !op.Valid() {
		return auth.PublicKey{}, fmt.Errorf("check request: unknown operation %q", op)
	}
	now := g.Now()
	c, err := read(r.Header)
	if err != nil {
		return auth.PublicKey{}, err
	}
	if !g.fresh(c.at, now, op) {
		return auth.PublicKey{}, stale
	}
	if err := c.decode(); err != nil {
		return auth.PublicKey{}, err
	}
	at := time.Unix(int64(c.at), 0) // fresh, so it fits in an int64
	n := Nonce{
		Identity: c.identity, Value: c.nonce,
		At: at, Until: at.Add(g.Window + forgetSlack), Mutating: op.Mutating(),
	}
	if known, ok := g.Nonces.(Peeker); ok {
		if err := known.Peek(r.Context(), n, now); err != nil {
			return auth.PublicKey{}, refusal(err)
		}
	}
	if err := g.verify(r.Context(), op, s, &c); err != nil {
		return auth.PublicKey{}, err
	}
	err = g.Nonces.Use(r.Context(), n, now)
	if err != nil && (op.Mutating() || !errors.Is(err, ErrNoncesFull)) {
		return auth.PublicKey{}, refusal(err)
	}
	return c.identity, nil
}

// refusal converts an error of a NonceStore to that of Check.
func refusal(err error) error {
	switch {
	case errors.Is(err, ErrReplayed):
		return replayed
	case errors.Is(err, ErrForgotten):
		return stale
	}
	return fmt.Errorf("remember the nonce of a request: %w", err)
}

// verify verifies the signature, possibly in a batch.
func (g *Authenticator) verify(ctx context.Context, op Op, s auth.StoreID, c *credentials) error {
	key, err := g.keys.get(c.identity)
	if err != nil {
		return badKey
	}
	sig, err := bls.ParseSignature(c.sig[:])
	if err != nil {
		return badSignature
	}
	msg := message(op, s, c.at, c.nonce)
	ok, err := g.batch.verify(ctx, bls.Claim{Key: key, Message: msg[:], Signature: sig})
	if err != nil {
		return fmt.Errorf("verify the signature of a request: %w", err)
	}
	if !ok {
		return badSignature
	}
	g.keys.keep(c.identity, key)
	return nil
}

// fresh reports whether a timestamp is in the window and, for a mutating operation, in the time of
// which nonces are kept.
func (g *Authenticator) fresh(at uint64, now time.Time, op Op) bool {
	t, window := int64(at), int64(g.Window/time.Second)
	// negative: more than the largest int64
	if t < 0 || t < now.Unix()-window || t > now.Unix()+window {
		return false
	}
	if !op.Mutating() {
		return true
	}
	since := g.Start.Add(-startSlack)
	if kept, ok := g.Nonces.(Persistent); ok {
		since = kept.Since()
	}
	return t >= since.Unix()
}

// credentials are the four headers, as text and decoded.
type credentials struct {
	identityText, nonceText, sigText string

	at       uint64
	identity auth.PublicKey
	nonce    [NonceSize]byte
	sig      auth.Signature
}

// read returns the headers and parses the timestamp. A header that occurs twice is malformed,
// because a proxy could use the other value.
func read(h http.Header) (c credentials, err error) {
	var at string
	for _, f := range []struct {
		name         string
		to           *string
		missing, bad error
	}{
		{HeaderIdentity, &c.identityText, noIdentity, badIdentity},
		{HeaderTimestamp, &at, noTimestamp, badTimestamp},
		{HeaderNonce, &c.nonceText, noNonce, badNonce},
		{HeaderAuth, &c.sigText, noAuth, badAuth},
	} {
		switch values := h[f.name]; len(values) {
		case 1:
			*f.to = values[0]
		case 0:
			return c, f.missing
		default:
			return c, f.bad
		}
		if f.to == &at {
			if c.at, err = parseTimestamp(at); err != nil {
				return c, badTimestamp
			}
		}
	}
	return c, nil
}

// parseTimestamp parses a canonical decimal number, as strconv.FormatUint writes it.
func parseTimestamp(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err == nil && strconv.FormatUint(n, 10) != text {
		err = strconv.ErrSyntax
	}
	return n, err
}

// decode decodes the texts.
func (c *credentials) decode() error {
	if c.identity.UnmarshalText([]byte(c.identityText)) != nil {
		return badIdentity
	}
	if len(c.nonceText) != hex.EncodedLen(NonceSize) {
		return badNonce
	}
	if _, err := hex.Decode(c.nonce[:], []byte(c.nonceText)); err != nil {
		return badNonce
	}
	if c.sig.UnmarshalText([]byte(c.sigText)) != nil {
		return badAuth
	}
	return nil
}
