package docs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/internal/docs"
)

func TestDoc(t *testing.T) {
	const text = "# A title\n\nwords\n\n## 1. First\n\n" +
		"| offset | size | field | value |\n|---|---|---|---|\n" +
		"| 0 | 2 | magic | \"ab\" |\n| 2 | 3 | number | |\n\n" +
		"### 1.2 Second\n\n```\n## 7. no heading\n```\n"
	name := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := docs.Sections(text)
	if len(got) != 3 || got[""] != "# A title\n\nwords\n\n" || got["7"] != "" {
		t.Errorf("sections %q", got)
	}
	layouts := docs.Open(t, name).Layouts("1")
	if len(layouts) != 1 || layouts[0].Size != 5 {
		t.Fatalf("layouts %v", layouts)
	}
	b := []byte("ab\x00\x01\x02")
	if l := layouts[0]; string(l.Bytes(b, "magic")) != "ab" || l.Uint(b, "number") != 0x102 {
		t.Errorf("fields %q, %d", l.Bytes(b, "magic"), l.Uint(b, "number"))
	}
}

// A recorder is a test that notes its errors.
type recorder struct {
	testing.TB
	errors int
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.errors++ }

func TestCompare(t *testing.T) {
	name := filepath.Join(t.TempDir(), "DOC.md")
	const text = "## 1. First\n\n| name | value |\n|---|---|\n| a | 1 |\n| b | 2 |\n\n| other | " +
		"value |\n|---|---|\n| c | 3 |\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		want   map[string]string
		errors int
	}{
		{map[string]string{"a": "1", "b": "2"}, 0},
		{map[string]string{"a": "1", "b": "3"}, 1},
		{map[string]string{"a": "1"}, 1},
		{map[string]string{"a": "1", "b": "2", "c": "3"}, 1},
	} {
		r := &recorder{TB: t}
		docs.Open(r, name).Compare("1", "name", "value", tc.want)
		if r.errors != tc.errors {
			t.Errorf("%v: %d errors, want %d", tc.want, r.errors, tc.errors)
		}
	}
}
