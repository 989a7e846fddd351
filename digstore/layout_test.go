package digstore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/auth/request/noncefile"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/docs"
	"github.com/dig-network/digstore/merkle"
)

// layoutLines is the number of lines that the history of layoutWorkspace begins with. It is enough
// for an index.
const layoutLines = 300

// layoutWorkspace makes a workspace with every permanent file of LAYOUT.md that this library
// writes. It returns the store "site" and the files of .dig with their content.
func layoutWorkspace(t *testing.T) (*digstore.Store, map[string][]byte) {
	t.Helper()
	ctx := context.Background()
	from, gens, _ := history(t, 3)
	disk := diskfs.NewCrash("/ws")
	w, err := digstore.Init("/ws", options(disk))
	check(t, err)
	t.Cleanup(func() { w.Close() })
	content := t.TempDir()
	s, err := w.Create(ctx, from.ID(), &digstore.StoreOptions{Name: "site", ContentRoot: content})
	check(t, err)

	// A history with one held generation.
	lines := make([]module.Generation, layoutLines)
	for i := range lines {
		root := merkle.Hash{1, byte(i >> 8), byte(i)}
		lines[i] = module.Generation{Number: uint64(i), Root: root, Time: gens[0].Time}
	}
	lines[layoutLines-1].Root = gens[0].Root
	head, err := from.SignedRoot(ctx, gens[0].Root)
	check(t, err)
	check(t, s.Install(ctx, lines, head, bytes.NewReader(moduleOf(t, from, gens[0].Root)), nil))
	check(t, s.Pin(ctx, module.Pins{Publisher: head.PublicKey, Root: gens[0].Root}))

	// Enough commits that the indexes of packs are merged.
	key, err := from.Signer()
	check(t, err)
	check(t, s.ImportKey(ctx, key))
	for i := range 9 {
		text := []byte(noise(uint64(i), 3000))
		check(t, os.WriteFile(filepath.Join(content, fmt.Sprint("file ", i)), text, 0o600))
		_, err := s.Commit(ctx, nil, nil)
		check(t, err)
	}
	parent, err := s.Head(ctx)
	check(t, err)

	// A pending push and an interrupted pull.
	check(t, push(t, w, from,
		module.Push{Head: signedAs(t, from, gens[1].Root), Parent: parent.Root, Pending: true}))
	next := []module.Generation{{Number: layoutLines + 9, Root: gens[2].Root, Time: gens[2].Time}}
	broken := errors.New("broken")
	half := moduleOf(t, from, gens[2].Root)[:800_000]
	reader := io.MultiReader(bytes.NewReader(half), iotest.ErrReader(broken))
	if err := s.Install(ctx, next, auth.SignedRoot{}, reader, nil); !errors.Is(err, broken) {
		t.Fatal(err)
	}

	tomb := auth.Tombstone{Store: s.ID(), Root: gens[0].Root, NotAfter: 7, Reason: auth.Superseded}
	tomb, err = auth.SignTombstone(ctx, tomb, key)
	check(t, err)
	check(t, s.Revoke(ctx, tomb))
	check(t, s.AddRemote(ctx, "origin", "https://example.org/stores/"+s.ID().String()))
	_, err = s.PutEvidence(ctx, []byte("{}"))
	check(t, err)
	check(t, w.SetOwner(ctx, s.ID(), key.PublicKey()))
	check(t, s.Stage(ctx, "staged", strings.NewReader("content")))
	_, err = w.DecoySecret()
	check(t, err)
	other, err := w.Create(ctx, digstore.StoreID{},
		&digstore.StoreOptions{Name: "other", Private: true})
	check(t, err)
	check(t, other.AdoptKey(ctx, must(other.Signer())))

	mark, err := w.MarkServing(8443)
	check(t, err)
	t.Cleanup(func() { mark.Close() })
	nonces, err := noncefile.Open("/ws/.dig/nonces.bin", &noncefile.Options{FS: disk})
	check(t, err)
	defer nonces.Close()
	now := time.Now()
	nonce := request.Nonce{Identity: key.PublicKey(), Value: [32]byte{5}, At: now,
		Until: now.Add(time.Minute), Mutating: true}
	check(t, nonces.Use(ctx, nonce, now))
	return s, filesOn(t, disk, "/ws/.dig")
}

