package digstore

import (
	"testing"

	"github.com/dig-network/digstore/internal/vectors"
)

func TestKeyNameVectors(t *testing.T) {
	var file struct {
		About string
		Cases []struct {
			Key, Linux, Windows, Why string
		}
	}
	vectors.Load(t, "dig/hostile-resource-keys.json", &file)
	for _, c := range file.Cases {
		c.Windows = onWindows(c.Key, c.Windows)
		for goos, want := range map[string]string{"linux": c.Linux, "windows": c.Windows} {
			got := "inside"
			if checkKeyNameOn(goos, c.Key) != nil {
				got = "refuse"
			}
			if got != want {
				t.Errorf("%s: %.80q: %s, want %s", goos, c.Key, got, want)
			}
		}
	}
	vectors.Count(t, "dig/hostile-resource-keys.json", 2*len(file.Cases), 0)
}

// onWindows corrects the result that the vectors expect for a name on Windows. The vectors accept a
// name of dots, but Windows drops trailing dots and opens the directory instead.
func onWindows(key, want string) string {
	if key == "...." {
		return "refuse"
	}
	return want
}
