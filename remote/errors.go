package remote

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/dig-network/digstore/remote/internal/wire"
)

// Errors of this package. It also returns [fs.ErrNotExist], [fs.ErrExist],
// [request.ErrUnauthenticated] for a failed authentication, [auth.ErrForbidden] for a missing
// permission, and [auth.ErrRevoked] for a revoked store or generation.
var (
	// ErrBadURL means that a locator has none of the forms of remote/PROTOCOL.md 2.2.
	ErrBadURL = errors.New("remote: not a locator of a store")
	// ErrInsecure means plain HTTP to a host that is not literally loopback, or an address that the
	// dial guard refuses.
	ErrInsecure = errors.New("remote: insecure transport")
	// ErrVerification means that an origin failed a check. The error is a [*VerificationError] that
	// names the check. The five errors that follow give more detail for some checks.
	ErrVerification = wire.ErrVerification
	// ErrUntrusted means that the [Trust] of a clone was zero, or that nothing in it confirms what
	// the origin sent.
	ErrUntrusted = errors.New("remote: origin is not trusted")
	// ErrDiverged means that the origin's history does not contain the local head.
	ErrDiverged = errors.New("remote: histories have diverged")
	// ErrForked means that one publisher key signed two heads of which neither history, as the
	// origins send them, contains the other. It is an [ErrDiverged] proven by both signatures.
	ErrForked = fmt.Errorf("remote: one key signed two histories: %w", ErrDiverged)
	// ErrRollback means that the origin offers an older generation than one seen before.
	ErrRollback = errors.New("remote: origin serves an older generation than before")
	// ErrKeyChanged means that a publisher key differs from the one pinned for the store.
	ErrKeyChanged = errors.New("remote: the publisher key has changed")
	// ErrNonFastForward means that the parent of a push is not the origin's head: pull first. It is
	// the remote form of [module.ErrNotHead].
	ErrNonFastForward = wire.ErrNonFastForward
	// ErrSuperseded means that the pushed generation comes before the origin's head. It is an
	// [ErrNonFastForward] that a pull does not resolve.
	ErrSuperseded = fmt.Errorf("remote: the origin has a later generation: %w", ErrNonFastForward)
	// ErrTooLarge means that a module or a body exceeds a limit, which the error states.
	ErrTooLarge = wire.ErrTooLarge
	// ErrProtocol means that an answer violates the protocol: a redirect, a compressed body, a body
	// that does not decode.
	ErrProtocol = wire.ErrProtocol
	// ErrRedirect means that the origin redirects, and ErrEncoded that it encodes bodies
	// (remote/PROTOCOL.md 2.3, 4.1). Both are an [ErrProtocol].
	ErrRedirect = fmt.Errorf("%w: a redirect", ErrProtocol)
	ErrEncoded  = fmt.Errorf("%w: a content encoding", ErrProtocol)
	// ErrNoChunkLengths means that the host sends a resource of several chunks without their lengths.
	// The resource can be read only from its whole generation.
	ErrNoChunkLengths = errors.New(
		"remote: the host sends no chunk lengths and cannot be read by range: clone the store instead")
	// ErrNoBase means that a recipe is packed as the difference from a base whose recipe is missing
	// or encoded differently. It is no evidence against the sender.
	ErrNoBase = wire.ErrNoBase
	// ErrConnection means that a request or an answer was not transferred in full: the connection
	// failed, broke, or was too slow.
	ErrConnection = errors.New("remote: connection failed")
	// ErrTooSlow means that an answer was slower than [ClientOptions].MinRate.
	ErrTooSlow = errors.New("remote: answer is too slow")
	// ErrClockSkew means that a signature was refused and the local clock differs from the server's
	// by more than the freshness window. The error states the difference.
	ErrClockSkew = errors.New("remote: clock skew")
	// ErrHubPublisherRequired means a push to a host of dig.net, where a wallet publishes generations
	// instead of PUT: give [Pusher] a [Publisher] for the hub, or set ForceRoutes (remote/PROTOCOL.md
	// 9.8).
	ErrHubPublisherRequired = errors.New("remote: host requires a hub publisher")
)