// filesOn returns the files below a directory by their slash-separated names.
func filesOn(t *testing.T, disk diskfs.FS, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	var walk func(prefix string)
	walk = func(prefix string) {
		list, err := disk.ReadDir(filepath.Join(dir, prefix))
		check(t, err)
		for _, e := range list {
			name := path.Join(prefix, e.Name())
			if e.IsDir() {
				walk(name)
				continue
			}
			text, err := diskfs.ReadFile(disk, filepath.Join(dir, name), 1<<30)
			check(t, err)
			found[name] = text
		}
	}
	walk("")
	return found
}

// TestLayoutDocumentFiles: LAYOUT.md names every file of a workspace, and no other.
func TestLayoutDocumentFiles(t *testing.T) {
	_, found := layoutWorkspace(t)
	seen := map[string]bool{}
	for _, row := range docs.Open(t, "LAYOUT.md").Tables("2", "path", "section", "way", "others")[0] {
		seen[strings.Trim(row[0], "`")] = false
	}
	for name := range found {
		rest := strings.Split(name, "/")
		if len(rest) > 2 && rest[0] == "stores" {
			rest = append([]string{"S"}, rest[2:]...)
		}
		if len(rest) > 3 { // in the directory of a transfer
			rest = rest[:3]
		}
		documented := false
		for pattern := range seen {
			if ok, err := path.Match(pattern, path.Join(rest...)); err == nil && ok {
				seen[pattern], documented = true, true
			}
		}
		if !documented {
			t.Errorf("%s is not in LAYOUT.md, section 2", name)
		}
	}
	gone := []string{"S/removed", "S/generations/*", "S/modules/*.dig", "incoming/*"}
	for pattern, ok := range seen {
		if !ok && !slices.Contains(gone, pattern) {
			t.Errorf("LAYOUT.md has %s, which no operation has written", pattern)
		}
	}
}

// A layoutReader reads the binary files of a store by the tables of LAYOUT.md.
type layoutReader struct {
	t     *testing.T
	doc   *docs.Doc
	files map[string][]byte

	deltas int // recipes with a base
}

// file returns the only file that matches a pattern, or the first one.
func (r *layoutReader) file(pattern string) (name string, text []byte) {
	r.t.Helper()
	for _, n := range slices.Sorted(func(yield func(string) bool) {
		for n := range r.files {
			if ok, _ := path.Match(pattern, n); ok && !yield(n) {
				return
			}
		}
	}) {
		return n, r.files[n]
	}
	r.t.Fatalf("no file matches %s", pattern)
	return "", nil
}

// magic compares the magic of a file with the quoted one in the table of its layout.
func (r *layoutReader) magic(section string, l docs.Layout, b []byte) {
	r.t.Helper()
	got := string(l.Bytes(b, "magic"))
	if !strings.Contains(r.doc.Section(section), `"`+got+`"`) {
		r.t.Errorf("section %s does not have the magic %q", section, got)
	}
}

// sum checks a checksum.
func (r *layoutReader) sum(section string, l docs.Layout, b []byte, name string, over []byte) {
	r.t.Helper()
	want := uint64(crc32.Checksum(over, crc32.MakeTable(crc32.Castagnoli)))
	if got := l.Uint(b, name); got != want {
		r.t.Errorf("section %s: %s is %08x, the bytes have %08x", section, name, got, want)
	}
}

// TestLayoutDocument: the tables of LAYOUT.md describe the files that the code writes.
func TestLayoutDocument(t *testing.T) {
	s, found := layoutWorkspace(t)
	r := &layoutReader{t: t, doc: docs.Open(t, "LAYOUT.md"), files: found}
	gens, err := s.Generations(context.Background())
	check(t, err)
	head := gens[len(gens)-1]
	r.nonces()
	r.history(gens)
	r.historyIndex(gens)
	r.packs(head.Root)
	r.recipe(head)
	if r.deltas == 0 {
		t.Error("no recipe was built on another one: section 7.3 was not checked")
	}
	r.names()
	r.tombstone(s.ID())
	r.statIndex(head.Root)
	r.publishing(head.Root)
	r.others(s.ID())
}

func (r *layoutReader) nonces() {
	l, text := r.doc.Layouts("3.4"), r.files["nonces.bin"]
	header, record := l[0], l[1]
	r.magic("3.4", header, text)
	r.sum("3.4", header, text, "checksum", text[:header.Size-4])
	for rest := text[header.Size:]; len(rest) > 0; rest = rest[record.Size:] {
		r.sum("3.4", record, rest, "checksum", rest[:record.Size-4])
		if record.Uint(rest, "until") != record.Uint(rest, "at")+60 {
			r.t.Error("section 3.4 does not describe the times of a nonce")
		}
	}
}

