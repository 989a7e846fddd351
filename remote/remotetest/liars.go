package remotetest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/remote"
)

// A Liar is an origin that serves the store of a [World] with one falsehood.
type Liar struct {
	Name string
	Lie  string // the falsehood, in words
	// Clone and Pull are the refusals by an empty local store, and by one that holds the first two
	// generations, with [remote.Trust.Publisher] set to the publisher's key. The zero Refusal means
	// success: the falsehood cannot be detected without an anchor, or is not requested.
	Clone, Pull Refusal
	// Whole is the refusal of a pull by a local store that is no [remote.Assembler]. nil: the same
	// as Pull.
	Whole *Refusal
	// Needs describes the state of the local store in which the falsehood matters, which Prepare
	// sets up. "": any.
	Needs string

	handler func(ctx context.Context, w *World) (http.Handler, error)
	before  func(ctx context.Context, w *World, l remote.Local) (bool, error) // nil: nothing
}

// Prepare sets up the state of Needs in a local store that is empty or holds the first two
// generations: a tombstone, for example, or part of a module. ok is false if the store does not
// support that state; then this liar does not apply.
func (l Liar) Prepare(ctx context.Context, w *World, local remote.Local) (ok bool, err error) {
	if l.before == nil {
		return true, nil
	}
	if ok, err = l.before(ctx, w, local); err != nil {
		return false, fmt.Errorf("prepare for liar %s: %w", l.Name, err)
	}
	return ok, nil
}

// A Refusal describes a required error.
type Refusal struct {
	Check remote.Check // of the [*remote.VerificationError]; "": another error
	Err   error        // must match by errors.Is; nil: no requirement
	// a required part of the error's text, if Check and Err are not specific
	Says string
}

// String returns the check, or the error, for tables of liars.
func (r Refusal) String() string {
	switch {
	case r.IsZero():
		return "-"
	case r.Check != "":
		return "check " + string(r.Check)
	case r.Says != "":
		return r.Says
	}
	return strings.TrimPrefix(r.Err.Error(), "remote: ")
}

// IsZero reports whether no error is required.
func (r Refusal) IsZero() bool { return r == Refusal{} }

// Handler returns the origin for the store of w.
func (l Liar) Handler(ctx context.Context, w *World) (http.Handler, error) {
	h, err := l.handler(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("liar %s: %w", l.Name, err)
	}
	return h, nil
}

// check returns a Refusal by a check.
func check(c remote.Check, err error) Refusal { return Refusal{Check: c, Err: err} }

// protocol returns a Refusal by ErrProtocol with the given text.
func protocol(rule string) Refusal { return Refusal{Err: remote.ErrProtocol, Says: rule} }

// Liars returns all liars, by name. Some send endless bodies: set [remote.ClientOptions.MaxModule]
// of clients to a few MiB. Some stop sending: use testing/synctest to avoid waiting for timeouts.
func Liars() []Liar {
	var all []Liar
	for _, some := range [][]Liar{moduleLiars(), keyLiars(), historyLiars(), tombstoneLiars(),
		wireLiars(), jsonLiars(),
		rangeLiars(), recipeLiars()} {
		all = append(all, some...)
	}
	return all
}

// UnsignedLiars returns origins whose head has no signature of the publisher. Their refusals apply
// to a Trust with only [remote.Trust.Root], set to the root of the head. If the head is accepted,
// no key may be pinned and no tombstone stored. For a Trust without Root or Anchor see
// "stripped-signature" of Liars.
func UnsignedLiars() []Liar {
	changed := check(remote.CheckPublisher, remote.ErrKeyChanged)
	return []Liar{
		lies("unsigned", "the head has no signature, and is the publisher's", Refusal{}, signedAs(-1)),
		{Name: "unsigned-other-key", Lie: "the head has no signature, and its module carries the attacker's key",
			Pull: changed, handler: unsigned(false)},
		{Name: "unsigned-other-descriptor", Lie: "the head has no signature, and the descriptor names the attacker's key",
			Pull: changed, handler: unsignedDescriptor},
		{Name: "unsigned-tombstones", Lie: "the same, and that key has revoked the head and the store",
			Pull: changed, handler: unsigned(true)},
		{Name: "unsigned-revoked", Lie: "the head has no signature, and the publisher has revoked it",
			Pull: check(remote.CheckTombstone, auth.ErrRevoked), handler: unsignedRevoked},
		lies("unsigned-wrong", "the head's signature is that of another root",
			check(remote.CheckSignature, nil), signedAs(1)),
	}
}

