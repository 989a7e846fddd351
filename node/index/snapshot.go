package index

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/internal/diskfs"
)

// A snapshot is a file:
//
//	"DIGINDEX" || u32 version = 1 || u64 capsules || u32 sources || u32 items || u32 generations
//	for each source:      name
//	for each named item:  u32 source || name || stamp
//	for each generation:  store(32) || root(32) || u64 created || u32 count || u32 described ||
//	                      u8 sparse || sparse: u32 index for each capsule described
//	                      hash(32) || chunk root(32) || u32 size for each
//	                      u32 holders, and for each: u32 source || u32 item || stamp || u8 head ||
//	                      u8 partial || partial: u64 for each 64 capsules, from the lowest bit
//	SHA-256 of all that is before
//
// A stamp is u64 size, u64 seconds and u32 nanoseconds. An item is its number from 1 in the list,
// and 0 for one that is the generation. A name is u32 length and its bytes. Integers are
// big-endian.
const (
	magic         = "DIGINDEX"
	version       = 1
	recordLen     = 68
	generationLen = 85 // at least, with its count of holders
	holderLen     = 30 // at least
	batch         = 4096
	maxName       = 64 << 10
)

// ErrSnapshot reports a snapshot that is damaged or of another version.
var ErrSnapshot = errors.New("index snapshot")

// Save writes a snapshot to the file name, durably. The replacement is atomic. Lookups continue
// during Save, and changes wait.
func (x *Index) Save(fsys diskfs.FS, name string) error {
	if err := x.save(fsys, name); err != nil {
		return fmt.Errorf("write index snapshot: %w", err)
	}
	return nil
}

