package plot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"sort"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// A recordList is all records in memory, and their ordinals by hash.
type recordList struct {
	records []Record
	byHash  []uint32
}

// Lookup returns the record of a capsule of a datastore. It reads one page of
// the index, or nothing when the records are in memory. Absence is
// fs.ErrNotExist, and ErrUnverified too as long as Verify has not passed at
// level Quick: until then a damaged index can hide a capsule.
func (r *Reader) Lookup(s auth.StoreID, index uint32) (Record, error) {
	k := makeKey(s, index)
	list, err := r.recordList()
	if err != nil {
		return Record{}, err
	}
	if list != nil {
		i, ok := slices.BinarySearchFunc(list.records, k, compareKey)
		if !ok {
			return Record{}, r.absent(fmt.Sprintf("capsule %d of datastore %s", index, s))
		}
		return list.records[i], nil
	}
	rec, ok, err := r.inBucket(r.layout.keyOff, bucketOf(r.head.id, k[:], r.layout.keyLog2),
		func(rec *Record) bool { return rec.key() == k })
	if err == nil && !ok {
		err = r.absent(fmt.Sprintf("capsule %d of datastore %s", index, s))
	}
	return rec, err
}

// LookupHash returns the first record, in record order, of the capsules whose
// content has the hash h. Otherwise it is like Lookup.
func (r *Reader) LookupHash(h merkle.Hash) (Record, error) {
	list, err := r.recordList()
	if err != nil {
		return Record{}, err
	}
	if list != nil {
		at := sort.Search(len(list.byHash),
			func(i int) bool { return list.records[list.byHash[i]].Hash.Compare(h) >= 0 })
		if at == len(list.byHash) || list.records[list.byHash[at]].Hash != h {
			return Record{}, r.absent("capsule with hash " + h.String())
		}
		return list.records[list.byHash[at]], nil
	}
	rec, ok, err := r.inBucket(r.layout.hashOff, bucketOf(r.head.id, h[:], r.layout.hashLog2),
		func(rec *Record) bool { return rec.Hash == h })
	if err == nil && !ok {
		err = r.absent("capsule with hash " + h.String())
	}
	return rec, err
}

// Records yields all records in order: ascending by datastore and index. It
// stops after an error.
func (r *Reader) Records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		stopped := false
		err := r.eachRecord(context.Background(), func(_ int, rec *Record, _ []byte) error {
			if !yield(*rec, nil) {
				stopped = true
				return io.EOF
			}
			return nil
		})
		if err != nil && !stopped {
			yield(Record{}, err)
		}
	}
}

func (r *Reader) absent(what string) error {
	err := fmt.Errorf("%s in plot %s: %w", what, r.head.id, fs.ErrNotExist)
	if !r.verified.Load() {
		err = fmt.Errorf("%w: %w", err, ErrUnverified)
	}
	return err
}

func compareKey(r Record, k recordKey) int {
	rk := r.key()
	return bytes.Compare(rk[:], k[:])
}

// inBucket reads one page of an index and returns the record that match finds.
func (r *Reader) inBucket(
	off int64, n uint32, match func(*Record) bool,
) (found Record, ok bool, err error) {
	at := r.bodyOf(indexTable) + off + int64(n)*pageSize
	page := make([]byte, pageSize)
	if err := readFull(r.src, page, at); err != nil {
		return found, false, err
	}
	err = parseBucket(page, at, func(rec Record) bool {
		if match(&rec) {
			found, ok = rec, true
		}
		return !ok
	})
	if err == nil && ok {
		err = r.checkOffset(&found)
	}
	return found, ok, err
}

// checkOffset checks that a record points into C4.
func (r *Reader) checkOffset(rec *Record) error {
	start := r.bodyOf(dataTable)
	if rec.Offset < start || rec.Offset >= start+r.tables[dataTable-1].bodySize ||
		rec.Offset%pageSize != 0 {
		return damaged(ErrIndex, fmt.Sprintf("record of capsule %d of datastore %s", rec.Index,
			rec.Store), -1,
			"offset %d lies outside of C4", rec.Offset)
	}
	return nil
}

