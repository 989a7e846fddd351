package storage_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dig-network/digstore/node/storage"
)

// A memory with a limit takes no more than that, and what is there already needs no room.
func TestMemoryLimit(t *testing.T) {
	s := storage.NewMemory(&storage.MemoryOptions{Limit: 20})
	a, b := manifest(t, 1, one), manifest(t, 2, three)
	if err := add(s, a, "", true, one); err != nil {
		t.Fatal(err)
	}
	u, err := s.Usage(t.Context())
	if err != nil || u.Free != 20-int64(len(one)) {
		t.Errorf("usage %+v, %v", u, err)
	}
	err = s.Put(t.Context(), b.Capsules[0], strings.NewReader(three))
	if !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("put above the limit: %v, expected ErrNoSpace", err)
	}
	if err := add(s, a, "", true, one); err != nil {
		t.Errorf("put of what is there: %v", err)
	}
	if err := s.Remove(t.Context(), a.Store, a.Root); err != nil {
		t.Fatal(err)
	}
	if err := add(s, b, "", true, three); err != nil {
		t.Errorf("put after a removal: %v", err)
	}
}
