package remote

import (
	"context"
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Push publishes what an origin lacks: [Pusher.Push] with defaults.
func Push(ctx context.Context, to *Client, from Local) (*PushReport, error) {
	return new(Pusher).Push(ctx, to, from)
}

// A Pusher pushes with settings that [Push] does not have. It may be used concurrently for
// different stores.
type Pusher struct {
	// Publisher publishes the generations. nil: [Client.Put].
	Publisher Publisher
	// Signer is the store's key. It makes the missing forms of the signatures. nil: only signed
	// generations are pushed.
	Signer auth.Signer
	// Pending leaves the origin's head unchanged: it stores the newest generation to be promoted.
	Pending bool
	// HeadOnly pushes only the newest generation, without those between the origin's head and it.
	HeadOnly bool
	// ForceRoutes uses the protocol's routes even for a host of dig.net (remote/PROTOCOL.md 9.8).
	ForceRoutes bool
	// Progress, if set, is called with the bytes sent for each generation: (root, 0, total) first,
	// then growing. It starts over when the module is sent because the origin did not accept the
	// recipe.
	Progress func(root merkle.Hash, done, total int64)

	promotes bool // a pending generation may be its own base
}

// A PushReport describes what a push did.
type PushReport struct {
	Store    auth.StoreID
	Parent   merkle.Hash   // the origin's head before; zero: none
	Root     merkle.Hash   // the root pushed
	Pushed   []merkle.Hash // oldest first
	Bytes    int64         // of the modules pushed
	Sent     int64         // bytes sent, of modules or of recipes and chunks
	UpToDate bool          // the origin's head was already Root
	Pending  bool          // the origin stored Root but has not made it the head
}

// Push publishes the local head after the generations between the origin's head and it, in order,
// that are held and signed. Before sending a generation it checks that the module verifies, that
// the key in the module signed it, and that it is not revoked. To an origin that accepts recipes
// it sends, if that costs less, the recipe and the chunks that the generation before lacks. It
// then checks that the leaves hash to the root, and the ID of each chunk it sends.
//
// The error is [ErrNonFastForward] when the origin's head is not in the local history (pull first),
// [ErrSuperseded] when it comes after the local head, [fs.ErrNotExist] when the local store has no
// generation, and [ErrHubPublisherRequired] for a host of dig.net without a Publisher; nothing is
// sent. After an error the report is not nil if some generations were pushed.
func (p *Pusher) Push(ctx context.Context, to *Client, from Local) (*PushReport, error) {
	return p.push(ctx, to, from, merkle.Hash{})
}

// Promote makes a generation that was pushed with Pending the head. It sends only the recipe if
// both sides support recipes, and everything that Push sends if the origin no longer has the
// generation. A zero root means the local head. Pending and HeadOnly are ignored. The errors are
// those of Push, and [fs.ErrNotExist] when the local history lacks root.
func (p *Pusher) Promote(ctx context.Context, to *Client, from Local,
	root merkle.Hash) (*PushReport, error) {
	q := *p
	q.Pending, q.HeadOnly, q.promotes = false, true, true
	return q.push(ctx, to, from, root)
}

// push publishes the generations up to last, or to the local head if last is zero.
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
