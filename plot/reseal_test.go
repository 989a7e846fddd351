package plot_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

const page = 4096

// A forged is a plot that its owner has changed: seal makes all hashes and the signature hold
// again. It has one bucket page in each index, so that records can be changed in all places.
type forged struct {
	b    []byte
	lazy bool // do not search for the work of tables
}

var be = binary.BigEndian

func (f *forged) header(table int) []byte { return f.b[tableAt(f.b, table):] }
func (f *forged) body(table int) []byte   { return f.header(table)[page:] }
func (f *forged) bodySize(table int) int  { return int(be.Uint64(f.header(table)[0x48:])) }
func (f *forged) footer() []byte          { return f.b[len(f.b)-page:] }
func (f *forged) records() int            { return int(be.Uint32(f.b[48:])) }
func (f *forged) record(i int) []byte     { return f.body(3)[page+80*i:][:80] }
func (f *forged) entry(i int) []byte      { return f.body(5)[16+64*i:][:64] }

// subroots returns those of record i in C5.
func (f *forged) subroots(i int) []byte { return f.body(5)[be.Uint64(f.entry(i)[32:]):] }

// at returns the extent of record i.
func (f *forged) at(i int) []byte { return f.b[be.Uint64(f.record(i)[72:]):] }

// edit changes record i wherever it stands in C3.
func (f *forged) edit(i int, change func(record []byte)) {
	was := bytes.Clone(f.record(i))
	now := bytes.Clone(was)
	change(now)
	c3 := f.body(3)[:f.bodySize(3)]
	copy(c3, bytes.ReplaceAll(c3, was, now))
}

// insert puts n zero pages at offset at, behind which tables move.
func (f *forged) insert(at, n int) {
	f.b = slices.Insert(f.b, at, make([]byte, n*page)...)
	for i := 1; i <= 7; i++ {
		if p := f.b[52+4*(i-1):]; int(be.Uint32(p))*page >= at {
			be.PutUint32(p, be.Uint32(p)+uint32(n))
		}
	}
	be.PutUint64(f.b[4056:], uint64(len(f.b)))
	be.PutUint64(f.footer()[8:], uint64(len(f.b)))
}

// grow adds n to the size of the body of a table, in its last page.
func (f *forged) grow(table, n int) {
	be.PutUint64(f.header(table)[0x48:], uint64(f.bodySize(table)+n))
}

// sealExtent makes the checksums of the extent of record i hold.
func (f *forged) sealExtent(i int) {
	x, castagnoli := f.at(i), crc32.MakeTable(crc32.Castagnoli)
	blocks := int(be.Uint32(x[0x54:]))
	be.PutUint32(x[0x80:], crc32.Checksum(x[136:136+16*blocks], castagnoli))
	be.PutUint32(x[0x84:], crc32.Checksum(x[:0x84], castagnoli))
}

// sealData makes the hash of C4 and the stored bytes in C1 hold.
func (f *forged) sealData() {
	h := sha256.New()
	h.Write([]byte("dig:plot:c4:v1"))
	total, seen := uint64(0), map[uint64]bool{}
	for i := range f.records() {
		r, stored := f.record(i), f.at(i)[0x58:0x60]
		h.Write(slices.Concat(r[72:], stored, r[40:72]))
		if at := be.Uint64(r[72:]); !seen[at] {
			seen[at] = true
			total += be.Uint64(stored)
		}
	}
	h.Sum(f.header(4)[0x28:][:0])
	be.PutUint64(f.body(1)[112:], total)
}

