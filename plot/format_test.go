package plot_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

// A layout is one table of FORMAT.md: fields by name.
type layout struct {
	fields map[string][2]int // offset and size
	size   int
}

// readLayouts returns the layouts of FORMAT.md in order, grouped by section
// number. Fields must follow each other without a gap.
func readLayouts(t *testing.T) map[string][]layout {
	t.Helper()
	text, err := os.ReadFile("FORMAT.md")
	check(t, err)
	out := map[string][]layout{}
	section, in := "", false
	for line := range strings.Lines(string(text)) {
		if s, ok := strings.CutPrefix(line, "## "); ok {
			section, _, _ = strings.Cut(s, ".")
		}
		cells := strings.Split(line, "|")
		switch {
		case strings.HasPrefix(line, "| offset | size | field |"):
			in = true
			out[section] = append(out[section], layout{fields: map[string][2]int{}})
		case !strings.HasPrefix(line, "|"):
			in = false
		case in && !strings.HasPrefix(line, "|---"):
			l := &out[section][len(out[section])-1]
			off, err := strconv.Atoi(strings.TrimSpace(cells[1]))
			check(t, err)
			size, err := strconv.Atoi(strings.TrimSpace(cells[2]))
			check(t, err)
			if off != l.size {
				t.Errorf("§%s: field %s at %d, the one before ends at %d", section,
					strings.TrimSpace(cells[3]), off, l.size)
			}
			l.fields[strings.TrimSpace(cells[3])] = [2]int{off, size}
			l.size += size
		}
	}
	return out
}

// bytes returns a field of the structure that begins at b.
func (l layout) bytes(t *testing.T, b []byte, name string) []byte {
	t.Helper()
	f, ok := l.fields[name]
	if !ok {
		t.Fatalf("FORMAT.md has no field %q", name)
	}
	return b[f[0]:][:f[1]]
}

func (l layout) uint(t *testing.T, b []byte, name string) uint64 {
	var n uint64
	for _, c := range l.bytes(t, b, name) {
		n = n<<8 | uint64(c)
	}
	return n
}