func (r *layoutReader) history(gens []module.Generation) {
	log := r.files["stores/site/roots.log"]
	proof := r.files["stores/site/roots.proof"]
	header, block := r.doc.Layouts("5.2")[0], r.doc.Layouts("5.2")[1]
	r.magic("5.2", header, proof)
	r.sum("5.2", header, proof, "checksum", proof[:60])
	if header.Uint(proof, "confirmed") != uint64(len(gens)) {
		r.t.Error("section 5.2: confirmed is not the number of lines")
	}
	var lines []byte
	begin := uint64(0)
	for i, g := range gens {
		lines = fmt.Appendf(lines, "%d\t%s\t%d\n", g.Number, g.Root, g.Time.Unix())
		b := proof[header.Size+i*block.Size:]
		end := block.Uint(b, "end") & (1<<56 - 1)
		if merkle.Hash(block.Bytes(b, "root")) != g.Root || block.Uint(b, "number") != g.Number ||
			block.Uint(b, "time") != uint64(g.Time.Unix()) || end != uint64(len(lines)) {
			r.t.Fatalf("section 5.2 does not describe the block of line %d", i)
		}
		r.sum("5.2", block, b, "line_checksum", log[begin:end])
		numbered := append(binary.BigEndian.AppendUint64(nil, uint64(i)), b[:60]...)
		r.sum("5.2", block, b, "checksum", numbered)
		if signed := block.Uint(b, "end")>>56 == 1; signed != (i >= layoutLines-1) {
			r.t.Errorf("section 5.2: bit 56 of line %d is %v", i, signed)
		}
		begin = end
	}
	if !bytes.Equal(lines, log) {
		r.t.Error("section 5.1 does not describe roots.log")
	}

	dropped := r.files["stores/site/roots.dropped"]
	l := r.doc.Layouts("5.3")
	r.magic("5.3", l[0], dropped)
	ranges := dropped[l[0].Size:]
	if l[0].Uint(dropped, "count") != 1 || len(ranges) != l[1].Size+4 ||
		l[1].Uint(ranges, "first") != 0 || l[1].Uint(ranges, "behind") != layoutLines-1 {
		r.t.Error("section 5.3 does not describe roots.dropped")
	}
}

func (r *layoutReader) historyIndex(gens []module.Generation) {
	name, text := r.file("stores/site/history/*.idx")
	l := r.doc.Layouts("5.4")
	header, row := l[0], l[1]
	r.magic("5.4", header, text)
	r.sum("5.4", header, text, "checksum", text[:52])
	log := r.files["stores/site/roots.log"]
	to := header.Uint(text, "to")
	r.sum("5.4", header, text, "line_checksum", log[header.Uint(text, "last"):to])
	if want := fmt.Sprintf("%016x-%016x.idx", header.Uint(text, "from"), to); path.Base(name) != want {
		r.t.Errorf("section 5.4: the name is %s, the header calls for %s", name, want)
	}
	at := map[string]uint64{}
	for i := range header.Uint(text, "lines") {
		page := text[header.Size+int(i/255)*4096:]
		b := page[int(i%255)*row.Size:]
		at[string(row.Bytes(b, "prefix"))] = row.Uint(b, "line_offset")
	}
	for _, g := range gens[:layoutLines] {
		line := log[at[string(g.Root[:8])]:]
		if !bytes.HasPrefix(line, fmt.Appendf(nil, "%d\t%s\t", g.Number, g.Root)) {
			r.t.Fatalf("section 5.4: no row leads to line %d", g.Number)
		}
	}
}

func (r *layoutReader) names() {
	name, text := r.file("stores/site/names/*.names")
	l := r.doc.Layouts("7.4")[0]
	r.magic("7.4", l, text)
	r.sum("7.4", l, text, "checksum", text[12:])
	if len(path.Base(name)) != 16+len(".names") {
		r.t.Errorf("section 7.4 does not describe the name %s", name)
	}
	rest := text[l.Size:]
	for i := range l.Uint(text, "count") {
		n := 4 + int(binary.BigEndian.Uint32(rest))
		if want := fmt.Sprint("file ", i); string(rest[4:n]) != want {
			r.t.Errorf("section 7.4: name %q, want %q", rest[4:n], want)
		}
		rest = rest[n:]
	}
	if len(rest) != 0 {
		r.t.Errorf("section 7.4: %d bytes follow the names", len(rest))
	}
}