// A Check names a check that an origin must pass.
type Check string

// The checks, in the order in which a clone makes them (remote/PROTOCOL.md 9.5).
const (
	CheckDescriptor Check = "descriptor" // the origin's description is well formed and consistent
	// the history has lines with roots, its numbers do not decrease, the head is last
	CheckHistory  Check = "history"
	CheckAnchor   Check = "anchor"   // the root of the anchor or Trust.Root is in the history
	CheckRollback Check = "rollback" // the head is not older than one seen before
	CheckAncestry Check = "ancestry" // the local head is in the origin's history
	// no key signed two heads of which neither history contains the other
	CheckFork Check = "fork"
	// the answer has the entity tag of the requested generation
	CheckETag       Check = "etag"
	CheckFormat     Check = "format"         // it is a complete module
	CheckStore      Check = "store"          // it is of the requested store
	CheckRoot       Check = "root"           // it embeds the requested root
	CheckContent    Check = "content"        // its chunks hash to its leaves, its leaves to its root
	CheckSize       Check = "size"           // it has the length in the descriptor
	CheckSignature  Check = "head-signature" // the head is signed by the key in the module
	CheckTombstone  Check = "tombstone"      // neither root nor store is revoked
	CheckChainState Check = "chain-state"    // the coin it embeds is this store's
	CheckPublisher  Check = "publisher"      // the key in the module is the one pinned for this store
	CheckTrust      Check = "trust"          // Trust accepts the key
	CheckLineage    Check = "lineage"        // the anchor's lineage contains an older generation
	CheckSources    Check = "sources"        // at least one of several origins passes all other checks
	// the recipe decodes, is of the requested generation, and matches its chunks
	CheckRecipe Check = "recipe"
	CheckRange  Check = "range" // the parts received are those requested
)

// A VerificationError reports which check an origin failed, what was expected and what was found.
// It matches [ErrVerification] and everything that Err matches.
type VerificationError struct {
	Check     Check
	Want, Got string // in words; may be empty
	Err       error  // the cause; may be nil
	// Evidence is the name under which a [TrustStore] keeps evidence against the origin; "": none.
	Evidence string
}

// Error returns the check, both values and the cause.
func (e *VerificationError) Error() string {
	s := "remote: check " + string(e.Check) + " failed"
	switch {
	case e.Want != "" && e.Got != "":
		s += ": want " + e.Want + ", got " + e.Got
	case e.Want != "":
		s += ": want " + e.Want
	case e.Got != "":
		s += ": " + e.Got
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Evidence != "" {
		s += " (the evidence is kept in " + e.Evidence + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *VerificationError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrVerification].
func (e *VerificationError) Is(target error) bool { return target == ErrVerification }

// A StatusError is an error status from a server, with its message. It matches by status: 401
// [request.ErrUnauthenticated], 403 [auth.ErrForbidden], 404 [fs.ErrNotExist], 409
// [ErrNonFastForward], 410 [auth.ErrRevoked], 413 [ErrTooLarge]. Other statuses match nothing.
type StatusError struct {
	Method, Path string // of the request; never the query
	Code         int    // the HTTP status
	// the server's message, at most 1 KiB, without control characters
	Message    string
	RetryAfter time.Duration // from the answer's header; 0: absent
	// Proxy is true if the body is a web page: a proxy in front of the host answered, by its own
	// limits.
	Proxy bool
}

// Error returns request, status and the server's message.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("remote: %s %s: %d %s", e.Method, e.Path, e.Code, http.StatusText(e.Code))
	if e.Proxy {
		s += ": a proxy in front of the host answered"
	} else if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Is reports whether target is the error of the status.
func (e *StatusError) Is(target error) bool {
	s := wire.StatusError(e.Code)
	return s != nil && (target == s || errors.Is(s, target))
}
