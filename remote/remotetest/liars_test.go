package remotetest_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"text/tabwriter"

	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

var update = flag.Bool("update", false, "write golden files")

// TestLiarTable prints the refusals of all liars. TestLiars checks them.
func TestLiarTable(t *testing.T) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "liar\trefused on clone\tand on pull\twhat it does")
	names := map[string]bool{}
	for _, l := range append(remotetest.Liars(), remotetest.UnsignedLiars()...) {
		lie := l.Lie
		if l.Needs != "" {
			lie += " (to a store that " + l.Needs[len("it "):] + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Name, l.Clone, l.Pull, lie)
		if names[l.Name] {
			t.Errorf("two liars are called %s", l.Name)
		}
		names[l.Name] = true
	}
	w.Flush()
	t.Logf("%d liars\n%s", len(names), b.Bytes())
	golden := filepath.Join("testdata", "liars.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the table is not that of %s; look at it, and write it with -update", golden)
	}
	if len(names) < 30 {
		t.Errorf("%d liars", len(names))
	}
}

// TestRefusal checks String.
func TestRefusal(t *testing.T) {
	for want, r := range map[string]remotetest.Refusal{
		"-":              {},
		"check rollback": {Check: remote.CheckRollback, Err: remote.ErrRollback},
		"not an answer of this protocol: a redirect": {Err: remote.ErrRedirect},
		"the rule": {Err: remote.ErrProtocol, Says: "the rule"},
	} {
		if got := r.String(); got != want {
			t.Errorf("%+v is %q, want %q", r, got, want)
		}
	}
}