// reroot makes the paths, the roots and the plot id those of the records and their chunk roots.
// The plot must hold all capsules of its datastores.
func (f *forged) reroot() {
	var leaves []merkle.Hash // of the plot
	for s, i := 0, 0; i < f.records(); s++ {
		ds, first := f.body(1)[128+72*s:], i
		var own []merkle.Hash
		for ; i < f.records() && bytes.Equal(f.record(i)[:32], ds[:32]); i++ {
			r := f.record(i)
			d := capsule.Descriptor{Index: be.Uint32(r[32:]), Size: be.Uint32(r[36:]),
				Hash: merkle.Hash(r[40:72]), ChunkRoot: merkle.Hash(f.entry(i)[:32])}
			own = append(own, d.Leaf())
			leaves = append(leaves, d.PlotLeaf(auth.StoreID(r[:32])))
		}
		tree := merkle.NewTree(own)
		root := tree.Root()
		copy(ds[32:], root[:])
		for n := range own {
			at := f.body(5)[be.Uint64(f.entry(first + n)[40:]):]
			p, _ := tree.Prove(n)
			for k, step := range p.Path {
				copy(at[33*k:], step.Hash[:])
			}
		}
	}
	root := merkle.Root(leaves)
	copy(f.body(1)[32:], root[:])
	f.reidentify()
}

// reidentify makes the seed and the plot id those of C1 and C2.
func (f *forged) reidentify() {
	c1, c2 := f.body(1), f.body(2)
	id := capsule.PlotIdentity{PublicKey: auth.NodePublicKey(c1[:32]), Root: merkle.Hash(c1[32:64]),
		Difficulty: be.Uint32(c1[96:]), BlockHeight: be.Uint64(c2[8:]),
		BlockHash: merkle.Hash(c2[16:48])}
	seed, plotID := id.Seed(), id.ID()
	copy(c1[64:], seed[:])
	copy(f.b[16:], plotID[:])
	copy(f.footer()[16:], plotID[:])
}

// seal makes the hashes of the tables, their chain, the signature, the header and the footer
// hold.
func (f *forged) seal(t testing.TB) []byte {
	t.Helper()
	seed := bytes.Clone(f.body(1)[64:96])
	var last [32]byte // the hash of the table before
	for i := 1; i <= 7; i++ {
		head := f.header(i)
		body := f.body(i)[:min(f.bodySize(i), len(f.body(i)))]
		if i == 7 {
			m := slices.Concat([]byte("dig:plot:seal:v1"), f.b[16:48], last[:], f.b[8:16],
				f.b[48:52])
			sig, err := node.Sign(t.Context(), m)
			check(t, err)
			copy(body[32:], sig[:])
		}
		if i != 4 {
			sum := sha256.Sum256(body)
			copy(head[0x28:], sum[:])
		}
		copy(head[0x08:], last[:])
		for nonce := uint64(0); ; nonce++ {
			be.PutUint64(head[0x60:], nonce)
			last = sha256.Sum256(slices.Concat([]byte("dig:plot:table:v1"), seed, head[:128]))
			bits := be.Uint32(head[0x58:])
			if f.lazy || bits > 8 || capsule.ZeroBits(last) >= int(bits) {
				break
			}
		}
	}
	sum := sha256.Sum256(f.b[:page-32])
	copy(f.b[page-32:], sum[:])
	footer := f.footer()
	copy(footer[48:], last[:])
	copy(footer[80:], sum[:])
	sum = sha256.Sum256(footer[:page-32])
	copy(footer[page-32:], sum[:])
	return f.b
}

// Levels of checking in TestLies: what an open does, and those of Verify.
const (
	opened = iota
	quick
	full
)

// checkAt does what a level checks beyond the one before.
func checkAt(b []byte, level int) error {
	if level == opened {
		_, err := plot.NewReader(bytes.NewReader(b), int64(len(b)), nil)
		return err
	}
	return verify(b, plot.Level(level-quick))
}

