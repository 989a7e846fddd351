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
	name := filepath.Join(t.TempDir(), "DOC.md")
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
