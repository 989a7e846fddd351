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

// A pushRun is one call of [Pusher.Push] or [Pusher.Promote].
type pushRun struct {
	*Pusher
	to         *Client
	from       Local
	head       auth.SignedRoot // the local one
	tombstones *tombstoneSet   // of both sides
	report     *PushReport
}

// start checks the arguments, and reads the local head and tombstones. last is the root that the
// origin's head is to be; zero: the local head.
func (r *pushRun) start(ctx context.Context, last merkle.Hash) error {
	store := r.from.ID()
	if _, err := r.to.url.WithStore(store); err != nil {
		return err
	}
	if r.Publisher == nil && r.to.url.Hub() && !r.ForceRoutes {
		return fmt.Errorf("%w: publishing to %s is a transaction of the store's wallet on chain",
			ErrHubPublisherRequired, r.to.url.Hostname())
	}
	var err error
	if r.head, err = r.from.Head(ctx); err != nil {
		return fmt.Errorf("remote: read local head: %w", err)
	}
	if r.head.Root.IsZero() {
		return fmt.Errorf("remote: push: store %s has no generation yet: %w", store, fs.ErrNotExist)
	}
	if r.report.Root = last; last.IsZero() {
		r.report.Root = r.head.Root
	}
	kept, err := localTombstones(ctx, r.from)
	if err != nil {
		return err
	}
	r.tombstones = newTombstoneSet(store, kept)
	return nil
}

// readOrigin reads the origin's head and tombstones. An origin may not have the store yet.
func (r *pushRun) readOrigin(ctx context.Context) error {
	d, err := r.to.Describe(ctx)
	switch {
	case err == nil:
		r.report.Parent = d.Root
		_, err := r.tombstones.add(ctx, d.Tombstones, r.head.PublicKey, r.report.Root)
		if err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("remote: describe store %s: %w", r.report.Store, err)
	}
	return r.tombstones.revoked(r.report.Root)
}

// newLines returns the local lines after the origin's head, up to the root to push.
func (r *pushRun) newLines(ctx context.Context) ([]module.Generation, error) {
	parent, last := r.report.Parent, r.report.Root
	local, err := r.from.Generations(ctx)
	if err != nil {
		return nil, fmt.Errorf("remote: read local history: %w", err)
	}
	end := find(local, last) + 1
	if end == 0 {
		return nil, fmt.Errorf("remote: push: the local history has no generation %s: %w",
			last, fs.ErrNotExist)
	}
	if parent.IsZero() {
		return local[:end], nil
	}
	next := find(local, parent) + 1
	if next == 0 {
		return nil, fmt.Errorf("%w: the origin's head %s is not in the local history: pull first",
			ErrNonFastForward, parent)
	}
	if next > end {
		return nil, fmt.Errorf("%w: its head is %s, generation %d here; this is %s, generation %d",
			ErrSuperseded, parent, local[next-1].Number, last, local[end-1].Number)
	}
	return local[next:end], nil
}

// publishAll publishes the generations of lines in order. It skips those before the last that are
// not wanted, not held or not signed.
func (r *pushRun) publishAll(ctx context.Context, lines []module.Generation) error {
	parent := r.report.Parent
	for _, g := range lines {
		isLast := g.Root == r.report.Root
		if !isLast && (r.HeadOnly || r.Pending || r.tombstones.revoked(g.Root) != nil) {
			continue
		}
		signed, made, err := r.signed(ctx, g.Root)
		if err == nil {
			err = r.publish(ctx, signed, parent)
		}
		switch {
		case err == nil && made:
			if err := r.keepSigned(ctx, signed); err != nil {
				return err
			}
			parent = g.Root
		case err == nil:
			parent = g.Root
		case !isLast && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, auth.ErrUnsigned)):
			// Not held, or not signed: it was never published, and cannot be.
		default:
			return err
		}
	}
	return nil
}

