package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

// state is the state of a datastore at the time of a push.
type state struct {
	head    *storage.Generation // nil: none
	meta    storage.Meta        // of head
	tracked bool
}

// look returns the state of a datastore.
func (m *Manager) look(ctx context.Context, store auth.StoreID) (state, error) {
	st := state{tracked: m.opt.Tracked(store)}
	head, err := m.opt.Storage.Generation(ctx, store, merkle.Hash{})
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return st, err
	}
	st.head = head
	if len(head.Meta) > 0 {
		if st.meta, err = storage.DecodeMeta(head.Meta); err != nil {
			return st, fmt.Errorf("head of store %v: %w", store, err)
		}
	}
	if !st.meta.Signature.IsZero() {
		st.tracked = true
	}
	return st, nil
}

// authorize applies the rules about statements and credentials. It sets the writer if the statement
// has none.
func (m *Manager) authorize(ctx context.Context, p *Push, st state) error {
	if p.Signed {
		if err := m.checkStatement(ctx, p, st); err != nil {
			return err
		}
	} else if st.tracked {
		return fmt.Errorf("push to tracked store %v: %w: found no root statement",
			p.Manifest.Store, ErrNotWriter)
	}
	credential := p.By.Name != ""
	if !st.tracked && !credential {
		return fmt.Errorf("push to store %v, which is not tracked: %w", p.Manifest.Store,
			ErrUnauthorized)
	}
	if st.tracked && !credential && p.Identity.IsZero() {
		return fmt.Errorf("push to tracked store %v: %w: found no credential and no identity",
			p.Manifest.Store, ErrUnauthorized)
	}
	if credential && !p.By.allows(p.Manifest.Store, p.Handle) {
		return fmt.Errorf("push to store %v: credential %q: %w", p.Manifest.Store, p.By.Name,
			auth.ErrForbidden)
	}
	other := st.head != nil && st.meta.Unattested && st.meta.Credential != p.By.Name
	if other && !p.Signed && !p.By.Owner {
		return fmt.Errorf("push to store %v, which is kept for another credential: %w",
			p.Manifest.Store, auth.ErrForbidden)
	}
	return nil
}

// checkStatement verifies the root statement of a push and that its key may write.
func (m *Manager) checkStatement(ctx context.Context, p *Push, st state) error {
	writer, err := m.writer(ctx, p, st)
	if err != nil {
		return err
	}
	p.Manifest.Writer = writer
	s := capsule.RootStatement{Store: p.Manifest.Store, Root: p.Manifest.Root,
		Capsules: uint32(len(p.Manifest.Capsules)), Generation: p.Manifest.Generation,
		Writer: writer, Signature: p.Manifest.Signature}
	if err := s.Check(); err != nil {
		return fmt.Errorf("root statement: %w: %w", auth.ErrSignature, err)
	}
	return m.mayWrite(ctx, p.Manifest.Store, writer, st)
}

// writer returns the key with which a statement is verified.
func (m *Manager) writer(ctx context.Context, p *Push, st state) (auth.PublicKey, error) {
	if !p.Manifest.Writer.IsZero() {
		return p.Manifest.Writer, nil
	}
	if m.opt.Access != nil {
		key, err := m.opt.Access.Owner(ctx, p.Manifest.Store)
		if err == nil {
			return key, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return key, fmt.Errorf("owner of store %v: %w: %w", p.Manifest.Store, ErrUnavailable,
				err)
		}
	}
	if !st.meta.Writer.IsZero() {
		return st.meta.Writer, nil
	}
	return auth.PublicKey{}, fmt.Errorf("root statement without a writer, store %v: %w",
		p.Manifest.Store, ErrUnknownWriter)
}

