// Package docs reads the documents of the repository for tests: their sections by number, and
// their tables. Only tests import it.
//
// A section begins with a heading whose first word is its number: "## 5. Sections",
// "### 5.1 Identity". A table of offsets has the columns offset, size and field.
package docs

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A Doc is a document by its sections.
type Doc struct {
	t        testing.TB
	name     string
	sections map[string]string // number to text, without the sections below it
}

// Open reads a document. It ends the test when there is none.
func Open(t testing.TB, name string) *Doc {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return &Doc{t: t, name: name, sections: Sections(string(text))}
}

// Sections returns the text of each section of a document by its number, heading included. What
// stands before the first section has the number "". Lines in fences are no headings.
func Sections(text string) map[string]string {
	sections, number, fence := map[string]string{}, "", false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fence = !fence
		}
		if title, ok := heading(line); ok && !fence {
			if n, ok := sectionNumber(title); ok {
				number = n
			}
		}
		sections[number] += line
	}
	return sections
}

// heading returns the text of a heading.
func heading(line string) (title string, ok bool) {
	title = strings.TrimLeft(line, "#")
	return strings.TrimSpace(title), len(title) < len(line) && strings.HasPrefix(title, " ")
}

// sectionNumber returns the number at the beginning of a heading.
func sectionNumber(title string) (number string, ok bool) {
	number, _, _ = strings.Cut(title, " ")
	number = strings.TrimSuffix(number, ".")
	return number, number != "" && strings.Trim(number, "0123456789.") == ""
}

// Section returns the text of a section. It ends the test when there is none.
func (d *Doc) Section(number string) string {
	d.t.Helper()
	text, ok := d.sections[number]
	if !ok {
		d.t.Fatalf("%s has no section %s", d.name, number)
	}
	return text
}

// Tables returns the rows of the tables of a section whose header has those first columns, the
// cells trimmed. It ends the test when there is none.
func (d *Doc) Tables(number string, columns ...string) [][][]string {
	d.t.Helper()
	var tables [][][]string
	inside := false
	for line := range strings.Lines(d.Section(number)) {
		row := cells(line)
		switch {
		case row == nil:
			inside = false
		case begins(row, columns):
			inside = true
			tables = append(tables, nil)
		case inside && !strings.HasPrefix(line, "|---"):
			tables[len(tables)-1] = append(tables[len(tables)-1], row)
		}
	}
	if tables == nil {
		d.t.Fatalf("%s, section %s has no table with the columns %q", d.name, number, columns)
	}
	return tables
}

// Compare reports every difference between want and the tables of a section whose first column is
// called key: want has what the column called value says in each row, by the cell of the first.
func (d *Doc) Compare(number, key, value string, want map[string]string) {
	d.t.Helper()
	got := map[string]string{}
	at := -1
	for line := range strings.Lines(d.Section(number)) {
		row := cells(line)
		switch {
		case row == nil:
			at = -1
		case row[0] == key:
			at = slices.Index(row, value)
		case at >= 0 && at < len(row) && !strings.HasPrefix(line, "|---"):
			got[row[0]] = row[at]
		}
	}
	for name, v := range want {
		if said, ok := got[name]; !ok {
			d.t.Errorf("%s, section %s: %s %q is missing", d.name, number, key, name)
		} else if said != v {
			d.t.Errorf("%s, section %s: %s of %q is %q, the code has %q",
				d.name, number, value, name, said, v)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			d.t.Errorf("%s, section %s: the code has no %s %q", d.name, number, key, name)
		}
	}
}

// Set returns want as Compare takes it, to compare a column with itself.
func Set(want ...string) map[string]string {
	set := map[string]string{}
	for _, name := range want {
		set[name] = name
	}
	return set
}

// cells returns the cells of a row, nil for another line.
func cells(line string) []string {
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
	}
	return row
}

func begins(row, columns []string) bool {
	if len(row) < len(columns) {
		return false
	}
	for i, c := range columns {
		if row[i] != c {
			return false
		}
	}
	return true
}

// A Layout is one table of offsets.
type Layout struct {
	Size   int // where the last field ends
	t      testing.TB
	fields map[string]field
}

type field struct{ off, size int }

// Layouts returns the tables of offsets of a section. Fields follow each other without a gap.
func (d *Doc) Layouts(number string) []Layout {
	d.t.Helper()
	var list []Layout
	for _, rows := range d.Tables(number, "offset", "size", "field") {
		l := Layout{t: d.t, fields: map[string]field{}}
		for _, row := range rows {
			off, err := strconv.Atoi(row[0])
			size, serr := strconv.Atoi(row[1])
			if err != nil || serr != nil || off != l.Size {
				d.t.Fatalf("%s, section %s: field %s does not begin at byte %d", d.name, number, row[2], l.Size)
			}
			l.fields[row[2]] = field{off, size}
			l.Size += size
		}
		list = append(list, l)
	}
	return list
}

// Bytes returns a field of the structure that begins at b. It ends the test when there is none.
func (l Layout) Bytes(b []byte, name string) []byte {
	l.t.Helper()
	f, ok := l.fields[name]
	if !ok || len(b) < f.off+f.size {
		l.t.Fatalf("%d bytes have no field %q", len(b), name)
	}
	return b[f.off:][:f.size]
}

// Uint returns a big-endian field of at most 8 bytes.
func (l Layout) Uint(b []byte, name string) (n uint64) {
	l.t.Helper()
	for _, c := range l.Bytes(b, name) {
		n = n<<8 | uint64(c)
	}
	return n
}