// lies returns a liar with the same refusal for clone and pull.
func lies(name, lie string, r Refusal, h origin) Liar {
	return Liar{Name: name, Lie: lie, Clone: r, Pull: r, handler: h}
}

// pulled returns a liar that matters only to a local store that holds a generation.
func pulled(name, lie string, r Refusal, h origin) Liar {
	return Liar{Name: name, Lie: lie, Pull: r, Whole: &Refusal{}, handler: h}
}

// moduleLiars serve false modules.
func moduleLiars() []Liar {
	return []Liar{
		lies("wrong-id", "the module says that it belongs to another store",
			check(remote.CheckStore, nil), doctored(otherID)),
		lies("other-store", "the module is that of another store, under our root",
			check(remote.CheckStore, nil), swapped(foreign)),
		lies("wrong-root", "the module is an older generation, under the tag of the head",
			check(remote.CheckRoot, nil), swapped(older)),
		lies("wrong-etag", "the module's tag names another generation",
			check(remote.CheckETag, nil), edited("/module", otherTag)),
		lies("no-etag", "the module has no tag",
			check(remote.CheckETag, nil), edited("/module", noTag)),
		lies("other-coin", "the module embeds the coin of another store",
			check(remote.CheckChainState, nil), otherCoin),
		lies("corrupt-chunk", "one bit of a chunk is turned over",
			check(remote.CheckContent, nil), doctored(flipChunk)),
		lies("corrupt-leaf", "one bit of the list of leaves is turned over",
			check(remote.CheckContent, nil), doctored(flipLeaf)),
		lies("truncated", "the module is cut, and announced as long as it is",
			check(remote.CheckFormat, nil), swapped(half)),
		lies("grown", "a byte stands behind the module's end, and is announced",
			check(remote.CheckFormat, nil), grown),
		lies("not-a-module", "there are other bytes in place of the module",
			check(remote.CheckFormat, nil), swapped(noise)),
	}
}

// keyLiars serve false signatures and keys.
func keyLiars() []Liar {
	return []Liar{
		lies("repackaged", "the module carries the attacker's key, who signed the head",
			check(remote.CheckPublisher, remote.ErrKeyChanged), repackaged),
		lies("unsigned-repackaged", "the module carries the attacker's key, under the publisher's signature",
			check(remote.CheckSignature, nil), repackagedUnderTrueHead),
		lies("other-signer", "the head is signed by the attacker, the module is the publisher's",
			check(remote.CheckPublisher, remote.ErrKeyChanged), signedByAttacker),
		lies("forged-signature", "the head's signature is that of another root",
			check(remote.CheckSignature, nil), signedAs(1)),
		lies("stripped-signature", "the head has no signature",
			check(remote.CheckSignature, nil), signedAs(-1)),
		lies("no-key", "the head's key is the point at infinity",
			check(remote.CheckSignature, nil), infinite),
	}
}

