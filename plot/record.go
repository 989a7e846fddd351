package plot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

const recordSize = 80

// A Record says where one capsule lies in a plot. FORMAT.md §7.
type Record struct {
	Store  auth.StoreID
	Index  uint32      // of the capsule in its generation
	Size   uint32      // of its content in bytes
	Hash   merkle.Hash // SHA-256 of its content
	Offset int64       // of its extent in the file, in bytes
}

func (r *Record) append(b []byte) []byte {
	b = append(b, r.Store[:]...)
	b = be.AppendUint32(b, r.Index)
	b = be.AppendUint32(b, r.Size)
	b = append(b, r.Hash[:]...)
	return be.AppendUint64(b, uint64(r.Offset))
}

// parseRecord reads one record. An offset over MaxSize becomes negative, which
// no check of an offset takes.
func parseRecord(b []byte) Record {
	r := Record{Store: auth.StoreID(b[:32]), Index: be.Uint32(b[32:]), Size: be.Uint32(b[36:]),
		Hash: merkle.Hash(b[40:72])}
	if off := be.Uint64(b[72:]); off <= MaxSize {
		r.Offset = int64(off)
	} else {
		r.Offset = -1
	}
	return r
}

const keySize = 36

// A recordKey is what records are sorted by: store and index, big-endian.
type recordKey [keySize]byte

func makeKey(store auth.StoreID, index uint32) recordKey {
	var k recordKey
	copy(k[:], store[:])
	be.PutUint32(k[32:], index)
	return k
}

func (r *Record) key() recordKey { return makeKey(r.Store, r.Index) }

// The index table C3: one head page, the records, the key index and the hash
// index, each padded to a page. FORMAT.md §7.
const (
	recordsPerBucket = 51
	maxBucketLog2    = 24
	bucketHead       = 16
)

// indexLayout is where the parts of C3 lie, in bytes from the start of its
// body.
type indexLayout struct {
	records           int64 // number of records
	keyLog2, hashLog2 int
	keyOff, hashOff   int64
	size              int64 // of the body
}

const recordsOff = pageSize

func layoutIndex(records int64, keyLog2, hashLog2 int) indexLayout {
	l := indexLayout{records: records, keyLog2: keyLog2, hashLog2: hashLog2}
	l.keyOff = recordsOff + align(records*recordSize)
	l.hashOff = l.keyOff + pageSize<<keyLog2
	l.size = l.hashOff + pageSize<<hashLog2
	return l
}

func (l *indexLayout) encode() []byte {
	b := make([]byte, pageSize)
	be.PutUint32(b, uint32(l.records))
	be.PutUint32(b[4:], recordSize)
	be.PutUint32(b[8:], uint32(l.keyLog2))
	be.PutUint32(b[12:], uint32(l.hashLog2))
	be.PutUint64(b[16:], recordsOff)
	be.PutUint64(b[24:], uint64(l.keyOff))
	be.PutUint64(b[32:], uint64(l.hashOff))
	return b
}

// parseIndexHead reads the head page of C3, which begins at offset at, of a
// plot with records records. A log2 is accepted only up to the number of
// records, so that a small file cannot announce a large index.
func parseIndexHead(b []byte, at int64, records uint32, bodySize int64) (*indexLayout, error) {
	keyLog2, hashLog2 := be.Uint32(b[8:]), be.Uint32(b[12:])
	for _, n := range []uint32{keyLog2, hashLog2} {
		if n > maxBucketLog2 || int64(1)<<n > int64(records) {
			return nil, damaged(ErrIndex, "C3 head", at+8, "2^%d buckets for %d records", n,
				records)
		}
	}
	l := layoutIndex(int64(records), int(keyLog2), int(hashLog2))
	if !bytes.Equal(b[:pageSize], l.encode()) {
		return nil, damaged(ErrIndex, "C3 head", at, "is not the head of %d records", records)
	}
	if bodySize != l.size {
		return nil, damaged(ErrTable, "C3 header", at-pageSize, "body of %d bytes, expected %d",
			bodySize, l.size)
	}
	return &l, nil
}

var bucketTag = []byte("dig:plot:idx:v1")

// bucketOf returns the number of the bucket, among 2^log2, of a key of the key
// index or a hash of the hash index.
func bucketOf(id merkle.Hash, key []byte, log2 int) uint32 {
	return bucketHash(id, key) >> (32 - log2) // a shift by 32 gives 0
}

// bucketHash returns the first 32 bits that a bucket number is taken from.
func bucketHash(id merkle.Hash, key []byte) uint32 {
	var b [15 + 32 + keySize]byte
	n := copy(b[:], bucketTag)
	n += copy(b[n:], id[:])
	n += copy(b[n:], key)
	sum := sha256.Sum256(b[:n])
	return be.Uint32(sum[:])
}

// smallestLog2 returns the smallest log2 for which no bucket has more than 51
// of the entries whose bucket hashes are given.
func smallestLog2(hashes []uint32) (int, error) {
	for log2 := 0; log2 <= maxBucketLog2; log2++ {
		if int64(len(hashes)) > int64(recordsPerBucket)<<log2 {
			continue
		}
		if fits(hashes, log2) {
			return log2, nil
		}
	}
	return 0, fmt.Errorf("%w: %d records", ErrIndexOverflow, len(hashes))
}

func fits(hashes []uint32, log2 int) bool {
	counts := make([]uint8, 1<<log2)
	for _, h := range hashes {
		b := h >> (32 - log2)
		if counts[b]++; counts[b] > recordsPerBucket {
			return false
		}
	}
	return true
}

