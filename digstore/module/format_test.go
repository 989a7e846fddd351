package module_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// formatSections returns the text of FORMAT.md by section number.
func formatSections(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	sections, number := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		if title := strings.TrimLeft(line, "#"); len(title) < len(line) {
			number = strings.TrimSuffix(strings.Fields(title)[0], ".")
		}
		sections[number] += line
	}
	return sections
}

// cells returns the rows of the first table below a header that begins with prefix.
func cells(text, prefix string) (rows [][]string) {
	_, rest, found := strings.Cut(text, "\n"+prefix)
	if !found {
		return nil
	}
	for line := range strings.Lines(rest[strings.IndexByte(rest, '\n')+1:]) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|---") {
			continue
		}
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		rows = append(rows, row)
	}
	return rows
}

// A formatField is one row of a table of offsets.
type formatField struct{ off, size int }

// formatFields returns the fields of a table of offsets; they follow each other without a gap.
func formatFields(t *testing.T, rows [][]string) map[string]formatField {
	t.Helper()
	fields, end := map[string]formatField{}, 0
	for _, row := range rows {
		off, err := strconv.Atoi(row[0])
		size, serr := strconv.Atoi(row[1])
		if err != nil || serr != nil || off != end {
			t.Fatalf("FORMAT.md: row %q does not begin at byte %d", row, end)
		}
		fields[row[2]] = formatField{off, size}
		end += size
	}
	return fields
}

func (f formatField) bytes(b []byte) []byte { return b[f.off:][:f.size] }

func (f formatField) uint(b []byte) (n uint64) {
	for _, c := range f.bytes(b) {
		n = n<<8 | uint64(c)
	}
	return n
}

// FORMAT.md describes the modules of the vectors and of a Builder.
func TestFormatDocument(t *testing.T) {
	doc := formatSections(t)
	t.Run("built", func(t *testing.T) {
		b := module.NewBuilder(auth.StoreID{1}, auth.PublicKey{2}, nil)
		defer b.Close()
		for name, content := range map[string]string{"a": "one", "b": strings.Repeat("two", 99999), "c": ""} {
			if err := b.Add(context.Background(), name, strings.NewReader(content)); err != nil {
				t.Fatal(err)
			}
		}
		var file bytes.Buffer
		if _, err := b.Build(context.Background(), &file); err != nil {
			t.Fatal(err)
		}
		readByDocument(t, doc, file.Bytes())
	})
	for _, name := range []string{"public_small", "multi_chunk", "private_chain"} {
		t.Run(name, func(t *testing.T) {
			readByDocument(t, doc, vectors.File(t, "store/modules/"+name+".dig"))
		})
	}
}

