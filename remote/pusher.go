package remote

import (
	"context"
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Push publishes what an origin does not have yet: [Pusher.Push] with defaults.
func Push(ctx context.Context, to *Client, from Local) (*PushReport, error) {
	return new(Pusher).Push(ctx, to, from)
}

// A Pusher says how to push where [Push] does not fit. It may be used concurrently for different
// stores.
type Pusher struct {
	// Publisher publishes; nil: over the client, by [Client.Put].
	Publisher Publisher
	// Signer is the store's key, where it is at hand: it signs the forms that are missing. nil: only
	// what is signed already is pushed.
	Signer auth.Signer
	// Pending leaves the head where it is: the newest generation is kept there to be promoted.
	Pending bool
	// HeadOnly pushes the newest generation and skips those between the origin's head and it.
	HeadOnly bool
	// ForceRoutes pushes over the protocol's routes also where a hub is expected (remote/PROTOCOL.md
	// 9.8).
	ForceRoutes bool
	// Progress, if set, hears of the bytes that are sent for each generation: (root, 0, total) first,
	// then growing. It begins anew where the module is sent after all because the origin had no use
	// for the recipe.
	Progress func(root merkle.Hash, done, total int64)

	promotes bool // what may be pending there is its own base
}

// A PushReport says what a push did.
type PushReport struct {
	Store    auth.StoreID
	Parent   merkle.Hash   // the origin's head before; zero: it had none
	Root     merkle.Hash   // the local head, which is now there
	Pushed   []merkle.Hash // oldest first
	Bytes    int64         // of the modules pushed
	Sent     int64         // bytes that were sent for them: of modules, or of recipes and chunks
	UpToDate bool          // the origin had it already
	Pending  bool          // it is kept there and not the head yet
}

// Push publishes the local head, and before it, in order, the generations between the origin's head
// and it that are held and signed. Every generation is checked before a byte of it is sent: its
// module verifies, its signature is by the key in the module, and it is not revoked. To an origin
// that takes recipes goes, where that costs less, the recipe with the chunks that the generation
// before does not have: then the leaves give the root, and each chunk is held to its id before it
// is sent.
//
// The origin's head must stand in the local history, else the error is [ErrNonFastForward] and
// nothing is sent: pull first. Where it comes after what is pushed, the error is [ErrSuperseded]. A
// store without a generation is [fs.ErrNotExist]. A host of dig.net without a Publisher is
// [ErrHubPublisherRequired]. Report and error come together when some generations were pushed.
func (p *Pusher) Push(ctx context.Context, to *Client, from Local) (*PushReport, error) {
	return p.push(ctx, to, from, merkle.Hash{})
}

// Promote pushes a generation that was pushed with Pending before, to be the head now: only its
// recipe travels where both sides know recipes, and the generation as with Push where the origin
// does not have it any more. A zero root is the local head. Pending and HeadOnly do not count. The
// errors are those of Push; a root that the local history does not have is [fs.ErrNotExist].
func (p *Pusher) Promote(ctx context.Context, to *Client, from Local,
	root merkle.Hash) (*PushReport, error) {
	q := *p
	q.Pending, q.HeadOnly, q.promotes = false, true, true
	return q.push(ctx, to, from, root)
}

// push publishes up to last; zero: the local head.
func (p *Pusher) push(ctx context.Context, to *Client, from Local,
	last merkle.Hash) (*PushReport, error) {
	r := &pushRun{Pusher: p, to: to, from: from, report: &PushReport{Store: from.ID()}}
	if err := r.start(ctx, last); err != nil {
		return nil, err
	}
	if err := r.readOrigin(ctx); err != nil {
		return nil, err
	}
	if r.report.Parent == r.report.Root {
		r.report.UpToDate = true
		return r.report, nil
	}
	lines, err := r.newLines(ctx)
	if err != nil {
		return nil, err
	}
	err = r.publishAll(ctx, lines)
	if err != nil && len(r.report.Pushed) == 0 {
		return nil, err
	}
	return r.report, err
}
