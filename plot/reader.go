package plot

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
)

// Defaults of ReadOptions.
const (
	DefaultMaxTable   = 64 << 20
	DefaultMaxRecords = 1 << 20
)

// ReadOptions are the settings of a Reader. The zero value, and nil, are the
// defaults.
type ReadOptions struct {
	// MaxTable bounds the bytes of the datastore list, which a Reader holds in
	// memory. Default: DefaultMaxTable.
	MaxTable int64
	// MaxRecords is the number of records up to which the first lookup loads
	// all of them into memory, 84 bytes each. Larger plots are looked up in the
	// index pages of the file. Default: DefaultMaxRecords; negative: none.
	MaxRecords int
}

// A Reader reads an open plot. It is safe for concurrent use.
type Reader struct {
	src    io.ReaderAt
	close  func() error
	o      ReadOptions
	path   string
	head   header
	tables [7]tableHeader
	hashes [7]merkle.Hash // table hashes
	meta   metadata
	stores datastores
	anchor Anchor
	layout indexLayout

	verified atomic.Bool // Quick has passed
	load     sync.Mutex  // held while the next three are made
	records  atomic.Pointer[recordList]
	fences   atomic.Pointer[[]recordKey]
	groups   atomic.Pointer[[]merkle.Hash]
}

// Open opens the plot file at path, which must be a regular file and no link.
// The caller closes the Reader. See NewReader for what is checked.
func Open(path string, o *ReadOptions) (*Reader, error) { return openFS(diskfs.OS(), path, o) }

func openFS(fsys diskfs.FS, path string, o *ReadOptions) (*Reader, error) {
	f, size, err := openRegular(fsys, path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	r, err := NewReader(f, size, o)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open plot %s: %w", path, err)
	}
	r.path, r.close = path, f.Close
	return r, nil
}

// NewReader opens the plot of size bytes behind src. It reads page 0, the
// footer, the headers of all tables, the tables C1, C2 and C7 and the head of
// C3, in at most 13 reads, and checks that they agree with each other, with the
// plot id and with the signature of the owner. What is read later is checked
// when it is read. src must be safe for concurrent use.
func NewReader(src io.ReaderAt, size int64, o *ReadOptions) (*Reader, error) {
	r := &Reader{src: src, close: func() error { return nil }}
	if o != nil {
		r.o = *o
	}
	if r.o.MaxTable <= 0 {
		r.o.MaxTable = DefaultMaxTable
	}
	if r.o.MaxRecords == 0 {
		r.o.MaxRecords = DefaultMaxRecords
	}
	if err := r.open(size); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reader) open(size int64) error {
	page := make([]byte, pageSize)
	if size >= pageSize {
		if err := readFull(r.src, page, 0); err != nil {
			return err
		}
	}
	h, err := parseHeader(page, size)
	if err != nil {
		return err
	}
	r.head = *h
	headerHash := sha256.Sum256(page[:4064])
	if err := readFull(r.src, page, size-pageSize); err != nil {
		return err
	}
	f, err := parseFooter(page, size-pageSize, h, headerHash[:])
	if err != nil {
		return err
	}
	if err := r.openTables(page); err != nil {
		return err
	}
	if err := r.openMeta(f); err != nil {
		return err
	}
	if err := readFull(r.src, page, r.bodyOf(indexTable)); err != nil {
		return err
	}
	l, err := parseIndexHead(page, r.bodyOf(indexTable), h.capsules,
		r.tables[indexTable-1].bodySize)
	if err != nil {
		return err
	}
	r.layout = *l
	return nil
}

// bodyOf returns the offset of the body of table i.
func (r *Reader) bodyOf(i int) int64 { return r.head.table(i) + pageSize }

// openTables reads the header pages of all tables and checks that the tables
// tile the file and have the sizes that their counts imply.
func (r *Reader) openTables(page []byte) error {
	for i := 1; i <= 7; i++ {
		at := r.head.table(i)
		if at < pageSize || at >= r.head.size-pageSize {
			return damaged(ErrTable, fmt.Sprintf("C%d", i), at, "lies outside of the file")
		}
		if err := readFull(r.src, page, at); err != nil {
			return err
		}
		t, err := parseTableHeader(page, i, at)
		if err != nil {
			return err
		}
		r.tables[i-1] = *t
	}
	if err := checkTiling(&r.head, &r.tables); err != nil {
		return err
	}
	n := r.head.capsules
	for _, c := range []struct {
		table    int
		entries  uint32
		min, max int64 // of the body in bytes
	}{
		{anchorTable, 1, anchorBodySize, anchorBodySize},
		{indexTable, n, 4 * pageSize, MaxSize},
		{merkleTable, n, merkleHead + int64(n)*(merkleEntrySize+hashSize), MaxSize},
		{workTable, n, int64(n) * workEntrySize, int64(n) * workEntrySize},
		{sealTable, 1, sealBodySize, sealBodySize},
	} {
		t := &r.tables[c.table-1]
		if t.entries != c.entries || t.bodySize < c.min || t.bodySize > c.max {
			return damaged(ErrTable, fmt.Sprintf("C%d header", c.table), r.head.table(c.table),
				"%d entries in %d bytes, expected %d in %d to %d", t.entries, t.bodySize, c.entries,
				c.min, c.max)
		}
	}
	data := &r.tables[dataTable-1]
	if data.entries == 0 || data.entries > n || data.bodySize%pageSize != 0 ||
		data.bodySize < int64(data.entries)*pageSize {
		return damaged(ErrTable, "C4 header", r.head.table(dataTable),
			"%d extents in %d bytes for %d capsules",
			data.entries, data.bodySize, n)
	}
	return nil
}