// keepSigned stores new signatures of a generation in the Local.
func (r *pushRun) keepSigned(ctx context.Context, signed auth.SignedRoot) error {
	h, ok := r.from.(History)
	if !ok {
		return nil
	}
	if err := h.KeepSigned(ctx, signed); err != nil {
		return fmt.Errorf("remote: %s is pushed, keep its signatures: %w", signed.Root, err)
	}
	return nil
}

// signed returns the known signatures of a generation. The Signer, if there is one, makes those
// that are missing; then made is true.
func (r *pushRun) signed(ctx context.Context,
	root merkle.Hash) (signed auth.SignedRoot, made bool, err error) {
	signed = auth.SignedRoot{Store: r.from.ID(), Root: root}
	if root == r.head.Root {
		signed = r.head
	} else if h, ok := r.from.(History); ok {
		if signed, err = h.SignedRoot(ctx, root); err != nil {
			return signed, false, fmt.Errorf("remote: read signature of %s: %w", root, err)
		}
	}
	if r.Signer != nil && (signed.Tagged.IsZero() || signed.Untagged.IsZero()) &&
		(signed.PublicKey.IsZero() || signed.PublicKey == r.Signer.PublicKey()) {
		signed, err = auth.SignRoot(ctx, signed.Store, root, r.Signer)
		return signed, true, err
	}
	if signed.Tagged.IsZero() && signed.Untagged.IsZero() {
		return signed, false, fmt.Errorf("remote: push %s: %w: the store's key is not here",
			root, auth.ErrUnsigned)
	}
	return signed, false, nil
}

// publish verifies and sends one generation: its recipe, or its module.
func (r *pushRun) publish(ctx context.Context, signed auth.SignedRoot, parent merkle.Hash) error {
	pending, tried, err := r.publishRecipe(ctx, signed, parent)
	if err != nil {
		return fmt.Errorf("remote: push %s: %w", signed.Root, err)
	}
	body, err := r.from.Module(ctx, signed.Root)
	if err != nil {
		return fmt.Errorf("remote: open local generation %s: %w", signed.Root, err)
	}
	defer body.Close()
	put := r.putRequest(signed, parent)
	if put.Size, err = body.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("remote: measure local generation %s: %w", signed.Root, err)
	}
	if !tried {
		if pending, err = r.publishModule(ctx, put, body); err != nil {
			return err
		}
		r.report.Sent += put.Size
	}
	r.report.Pushed = append(r.report.Pushed, signed.Root)
	r.report.Bytes += put.Size
	r.report.Pending = pending
	return nil
}

// putRequest returns the request for a generation, without size and hash.
func (r *pushRun) putRequest(signed auth.SignedRoot, parent merkle.Hash) PutRequest {
	p := PutRequest{Head: signed, Parent: parent, Pending: r.Pending}
	if r.Progress != nil {
		p.Progress = func(done, total int64) { r.Progress(signed.Root, done, total) }
	}
	return p
}

// publishModule verifies a module and sends it.
func (r *pushRun) publishModule(ctx context.Context, p PutRequest,
	body io.ReadSeeker) (pending bool, err error) {
	root := p.Head.Root
	m, err := module.Open(readerat.New(body), p.Size)
	if err == nil {
		err = checkLocal(p.Head, m, func() error { return m.Verify(ctx) })
	}
	if err != nil {
		return false, fmt.Errorf("remote: local generation %s: verification failed: %w",
			root, contentError(err))
	}
	if p.Hash, err = readerat.Sum(ctx, body); err != nil {
		return false, fmt.Errorf("remote: read local generation %s: %w", root, err)
	}
	if r.Publisher != nil {
		pending, err = r.Publisher.Publish(ctx, p, body)
	} else {
		pending, err = r.to.Put(ctx, p, body)
	}
	if err != nil {
		return false, fmt.Errorf("remote: push %s: %w", root, err)
	}
	return pending, nil
}

// checkLocal makes the checks of a local generation that an origin will make. verify checks the
// content of m.
func checkLocal(signed auth.SignedRoot, m *module.Module, verify func() error) error {
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