// readByDocument reads a module by the tables of FORMAT.md and compares with what the code reads.
func readByDocument(t *testing.T, doc map[string]string, file []byte) {
	m, err := module.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	const table = "| offset | size | field |"
	header := formatFields(t, cells(doc["4.1"], table))
	row := formatFields(t, cells(doc["4.2"], table))
	at := bytes.LastIndex(file, []byte("DIGS")) // no chunk of these modules holds it
	blob := file[at:]
	if header["version"].uint(blob) != 1 {
		t.Error("§4.1 does not describe the version")
	}
	bodies := map[module.Section][]byte{}
	for i := range int(header["row_count"].uint(blob)) {
		b := blob[9+10*i:]
		body := blob[row["body_offset"].uint(b):][:row["body_size"].uint(b)]
		bodies[module.Section(row["section"].uint(b))] = body
	}
	for id, body := range bodies {
		s, err := m.Section(id)
		if err != nil || s.Size() != int64(len(body)) {
			t.Errorf("§4.2 does not describe %v: %d bytes, %v", id, len(body), err)
		}
	}
	if id := m.ID(); !bytes.Equal(bodies[1], id.Store[:]) || !bytes.Equal(bodies[2], id.Root[:]) {
		t.Error("§5 does not describe sections 1 and 2")
	}

	pool := bodies[module.SectionChunkPool]
	frame := formatFields(t, cells(doc["5.6"], table))["length"]
	var chunks [][]byte
	for rest := pool[4:]; len(rest) > 0; {
		n := 4 + frame.uint(rest)
		chunks, rest = append(chunks, rest[4:n]), rest[n:]
	}
	if len(chunks) != int(binary.BigEndian.Uint32(pool)) {
		t.Errorf("§5.6: %d frames, counted are %d", len(chunks), binary.BigEndian.Uint32(pool))
	}

	head := formatFields(t, cells(doc["5.5"], table))
	_, tailText, _ := strings.Cut(doc["5.5"], "Then chunk_count indices")
	tail := formatFields(t, cells(tailText, table))
	keys, leaves := []merkle.Hash{}, map[merkle.Hash]merkle.Hash{}
	rest := bodies[module.SectionKeyTable][4:]
	for len(rest) > 0 {
		key := merkle.Hash(head["retrieval_key"].bytes(rest))
		if merkle.Hash(head["generation"].bytes(rest)) != m.ID().Root {
			t.Errorf("§5.5: the row of %v is of another generation", key)
		}
		count := head["chunk_count"].uint(rest)
		rest = rest[68:]
		var sealed []byte
		for range count {
			sealed = append(sealed, chunks[tail["chunk_index"].uint(rest)]...)
			rest = rest[4:]
		}
		total := formatField{0, tail["total_size"].size}
		if total.uint(rest) != uint64(len(sealed)) {
			t.Errorf("§5.5: total_size %d of %d bytes", total.uint(rest), len(sealed))
		}
		rest = rest[total.size:]
		keys, leaves[key] = append(keys, key), merkle.Sum(sealed)
	}
	if len(keys) != int(binary.BigEndian.Uint32(bodies[module.SectionKeyTable])) {
		t.Errorf("§5.5: %d rows were read", len(keys))
	}

	slices.SortFunc(keys, merkle.Hash.Compare)
	nodes := binary.BigEndian.AppendUint32(nil, uint32(len(keys)))
	sorted := make([]merkle.Hash, len(keys))
	for i, key := range keys {
		sorted[i] = leaves[key]
		nodes = append(nodes, sorted[i][:]...)
	}
	if !bytes.Equal(nodes, bodies[module.SectionMerkleNodes]) || merkle.Root(sorted) != m.ID().Root {
		t.Error("§5.7 and §2.4 do not describe the leaves and the root")
	}
}

// The tables of section ids and of metadata, and the names of a template, are those of the code.
func TestFormatDocumentNames(t *testing.T) {
	doc := formatSections(t)
	rows := cells(doc["5"], "| id | name |")
	if len(rows) != int(module.SectionPublicManifest) {
		t.Errorf("§5 has %d sections", len(rows))
	}
	for _, row := range rows {
		id, err := strconv.Atoi(row[0])
		if want := "section " + row[0] + ", " + row[1]; err != nil || module.Section(id).String() != want {
			t.Errorf("§5 has %q, the code %q", want, module.Section(id))
		}
	}

	text := func(s string) *string { return &s }
	filled := module.Metadata{SchemaVersion: 1, Name: "<name>", Version: text("<version>"),
		Description: text("<description>"), Authors: []module.Author{{Name: "<authors>"}},
		License: text("<license>"), Homepage: text("<homepage>"), Repository: text("<repository>"),
		Keywords: []string{"<keywords>"}, Categories: []string{"<categories>"},
		Icon: text("<icon>"), ContentType: text("<content_type>"),
		Links: map[string]string{"<links>": ""}}
	filled.SetMessage("<custom>")
	encoded, err := filled.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	at := 4
	for _, row := range cells(doc["5.3"], "| field | type |")[1:] {
		i := bytes.Index(encoded[at:], []byte("<"+row[0]+">"))
		if i < 0 {
			t.Errorf("§5.3: field %s is not encoded behind the one before", row[0])
			continue
		}
		at += i
	}
	plain, err := (&module.Metadata{SchemaVersion: 1}).MarshalBinary()
	if err != nil || !bytes.Equal(plain, append([]byte{0, 0, 0, 1}, make([]byte, 31)...)) {
		t.Errorf("§5.3 does not describe the metadata of a plain commit: %x, %v", plain, err)
	}

	stub := module.Stub()
	if sum := merkle.Sum(stub).String(); len(stub) != 566 || !strings.Contains(doc["6.4"], sum) {
		t.Errorf("§6.4 does not describe the template of %d bytes, %s", len(stub), sum)
	}
	_, required, _ := strings.Cut(doc["6.4"], "A template must import")
	names := regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(required, -1)
	for _, name := range names {
		if !bytes.Contains(stub, []byte(name[1])) {
			t.Errorf("§6.4 requires %s, which the template does not have", name[1])
		}
	}
	if len(names) != 1+8+12 { // dig_host, imports, exports
		t.Errorf("§6.4 has %d names", len(names))
	}
}