// historyLiars serve false histories.
func historyLiars() []Liar {
	return []Liar{
		{Name: "stale-head", Lie: "the newest generations are kept back",
			Pull: check(remote.CheckRollback, remote.ErrRollback), handler: firstGenerations(1)},
		{Name: "frozen", Lie: "the head is the one that was there last time, and will be",
			handler: firstGenerations(2)},
		lies("lost-and-stale", "the newest generation is kept back from who has seen it and lost it",
			check(remote.CheckRollback, remote.ErrRollback), firstGenerations(2)).after("it has seen the head, and lost it", pinned),
		lies("rolled-back", "the history is whole, and the head is said to be its first line",
			check(remote.CheckHistory, nil), rolledBack),
		{Name: "forked", Lie: "after the first generation the publisher's own history goes another way",
			Pull: check(remote.CheckFork, remote.ErrForked), handler: forked},
		{Name: "gap-in-history", Lie: "a line of the history is left out",
			Pull: check(remote.CheckFork, remote.ErrForked), handler: history(withoutSecond)},
		lies("numbered-from-one", "the history does not begin at 0",
			Refusal{}, history(fromOne)),
		lies("swapped-lines", "two lines of the history stand in each other's place",
			check(remote.CheckHistory, nil), history(exchanged)),
		lies("zero-line", "a line of the history has no root",
			check(remote.CheckHistory, nil), history(withZero)),
		lies("repeated-root", "a root stands in the history twice",
			Refusal{}, history(withTwice)),
		lies("repeated-line", "the last line of the history stands there twice",
			Refusal{}, history(func(g []module.Generation) []module.Generation { return append(g, g[len(g)-1]) })),
		{Name: "reverted", Lie: "the first generation is the head again, under its old signature",
			Pull: check(remote.CheckRollback, remote.ErrRollback), handler: reverted},
		lies("empty-history", "there is a head and no history",
			check(remote.CheckHistory, nil), history(func([]module.Generation) []module.Generation { return nil })),
		lies("never-agrees", "descriptor and history name two heads, whenever they are read",
			check(remote.CheckHistory, nil), history(func(g []module.Generation) []module.Generation { return g[:len(g)-1] })),
	}
}

// tombstoneLiars serve revoked content, or false tombstones. Only the publisher can revoke.
func tombstoneLiars() []Liar {
	return []Liar{
		lies("revoked-root", "the head is served although it is revoked",
			check(remote.CheckTombstone, auth.ErrRevoked), revoking(false)),
		lies("revoked-store", "the store is served although it is revoked",
			check(remote.CheckTombstone, auth.ErrRevoked), revoking(true)),
		lies("stripped-tombstones", "the store's tombstone, which was seen elsewhere, is left out",
			check(remote.CheckTombstone, auth.ErrRevoked), firstGenerations(Generations)).after("it has seen the store revoked", knowing),
		lies("forged-tombstone", "the attacker has revoked the head and the store", Refusal{}, revokedByAttacker),
		lies("flooding", "the descriptor has more tombstones than are looked at, of nobody", Refusal{}, flooding),
		lies("foreign-tombstone", "the publisher has revoked another store", Refusal{}, edited("", otherTombstone)),
		lies("malformed-tombstones", "there is no sense in any tombstone", Refusal{},
			edited("", replacing(`"tombstones":[`, `"tombstones":[{"record":"00","signature":""},{}`))),
	}
}