// FORMAT.md describes the golden plot: all that its tables say is found there
// and is what the code reads.
func TestFormatDocument(t *testing.T) {
	g, file := loadGolden(t)
	doc := readLayouts(t)
	r, err := plot.NewReader(bytes.NewReader(file), int64(len(file)), nil)
	check(t, err)
	info := r.Info()

	page0 := doc["2"][0]
	if page0.size != 4096 || string(page0.bytes(t, file, "magic")) != "DIG1" ||
		page0.uint(t, file, "creation_time") != uint64(info.Created.Unix()) ||
		page0.uint(t, file, "capsule_count") != uint64(info.Capsules) ||
		page0.uint(t, file, "file_size") != uint64(len(file)) ||
		merkle.Hash(page0.bytes(t, file, "plot_id")) != info.ID ||
		merkle.Hash(page0.bytes(t, file, "header_hash")) != merkle.Sum(file[:4064]) {
		t.Error("§2 does not describe page 0")
	}
	header := doc["3"][0]
	var body [8][]byte
	previous := make([]byte, 32)
	for i := 1; i <= 7; i++ {
		at := int(binary.BigEndian.Uint32(page0.bytes(t, file, "table_pointers")[4*(i-1):])) * 4096
		size := int(header.uint(t, file[at:], "body_size"))
		body[i] = file[at+4096:][:size]
		if header.size != 128 || string(header.bytes(t, file[at:], "magic")) != "DIGT" ||
			header.uint(t, file[at:], "table_index") != uint64(i) ||
			!bytes.Equal(header.bytes(t, file[at:], "previous_hash"), previous) ||
			header.uint(t, file[at:], "difficulty") != uint64(g.Difficulty) {
			t.Errorf("§3 does not describe the header of C%d", i)
		}
		if i != 4 && merkle.Hash(header.bytes(t, file[at:], "body_hash")) != merkle.Sum(body[i]) {
			t.Errorf("§3 does not describe the body hash of C%d", i)
		}
		seed := doc["5"][0].bytes(t, body[1], "plot_seed")
		sum := merkle.Sum(append(append([]byte("dig:plot:table:v1"), seed...), file[at:at+128]...))
		previous = sum[:]
	}
	foot := file[len(file)-4096:]
	footer := doc["4"][0]
	if footer.size != 4096 || !bytes.Equal(footer.bytes(t, foot, "tip"), previous) ||
		merkle.Hash(footer.bytes(t, foot, "footer_hash")) != merkle.Sum(foot[:4064]) {
		t.Error("§4 does not describe the footer")
	}
	meta, store, anchor := doc["5"][0], doc["5"][1], doc["5"][2]
	if meta.size != 128 || store.size != 72 ||
		!bytes.Equal(meta.bytes(t, body[1], "public_key"), info.Key[:]) ||
		meta.uint(t, body[1], "datastore_count") != uint64(len(info.Datastores)) ||
		meta.uint(t, body[1], "total_stored") != uint64(info.Stored) {
		t.Error("§5 does not describe C1")
	}
	for i, d := range info.Datastores {
		b := body[1][meta.size+i*store.size:]
		if !bytes.Equal(store.bytes(t, b, "datastore_id"), d.Store[:]) ||
			merkle.Hash(store.bytes(t, b, "merkle_root")) != d.Root {
			t.Errorf("§5 does not describe datastore %d", i)
		}
	}
	if anchor.size != len(body[2]) || anchor.uint(t, body[2], "block_height") != g.BlockHeight ||
		anchor.uint(t, body[2], "network") != uint64(g.Network) {
		t.Error("§5 does not describe C2")
	}
	record, head := doc["7"][0], doc["7"][1]
	extent, block := doc["8"][0], doc["8"][1]
	tree, work, seal := doc["9"][0], doc["10"][0], doc["11"][0]
	if record.size != 80 || head.size != 4096 || extent.size != 136 || block.size != 16 ||
		tree.size != 64 || work.size != 16 || seal.size != len(body[7]) {
		t.Error("sizes of structures differ")
	}
	for i, want := range g.Records {
		rec := body[3][head.uint(t, body[3], "records_off"):][i*record.size:]
		if !bytes.Equal(record.bytes(t, rec, "capsule_hash"), want.CapsuleHash) ||
			record.uint(t, rec, "plot_offset") != uint64(want.PlotOffset) {
			t.Errorf("§7 does not describe record %d", i)
		}
		x := file[record.uint(t, rec, "plot_offset"):]
		first := block.uint(t, x[extent.size:], "offset")
		if string(extent.bytes(t, x, "magic")) != "DIGC" ||
			!bytes.Equal(extent.bytes(t, x, "chunk_root"), want.ChunkRoot) ||
			extent.uint(t, x, "stored_size") < first {
			t.Errorf("§8 does not describe the extent of record %d", i)
		}
		e := body[5][16+i*tree.size:]
		if !bytes.Equal(tree.bytes(t, e, "chunk_root"), want.ChunkRoot) ||
			tree.uint(t, e, "path_off") != tree.uint(t, e, "subroots_off")+32*tree.uint(t, e,
				"subroot_count") {
			t.Errorf("§9 does not describe entry %d of C5", i)
		}
		if work.uint(t, body[6][i*work.size:], "nonce") != want.CreationNonce {
			t.Errorf("§10 does not describe entry %d of C6", i)
		}
	}
	if !bytes.Equal(seal.bytes(t, body[7], "public_key"), info.Key[:]) {
		t.Error("§11 does not describe C7")
	}
}

// FORMAT.md and the constants are those of plot-layout.json.
func TestLayoutVectors(t *testing.T) {
	type field struct {
		Field        string
		Offset, Size int
	}
	var file struct {
		Header []field
		Record []field `json:"capsule_record"`
		Sizes  map[string]int
		Max    struct {
			CapsuleSize uint64 `json:"capsule_size"`
			Pages       int64
		}
	}
	vectors.Load(t, "plot-layout.json", &file)
	doc := readLayouts(t)
	for _, f := range file.Header {
		if got := doc["2"][0].fields[f.Field]; got != [2]int{f.Offset, f.Size} {
			t.Errorf("§2: %s at %d, expected %d", f.Field, got, [2]int{f.Offset, f.Size})
		}
	}
	for _, f := range file.Record {
		if got := doc["7"][0].fields[f.Field]; got != [2]int{f.Offset, f.Size} {
			t.Errorf("§7: %s at %d, expected %d", f.Field, got, [2]int{f.Offset, f.Size})
		}
	}
	for name, got := range map[string]int{
		"table_header": doc["3"][0].size, "capsule_record": doc["7"][0].size,
		"extent_header": doc["8"][0].size, "block_table_entry": doc["8"][1].size,
		"c5_entry": doc["9"][0].size, "c6_entry": doc["10"][0].size,
	} {
		if want, ok := file.Sizes[name]; ok && got != want {
			t.Errorf("%s has %d bytes, expected %d", name, got, want)
		}
	}
	if m := file.Max; m.CapsuleSize != capsule.MaxSize || m.Pages*page != plot.MaxSize {
		t.Errorf("limits %+v, expected %d and %d pages", m, uint64(capsule.MaxSize),
			int64(plot.MaxSize)/page)
	}
}