// table reads the whole body of table i and checks its hash.
func (r *Reader) table(i int) ([]byte, error) {
	t := &r.tables[i-1]
	if t.bodySize > r.o.MaxTable {
		return nil, fmt.Errorf("read table C%d of %d bytes: %w of %d", i, t.bodySize, ErrLimit,
			r.o.MaxTable)
	}
	b := make([]byte, t.bodySize)
	if err := readFull(r.src, b, r.bodyOf(i)); err != nil {
		return nil, err
	}
	if got := bodyHash(b); got != t.bodyHash {
		return nil, damaged(ErrTable, fmt.Sprintf("C%d", i), r.bodyOf(i), "hash %s, expected %s",
			got, t.bodyHash)
	}
	return b, nil
}

// openMeta reads C1, C2 and C7 and checks the chain of the tables, the
// identity and the seal.
func (r *Reader) openMeta(f *footer) error {
	b, err := r.table(metaTable)
	if err != nil {
		return err
	}
	m, stores, err := parseMeta(b, r.bodyOf(metaTable), &r.tables[metaTable-1], &r.head)
	if err != nil {
		return err
	}
	r.meta, r.stores = *m, stores
	if r.hashes, err = checkChain(&r.head, &r.tables, m.seed, f.tip); err != nil {
		return err
	}
	if b, err = r.table(anchorTable); err != nil {
		return err
	}
	if r.anchor, err = parseAnchor(b, r.bodyOf(anchorTable)); err != nil {
		return err
	}
	identity := r.identity()
	if got := identity.Seed(); got != m.seed {
		return damaged(ErrTable, "C1", r.bodyOf(metaTable)+64, "plot seed %s, expected %s", m.seed,
			got)
	}
	if got := identity.ID(); got != r.head.id {
		return damaged(ErrTable, "C1", r.bodyOf(metaTable), "plot id %s, page 0 says %s", got,
			r.head.id)
	}
	if b, err = r.table(sealTable); err != nil {
		return err
	}
	return checkSeal(b, r.bodyOf(sealTable), &r.head, m.key, r.hashes[workTable-1])
}

func (r *Reader) identity() capsule.PlotIdentity {
	return identityOf(r.meta.key, r.meta.root, r.meta.difficulty, r.anchor)
}

// ID returns the plot id.
func (r *Reader) ID() merkle.Hash { return r.head.id }

// Info returns what the plot says of itself.
func (r *Reader) Info() *Info {
	info := r.meta.info(&r.head, &r.anchor, r.stores)
	info.Path = r.path
	return info
}

func (m *metadata) info(h *header, a *Anchor, stores datastores) *Info {
	info := &Info{
		ID: h.id, Size: h.size, Created: time.Unix(int64(h.created),
			0).UTC(), Key: m.key, Root: m.root,
		Difficulty: m.difficulty, Compression: compressionOf(m.compression), Anchor: *a,
		Capsules: int(h.capsules), Content: int64(m.content), Stored: int64(m.stored),
	}
	for i := range stores.len() {
		info.Datastores = append(info.Datastores, stores.at(i))
	}
	return info
}

// Datastore returns what the plot says of a datastore. Absence is
// fs.ErrNotExist.
func (r *Reader) Datastore(s auth.StoreID) (Datastore, error) {
	d, ok := r.stores.find(s)
	if !ok {
		return d, fmt.Errorf("datastore %s in plot %s: %w", s, r.head.id, fs.ErrNotExist)
	}
	return d, nil
}

// Close closes the file that Open opened. A second call does nothing.
func (r *Reader) Close() error {
	r.load.Lock()
	defer r.load.Unlock()
	close := r.close
	r.close = func() error { return nil }
	return close()
}

// openRegular opens the regular file at path. A link, a FIFO or a device is
// refused without opening it.
func openRegular(fsys diskfs.FS, path string, flag int) (diskfs.File, int64, error) {
	f, size, err := diskfs.OpenRegular(fsys, path, flag)
	if errors.Is(err, regular.ErrNotRegular) {
		err = fmt.Errorf("%w: %w", ErrMagic, err)
	}
	return f, size, err
}
