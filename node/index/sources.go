package index

import (
	"context"
	"errors"
	"iter"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

// StorageSource is the Source of a storage.Storage. Each generation is an item. If the storage is
// not a storage.Stamper, every update reads all generations. Only one update at a time may use it.
type StorageSource struct {
	name    string
	storage storage.Storage

	store auth.StoreID         // of which held was read last in this update
	held  map[merkle.Hash]bool // nil: not read
}

// NewStorageSource returns the source of a storage under a name.
func NewStorageSource(name string, s storage.Storage) *StorageSource {
	return &StorageSource{name: name, storage: s}
}

// Name implements Source.
func (s *StorageSource) Name() string { return s.name }

// Items implements Source.
func (s *StorageSource) Items(ctx context.Context) iter.Seq2[Item, error] {
	s.held = nil
	if st, ok := s.storage.(storage.Stamper); ok {
		return func(yield func(Item, error) bool) {
			for stamp, err := range st.Stamps(ctx) {
				it := Item{Key: Key{stamp.Store, stamp.Root}, Size: stamp.Size,
					Modified: stamp.Modified, Head: stamp.Head}
				if !yield(it, err) || err != nil {
					return
				}
			}
		}
	}
	return s.all(ctx)
}

// all yields every generation, to be read at every update.
func (s *StorageSource) all(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for id, err := range s.storage.Stores(ctx) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			for g, err := range s.storage.Generations(ctx, id) {
				if err != nil {
					continue // it is dropped
				}
				it := Item{Key: Key{id, g.Manifest.Root}, Size: unknownSize, Head: g.Head}
				if !yield(it, nil) {
					return
				}
			}
		}
	}
}

// unknownSize is the size of an item that is read at every update.
const unknownSize = -1

// Read implements Source.
func (s *StorageSource) Read(ctx context.Context, it Item) iter.Seq2[Holding, error] {
	return func(yield func(Holding, error) bool) {
		g, err := s.storage.Generation(ctx, it.Key.Store, it.Key.Root)
		if err != nil {
			yield(Holding{}, err)
			return
		}
		if err := s.readHeld(ctx, it.Key.Store); err != nil {
			yield(Holding{}, err)
			return
		}
		m := g.Manifest
		h := Holding{Key: it.Key, Created: m.Created, Count: uint32(len(m.Capsules)),
			Capsules: m.Capsules}
		for i, d := range m.Capsules {
			if !s.held[d.Hash] {
				h.Absent = append(h.Absent, i)
			}
		}
		yield(h, nil)
	}
}

// readHeld reads which contents of a datastore are there. A storage lists the generations of one
// datastore after the other, so that this is done once for each.
func (s *StorageSource) readHeld(ctx context.Context, id auth.StoreID) error {
	if s.held != nil && s.store == id {
		return nil
	}
	held := map[merkle.Hash]bool{}
	for d, err := range s.storage.Held(ctx, id) {
		switch {
		case errors.Is(err, capsule.ErrManifest): // reported when that generation is read
		case err != nil:
			return err
		default:
			held[d.Hash] = true
		}
	}
	s.store, s.held = id, held
	return nil
}
