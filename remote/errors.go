package remote

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/dig-network/digstore/remote/internal/wire"
)

// Errors that callers branch on. Absence is [fs.ErrNotExist], presence [fs.ErrExist]; who is asking
// is [request.ErrUnauthenticated], who may not is [auth.ErrForbidden]; what its publisher has
// revoked is [auth.ErrRevoked].
var (
	// ErrBadURL is a locator that is none of the forms of remote/PROTOCOL.md 2.2.
	ErrBadURL = errors.New("remote: not a locator of a store")
	// ErrInsecure is plain HTTP to a host that is not literally loopback, or an address that the dial
	// guard refuses.
	ErrInsecure = errors.New("remote: insecure transport")
	// ErrVerification is every refusal to believe an origin. The error is a [*VerificationError] that
	// names the check; the five sentinels below say more where they apply.
	ErrVerification = wire.ErrVerification
	// ErrUntrusted is a clone without any reason to believe the origin: the [Trust] was zero, or
	// nothing in it speaks for what the origin sent.
	ErrUntrusted = errors.New("remote: origin is not trusted")
	// ErrDiverged is an origin whose history does not contain our head.
	ErrDiverged = errors.New("remote: histories have diverged")
	// ErrForked is one publisher key that signed two heads of which neither history contains the
	// other, as far as their origins tell. It is an [ErrDiverged] with both signatures at hand.
	ErrForked = fmt.Errorf("remote: one key signed two histories: %w", ErrDiverged)
	// ErrRollback is an origin that offers an older generation than one that was seen before.
	ErrRollback = errors.New("remote: origin serves an older generation than before")
	// ErrKeyChanged is a publisher key that is not the one held for this store.
	ErrKeyChanged = errors.New("remote: the publisher key has changed")
	// ErrNonFastForward is a push whose parent is not the head: pull first. It is
	// [module.ErrNotHead] seen from the network.
	ErrNonFastForward = wire.ErrNonFastForward
	// ErrSuperseded is a push of a generation that comes before the origin's head. It is an
	// [ErrNonFastForward] that pulling does not change.
	ErrSuperseded = fmt.Errorf("remote: the origin has a later generation: %w", ErrNonFastForward)
	// ErrTooLarge is a module or a body over a stated limit.
	ErrTooLarge = wire.ErrTooLarge
	// ErrProtocol is an answer that this protocol does not know: a redirect, a compressed body, a body
	// that does not decode.
	ErrProtocol = wire.ErrProtocol
	// ErrRedirect is an origin that sends requests elsewhere, and ErrEncoded one that encodes what it
	// sends (remote/PROTOCOL.md 2.3, 4.1). Both are an [ErrProtocol].
	ErrRedirect = fmt.Errorf("%w: a redirect", ErrProtocol)
	ErrEncoded  = fmt.Errorf("%w: a content encoding", ErrProtocol)
	// ErrNoChunkLengths is a resource of several chunks from a host that does not say how long they
	// are: it cannot be read from there by itself, only with its whole generation.
	ErrNoChunkLengths = errors.New(
		"remote: the host sends no chunk lengths and cannot be read by range: clone the store instead")
	// ErrNoBase is a packed recipe that is the difference from a generation whose recipe is not at
	// hand, or is written another way there. It says nothing about who packed it.
	ErrNoBase = wire.ErrNoBase
	// ErrConnection is a request or an answer that did not come through whole: no connection, one that
	// broke, or one on which too little moved.
	ErrConnection = errors.New("remote: connection failed")
	// ErrTooSlow is an answer that came more slowly than [ClientOptions] MinRate.
	ErrTooSlow = errors.New("remote: answer is too slow")
	// ErrClockSkew is a refused signature whose cause is a clock: ours and the server's are more than
	// the freshness window apart. The error says by how much.
	ErrClockSkew = errors.New("remote: clock skew")
	// ErrHubPublisherRequired is a push to a host of dig.net, where a generation is published by a
	// wallet and not by PUT: give [Pusher] a [Publisher] for the hub, or set ForceRoutes
	// (remote/PROTOCOL.md 9.8).
	ErrHubPublisherRequired = errors.New("remote: host requires a hub publisher")
)

// A Check names one of the reasons for which an origin can be refused.
type Check string

// The checks, in the order in which a clone makes them (remote/PROTOCOL.md 9.5).
const (
	CheckDescriptor Check = "descriptor" // the origin's description is well formed and consistent
	// the history has lines with roots, its numbers do not fall, the head stands last
	CheckHistory  Check = "history"
	CheckAnchor   Check = "anchor"   // the anchor (or the root given) stands in the history
	CheckRollback Check = "rollback" // the origin is not behind what was seen before
	CheckAncestry Check = "ancestry" // our head stands in the origin's history
	// no key signed two heads of which neither history contains the other
	CheckFork Check = "fork"
	// the module that comes is the generation that was asked for
	CheckETag       Check = "etag"
	CheckFormat     Check = "format"         // it is a module, whole
	CheckStore      Check = "store"          // it belongs to the store that was asked for
	CheckRoot       Check = "root"           // the root it embeds is the one that was asked for
	CheckContent    Check = "content"        // chunks give the leaves, leaves give the root
	CheckSize       Check = "size"           // it is as long as the descriptor says
	CheckSignature  Check = "head-signature" // the head is signed by the key in the module
	CheckTombstone  Check = "tombstone"      // neither root nor store is revoked
	CheckChainState Check = "chain-state"    // the coin it embeds is this store's
	CheckPublisher  Check = "publisher"      // the key in the module is the one held for this store
	CheckTrust      Check = "trust"          // something in Trust speaks for it
	CheckLineage    Check = "lineage"        // the anchor's lineage contains an older generation
	CheckSources    Check = "sources"        // of several origins, one at least passes all the others
	// the recipe decodes, is of the generation asked for, and its chunks are what it says
	CheckRecipe Check = "recipe"
	CheckRange  Check = "range" // the parts that come are those that were asked for
)

// A VerificationError says which check refused an origin, what was wanted and what was found. It
// matches [ErrVerification] and whatever Err matches.
type VerificationError struct {
	Check     Check
	Want, Got string // in words; may be empty
	Err       error  // the cause; may be nil
	// Evidence is the name under which a [TrustStore] keeps what speaks against the origin; "": it
	// keeps nothing.
	Evidence string
}

// Error names the check, both values and the cause.
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

// A StatusError is a refusal by a server, with its own words. It matches, by its status: 401
// [request.ErrUnauthenticated], 403 [auth.ErrForbidden], 404 [fs.ErrNotExist], 409
// [ErrNonFastForward], 410 [auth.ErrRevoked], 413 [ErrTooLarge]; no other status matches anything.
type StatusError struct {
	Method, Path string // of the request; never the query
	Code         int    // the HTTP status
	// what the server said, at most 1 KiB of it, control characters taken out
	Message    string
	RetryAfter time.Duration // as the server asked; 0 when it did not
	// Proxy says that the body is a web page: a proxy in front of the host answered, with limits of
	// its own.
	Proxy bool
}

// Error gives request, status and the server's words.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("remote: %s %s: %d %s", e.Method, e.Path, e.Code, http.StatusText(e.Code))
	if e.Proxy {
		s += ": a proxy in front of the host answered"
	} else if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Is reports whether target is what the status stands for.
func (e *StatusError) Is(target error) bool {
	s := wire.StatusError(e.Code)
	return s != nil && (target == s || errors.Is(s, target))
}