func (x *Index) save(fsys diskfs.FS, name string) error {
	tmp := name + ".tmp"
	f, err := fsys.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	x.mu.RLock()
	err = x.write(f)
	x.mu.RUnlock()
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(tmp, name)
	}
	if err != nil {
		_ = fsys.Remove(tmp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// write writes the snapshot. The caller holds mu.
func (x *Index) write(f io.Writer) error {
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)
	numbers := map[uint32]uint32{} // of named items, as the snapshot counts them
	var named []*item
	for _, n := range x.numbered {
		if n != nil {
			named = append(named, n)
			numbers[n.number] = uint32(len(named))
		}
	}
	b := append(make([]byte, 0, batch*recordLen), magic...)
	b = codec.AppendU32(b, version)
	b = codec.AppendU64(b, x.counts.Described)
	b = codec.AppendU32(b, uint32(len(x.sources)))
	b = codec.AppendU32(b, uint32(len(named)))
	b = codec.AppendU32(b, uint32(x.byKey.n))
	for _, s := range x.sources {
		b = append(codec.AppendU32(b, uint32(len(s))), s...)
	}
	for _, n := range named {
		b = codec.AppendU32(b, uint32(n.source))
		b = append(codec.AppendU32(b, uint32(len(n.name))), n.name...)
		b = n.stamp.append(b)
	}
	for _, g := range x.gens {
		if g == nil {
			continue
		}
		b = g.append(b)
		for list := g.caps; len(list) > 0; list = list[min(batch, len(list)):] {
			for i := range list[:min(batch, len(list))] {
				r := &list[i]
				b = append(append(b, r.hash[:]...), r.chunkRoot[:]...)
				b = codec.AppendU32(b, r.size)
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		b = codec.AppendU32(b, uint32(len(g.holders)))
		for i := range g.holders {
			b = g.holders[i].append(b, numbers)
		}
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := f.Write(sum.Sum(nil))
	return err
}

func (s stamp) append(b []byte) []byte {
	b = codec.AppendU64(b, uint64(s.size))
	b = codec.AppendU64(b, uint64(s.sec))
	return codec.AppendU32(b, s.nsec)
}

func (g *gen) append(b []byte) []byte {
	b = append(append(b, g.key.Store[:]...), g.key.Root[:]...)
	b = codec.AppendU64(b, g.created)
	b = codec.AppendU32(b, g.count)
	b = codec.AppendU32(b, uint32(len(g.caps)))
	if g.index == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	for _, i := range g.index {
		b = codec.AppendU32(b, i)
	}
	return b
}

func (h *holder) append(b []byte, numbers map[uint32]uint32) []byte {
	b = codec.AppendU32(b, uint32(h.source))
	b = codec.AppendU32(b, numbers[h.item])
	b = h.stamp.append(b)
	b = append(b, flag(h.head), flag(h.bits != nil))
	for _, w := range h.bits {
		b = codec.AppendU64(b, w)
	}
	return b
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Load reads a snapshot. Errors are those of the file system, such as fs.ErrNotExist, or match
// ErrSnapshot. Call Update afterwards. Memory is allocated in proportion to the bytes read.
func Load(fsys diskfs.FS, name string) (*Index, error) {
	f, size, err := diskfs.OpenRegular(fsys, name, os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("read index snapshot: %w", err)
	}
	defer f.Close()
	x, err := load(f, size)
	if err != nil {
		return nil, fmt.Errorf("read index snapshot %s: %w", name, err)
	}
	return x, nil
}

func load(f io.Reader, size int64) (*Index, error) {
	sum := sha256.New()
	r := &reader{left: size - sha256.Size, sum: sum}
	if r.left < 0 {
		return nil, fmt.Errorf("%w: found %d bytes", ErrSnapshot, size)
	}
	r.r = bufio.NewReaderSize(io.TeeReader(io.LimitReader(f, r.left), sum), 1<<20)
	x, err := r.index()
	if err == nil && r.left != 0 {
		err = fmt.Errorf("%w: %d bytes after the end", ErrSnapshot, r.left)
	}
	if err != nil {
		return nil, err
	}
	var want [sha256.Size]byte
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return nil, err
	}
	if got := [sha256.Size]byte(sum.Sum(nil)); got != want {
		return nil, fmt.Errorf("%w: checksum %x, expected %x", ErrSnapshot, want[:4], got[:4])
	}
	return x, nil
}

// reader reads the fields of a snapshot. Counts are bounded by the bytes that are left.
type reader struct {
	r    io.Reader
	sum  hash.Hash
	left int64
	buf  [batch * recordLen]byte
}

// next returns the next n bytes, at most len(buf), which the next call overwrites.
func (r *reader) next(n int) (*codec.Reader, error) {
	if int64(n) > r.left {
		return nil, fmt.Errorf("%w: cut short", ErrSnapshot)
	}
	if _, err := io.ReadFull(r.r, r.buf[:n]); err != nil {
		return nil, err
	}
	r.left -= int64(n)
	return codec.NewReader(r.buf[:n]), nil
}

// fits returns nil if n entries of at least size bytes can follow.
func (r *reader) fits(what string, n uint64, size int64) error {
	if n > uint64(r.left/size) {
		return fmt.Errorf("%w: %d %s, %d bytes left", ErrSnapshot, n, what, r.left)
	}
	return nil
}

func (r *reader) name() (string, error) {
	c, err := r.next(4)
	if err != nil {
		return "", err
	}
	n := c.U32()
	if n > maxName {
		return "", fmt.Errorf("%w: name of %d bytes", ErrSnapshot, n)
	}
	if _, err = r.next(int(n)); err != nil {
		return "", err
	}
	return string(r.buf[:n]), nil
}

func readStamp(c *codec.Reader) stamp {
	return stamp{int64(c.U64()), int64(c.U64()), c.U32()}
}

func (r *reader) index() (*Index, error) {
	c, err := r.next(len(magic) + 24)
	if err != nil {
		return nil, err
	}
	var m [len(magic)]byte
	c.Fixed(m[:])
	v, described, sources, named, gens := c.U32(), c.U64(), c.U32(), c.U32(), c.U32()
	if string(m[:]) != magic || v != version {
		return nil, fmt.Errorf("%w: magic %q, version %d, expected version %d", ErrSnapshot, m[:], v,
			version)
	}
	err = errors.Join(r.fits("capsules", described, recordLen), r.fits("sources", uint64(sources), 4),
		r.fits("items", uint64(named), 28), r.fits("generations", uint64(gens), generationLen))
	if err != nil {
		return nil, err
	}
	x := New()
	x.byHash.grow(int(described), x.rehashContent)
	for range sources {
		name, err := r.name()
		if err != nil {
			return nil, err
		}
		if n, err := x.source(name); err != nil || int(n) != len(x.sources)-1 {
			return nil, fmt.Errorf("%w: source %.40q: %v", ErrSnapshot, name, err)
		}
	}
	for range named {
		if err := r.item(x); err != nil {
			return nil, err
		}
	}
	for range gens {
		if err := r.generation(x); err != nil {
			return nil, err
		}
	}
	if x.counts.Described != described {
		return nil, fmt.Errorf("%w: %d capsules, expected %d", ErrSnapshot, x.counts.Described,
			described)
	}
	return x, nil
}

func (r *reader) item(x *Index) error {
	c, err := r.next(4)
	if err != nil {
		return err
	}
	src := c.U32()
	name, err := r.name()
	if err != nil {
		return err
	}
	if c, err = r.next(20); err != nil {
		return err
	}
	if src >= uint32(len(x.sources)) || name == "" || x.items[itemKey{uint16(src), name}] != nil {
		return fmt.Errorf("%w: item %.40q of source %d", ErrSnapshot, name, src)
	}
	x.numbered[x.number(uint16(src), Item{Name: name}, true)].stamp = readStamp(c)
	return nil
}

func (r *reader) generation(x *Index) error {
	c, err := r.next(generationLen - 4)
	if err != nil {
		return err
	}
	g := &gen{}
	c.Fixed(g.key.Store[:])
	c.Fixed(g.key.Root[:])
	g.created, g.count = c.U64(), c.U32()
	n, sparse := c.U32(), c.Bool()
	if c.Err() != nil || n == 0 || n > g.count || g.key.Root.IsZero() || !sparse && n != g.count ||
		x.find(g.key) != nil {
		return fmt.Errorf("%w: generation %v, %d of %d capsules", ErrSnapshot, g.key, n, g.count)
	}
	if err := r.fits("capsules", uint64(n), recordLen); err != nil {
		return err
	}
	if sparse {
		if err := r.indices(g, int(n)); err != nil {
			return err
		}
	}
	g.caps = make([]record, n)
	for at := 0; at < len(g.caps); at += batch {
		part := g.caps[at:min(at+batch, len(g.caps))]
		c, err := r.next(len(part) * recordLen)
		if err != nil {
			return err
		}
		for i := range part {
			c.Fixed(part[i].hash[:])
			c.Fixed(part[i].chunkRoot[:])
			part[i].size = c.U32()
		}
	}
	if err := r.holders(x, g); err != nil {
		return err
	}
	x.add(g)
	x.recount(g)
	x.headChanged(g, false)
	for _, h := range g.holders {
		if h.item != 0 {
			x.numbered[h.item].gens = append(x.numbered[h.item].gens, g.id)
		}
	}
	return nil
}

func (r *reader) indices(g *gen, n int) error {
	g.index = make([]uint32, n)
	for at := 0; at < n; at += batch {
		part := g.index[at:min(at+batch, n)]
		c, err := r.next(4 * len(part))
		if err != nil {
			return err
		}
		for i := range part {
			part[i] = c.U32()
		}
	}
	if !slices.IsSorted(g.index) || len(slices.Compact(slices.Clone(g.index))) != n ||
		g.index[n-1] >= g.count {
		return fmt.Errorf("%w: indices of generation %v", ErrSnapshot, g.key)
	}
	return nil
}

func (r *reader) holders(x *Index, g *gen) error {
	c, err := r.next(4)
	if err != nil {
		return err
	}
	n := c.U32()
	if err := r.fits("holders", uint64(n), holderLen); err != nil || n == 0 || n > math.MaxUint16 {
		return fmt.Errorf("%w: generation %v has %d holders", ErrSnapshot, g.key, n)
	}
	for range n {
		c, err := r.next(holderLen)
		if err != nil {
			return err
		}
		src := c.U32()
		h := holder{item: c.U32(), stamp: readStamp(c), head: c.Bool()}
		partial := c.Bool()
		h.source = uint16(src)
		known := src < uint32(len(x.sources)) && uint64(h.item) < uint64(len(x.numbered))
		if c.Err() != nil || !known || g.holder(h.source, h.item) != nil || h.head && h.item != 0 ||
			h.item != 0 && x.numbered[h.item].source != h.source {
			return fmt.Errorf("%w: holder of generation %v", ErrSnapshot, g.key)
		}
		if partial {
			if h.bits, err = r.bits(len(g.caps)); err != nil {
				return err
			}
		}
		g.holders = append(g.holders, h)
	}
	return nil
}

func (r *reader) bits(n int) ([]uint64, error) {
	bits := make([]uint64, words(n))
	for at := 0; at < len(bits); at += batch {
		part := bits[at:min(at+batch, len(bits))]
		c, err := r.next(8 * len(part))
		if err != nil {
			return nil, err
		}
		for i := range part {
			part[i] = c.U64()
		}
	}
	if n%64 != 0 && bits[len(bits)-1]>>(n%64) != 0 {
		return nil, fmt.Errorf("%w: surplus bits", ErrSnapshot)
	}
	return bits, nil
}
