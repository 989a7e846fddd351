package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/readerat"
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
	store := from.ID()
	if _, err := to.url.WithStore(store); err != nil {
		return nil, err
	}
	publisher := p.Publisher
	if publisher == nil {
		if to.url.Hub() && !p.ForceRoutes {
			return nil, fmt.Errorf("%w: publishing to %s is a transaction of the store's wallet on chain",
				ErrHubPublisherRequired, to.url.Hostname())
		}
		publisher = putPublisher{to}
	}
	head, err := from.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("remote: read local head: %w", err)
	}
	if head.Root.IsZero() {
		return nil, fmt.Errorf("remote: push: store %s has no generation yet: %w", store, fs.ErrNotExist)
	}
	if last.IsZero() {
		last = head.Root
	}
	kept, err := localTombstones(ctx, from)
	if err != nil {
		return nil, err
	}
	tombstones := newTombstoneSet(store, kept)
	report := &PushReport{Store: store, Root: last}
	d, err := to.Describe(ctx)
	switch {
	case err == nil:
		report.Parent = d.Root
		if _, err := tombstones.add(ctx, d.Tombstones, head.PublicKey, last); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("remote: describe store %s: %w", store, err)
	}
	if err := tombstones.revoked(last); err != nil {
		return nil, err
	}
	if report.Parent == last {
		report.UpToDate = true
		return report, nil
	}
	local, err := from.Generations(ctx)
	if err != nil {
		return nil, fmt.Errorf("remote: read local history: %w", err)
	}
	end := find(local, last) + 1
	if end == 0 {
		return nil, fmt.Errorf("remote: push: the local history has no generation %s: %w",
			last, fs.ErrNotExist)
	}
	next := 0
	if !report.Parent.IsZero() {
		switch next = find(local, report.Parent) + 1; {
		case next == 0:
			return nil, fmt.Errorf("%w: the origin's head %s is not in the local history: pull first",
				ErrNonFastForward, report.Parent)
		case next > end:
			return nil, fmt.Errorf("%w: its head is %s, generation %d here; this is %s, generation %d",
				ErrSuperseded, report.Parent, local[next-1].Number, last, local[end-1].Number)
		}
	}
	parent := report.Parent
	for _, g := range local[next:end] {
		isLast := g.Root == last
		if !isLast && (p.HeadOnly || p.Pending || tombstones.revoked(g.Root) != nil) {
			continue
		}
		signed, made, err := p.signed(ctx, from, g.Root, head)
		if err == nil {
			err = p.publish(ctx, publisher, from, signed, parent, report)
		}
		if k, ok := from.(History); ok && made && err == nil {
			if err = k.KeepSigned(ctx, signed); err != nil {
				return report, fmt.Errorf("remote: %s is pushed, keep its signatures: %w", g.Root, err)
			}
		}
		switch {
		case err == nil:
			parent = g.Root
		case !isLast && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, auth.ErrUnsigned)):
			// Not held, or not signed: it never was published, and cannot be.
		default:
			if len(report.Pushed) == 0 {
				report = nil
			}
			return report, err
		}
	}
	return report, nil
}

// localTombstones returns the valid tombstones that a Local keeps; none where it keeps none.
func localTombstones(ctx context.Context, l Local) ([]auth.Tombstone, error) {
	r, ok := l.(TrustStore)
	if !ok {
		return nil, nil
	}
	kept, err := r.Tombstones(ctx, l.ID())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remote: read local tombstones: %w", err)
	}
	return kept, nil
}

// signed returns what is known of the signatures of a generation, completed by the Signer, which
// made says.
func (p *Pusher) signed(ctx context.Context, from Local, root merkle.Hash,
	head auth.SignedRoot) (r auth.SignedRoot, made bool, err error) {
	r = auth.SignedRoot{Store: from.ID(), Root: root}
	if root == head.Root {
		r = head
	} else if s, ok := from.(History); ok {
		if r, err = s.SignedRoot(ctx, root); err != nil {
			return r, false, fmt.Errorf("remote: read signature of %s: %w", root, err)
		}
	}
	if p.Signer != nil && (r.Tagged.IsZero() || r.Untagged.IsZero()) &&
		(r.PublicKey.IsZero() || r.PublicKey == p.Signer.PublicKey()) {
		r, err = auth.SignRoot(ctx, r.Store, root, p.Signer)
		return r, true, err
	}
	if r.Tagged.IsZero() && r.Untagged.IsZero() {
		return r, false, fmt.Errorf("remote: push %s: %w: the store's key is not here",
			root, auth.ErrUnsigned)
	}
	return r, false, nil
}

// publish checks one generation and hands it to the publisher.
func (p *Pusher) publish(ctx context.Context, to Publisher, from Local, signed auth.SignedRoot,
	parent merkle.Hash, report *PushReport) error {
	pending, tried, err := p.publishRecipe(ctx, to, from, signed, parent, report)
	if err != nil {
		return fmt.Errorf("remote: push %s: %w", signed.Root, err)
	}
	body, err := from.Module(ctx, signed.Root)
	if err != nil {
		return fmt.Errorf("remote: open local generation %s: %w", signed.Root, err)
	}
	defer body.Close()
	r := PublishRequest{PutRequest{Head: signed, Parent: parent, Pending: p.Pending,
		Progress: p.progressOf(signed.Root)}, body}
	if r.Size, err = body.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("remote: measure local generation %s: %w", signed.Root, err)
	}
	if !tried {
		if pending, err = p.publishModule(ctx, to, r); err != nil {
			return err
		}
		report.Sent += r.Size
	}
	report.Pushed = append(report.Pushed, signed.Root)
	report.Bytes += r.Size
	report.Pending = pending
	return nil
}

// publishModule checks a module and hands it to the publisher.
func (p *Pusher) publishModule(ctx context.Context, to Publisher,
	r PublishRequest) (pending bool, err error) {
	root := r.Head.Root
	m, err := module.Open(readerat.New(r.Module), r.Size)
	if err == nil {
		err = selfCheck(r.Head, m, func() error { return m.Verify(ctx) })
	}
	if err != nil {
		return false, fmt.Errorf("remote: local generation %s is not fit to be pushed: %w",
			root, contentError(err))
	}
	if r.Hash, err = readerat.Sum(ctx, r.Module); err != nil {
		return false, fmt.Errorf("remote: read local generation %s: %w", root, err)
	}
	pending, err = to.Publish(ctx, r)
	if err != nil {
		return false, fmt.Errorf("remote: push %s: %w", root, err)
	}
	return pending, nil
}

func (p *Pusher) progressOf(root merkle.Hash) func(done, total int64) {
	if p.Progress == nil {
		return nil
	}
	return func(done, total int64) { p.Progress(root, done, total) }
}

// selfCheck holds a local generation to what an origin will hold it to; verify is for what is in
// it.
func selfCheck(signed auth.SignedRoot, m *module.Module, verify func() error) error {
	if id := m.ID(); id.Store != signed.Store {
		return &VerificationError{Check: CheckStore, Want: signed.Store.String(), Got: id.Store.String()}
	} else if id.Root != signed.Root {
		return &VerificationError{Check: CheckRoot, Want: signed.Root.String(), Got: id.Root.String()}
	}
	if key := m.PublicKey(); key != signed.PublicKey {
		return &VerificationError{Check: CheckSignature,
			Want: "signed by the module's key " + key.String(), Got: signed.PublicKey.String()}
	}
	if err := verify(); err != nil {
		return contentError(err)
	}
	if err := signed.Check(); err != nil {
		return &VerificationError{Check: CheckSignature, Err: err}
	}
	return nil
}