// eachRecord reads the records in order and checks that they ascend and point
// into C4. yield gets the ordinal, the record and its encoding.
func (r *Reader) eachRecord(ctx context.Context,
	yield func(i int, rec *Record, raw []byte) error) error {
	at := r.bodyOf(indexTable) + recordsOff
	buf := make([]byte, min(1<<20/recordSize, int(r.head.capsules))*recordSize)
	var last recordKey
	for i := 0; i < int(r.head.capsules); {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(len(buf), (int(r.head.capsules)-i)*recordSize)]
		if err := readFull(r.src, b, at+int64(i)*recordSize); err != nil {
			return err
		}
		for ; len(b) > 0; b = b[recordSize:] {
			rec := parseRecord(b)
			k := rec.key()
			if i > 0 && bytes.Compare(last[:], k[:]) >= 0 {
				return damaged(ErrIndex, fmt.Sprintf("C3 record %d", i), at+int64(i)*recordSize,
					"is not in ascending order")
			}
			if err := r.checkOffset(&rec); err != nil {
				return err
			}
			last = k
			if err := yield(i, &rec, b[:recordSize]); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}

// recordList returns the records in memory, which it loads at the first call,
// or nil when there are too many.
func (r *Reader) recordList() (*recordList, error) {
	if int64(r.head.capsules) > int64(max(0, r.o.MaxRecords)) {
		return nil, nil
	}
	if l := r.records.Load(); l != nil {
		return l, nil
	}
	r.load.Lock()
	defer r.load.Unlock()
	if l := r.records.Load(); l != nil {
		return l, nil
	}
	l := &recordList{records: make([]Record, 0, r.head.capsules)}
	err := r.eachRecord(context.Background(), func(_ int, rec *Record, _ []byte) error {
		l.records = append(l.records, *rec)
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.byHash = byHash(recordSlice(l.records))
	r.records.Store(l)
	return l, nil
}

// ordinal returns the place of a record among all records. Without the records
// in memory it reads the record array once, to keep every 51st key, and then
// at most 4,080 bytes.
func (r *Reader) ordinal(rec *Record) (int64, error) {
	k := rec.key()
	list, err := r.recordList()
	if err != nil {
		return 0, err
	}
	if list != nil {
		i, ok := slices.BinarySearchFunc(list.records, k, compareKey)
		if !ok || list.records[i] != *rec {
			return 0, r.strayRecord(rec)
		}
		return int64(i), nil
	}
	fences, err := r.fenceList()
	if err != nil {
		return 0, err
	}
	n, ok := slices.BinarySearchFunc(fences, k,
		func(a, b recordKey) int { return bytes.Compare(a[:], b[:]) })
	if !ok {
		n--
	}
	if n < 0 {
		return 0, r.strayRecord(rec)
	}
	first := int64(n) * recordsPerBucket
	b := make([]byte, min(recordsPerBucket, int64(r.head.capsules)-first)*recordSize)
	if err := readFull(r.src, b, r.bodyOf(indexTable)+recordsOff+first*recordSize); err != nil {
		return 0, err
	}
	for i := int64(0); len(b) > 0; i, b = i+1, b[recordSize:] {
		if parseRecord(b) == *rec {
			return first + i, nil
		}
	}
	return 0, r.strayRecord(rec)
}

func (r *Reader) strayRecord(rec *Record) error {
	return damaged(ErrIndex, fmt.Sprintf("record of capsule %d of datastore %s", rec.Index,
		rec.Store), -1,
		"differs between the index and the records")
}

func (r *Reader) fenceList() ([]recordKey, error) {
	if l := r.fences.Load(); l != nil {
		return *l, nil
	}
	r.load.Lock()
	defer r.load.Unlock()
	if l := r.fences.Load(); l != nil {
		return *l, nil
	}
	list := make([]recordKey, 0, r.head.capsules/recordsPerBucket+1)
	err := r.eachRecord(context.Background(), func(i int, rec *Record, _ []byte) error {
		if i%recordsPerBucket == 0 {
			list = append(list, rec.key())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.fences.Store(&list)
	return list, nil
}

// merkleEntry reads the entry of a record in C5.
func (r *Reader) merkleEntry(i int64, size uint32) (merkleEntry, error) {
	at := r.bodyOf(merkleTable)
	b := make([]byte, merkleEntrySize)
	if err := readFull(r.src, b, at+merkleHead+i*merkleEntrySize); err != nil {
		return merkleEntry{}, err
	}
	return parseMerkleEntry(b, i, size, r.head.capsules, r.tables[merkleTable-1].bodySize, at)
}

// Descriptor returns the descriptor of the capsule of a record.
func (r *Reader) Descriptor(rec Record) (capsule.Descriptor, error) {
	i, err := r.ordinal(&rec)
	if err != nil {
		return capsule.Descriptor{}, err
	}
	e, err := r.merkleEntry(i, rec.Size)
	if err != nil {
		return capsule.Descriptor{}, err
	}
	return capsule.Descriptor{Index: rec.Index, Size: rec.Size, Hash: rec.Hash,
		ChunkRoot: e.chunkRoot}, nil
}

// DatastoreProof returns the proof that the capsule of a record lies below the
// root of its datastore, as the plot has it. The proof folds; whether the root
// is to be trusted is for the caller to know.
func (r *Reader) DatastoreProof(rec Record) (merkle.Proof, error) {
	i, err := r.ordinal(&rec)
	if err != nil {
		return merkle.Proof{}, err
	}
	e, err := r.merkleEntry(i, rec.Size)
	if err != nil {
		return merkle.Proof{}, err
	}
	b := make([]byte, e.path*stepSize)
	at := r.bodyOf(merkleTable) + e.pathOff
	if err := readFull(r.src, b, at); err != nil {
		return merkle.Proof{}, err
	}
	return r.checkPath(&rec, &e, b, at)
}

// checkPath makes the proof of a record from its path in C5, which stands at
// offset at, and checks it against the datastore list.
func (r *Reader) checkPath(
	rec *Record, e *merkleEntry, path []byte, at int64,
) (merkle.Proof, error) {
	steps, err := parseSteps(path, at)
	if err != nil {
		return merkle.Proof{}, err
	}
	d, ok := r.stores.find(rec.Store)
	if !ok || rec.Index >= d.Capsules {
		return merkle.Proof{}, damaged(ErrTable, "C1", r.bodyOf(metaTable),
			"has no capsule %d of datastore %s", rec.Index, rec.Store)
	}
	desc := capsule.Descriptor{Index: rec.Index, Size: rec.Size, Hash: rec.Hash,
		ChunkRoot: e.chunkRoot}
	p := merkle.Proof{Leaf: desc.Leaf(), Path: steps, Root: d.Root}
	if err := p.CheckAt(p.Leaf, d.Root, int64(rec.Index), int64(d.Capsules)); err != nil {
		return p, damaged(ErrTable, fmt.Sprintf("C5 path of capsule %d of datastore %s", rec.Index,
			rec.Store), at, "%v", err)
	}
	return p, nil
}

// find returns the record of the capsule that d describes. Equal content under
// another index is as good.
func (r *Reader) find(d capsule.Descriptor) (Record, error) {
	rec, err := r.LookupHash(d.Hash)
	if err != nil {
		return rec, err
	}
	if rec.Size != d.Size {
		return rec, damaged(ErrIndex, "record with hash "+d.Hash.String(), -1,
			"size %d, expected %d", rec.Size, d.Size)
	}
	return rec, nil
}

// Manifest returns the manifest of a datastore of which the plot holds all
// capsules. It folds to the root that the plot names; whether that is to be
// trusted is for the caller to know. A datastore that the plot holds in part,
// or not at all, is fs.ErrNotExist.
func (r *Reader) Manifest(s auth.StoreID) (*capsule.Manifest, error) {
	ds, err := r.Datastore(s)
	if err != nil {
		return nil, err
	}
	if ds.Capsules > r.head.capsules {
		return nil, fmt.Errorf("all %d capsules of datastore %s in plot %s: %w", ds.Capsules, s,
			r.head.id, fs.ErrNotExist)
	}
	m := &capsule.Manifest{Store: s, Root: ds.Root, Created: r.head.created}
	for i := range ds.Capsules {
		rec, err := r.Lookup(s, i)
		if err != nil {
			return nil, err
		}
		d, err := r.Descriptor(rec)
		if err != nil {
			return nil, err
		}
		m.Capsules = append(m.Capsules, d)
	}
	if err := m.Check(); err != nil {
		return nil, damaged(ErrTable, "C5", r.bodyOf(merkleTable), "%v", err)
	}
	return m, nil
}
