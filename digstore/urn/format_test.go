package urn_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore/urn"
)

// The example of FORMAT.md is what the code derives.
func TestFormatDocument(t *testing.T) {
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "\n## 10. Example\n")
	if !ok {
		t.Fatal("FORMAT.md has no section 10, Example")
	}
	want := map[string]string{}
	for line := range strings.Lines(example) {
		cells := strings.Split(line, "|")
		if len(cells) == 4 {
			want[strings.TrimSpace(cells[1])] = strings.Trim(cells[2], " `")
		}
	}
	u, err := urn.Parse(want["URN"])
	if err != nil {
		t.Fatal(err)
	}
	var salt urn.Salt
	for i := range salt {
		salt[i] = 0x11
	}
	binary, err := u.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	public, private := urn.Derive(u.String(), nil), urn.Derive(u.String(), &salt)
	for name, got := range map[string]string{
		"retrieval key":        u.RetrievalKey().String(),
		"content key, public":  hex.EncodeToString(public[:]),
		"sealed, public":       hex.EncodeToString(u.Key(nil).Seal(nil, []byte("hello"))),
		"content key, private": hex.EncodeToString(private[:]),
		"sealed, private":      hex.EncodeToString(u.Key(&salt).Seal(nil, []byte("hello"))),
		"binary encoding":      hex.EncodeToString(binary),
	} {
		if got != want[name] {
			t.Errorf("%s: %s, the document has %q", name, got, want[name])
		}
	}
}
