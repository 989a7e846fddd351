package cache_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
)

// cached is a store that is read through a cache.
type cached struct {
	*capsule.Memory
	cache *cache.Cache
}

func (s cached) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	return s.cache.Stat(ctx, ref)
}

func (s cached) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	return s.cache.Open(ctx, d)
}

func (s cached) Commit(ctx context.Context, m *capsule.Manifest) error {
	err := s.Memory.Commit(ctx, m)
	s.cache.Forget(m.Store)
	return err
}

func (s cached) Close() error { return s.cache.Close() }

// A store behind a cache is a store, whatever the cache holds.
func TestAsStore(t *testing.T) {
	for name, o := range map[string]cache.Options{
		"default": {}, "tiny": {L1: 20_000, L2: 100_000}, "off": {L1: -1,
			L2: -1}, "disk": {L1: 20_000, L2: 1 << 20, Dir: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			capsuletest.TestStore(t, func(t *testing.T) capsuletest.Instance {
				m := new(capsule.Memory)
				if o.Dir != "" {
					o.Dir = t.TempDir()
				}
				return capsuletest.Instance{Open: func(t *testing.T) capsule.Store {
					return cached{m, newCache(t, m, &o)}
				}}
			})
		})
	}
}

// A cache in front of a source is a source.
func TestAsSource(t *testing.T) {
	for name, o := range map[string]cache.Options{
		"default": {}, "tiny": {L1: 20_000, L2: 100_000}, "off": {L1: -1,
			L2: -1}, "disk": {L1: 20_000, L2: 1 << 20, Dir: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			capsuletest.TestSource(t, func(t *testing.T,
				held []capsuletest.Holding) capsule.Source {
				if o.Dir != "" {
					o.Dir = t.TempDir()
				}
				return newCache(t, newHeld(held), &o)
			})
		})
	}
}

// held is a source of some capsules of some generations.
type held struct {
	stat    map[capsule.Ref]capsule.Descriptor
	content map[merkle.Hash][]byte
}

func newHeld(list []capsuletest.Holding) held {
	s := held{map[capsule.Ref]capsule.Descriptor{}, map[merkle.Hash][]byte{}}
	for _, h := range list {
		for i, b := range h.Content {
			d, ref := h.Manifest.Capsules[i], h.Manifest.Ref(i)
			s.stat[ref], s.content[d.Hash] = d, b
			ref.Root = merkle.Hash{}
			s.stat[ref] = d
		}
	}
	return s
}

func (s held) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	d, ok := s.stat[ref]
	if !ok {
		return d, fs.ErrNotExist
	}
	return d, ctx.Err()
}

func (s held) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	b, ok := s.content[d.Hash]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), ctx.Err()
}