// mayWrite returns nil if a key may write the datastore. The signature was verified.
func (m *Manager) mayWrite(
	ctx context.Context, store auth.StoreID, key auth.PublicKey, st state,
) error {
	if m.opt.Access != nil {
		err := m.opt.Access.MayWrite(ctx, store, key)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, auth.ErrForbidden):
			return fmt.Errorf("key %v, store %v: %w", key, store, ErrNotWriter)
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("writers of store %v: %w: %w", store, ErrUnavailable, err)
		}
	}
	if pinned := st.meta.Writer; !pinned.IsZero() && pinned != key {
		return fmt.Errorf("key %v, store %v is held under another key: %w", key, store,
			ErrNotWriter)
	}
	return nil
}

// allows reports whether a credential may push a datastore.
func (c Credential) allows(store auth.StoreID, handle string) bool {
	if len(c.Stores) == 0 {
		return true
	}
	for _, pattern := range c.Stores {
		pattern = strings.ToLower(pattern)
		for _, name := range []string{store.String(), strings.ToLower(handle)} {
			if ok, err := path.Match(pattern, name); err == nil && ok && name != "" {
				return true
			}
		}
	}
	return false
}

// order returns nil if the generation may become the head. done says that it is the head already.
// order sets the number of a push without a statement.
func (m *Manager) order(p *Push, st state) (done bool, err error) {
	man := p.Manifest
	if st.head == nil {
		if !man.Parent.IsZero() {
			return false, fmt.Errorf("push to store %v: %w: expected parent %v, found no head",
				man.Store, ErrConflict, man.Parent)
		}
		return false, nil
	}
	head := st.head.Manifest
	if man.Root == head.Root && (!p.Signed || man.Generation == st.meta.Generation) {
		return p.Signed == !st.meta.Signature.IsZero(), nil
	}
	if !man.Parent.IsZero() && man.Parent != head.Root {
		return false, fmt.Errorf("push to store %v: %w: expected parent %v, found head %v",
			man.Store, ErrConflict, man.Parent, head.Root)
	}
	if !p.Signed || st.meta.Unattested {
		if !p.Signed {
			man.Generation = st.meta.Generation + 1
		}
		return false, nil
	}
	switch {
	case man.Generation < st.meta.Generation:
		return false, fmt.Errorf("push to store %v: %w: generation %d, head %v has %d", man.Store,
			ErrStale, man.Generation, head.Root, st.meta.Generation)
	case man.Generation == st.meta.Generation:
		return false, fmt.Errorf("push to store %v: %w: generation %d is %v", man.Store,
			ErrConflict, man.Generation, head.Root)
	}
	return false, nil
}

// complete computes the chunk roots of inline content and checks the manifest against its root.
func complete(p *Push) error {
	man := p.Manifest
	if p.LeafCount != uint64(len(man.Capsules)) {
		return fmt.Errorf("%w: leaf_count %d, found %d capsules", ErrMerkle, p.LeafCount,
			len(man.Capsules))
	}
	for index, content := range p.Inline {
		d := &man.Capsules[index]
		got, err := capsule.Describe(index, bytes.NewReader(content))
		if err == nil {
			err = d.Matches(got)
		}
		if err != nil {
			return fmt.Errorf("capsule %d: %w", index, err)
		}
		d.ChunkRoot = got.ChunkRoot
	}
	for i, leaf := range p.Leaves {
		if i >= len(man.Capsules) || man.Capsules[i].Leaf() != leaf {
			return fmt.Errorf("%w: leaf %d", ErrMerkle, i)
		}
	}
	if err := man.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrMerkle, err)
	}
	return nil
}

// meta returns the metadata to store with the manifest of a push.
func (m *Manager) meta(p *Push, retain time.Time) storage.Meta {
	meta := storage.Meta{Origin: storage.Push, Unattested: !p.Signed, Bribe: p.Bribe,
		Received: uint64(m.opt.Now().Unix()), Generation: p.Manifest.Generation,
		Handle: p.Handle, Credential: p.By.Name}
	if p.By.Owner {
		meta.Origin = storage.Local
	}
	if p.Signed {
		meta.Signature, meta.Writer = p.Manifest.Signature, p.Manifest.Writer
	}
	if !retain.IsZero() {
		meta.Retain = uint64(retain.Unix())
	}
	return meta
}
