package vectors

import (
	"os"
	"strings"
	"testing"
)

// Long reports whether DIG_TEST asks for the long run. In the short run it
// logs that something was left out.
func Long(t testing.TB) bool {
	t.Helper()
	return mode(t, "long")
}

// Real reports whether DIG_TEST asks for tests against real parties. Otherwise
// it logs that something was left out.
func Real(t testing.TB) bool {
	t.Helper()
	return mode(t, "real")
}

func mode(t testing.TB, want string) bool {
	t.Helper()
	for m := range strings.SplitSeq(os.Getenv("DIG_TEST"), ",") {
		if strings.TrimSpace(m) == want {
			return true
		}
	}
	t.Logf("short run: DIG_TEST=%s does the rest", want)
	return false
}
