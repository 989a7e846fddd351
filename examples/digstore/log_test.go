package main

import (
	"encoding/json"
	"testing"
	"time"
)

// A time in a history that no JSON can have does not end log --json.
func TestLogTimes(t *testing.T) {
	for seconds, want := range map[int64]bool{0: true, 1_750_000_000: true, 253402300799: true,
		253402300800: false, 1 << 62: false, -1: false} {
		got := writable(time.Unix(seconds, 0))
		if (got != nil) != want {
			t.Errorf("%d seconds: %v", seconds, got)
		}
		if _, err := json.Marshal(got); err != nil || shown(got) == "" {
			t.Errorf("%d seconds: %v", seconds, err)
		}
	}
}
