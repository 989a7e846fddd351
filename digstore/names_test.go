package digstore_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/dig-network/digstore/digstore"
)

// utf16Text encodes a text with a byte order mark.
func utf16Text(order binary.AppendByteOrder, s string) string {
	var b []byte
	for _, u := range append([]uint16{0xfeff}, utf16.Encode([]rune(s))...) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func TestParseNamesTexts(t *testing.T) {
	id := strings.Repeat("01", 32)
	const names = "größe.html\tx\r\n日本/🎉.png\r\n"
	want := []string{"größe.html", "日本/🎉.png"}
	for _, c := range []struct {
		name, text string
		want       []string // nil: an error
	}{
		{"UTF-8", names, want},
		{"UTF-8 with a mark", "\ufeff" + names, want},
		{"UTF-16, little end first", utf16Text(binary.LittleEndian, names), want},
		{"UTF-16, big end first", utf16Text(binary.BigEndian, names), want},
		{"JSON with a mark", "\ufeff" + `["a"]`, []string{"a"}},
		{"JSON in UTF-16", utf16Text(binary.LittleEndian, `["größe"]`), []string{"größe"}},
		{"UTF-16 without a mark", utf16Text(binary.LittleEndian, "a\nb\n")[2:], nil},
		{"UTF-16 that ends in a character", utf16Text(binary.LittleEndian, "ab") + "c", nil},
		{"UTF-16 with half a pair", utf16Text(binary.BigEndian, "a") + "\xd8\x00\x00a", nil},
		{"UTF-16 that ends in a pair", utf16Text(binary.BigEndian, "a") + "\xd8\x00", nil},
		{"Latin-1", "a\ngr\xf6\xdfe\n", nil},
		{"quoted", `"two\nlines"` + "\tx\n" + `"tab\tback\\"` + "\n", []string{"two\nlines", `"two\nlines"`, "tab\tback\\", `"tab\tback\\"`}},
		{"quotes in old lists", `"hi".txt` + "\tx\n" + `"` + "\n", []string{`"hi".txt`, `"`}},
		{"a bracket in front", "[draft].md\turn:dig:chia:" + id + "/[draft].md\n{x}\tx\n", []string{"[draft].md", "{x}"}},
		{"URNs", "urn:dig:chia:" + id + "/a b\n" + `"urn:dig:chia:` + id + `/a\tb"` + "\n",
			[]string{"a b", "a\tb", "urn:dig:chia:" + id + "/a\tb", `"urn:dig:chia:` + id + `/a\tb"`}},
		{"a name like a URN", `"urn:dig:chia:` + id + `/x"` + "\tx\n",
			[]string{"urn:dig:chia:" + id + "/x", `"urn:dig:chia:` + id + `/x"`}},
	} {
		got, err := digstore.ParseNames(strings.NewReader(c.text))
		if !slices.Equal(got, digstore.Names(c.want)) || (err == nil) != (c.want != nil) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}
