package request

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
)

const (
	// DefaultWindow is how far a timestamp may be from now, either way.
	DefaultWindow = 300 * time.Second
	// startSlack is how much older than the guard's start a mutating request may be (decision 7).
	startSlack = 5
	// forgetSlack is how long after its request is stale a nonce is kept.
	forgetSlack = time.Second
)

// The fixed answers of remote-protocol 2.3. What is repeated there in parentheses is not sent.
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

// Guard checks requests. Its zero value works. Fields may be changed until the first Check; a
// Guard must not be copied after it. It is safe for concurrent use, and there should be one for a
// server, not one for each request.
type Guard struct {
	// Window is how far a timestamp may be from now, in whole seconds, either way; the limit itself
	// is accepted. Zero and negative values mean 300 seconds.
	Window time.Duration
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Nonces remembers the nonces of accepted requests. Nil means NewNonces(nil).
	Nonces NonceStore
	// Start is when the server started; mutating requests that were signed more than 5 seconds
	// before it are refused, since their nonces may have been accepted by the server before it.
	// Zero means the time of the first Check.
	Start time.Time

	once sync.Once
	keys keyCache
}

func (g *Guard) init() {
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
}

// Check authenticates r as a request for op on store s and returns who sent it. It reads the four
// headers and nothing else of r. What is cheap to check is checked first, and nothing is remembered
// of a request whose signature does not verify.
//
// Errors are an *Error, which is ErrUnauthenticated and may be sent back; for mutating operations
// ErrNoncesFull (a *FullError), which asks for 503 and Retry-After; or a failure of the NonceStore.
// Anyone with a key passes: what they may do is decided elsewhere.
func (g *Guard) Check(r *http.Request, op Op, s auth.StoreID) (auth.PublicKey, error) {
	g.once.Do(g.init)
	if !op.Valid() {
		return auth.PublicKey{}, fmt.Errorf("check request: no operation %q", op)
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
	key, err := g.keys.get(c.identity)
	if err != nil {
		return auth.PublicKey{}, badKey
	}
	msg := message(op, s, c.at, c.nonce)
	if key.Verify(msg[:], c.sig) != nil {
		return auth.PublicKey{}, badSignature
	}
	g.keys.keep(key)

	at := time.Unix(int64(c.at), 0) // fresh, hence within int64
	n := Nonce{Identity: c.identity, Value: c.nonce, At: at, Until: at.Add(g.Window + forgetSlack)}
	switch err := g.Nonces.Use(r.Context(), n, now); {
	case err == nil, errors.Is(err, ErrNoncesFull) && !op.Mutating():
		return c.identity, nil
	case errors.Is(err, ErrReplayed):
		return auth.PublicKey{}, replayed
	case errors.Is(err, ErrForgotten):
		return auth.PublicKey{}, stale
	default:
		return auth.PublicKey{}, fmt.Errorf("remember the nonce of a request: %w", err)
	}
}

// fresh reports whether a timestamp is within the window and, for what changes something, not from
// before the guard's start.
func (g *Guard) fresh(at uint64, now time.Time, op Op) bool {
	t, window := int64(at), int64(g.Window/time.Second)
	if t < 0 || t < now.Unix()-window || t > now.Unix()+window { // negative: over the largest int64
		return false
	}
	return !op.Mutating() || t >= g.Start.Unix()-startSlack
}

// credentials are the four headers, first as text and then decoded.
type credentials struct {
	identityText, nonceText, sigText string

	at       uint64
	identity auth.PublicKey
	nonce    [NonceSize]byte
	sig      auth.Signature
}

// read finds the headers, each exactly once, and parses the timestamp. A header that is there twice
// is malformed, for the two could be read differently by a proxy and by us.
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
			if c.at, err = strconv.ParseUint(at, 10, 64); err != nil { // takes digits only
				return c, badTimestamp
			}
		}
	}
	return c, nil
}

// decode turns the texts into bytes.
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
