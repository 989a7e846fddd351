package vectors

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
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

// Part returns which part of the points of a sweep a long run takes: those whose
// number has the remainder part when it is divided by parts. DIG_TEST_PART says
// it, as "2/4" for the second of four, or "all" for 0 of 1. Without it one of
// four is taken, another one each day, and the test logs which. A short run
// has no parts: 0 of 1.
func Part(t testing.TB) (part, parts int) {
	t.Helper()
	if !strings.Contains(os.Getenv("DIG_TEST"), "long") {
		return 0, 1
	}
	switch text := os.Getenv("DIG_TEST_PART"); text {
	case "all":
		return 0, 1
	case "":
		part, parts = int(time.Now().Unix()/86_400%4), 4
	default:
		_, err := fmt.Sscanf(text, "%d/%d", &part, &parts)
		if err != nil || part < 1 || part > parts {
			t.Fatalf("DIG_TEST_PART=%q: expected a part such as 2/4, or all", text)
		}
		part--
	}
	t.Logf("part %d of %d: DIG_TEST_PART=all takes all", part+1, parts)
	return part, parts
}

// NeedLong skips a test that only the long run has, and says so.
func NeedLong(t testing.TB) {
	t.Helper()
	if !Long(t) {
		t.Skip("DIG_TEST=long runs this test")
	}
}

// NeedReal skips a test against real parties where DIG_TEST does not ask for it, and says so.
func NeedReal(t testing.TB) {
	t.Helper()
	if !Real(t) {
		t.Skip("DIG_TEST=real runs this test")
	}
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
