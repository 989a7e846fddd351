package remotetest

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"

	"github.com/dig-network/digstore/remote"
)

// A Liar is an origin that does not tell the truth about the store of a [World], in one way.
type Liar struct {
	Name string
	Lie  string // what it does
	// Clone and Pull are how an empty local store, and one that holds the first two generations, have to refuse it,
	// both with [remote.Trust.Publisher] set to the publisher's key. The zero Refusal: what it says is true as far as
	// anybody without an anchor can know.
	Clone, Pull Refusal

	handler func(ctx context.Context, w *World) (http.Handler, error)
}

// A Refusal is an error that has to come.
type Refusal struct {
	Check remote.Check // of the [*remote.VerificationError]; "": it is not one
	Err   error        // what errors.Is has to find; nil: nothing in particular
}

// IsZero reports whether nothing is refused.
func (r Refusal) IsZero() bool { return r == Refusal{} }

// Handler is the origin as it lies about the store of w.
func (l Liar) Handler(ctx context.Context, w *World) (http.Handler, error) {
	h, err := l.handler(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("liar %s: %w", l.Name, err)
	}
	return h, nil
}

// check is a Refusal by a check, whether cloning or pulling.
func check(c remote.Check, err error) (r Refusal) { return Refusal{c, err} }

// Liars are all of them, by name. Some send without an end: give clients a [remote.ClientOptions.MaxModule] of a few
// MiB. Some fall silent: use testing/synctest, or patience.
func Liars() []Liar {
	both := func(name, lie string, r Refusal, h func(context.Context, *World) (http.Handler, error)) Liar {
		return Liar{Name: name, Lie: lie, Clone: r, Pull: r, handler: h}
	}
	return []Liar{
		// Modules that are not what was asked for.
		both("wrong-id", "the module says that it belongs to another store",
			check(remote.CheckStore, nil), doctored(otherID)),
		both("other-store", "the module is that of another store, under our root",
			check(remote.CheckStore, nil), swapped(foreign)),
		both("wrong-root", "the module is an older generation, under the tag of the head",
			check(remote.CheckRoot, nil), swapped(older)),
		both("wrong-etag", "the module's tag names another generation",
			check(remote.CheckETag, nil), edited("/module", otherTag)),
		both("no-etag", "the module has no tag",
			check(remote.CheckETag, nil), edited("/module", noTag)),
		both("corrupt-chunk", "one bit of a chunk is turned over",
			check(remote.CheckContent, nil), doctored(flipChunk)),
		both("corrupt-leaf", "one bit of the list of leaves is turned over",
			check(remote.CheckContent, nil), doctored(flipLeaf)),
		both("truncated", "the module is cut, and announced as long as it is",
			check(remote.CheckFormat, nil), swapped(half)),
		both("not-a-module", "there are other bytes in place of the module",
			check(remote.CheckFormat, nil), swapped(noise)),

		// Signatures and keys.
		both("repackaged", "the module carries the attacker's key, who signed the head",
			check(remote.CheckPublisher, remote.ErrKeyChanged), repackaged),
		both("unsigned-repackaged", "the module carries the attacker's key, under the publisher's signature",
			check(remote.CheckSignature, nil), repackagedUnderTrueHead),
		both("forged-signature", "the head's signature is that of another root",
			check(remote.CheckSignature, nil), signedAs(1)),
		both("stripped-signature", "the head has no signature",
			check(remote.CheckSignature, nil), signedAs(-1)),

		// Histories.
		{Name: "stale-head", Lie: "the newest generations are kept back",
			Pull: check(remote.CheckRollback, remote.ErrRollback), handler: firstGenerations(1)},
		both("rolled-back", "the history is whole, and the head is said to be its first line",
			check(remote.CheckHistory, nil), rolledBack),
		{Name: "forked", Lie: "after the first generation the publisher's own history goes another way",
			Pull: check(remote.CheckFork, remote.ErrForked), handler: forked},
		both("gap-in-history", "a line of the history is left out",
			check(remote.CheckHistory, nil), history(withoutSecond)),
		both("repeated-root", "a root stands in the history twice",
			check(remote.CheckHistory, nil), history(withTwice)),

		// What is revoked.
		both("revoked-root", "the head is served although it is revoked",
			check(remote.CheckTombstone, remote.ErrRevoked), revoking(false)),
		both("revoked-store", "the store is served although it is revoked",
			check(remote.CheckTombstone, remote.ErrRevoked), revoking(true)),
		// Whoever is not the publisher revokes nothing.
		both("forged-tombstone", "the attacker has revoked the head and the store", Refusal{}, revokedByAttacker),

		// Transport.
		both("lying-size", "the descriptor announces a longer module",
			check(remote.CheckSize, nil), edited("", sized(longer))),
		both("endless", "the module does not end",
			check(remote.CheckSize, nil), answering("/module", endless)),
		both("oversized", "the module does not end, and is announced as 1 TiB",
			Refusal{Err: remote.ErrTooLarge}, oversized),
		both("redirecting", "every request is sent elsewhere",
			Refusal{Err: remote.ErrProtocol}, answering("", redirect)),
		both("not-modified", "the module has not changed since nobody asked",
			Refusal{Err: remote.ErrProtocol}, answering("/module", notModified)),
		both("endless-descriptor", "the descriptor does not end",
			Refusal{Err: remote.ErrTooLarge}, answering("", endlessDescriptor)),
		both("compressed", "the module comes with a content encoding",
			Refusal{Err: remote.ErrProtocol}, answering("/module", compressed)),
		both("no-json", "the descriptor is not one",
			Refusal{Err: remote.ErrProtocol}, answering("", gibberish)),
		both("silent", "the module stops in the middle, and nothing more comes",
			Refusal{Err: os.ErrDeadlineExceeded}, answering("/module", silent)),
		both("empty-handed", "the head is announced, and its module is not there",
			Refusal{Err: fs.ErrNotExist}, answering("/module", absent)),
	}
}
