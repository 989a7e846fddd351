package capsule_test

import (
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
)

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