// The owner of a plot can sign what is not so. Each lie is found, by its class, at the level that
// checks it; the levels before take the file for a plot.
func TestLies(t *testing.T) {
	whole := readFile(t, create(t, t.TempDir(), fast(), smallStores(t)...).Path)
	const ( // records of smallStores
		one, same, again, empty, zeros, noise = 0, 1, 2, 3, 4, 5
	)
	set := func(b []byte, at int, v byte) { b[at] = v }
	put := func(b []byte, v uint32) { be.PutUint32(b, v) }
	for _, c := range []struct {
		what  string
		level int
		want  error
		edit  func(f *forged)
	}{
		{"padding of the header", opened, plot.ErrHeader, func(f *forged) { set(f.b, 100, 1) }},
		{"page shift", opened, plot.ErrHeader, func(f *forged) { set(f.b, 4051, 13) }},
		{"state", opened, plot.ErrHeader, func(f *forged) { set(f.b, 4055, 2) }},
		{"creation time", opened, plot.ErrHeader, func(f *forged) { set(f.b, 8, 0x80) }},
		{"no capsules", opened, plot.ErrHeader, func(f *forged) { put(f.b[48:], 0) }},
		{"too many capsules", opened, plot.ErrHeader, func(f *forged) { put(f.b[48:], 1<<24+1) }},
		{"file size", opened, plot.ErrTruncated, func(f *forged) { set(f.b, 4062, 9) }},

		{"magic of the footer", opened, plot.ErrFooter,
			func(f *forged) { set(f.footer(), 0, 'X') }},
		{"version of the footer", opened, plot.ErrFooter,
			func(f *forged) { set(f.footer(), 7, 2) }},
		{"size in the footer", opened, plot.ErrFooter, func(f *forged) { set(f.footer(), 15, 1) }},
		{"plot id in the footer", opened, plot.ErrFooter, func(f *forged) { f.footer()[16]++ }},
		{"unused bytes of the footer", opened, plot.ErrFooter,
			func(f *forged) { set(f.footer(), 112, 1) }},

		{"magic of a table", opened, plot.ErrTable, func(f *forged) { set(f.header(5), 0, 'X') }},
		{"index of a table", opened, plot.ErrTable, func(f *forged) { set(f.header(5), 7, 6) }},
		{"flags of a table", opened, plot.ErrTable, func(f *forged) { set(f.header(6), 0x57, 1) }},
		{"unused bytes of a table", opened, plot.ErrTable,
			func(f *forged) { set(f.header(6), 0x5F, 1) }},
		{"end of a table page", opened, plot.ErrTable,
			func(f *forged) { set(f.header(7), page-1, 1) }},
		{"difficulty of one table", opened, plot.ErrTable,
			func(f *forged) { set(f.header(5), 0x5B, 1) }},
		{"difficulty over the limit", opened, plot.ErrTable,
			func(f *forged) { set(f.header(5), 0x5B, 41) }},
		{"work of the tables", opened, plot.ErrTable, func(f *forged) {
			for i := 1; i <= 7; i++ {
				set(f.header(i), 0x5B, 16)
			}
			set(f.body(1), 99, 16)
			f.lazy = true
			f.reidentify()
		}},
		{"records of C2", opened, plot.ErrTable, func(f *forged) { put(f.header(2)[0x50:], 2) }},
		{"records of C3", opened, plot.ErrTable, func(f *forged) { put(f.header(3)[0x50:], 5) }},
		{"records of C5", opened, plot.ErrTable, func(f *forged) { put(f.header(5)[0x50:], 5) }},
		{"records of C6", opened, plot.ErrTable, func(f *forged) { put(f.header(6)[0x50:], 5) }},
		{"records of C7", opened, plot.ErrTable, func(f *forged) { put(f.header(7)[0x50:], 2) }},
		{"no extents", opened, plot.ErrTable, func(f *forged) { put(f.header(4)[0x50:], 0) }},
		{"more extents than records", opened, plot.ErrTable,
			func(f *forged) { put(f.header(4)[0x50:], 7) }},
		{"size of C4", opened, plot.ErrTable, func(f *forged) { f.grow(4, -1) }},
		{"size of C6", opened, plot.ErrTable, func(f *forged) { f.grow(6, 16) }},
		{"a page behind C7", opened, plot.ErrTable, func(f *forged) { f.insert(len(f.b)-page, 1) }},

		{"difficulty in C1", opened, plot.ErrTable,
			func(f *forged) { set(f.body(1), 99, 1); f.reidentify() }},
		{"compression in C1", opened, plot.ErrTable, func(f *forged) { set(f.body(1), 100, 3) }},
		{"block size in C1", opened, plot.ErrTable, func(f *forged) { set(f.body(1), 101, 16) }},
		{"chunk size in C1", opened, plot.ErrTable, func(f *forged) { set(f.body(1), 102, 13) }},
		{"encoding in C1", opened, plot.ErrTable, func(f *forged) { set(f.body(1), 103, 1) }},
		{"unused bytes in C1", opened, plot.ErrTable, func(f *forged) { set(f.body(1), 127, 1) }},
		{"plot seed", opened, plot.ErrTable, func(f *forged) { f.body(1)[64]++ }},
		{"plot root", opened, plot.ErrTable, func(f *forged) { f.body(1)[32]++ }},
		{"plot id", opened, plot.ErrTable, func(f *forged) { f.b[16]++; f.footer()[16]++ }},
		{"more datastores than capsules", opened, plot.ErrTable, func(f *forged) {
			f.grow(1, 5*72)
			put(f.header(1)[0x50:], 7)
			put(f.body(1)[120:], 7)
			for i := 2; i < 7; i++ {
				set(f.body(1), 128+72*i, byte(i+1))
				set(f.body(1), 128+72*i+67, 1)
			}
		}},
		{"count of datastores", opened, plot.ErrTable, func(f *forged) { put(f.body(1)[120:], 1) }},
		{"a datastore twice", opened, plot.ErrTable,
			func(f *forged) { copy(f.body(1)[200:232], f.body(1)[128:160]) }},
		{"a datastore without capsules", opened, plot.ErrTable,
			func(f *forged) { put(f.body(1)[128+64:], 0) }},
		{"unused bytes of a datastore", opened, plot.ErrTable,
			func(f *forged) { set(f.body(1), 128+71, 1) }},
		{"a datastore without records", quick, plot.ErrTable, func(f *forged) {
			f.grow(1, 72)
			put(f.header(1)[0x50:], 3)
			put(f.body(1)[120:], 3)
			set(f.body(1), 272, 3)
			set(f.body(1), 272+67, 1)
		}},
		{"fewer capsules than an index", quick, plot.ErrTable,
			func(f *forged) { put(f.body(1)[128+64:], 3) }},
		{"more content than there is", quick, plot.ErrTable, func(f *forged) { f.body(1)[111]++ }},
		{"more stored bytes than there are", full, plot.ErrTable,
			func(f *forged) { f.body(1)[119]++ }},

		{"network", opened, plot.ErrTable, func(f *forged) { set(f.body(2), 3, 3) }},
		{"unused bytes in C2", opened, plot.ErrTable, func(f *forged) { set(f.body(2), 7, 1) }},
		{"a block without a network", opened, plot.ErrTable,
			func(f *forged) { set(f.body(2), 15, 1); f.reidentify() }},
		{"another key in C7", opened, plot.ErrTable, func(f *forged) { f.body(7)[0]++ }},
		{"padding of a table", quick, plot.ErrTable, func(f *forged) { set(f.body(7), page-1, 1) }},

		{"head of C3", opened, plot.ErrIndex, func(f *forged) { set(f.body(3), 7, 81) }},
		{"buckets for more records", opened, plot.ErrIndex, func(f *forged) {
			key := int(be.Uint64(f.body(3)[24:]))
			f.insert(tableAt(f.b, 3)+page+key, 7)
			f.grow(3, 7*page)
			put(f.body(3)[8:], 3)
			be.PutUint64(f.body(3)[32:], uint64(key+8*page))
		}},
		{"unused bytes behind the records", quick, plot.ErrIndex,
			func(f *forged) { set(f.body(3), 2*page-1, 1) }},
		{"a record that a bucket lacks", quick, plot.ErrIndex, func(f *forged) {
			bucket := f.body(3)[be.Uint64(f.body(3)[24:]):]
			set(bucket, 1, 5)
			clear(bucket[16+5*80 : 16+6*80])
		}},
		{"records out of order", quick, plot.ErrIndex, func(f *forged) {
			a, b := bytes.Clone(f.record(one)), f.record(empty)
			copy(f.record(one), b)
			copy(f.record(empty), a)
		}},
		{"an offset inside a page", quick, plot.ErrIndex,
			func(f *forged) { f.edit(noise, func(r []byte) { r[79]++ }) }},
		{"an offset outside C4", quick, plot.ErrIndex, func(f *forged) {
			f.edit(noise, func(r []byte) { be.PutUint64(r[72:], uint64(tableAt(f.b, 1))) })
		}},
		{"the first extent elsewhere", quick, plot.ErrIndex, func(f *forged) {
			f.insert(2*page, 1)
			f.grow(4, page)
			for i := range f.records() {
				f.edit(i, func(r []byte) { be.PutUint64(r[72:], be.Uint64(r[72:])+page) })
			}
		}},
		{"two capsules in one extent", quick, plot.ErrIndex, func(f *forged) {
			f.edit(noise, func(r []byte) { copy(r[72:], f.record(zeros)[72:]) })
		}},
		{"one capsule in two extents", quick, plot.ErrIndex, func(f *forged) {
			f.edit(again, func(r []byte) { copy(r[72:], f.record(one)[72:]) })
		}},
		{"equal capsules of two sizes", quick, plot.ErrIndex, func(f *forged) {
			f.edit(again, func(r []byte) { r[39]++ })
			f.body(1)[111]++
			f.reroot()
		}},
		{"number of extents", quick, plot.ErrTable, func(f *forged) { put(f.header(4)[0x50:], 4) }},

		{"head of C5", quick, plot.ErrTable, func(f *forged) { set(f.body(5), 7, 6) }},
		{"unused bytes in C5", quick, plot.ErrTable, func(f *forged) { set(f.entry(one), 63, 1) }},
		{"subroots of another record", quick, plot.ErrTable, func(f *forged) {
			for _, at := range []int{32, 40} {
				be.PutUint64(f.entry(one)[at:], be.Uint64(f.entry(one)[at:])+hashSize)
			}
		}},
		{"bytes behind the arrays of C5", quick, plot.ErrTable,
			func(f *forged) { f.grow(5, hashSize) }},
		{"a subroot", quick, plot.ErrTable, func(f *forged) { f.subroots(zeros)[0]++ }},
		{"a path", quick, plot.ErrTable,
			func(f *forged) { f.body(5)[be.Uint64(f.entry(one)[40:])]++ }},
		{"side of a path", quick, plot.ErrTable,
			func(f *forged) { f.body(5)[be.Uint64(f.entry(one)[40:])+32] = 2 }},
		{"equal capsules of two chunk roots", quick, plot.ErrTable, func(f *forged) {
			f.entry(again)[0]++
			f.subroots(again)[0]++
			f.reroot()
		}},
		{"a nonce without work", quick, plot.ErrTable, func(f *forged) { set(f.body(6), 7, 1) }},
		{"zero bits of work", quick, plot.ErrTable, func(f *forged) { set(f.body(6), 11, 1) }},
		{"unused bytes in C6", quick, plot.ErrTable, func(f *forged) { set(f.body(6), 15, 1) }},

		{"hash of C4", full, plot.ErrTable, func(f *forged) { f.header(4)[0x28]++ }},
		{"index in an extent", full, plot.ErrExtent,
			func(f *forged) { f.at(noise)[0x2B]++; f.sealExtent(noise) }},
		{"datastore in an extent", full, plot.ErrExtent,
			func(f *forged) { f.at(noise)[8]++; f.sealExtent(noise) }},
		{"version of an extent", full, plot.ErrExtent,
			func(f *forged) { set(f.at(noise), 7, 2); f.sealExtent(noise) }},
		{"compression of an extent", full, plot.ErrExtent,
			func(f *forged) { set(f.at(zeros), 0x50, 3); f.sealExtent(zeros) }},
		{"compressed block in an extent without compression", full, plot.ErrExtent,
			func(f *forged) {
				set(f.at(zeros), 0x50, 0)
				f.sealExtent(zeros)
			}},
		{"number of blocks", full, plot.ErrExtent,
			func(f *forged) { f.at(noise)[0x57]++; f.sealExtent(noise) }},
		{"bytes behind the last block", full, plot.ErrExtent, func(f *forged) {
			f.at(zeros)[0x5F]++
			f.sealExtent(zeros)
			f.sealData()
		}},
		{"a gap between blocks", full, plot.ErrExtent, func(f *forged) {
			f.at(zeros)[136+16+7]++
			f.at(zeros)[0x5F]++
			f.sealExtent(zeros)
			f.sealData()
		}},
		{"a page between extents", full, plot.ErrExtent, func(f *forged) {
			f.insert(int(be.Uint64(f.record(noise)[72:])), 1)
			f.grow(4, page)
			f.edit(noise, func(r []byte) { be.PutUint64(r[72:], be.Uint64(r[72:])+page) })
			f.sealData()
		}},
		{"a page behind the extents", full, plot.ErrExtent, func(f *forged) {
			f.insert(tableAt(f.b, 1), 1)
			f.grow(4, page)
		}},
		{"padding behind the block table", full, plot.ErrExtent,
			func(f *forged) { set(f.at(noise), page-1, 1) }},
		{"hash of a capsule", full, plot.ErrContentMismatch, func(f *forged) {
			f.edit(noise, func(r []byte) { r[40]++ })
			f.at(noise)[0x30]++
			f.sealExtent(noise)
			f.sealData()
			f.reroot()
		}},
		{"chunk root of a capsule", full, plot.ErrContentMismatch, func(f *forged) {
			f.entry(noise)[0]++
			f.subroots(noise)[0]++
			f.at(noise)[0x60]++
			f.sealExtent(noise)
			f.reroot()
		}},
		{"chunk root of an extent", full, plot.ErrExtent,
			func(f *forged) { f.at(noise)[0x60]++; f.sealExtent(noise) }},
	} {
		f := &forged{b: bytes.Clone(whole)}
		c.edit(f)
		b := f.seal(t)
		for level := opened; level <= full; level++ {
			err := checkAt(b, level)
			if level < c.level && err != nil || level >= c.level && !errors.Is(err, c.want) {
				t.Errorf("%s: level %d: %v, expected %v at level %d", c.what, level, err, c.want,
					c.level)
			}
		}
	}
	f := &forged{b: bytes.Clone(whole)}
	f.sealData()
	f.reroot()
	if b := f.seal(t); !bytes.Equal(b, whole) {
		t.Errorf("without a lie the bytes differ at %d", mismatch(b, whole))
	}
}