func (r *layoutReader) tombstone(id digstore.StoreID) {
	name, text := r.file("stores/site/tombstones/root-*.tomb")
	l := r.doc.Layouts("8.2")[0]
	root := merkle.Hash(text[l.Size:])
	rest := text[l.Size+len(root):]
	if digstore.StoreID(l.Bytes(text, "store_id")) != id || l.Uint(text, "scope") != 0 ||
		len(rest) != 9 || binary.BigEndian.Uint64(rest) != 7 || rest[8] != 2 ||
		!strings.HasSuffix(name, root.String()+".tomb") {
		r.t.Error("section 8.2 does not describe a tombstone")
	}
}

func (r *layoutReader) statIndex(root merkle.Hash) {
	text := r.files["stores/site/statindex"]
	l := r.doc.Layouts("9.2")
	r.magic("9.2", l[0], text)
	r.sum("9.2", l[0], text, "checksum", text[12:])
	if merkle.Hash(l[0].Bytes(text, "root")) != root {
		r.t.Error("section 9.2: another root")
	}
	rest := text[l[0].Size+int(l[0].Uint(text, "path_length")):]
	files := binary.BigEndian.Uint32(rest)
	rest = rest[4:]
	for range files {
		n := 2 + int(binary.BigEndian.Uint16(rest))
		name, size := string(rest[2:n]), l[1].Uint(rest[n:], "size")
		if !strings.HasPrefix(name, "file ") || size != 3000 {
			r.t.Errorf("section 9.2 does not describe the file %q", name)
		}
		rest = rest[n+l[1].Size:]
	}
	if files != 9 || len(rest) != 0 {
		r.t.Errorf("section 9.2: %d files, %d bytes left", files, len(rest))
	}
}

func (r *layoutReader) publishing(root merkle.Hash) {
	text := r.files["stores/site/publishing"]
	l := r.doc.Layouts("12.1")[0]
	r.magic("12.1", l, text)
	r.sum("12.1", l, text, "checksum", text[:l.Size-4])
	if l.Size != len(text) || l.Uint(text, "known") != 1 ||
		merkle.Hash(l.Bytes(text, "root")) != root {
		r.t.Error("section 12.1 does not describe publishing")
	}
	pack := fmt.Sprintf("stores/site/packs/%s.%016x.pack", root, l.Uint(text, "serial"))
	if _, ok := r.files[pack]; !ok {
		r.t.Errorf("section 6.2: there is no %s", pack)
	}
}

func (r *layoutReader) others(id digstore.StoreID) {
	staged := r.files["stores/site/"+id.String()+".staging.bin"]
	if string(staged) != "\x00\x00\x00\x06staged\x00\x00\x00\x00\x00\x00\x00\x07content" {
		r.t.Errorf("section 9.1 does not describe %q", staged)
	}
	name, doc := r.file("stores/site/evidence/*.json")
	if sum := merkle.Sum(doc).String(); !strings.HasSuffix(name, "-"+sum[:8]+".json") {
		r.t.Errorf("section 11 does not describe the name %s", name)
	}
	for _, pattern := range []string{"signing_key.bin", "writer_key.bin"} {
		if _, seed := r.file("stores/other/" + pattern); len(seed) != 32 {
			r.t.Errorf("section 4.3: %s has %d bytes", pattern, len(seed))
		}
	}
	if _, sig := r.file("stores/site/sigs/*.untagged.sig"); len(sig) != 96 {
		r.t.Errorf("section 8.1: %d bytes", len(sig))
	}
	_, journal := r.file("stores/site/incoming/*/journal")
	if journal[0] != 'L' {
		r.t.Errorf("section 10.2 does not describe % x", journal[:8])
	}
	n := 5 + int(binary.BigEndian.Uint32(journal[1:]))
	want := crc32.Checksum(journal[:n], crc32.MakeTable(crc32.Castagnoli))
	chunk := journal[n+4] == 'N' || journal[n+4] == 'S' // the pool is in the order of staging
	if binary.BigEndian.Uint32(journal[n:]) != want || !chunk {
		r.t.Error("section 10.2 does not describe the first record")
	}
}
