package remote_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A row is one property of the protocol and the tests that check it: "package TestName", the
// package as its path in the repository, or "file.txtar" for a script of examples/digstore.
type row struct {
	row   string
	tests []string
}

// rows lists all properties. Properties of both client and server name tests of both.
var rows = []row{
	{"11.1 push signature message", []string{"remote/server TestPushForms", "remote TestPusherForms", "remote/internal/wire TestDescriptorRead", "auth TestAcceptRoot"}},
	{"11.2 tags", []string{"auth/request TestOps", "remote/server TestEveryRouteIsAuthenticated"}},
	{"11.3 module?root=", []string{"remote/server TestModuleRequests", "remote TestClientReads", "remote/remotetest TestLiars"}},
	{"11.4 clone and pull scope", []string{"remote TestCloneAllGenerations", "remote TestOlder", "remote TestCloneOverHTTP"}},
	{"11.5 clone dig://", []string{"remote TestParseURLVectors", "remote TestLoopbackHTTP", "examples/digstore TestScripts"}},
	{"11.6 push transport", []string{"remote/server TestPushInit", "remote TestPusherFallback", "remote TestPusherPresigned", "remote/server TestPresignedPush", "remote/server TestPresignFallsBack"}},
	{"11.7 parent and root on PUT", []string{"remote/server TestPush", "remote TestPusher"}},
	{"11.8 replay", []string{"remote/server TestReplay", "remote/server TestReplayByAge", "auth/request TestReplay", "remote/server TestReplayInParallel", "remote/server TestClockThatStepsBack"}},
	{"11.9 PUT size", []string{"remote/server TestPushTooLarge", "remote/server TestHugeLengthsCostNothing"}},
	{"11.10 serve, then clone", []string{"remote TestCloneOverHTTP", "remote TestTLS", "examples/digstore TestScripts"}},
	{"11.11 on-chain check", []string{"remote TestCloneTrust", "remote TestPullAncestry", "auth/chain TestResolverTip"}},
	{"11.12 dighub push", []string{"remote TestPusherHub", "remote TestURLHub"}},
	{"11.13 HEAD auth", []string{"remote/server TestHeadOfEveryReadRoute", "remote/server TestEveryRouteIsAuthenticated", "remote/server TestNothingRunsUnauthenticated"}},
	{"11.14 304", []string{"remote/server TestModuleRequests", "remote/remotetest TestLiars"}},
	{"11.15 store id binding", []string{"remote TestCloneTrust", "auth TestStoreIDFromKey"}},
	{"11.16 first push", []string{"remote/server TestFirstPush", "remote/server TestPushWithAToken", "remote/server TestFirstPushByBucket", "remote/server TestFirstPushByAuthority"}},
	{"11.17 tombstone details", []string{"remote/server TestTombstone", "auth TestTombstones"}},
	{"11.18 default host", []string{"remote TestURLAtOrigin", "remote/discovery TestResolver"}},
	{"11.19 ETag is root", []string{"remote/server TestModuleRequests", "remote/remotetest TestLiars"}},
	{"11.20 roots timestamps", []string{"remote/internal/wire TestRootsWire", "remote/remotetest TestStoresAreABackend"}},
	{"11.21 domain tags", []string{"auth TestSpecValues", "auth/request TestSpecValues"}},
	{"11.22 decoy member", []string{"remote/rpc TestContentWindows", "remote/rpc TestRead"}},
	{"11.23 client certificates", []string{"remote TestTLS"}},
	{"11.24 bad store id", []string{"remote/server TestRouter", "remote/server TestTranscripts", "remote/server TestNothingRunsUnauthenticated"}},
	{"11.25 retry, resume, timeouts", []string{"remote TestRetry", "remote TestResume", "remote TestSlow", "remote/server TestSlowReaders", "remote/server TestSlowWriters"}},

	{"13.1 request authentication", []string{"auth/request TestVectors", "auth/request TestWindow", "remote/server TestReplayByAge", "remote/server TestHostileAuthHeaders",
		"auth/request TestBadKeys", "remote/server TestHeadOfEveryReadRoute"}},
	{"13.2 locators", []string{"remote TestParseURLVectors", "remote TestParseURL"}},
	{"13.3 descriptor", []string{"remote/internal/wire TestDescriptorJSON", "remote/internal/wire TestDescriptorRead", "remote/server TestTranscripts"}},
	{"13.4 module requests", []string{"remote/server TestModuleRequests", "remote TestClientRange", "remote/server TestPending", "remote/server TestEveryStatusIsShown", "remote/server TestPendingAcrossARestart"}},
	{"13.5 push", []string{"remote/server TestPush", "remote/server TestPushOfAWrongModule", "remote/server TestPushRace", "remote TestPusherRace", "remote/server TestStatusTableBothWays",
		"digstore TestCrashAtEveryOperation", "remote/server TestNothingIsReflected", "remote/server TestExpectContinue", "remote/server TestAuthority"}},
	{"13.6 forms and legs", []string{"remote/server TestPushForms", "remote TestPusherFallback", "remote/server TestPresignedPush", "remote TestPusherPresigned", "remote/server TestCompleteRefusals", "remote/server TestCompleteAfterARestart", "remote/server TestCompletePending"}},
	{"13.7 tombstones", []string{"remote/server TestTombstone", "remote TestPullTombstones", "remote TestCloneTombstone", "remote/server TestPushOfWhatIsRevoked",
		"remote/remotetest TestMemoryIsKept"}},
	{"13.8 clone refuses", []string{"remote/remotetest TestLiars", "remote TestCloneTrust", "remote TestCloneHistory", "remote TestCloneLimit", "examples/digstore TestScripts"}},
	{"13.9 pull", []string{"remote TestPullOverHTTP", "remote TestPullAncestry", "remote TestPullKey", "remote TestResumeOverHTTP", "remote TestOlder"}},
	{"13.10 JSON-RPC", []string{"remote/rpc TestWindowsOfAModule", "remote/rpc TestContentWindows", "remote/rpc TestLyingWindows", "remote/rpc TestEnvelope", "remote/rpc TestErrors"}},
	{"13.11 interop with the reference", []string{"remote/conform TestReference", "digstore TestReferenceWorkspace"}},
}

// TestRows checks that every row and item exists, and the tests that they name.
func TestRows(t *testing.T) {
	var want, got []string
	for n := range 25 {
		want = append(want, "11."+strconv.Itoa(n+1))
	}
	for n := range 11 {
		want = append(want, "13."+strconv.Itoa(n+1))
	}
	known := map[string][]string{} // package: tests
	for _, r := range rows {
		number, _, _ := strings.Cut(r.row, " ")
		if got = append(got, number); len(r.tests) == 0 {
			t.Errorf("%s: no test", r.row)
		}
		for _, name := range r.tests {
			dir, test, ok := strings.Cut(name, " ")
			if !ok {
				t.Fatalf("%s: %q names no package", r.row, name)
			}
			if known[dir] == nil {
				known[dir] = testsIn(t, filepath.Join("..", filepath.FromSlash(dir)))
			}
			if !slices.Contains(known[dir], test) {
				t.Errorf("%s: %s has no %s", r.row, dir, test)
			}
		}
	}
	equal(t, "rows", got, want)
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// testsIn returns the tests of a package.
func testsIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	return names
}