// wireLiars violate the protocol, the announced lengths or the limits.
func wireLiars() []Liar {
	size := check(remote.CheckSize, nil)
	return []Liar{
		lies("lying-size", "the descriptor announces a longer module",
			check(remote.CheckSize, nil), edited("", sized(longer))),
		lies("lying-size-short", "the descriptor announces a shorter module",
			check(remote.CheckSize, nil), edited("", sized(shorter))),
		{Name: "short-length", Lie: "the module, or its recipe, is announced and sent without its last byte",
			Clone: check(remote.CheckSize, nil), Pull: check(remote.CheckRecipe, nil), Whole: &size, handler: edited("/module", cut)},
		lies("long-length", "more is announced than is sent, again and again",
			Refusal{Err: io.ErrUnexpectedEOF}, answering("/module", short)),
		lies("endless", "the module does not end",
			check(remote.CheckSize, nil), answering("/module", endless)),
		lies("oversized", "the module does not end, and is announced as 1 TiB",
			Refusal{Err: remote.ErrTooLarge}, oversized),
		lies("redirecting", "every request is sent to another host",
			Refusal{Err: remote.ErrRedirect}, answering("", redirect)),
		lies("redirecting-home", "requests for the module are sent to the client's own machine",
			Refusal{Err: remote.ErrRedirect}, elsewhere("/module", "http://127.0.0.1:9")),
		lies("redirecting-here", "requests for the history are sent elsewhere on the same host",
			Refusal{Err: remote.ErrRedirect}, elsewhere("/roots", "")),
		lies("not-modified", "the module has not changed since nobody asked",
			protocol("status 304"), answering("/module", notModified)),
		lies("partial", "the module comes as a part of itself, which nobody asked for",
			protocol("206 Partial Content"), answering("/module", partial)),
		lies("no-content", "there is a module, and no content in it",
			protocol("204 No Content"), answering("/module", noContent)),
		lies("compressed", "the module comes with a content encoding",
			Refusal{Err: remote.ErrEncoded}, answering("/module", compressed)),
		lies("gzip-bomb", "the descriptor is 64 KiB that unpack to 64 MiB",
			Refusal{Err: remote.ErrEncoded}, answering("", gzipBomb)),
		lies("hidden-gzip", "the descriptor is packed, and does not say so",
			protocol("looking for beginning of value"), answering("", hidden)),
		lies("silent", "the module stops in the middle, and nothing more comes",
			Refusal{Err: os.ErrDeadlineExceeded, Says: "fewer than 1024 bytes a second"}, answering("/module", silent)),
		lies("slow", "the module comes at a byte every ten seconds",
			Refusal{Err: os.ErrDeadlineExceeded, Says: "fewer than 1024 bytes a second"}, crawling("/module")),
		lies("slow-descriptor", "the descriptor comes at a byte every ten seconds",
			Refusal{Err: os.ErrDeadlineExceeded, Says: "fewer than 1024 bytes a second"}, crawling("")),
		lies("empty-handed", "the head is announced, and its module is not there",
			Refusal{Err: fs.ErrNotExist}, answering("/module", absent)),
		lies("endless-refusal", "that there is no such store is said without an end",
			Refusal{Err: fs.ErrNotExist}, answering("", endlessRefusal)),
		lies("other-clock", "every request is out of date, by a clock of 1991",
			Refusal{Err: remote.ErrClockSkew}, answering("", otherClock)),
	}
}

// jsonLiars serve invalid JSON as descriptor or history.
func jsonLiars() []Liar {
	return []Liar{
		lies("no-json", "the descriptor is not one", protocol("unexpected end of JSON input"), answering("", gibberish)),
		lies("web-page", "the descriptor is a web page", protocol("looking for beginning of value"), answering("", saying("<!doctype html><title>404</title>"))),
		lies("duplicate-root", "the descriptor names two heads", protocol("duplicate name in an object"), edited("", secondRoot)),
		lies("duplicate-line", "a line of the history has two roots", protocol("duplicate name in an object"), edited("/roots", secondLine)),
		lies("deep-json", "the descriptor is a million arrays in one another", protocol("nested deeper than 32"), answering("", deep)),
		lies("huge-size", "the module's length has four hundred digits", protocol("cannot unmarshal number"),
			edited("", replacing(`"size":`, `"size":1`+strings.Repeat("0", 400)))),
		lies("fractional-size", "the module's length is 1e3", protocol("cannot unmarshal number"), answering("", fractional)),
		lies("negative-size", "the module's length is below zero", protocol("is negative"), edited("", replacing(`"size":`, `"size":-`))),
		lies("huge-number", "a generation has a number of 40 digits", protocol("cannot unmarshal number"),
			edited("/roots", replacing(`"generation":1`, `"generation":1`+strings.Repeat("0", 40)))),
		lies("negative-number", "a generation has a number below zero", protocol("cannot unmarshal number"),
			edited("/roots", replacing(`"generation":1`, `"generation":-1`))),
		lies("zero-head", "the head is all zeros", protocol("current_root is all zeros"), answering("", saying(`{"current_root":"`+strings.Repeat("0", 64)+`"}`))),
		lies("trailing-json", "something follows the descriptor", protocol("after top-level value"), edited("", func(_ http.Header, b []byte) []byte { return append(b, b...) })),
		lies("endless-descriptor", "the descriptor does not end",
			Refusal{Err: remote.ErrTooLarge}, answering("", endlessDescriptor)),
		lies("endless-history", "the history does not end",
			Refusal{Err: remote.ErrTooLarge}, answering("/roots", endlessRoots)),
	}
}

