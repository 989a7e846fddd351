package capsule_test

import (
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
)

// A manifest that the caller changes after Commit changes nothing in the store.
func TestMemoryKeepsManifest(t *testing.T) {
	content := pattern(3, 10)
	m := manifestOf(1, content)
	s := new(capsule.Memory)
	if err := store(t, s, m, content); err != nil {
		t.Fatal(err)
	}
	want := m.Capsules[0]
	m.Capsules[0].Size++
	if got, err := s.Stat(t.Context(), m.Ref(0)); err != nil || got != want {
		t.Errorf("stat: %+v, %v, expected %+v", got, err, want)
	}
}

func TestMemory(t *testing.T) {
	capsuletest.TestStore(t, func(*testing.T) capsuletest.Instance {
		s := new(capsule.Memory)
		return capsuletest.Instance{Open: func(*testing.T) capsule.Store { return s }}
	})
}

func TestDir(t *testing.T) {
	capsuletest.TestStore(t, func(t *testing.T) capsuletest.Instance {
		dir := t.TempDir()
		return capsuletest.Instance{Open: func(t *testing.T) capsule.Store {
			s, err := capsule.OpenDir(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}}
	})
}
