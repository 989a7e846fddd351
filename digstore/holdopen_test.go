package digstore_test

import (
	"testing"

	"github.com/dig-network/digstore/internal/diskfs"
)

// TestHoldOpen runs every scenario on a disk that refuses to remove or rename open files, as
// Windows does. The states are those of any other disk.
func TestHoldOpen(t *testing.T) {
	for _, sc := range scenarios(t) {
		t.Run(sc.name, func(t *testing.T) {
			base, states := sc.prepare(t)
			disk := base.RecoverWith(1, &diskfs.CrashOptions{HoldOpen: true})
			for i := range sc.steps {
				if err := runStep(disk, sc.steps[i]); err != nil {
					t.Fatalf("%s: %v", sc.steps[i].what, err)
				}
				if got := must(stateOf(disk)); got != states[i+1] {
					t.Fatalf("%s ends in (-), want (+):\n%s", sc.steps[i].what, diff(got, states[i+1]))
				}
			}
		})
	}
}