// bucketOrder returns the entries sorted by bucket, those of one bucket in
// their own order, and where each bucket begins in them; start has one more
// element than there are buckets.
func bucketOrder(hashes []uint32, log2 int) (order, start []uint32) {
	start = make([]uint32, 1<<log2+1)
	for _, h := range hashes {
		start[h>>(32-log2)+1]++
	}
	for i := 1; i < len(start); i++ {
		start[i] += start[i-1]
	}
	next := append([]uint32(nil), start[:len(start)-1]...)
	order = make([]uint32, len(hashes))
	for i, h := range hashes {
		b := h >> (32 - log2)
		order[next[b]] = uint32(i)
		next[b]++
	}
	return order, start
}

// parseBucket calls yield with each record of a bucket page until it returns
// false. at is the offset of the page in the file.
func parseBucket(b []byte, at int64, yield func(Record) bool) error {
	n := int(be.Uint16(b))
	if n > recordsPerBucket || !isZero(b[2:bucketHead]) ||
		!isZero(b[bucketHead+n*recordSize:pageSize]) {
		return damaged(ErrIndex, "C3 bucket", at, "is no bucket of %d records", n)
	}
	for i := range n {
		if !yield(parseRecord(b[bucketHead+i*recordSize:])) {
			break
		}
	}
	return nil
}

// A recordSource is the records of a plot in order, by ordinal.
type recordSource interface {
	count() int
	record(i uint32) Record
	hash(i uint32) *merkle.Hash // of the content; not to be changed
}

// A recordSlice is records in memory.
type recordSlice []Record

func (s recordSlice) count() int                 { return len(s) }
func (s recordSlice) record(i uint32) Record     { return s[i] }
func (s recordSlice) hash(i uint32) *merkle.Hash { return &s[i].Hash }

// An index is the sorted records of a plot and their order in both bucket
// indexes.
type index struct {
	layout  indexLayout
	records recordSource
	byKey   buckets
	byHash  buckets
}

type buckets struct{ order, start []uint32 }

// newIndex sorts records into the two indexes. The records are in order, and
// distinct is what firstOfHash returns for them.
func newIndex(ctx context.Context, id merkle.Hash, records recordSource,
	distinct []uint32) (*index, error) {
	x := &index{records: records}
	hashes := make([]uint32, records.count())
	for i := range hashes {
		if i%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r := records.record(uint32(i))
		k := r.key()
		hashes[i] = bucketHash(id, k[:])
	}
	keyLog2, err := smallestLog2(hashes)
	if err != nil {
		return nil, err
	}
	x.byKey.order, x.byKey.start = bucketOrder(hashes, keyLog2)
	hashes = hashes[:0]
	for i, n := range distinct {
		if i%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		hashes = append(hashes, bucketHash(id, records.hash(n)[:]))
	}
	hashLog2, err := smallestLog2(hashes)
	if err != nil {
		return nil, err
	}
	x.byHash.order, x.byHash.start = bucketOrder(hashes, hashLog2)
	for i, n := range x.byHash.order {
		x.byHash.order[i] = distinct[n]
	}
	x.layout = layoutIndex(int64(records.count()), keyLog2, hashLog2)
	return x, nil
}

// page fills b, one page, with bucket n of an index.
func (x *index) page(b []byte, of *buckets, n int) {
	clear(b)
	list := of.order[of.start[n]:of.start[n+1]]
	be.PutUint16(b, uint16(len(list)))
	at := bucketHead
	for _, i := range list {
		r := x.records.record(i)
		r.append(b[at:at])
		at += recordSize
	}
}

// write calls put with all of the body of C3 in order, in pieces that are
// valid until put returns.
func (x *index) write(put func([]byte) error) error {
	if err := put(x.layout.encode()); err != nil {
		return err
	}
	b := make([]byte, 0, min(64*pageSize/recordSize, x.records.count())*recordSize)
	for i := range x.records.count() {
		if len(b)+recordSize > cap(b) {
			if err := put(b); err != nil {
				return err
			}
			b = b[:0]
		}
		r := x.records.record(uint32(i))
		b = r.append(b)
	}
	if err := put(b); err != nil {
		return err
	}
	size := int64(x.records.count()) * recordSize
	if err := put(zeroPage[:align(size)-size]); err != nil {
		return err
	}
	page := make([]byte, pageSize)
	for _, of := range []*buckets{&x.byKey, &x.byHash} {
		for n := range len(of.start) - 1 {
			x.page(page, of, n)
			if err := put(page); err != nil {
				return err
			}
		}
	}
	return nil
}

// byHash returns the ordinals of all records, sorted by hash and then by
// ordinal.
func byHash(records recordSource) []uint32 {
	list := make([]uint32, records.count())
	for i := range list {
		list[i] = uint32(i)
	}
	slices.SortFunc(list, func(a, b uint32) int {
		if c := records.hash(a).Compare(*records.hash(b)); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	return list
}

// sameHash returns for each record the ordinal of the first one with its hash.
func sameHash(records recordSource) []uint32 {
	list := byHash(records)
	first := make([]uint32, records.count())
	for i, n := range list {
		if i > 0 && *records.hash(list[i-1]) == *records.hash(n) {
			first[n] = first[list[i-1]]
		} else {
			first[n] = n
		}
	}
	return first
}

// firstOfHash returns the ordinals of the first record of each hash, in order,
// from what sameHash returns.
func firstOfHash(first []uint32) []uint32 {
	count := 0
	for i, n := range first {
		if int(n) == i {
			count++
		}
	}
	list := make([]uint32, 0, count)
	for i, n := range first {
		if int(n) == i {
			list = append(list, n)
		}
	}
	return list
}
