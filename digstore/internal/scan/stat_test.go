package scan_test

import (
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore/internal/scan"
)

func TestOlderThan(t *testing.T) {
	const second = int64(time.Second)
	now := 1_700_000_000 * second
	for _, c := range []struct {
		name         string
		mtime, ctime int64
		want         bool
	}{
		{"fine, just now", now - 5_000_001, now - 5_000_001, false},
		{"fine, a tick of Windows ago", now - 16_000_001, now - 16_000_001, false},
		{"fine, a moment ago", now - 50_000_001, now - 50_000_001, true},
		{"fine, without ctime", now - 50_000_001, 0, true},
		{"fine mtime set back", now - 1000*second + 1, now - 5_000_001, false},
		{"whole seconds, this second", now, now, false},
		{"whole seconds, the last one", now - second, now - second, false},
		{"two seconds, as FAT has it", now - 2*second, now - 2*second, false},
		{"whole seconds, a while ago", now - 3*second, now - 3*second, true},
		{"mtime of whole seconds set by a program", now - 1000*second, now - 50_000_001, true},
		{"in the future", now + 1000*second + 1, now - 50_000_001, false},
		{"ctime in the future", now - 1000*second, now + 1000*second + 1, false},
	} {
		if got := (scan.Stat{Mtime: c.mtime, Ctime: c.ctime}).OlderThan(now); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