// rangeLiars serve false parts of modules to a store that holds the first half.
func rangeLiars() []Liar {
	return []Liar{
		lies("part-of-another", "the rest is that of another generation, under its tag",
			check(remote.CheckETag, nil), ranged(otherObject)).after("it holds the first half of the module", broken),
		lies("other-part", "the rest begins elsewhere",
			check(remote.CheckRange, nil), ranged(otherRange)).after("it holds the first half of the module", broken),
		lies("part-of-longer", "the rest is that of a longer module",
			check(remote.CheckSize, nil), ranged(otherTotal)).after("it holds the first half of the module", broken),
		// A second download, of the whole module, succeeds.
		lies("part-of-noise", "the rest is zeros", Refusal{}, ranged(otherBytes)).after("it holds the first half of the module", broken),
	}
}

// recipeLiars serve false recipes and chunks.
func recipeLiars() []Liar {
	recipe := check(remote.CheckRecipe, nil)
	return []Liar{
		pulled("recipe-of-older", "the recipe is that of an older generation", check(remote.CheckRoot, nil), recipes(olderRecipe)),
		pulled("recipe-of-another", "the recipe is that of another store", check(remote.CheckStore, nil), recipes(foreignRecipe)),
		pulled("recipe-repackaged", "the recipe carries the attacker's key", check(remote.CheckSignature, nil), recipes(rekeyedRecipe)),
		pulled("recipe-wrong-chunk", "the recipe names chunks that the module does not have", recipe, recipes(wrongChunk)),
		pulled("recipe-truncated", "the recipe is cut", recipe, packed(truncatedRecipe)),
		pulled("recipe-garbage", "the recipe is none", recipe, packed(garbageRecipe)),
		pulled("recipe-bomb", "the recipe unpacks to 1 GiB", recipe, packed(bombRecipe)),
		pulled("recipe-short", "the recipe unpacks to more than it announces", recipe, packed(sizedRecipe(100))),
		pulled("recipe-huge", "the recipe announces 4 GiB", recipe, packed(sizedRecipe(1<<32-1))),
		pulled("recipe-baseless", "the recipe builds on a generation that was not offered", recipe, packed(baseless)),
		pulled("recipe-endless", "the recipe does not end, and the module comes whole", Refusal{}, endlessRecipe),
		pulled("chunk-wrong-bytes", "a chunk is not what the recipe calls it", recipe, chunked(wrongBytes)),
		pulled("chunk-of-another", "the chunks are those of another generation, under its tag", check(remote.CheckETag, nil), chunked(chunkTag)),
		pulled("chunk-elsewhere", "the chunks are said to stand elsewhere", check(remote.CheckRange, nil), chunked(shifted)),
		pulled("chunk-short", "a chunk is cut", check(remote.CheckRange, nil), chunked(shortened)),
		pulled("chunk-beyond", "the chunks are said to lie behind the module's end", check(remote.CheckRange, nil), chunked(unsatisfied)),
	}
}

// after returns l with Needs and the function that sets it up.
func (l Liar) after(needs string,
	before func(context.Context, *World, remote.Local) (bool, error)) Liar {
	l.Needs, l.before = needs, before
	return l
}