const hashSize = 32

// What an open does not read is checked when it is read.
func TestUnverified(t *testing.T) {
	o := fast()
	o.Compression = plot.None
	list := smallStores(t)
	whole := readFile(t, create(t, t.TempDir(), o, list...).Path)
	const zeros, noise = 4, 5
	first, last := list[0].manifest.Capsules[0], list[1].manifest.Capsules[1]
	reader := func(b []byte) *plot.Reader {
		t.Helper()
		r, err := plot.NewReader(bytes.NewReader(b), int64(len(b)), nil)
		check(t, err)
		return r
	}

	// Other content, with checksums and subroots that fit it.
	f := &forged{b: bytes.Clone(whole)}
	content := f.at(noise)[page:][:last.Size]
	content[0]++
	be.PutUint32(f.at(noise)[136+12:], crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
	f.sealExtent(noise)
	subroot := capsule.Subroot(content)
	copy(f.subroots(noise), subroot[:])
	c, err := reader(f.b).Capsule(last, plot.Verified)
	check(t, err)
	var out bytes.Buffer
	if n, err := c.WriteTo(&out); !errors.Is(err, plot.ErrTable) || n != 0 {
		t.Errorf("other content: %d bytes, %v", n, err)
	}

	// A proof is not made from leaves that do not fold to the root of the plot.
	f = &forged{b: bytes.Clone(whole)}
	f.entry(zeros)[0]++
	if _, err := reader(f.b).Find(t.Context(), first.Hash, merkle.Hash{}); !errors.Is(err,
		plot.ErrTable) {
		t.Errorf("proof beside a damaged chunk root: %v", err)
	}

	// Nor from leaves that change afterwards.
	f = &forged{b: bytes.Clone(whole)}
	r := reader(f.b)
	p, err := r.Find(t.Context(), first.Hash, merkle.Hash{})
	check(t, err)
	check(t, p.Close())
	f.entry(zeros)[0]++
	if _, err := r.Find(t.Context(), first.Hash, merkle.Hash{}); !errors.Is(err, plot.ErrIndex) {
		t.Errorf("proof from a plot that changed: %v", err)
	}
}
