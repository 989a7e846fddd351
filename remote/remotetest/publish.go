package remotetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
)

// Module builds the module of a generation with all regular files of files as resources, ordered
// by name, and signs its root. o may be nil.
func Module(ctx context.Context, store auth.StoreID, by auth.Signer, files fs.FS,
	o *module.Options) ([]byte, auth.SignedRoot, error) {
	b := module.NewBuilder(store, by.PublicKey(), o)
	defer b.Close()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return b.Add(ctx, name, f)
	})
	if err != nil {
		return nil, auth.SignedRoot{}, fmt.Errorf("build a module of store %s: %w", store, err)
	}
	var out bytes.Buffer
	root, err := b.Build(ctx, &out)
	if err != nil {
		return nil, auth.SignedRoot{}, fmt.Errorf("build a module of store %s: %w", store, err)
	}
	signed, err := auth.SignRoot(ctx, store, root, by)
	return out.Bytes(), signed, err
}

// Publish adds a signed generation with the given files to the store, like a publisher's commit.
func (m *Memory) Publish(ctx context.Context, by auth.Signer,
	files fs.FS) (auth.SignedRoot, error) {
	mod, head, err := Module(ctx, m.id, by, files, nil)
	if err != nil {
		return auth.SignedRoot{}, err
	}
	return head, m.Add(ctx, head, bytes.NewReader(mod))
}

// Add makes the module in r the head, with the next number, without checking it against head. It
// is for false origins; Install makes the checks.
func (m *Memory) Add(ctx context.Context, head auth.SignedRoot, r io.Reader) error {
	recipe, chunks, err := decompose(ctx, r, nil)
	if err != nil {
		return fmt.Errorf("add a generation to store %s: %w", m.id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(recipe, chunks, head)
	m.pins.Publisher = head.PublicKey
	m.advance(recipe.Root())
	return nil
}
