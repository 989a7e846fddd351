package module_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/docs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// FORMAT.md describes the modules of the vectors and of a Builder.
func TestFormatDocument(t *testing.T) {
	doc := docs.Open(t, "FORMAT.md")
	t.Run("built", func(t *testing.T) {
		b := module.NewBuilder(auth.StoreID{1}, auth.PublicKey{2}, nil)
		defer b.Close()
		large := strings.Repeat("two", 99999)
		for name, content := range map[string]string{"a": "one", "b": large, "c": ""} {
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
func readByDocument(t *testing.T, doc *docs.Doc, file []byte) {
	m, err := module.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	header, row := doc.Layouts("4.1")[0], doc.Layouts("4.2")[0]
	at := bytes.LastIndex(file, []byte("DIGS")) // no chunk of these modules holds it
	blob := file[at:]
	if header.Uint(blob, "version") != 1 {
		t.Error("§4.1 does not describe the version")
	}
	bodies := map[module.Section][]byte{}
	for i := range int(header.Uint(blob, "row_count")) {
		b := blob[header.Size+row.Size*i:]
		body := blob[row.Uint(b, "body_offset"):][:row.Uint(b, "body_size")]
		bodies[module.Section(row.Uint(b, "section"))] = body
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
	frame := doc.Layouts("5.6")[0]
	var chunks [][]byte
	for rest := pool[4:]; len(rest) > 0; {
		n := uint64(frame.Size) + frame.Uint(rest, "length")
		chunks, rest = append(chunks, rest[frame.Size:n]), rest[n:]
	}
	if len(chunks) != int(binary.BigEndian.Uint32(pool)) {
		t.Errorf("§5.6: %d frames, counted are %d", len(chunks), binary.BigEndian.Uint32(pool))
	}

	rowLayouts := doc.Layouts("5.5")
	head, tail := rowLayouts[0], rowLayouts[1]
	index := len(tail.Bytes(pool, "chunk_index"))
	keys, leaves := []merkle.Hash{}, map[merkle.Hash]merkle.Hash{}
	rest := bodies[module.SectionKeyTable][4:]
	for len(rest) > 0 {
		key := merkle.Hash(head.Bytes(rest, "retrieval_key"))
		if merkle.Hash(head.Bytes(rest, "generation")) != m.ID().Root {
			t.Errorf("§5.5: the row of %v is of another generation", key)
		}
		count := head.Uint(rest, "chunk_count")
		rest = rest[head.Size:]
		var sealed []byte
		for range count {
			sealed = append(sealed, chunks[tail.Uint(rest, "chunk_index")]...)
			rest = rest[index:]
		}
		last := append(make([]byte, index), rest[:tail.Size-index]...)
		if total := tail.Uint(last, "total_size"); total != uint64(len(sealed)) {
			t.Errorf("§5.5: total_size %d of %d bytes", total, len(sealed))
		}
		rest = rest[tail.Size-index:]
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
	doc := docs.Open(t, "FORMAT.md")
	rows := doc.Tables("5", "id", "name")[0]
	if len(rows) != int(module.SectionPublicManifest) {
		t.Errorf("§5 has %d sections", len(rows))
	}
	for _, row := range rows {
		id, err := strconv.Atoi(row[0])
		want := "section " + row[0] + ", " + row[1]
		if err != nil || module.Section(id).String() != want {
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
	for _, row := range doc.Tables("5.3", "field", "type")[0][1:] {
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
	sum := merkle.Sum(stub).String()
	if len(stub) != 566 || !strings.Contains(doc.Section("6.4"), sum) {
		t.Errorf("§6.4 does not describe the template of %d bytes, %s", len(stub), sum)
	}
	_, required, _ := strings.Cut(doc.Section("6.4"), "A template must import")
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
