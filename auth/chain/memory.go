package chain

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
)

// A Memory keeps the lineages that a [Resolver] has read, across restarts. Methods may be
// called concurrently.
type Memory interface {
	// Load returns the data that was saved last for a store, or [fs.ErrNotExist].
	Load(ctx context.Context, store auth.StoreID) ([]byte, error)
	// Save replaces the data of a store, atomically and durably.
	Save(ctx context.Context, store auth.StoreID, data []byte) error
}

// The limits in bytes of files that are read.
const (
	maxCacheFile   = 64 << 20 // of a Memory or of Cached
	maxCertificate = 1 << 20
)

// A Dir is a [Memory] in a directory: a file <store id>.chain for each store.
type Dir struct{ path string }

// NewDir returns a Dir for a directory. It is created by the first Save.
func NewDir(path string) *Dir { return &Dir{path} }

func (d *Dir) name(store auth.StoreID) string {
	return filepath.Join(d.path, store.String()+".chain")
}

// Load implements [Memory].
func (d *Dir) Load(_ context.Context, store auth.StoreID) ([]byte, error) {
	return regular.ReadFile(d.name(store), maxCacheFile)
}

// Save implements [Memory].
func (d *Dir) Save(_ context.Context, store auth.StoreID, data []byte) error {
	if err := writeFile(d.name(store), data); err != nil {
		return err
	}
	diskfs.RemoveStale(diskfs.OS(), d.path)
	return nil
}

// String returns the path of the directory.
func (d *Dir) String() string { return d.path }

// writeFile replaces a file atomically and durably. Several processes may do so at the same time.
func writeFile(name string, data []byte) error {
	fsys := diskfs.OS()
	if err := diskfs.MkdirAll(fsys, filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return diskfs.WriteShared(fsys, name, data, 0o600)
}

// The saved form of a lineage, version 1, encoded with package codec:
//
//	"digchain1"  9 bytes
//	network      String
//	store        [32]byte
//	whole        bool        the entries begin with the store's first coin
//	settled      u32         number of settled entries
//	checked      u64         when the source last confirmed the last entry, seconds since 1970
//	melted       u32         height of the block that destroyed the store; 0: none
//	seen         u32, u64    height and time of the newest block with a time; 0, 0: none
//	entries      Vec: generation u32 (2^32-1: not known), coin id, root, height u32,
//	             time u64, role u8
//	states       Vec: those of the last entries
//	checksum     [32]byte    SHA-256 of the bytes before it
//
// A state: parent, puzzle hash, amount u64; inner; owner, known bool; delegates Vec (role u8,
// puzzle, fee u64), known bool; of the metadata the label, description, bytes, size proof,
// program and size bucket as Options, and the dropped keys as a Vec of String. Generation, root
// and role are in the entry.
const memoryTag = "digchain1"

const noGeneration = 1<<32 - 1

// remember saves a lineage.
func (r *Resolver) remember(ctx context.Context, store auth.StoreID, l *lineage, seen Block) error {
	data, err := l.encode(r.opt.Network, store, seen)
	if err == nil {
		err = r.opt.Memory.Save(ctx, store, data)
	}
	if err != nil {
		return fmt.Errorf("save the lineage of store %v: %w", store, err)
	}
	return nil
}

// recall loads a lineage. It is nil if none was saved.
func (r *Resolver) recall(ctx context.Context, store auth.StoreID) (*lineage, Block, error) {
	data, err := r.opt.Memory.Load(ctx, store)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Block{}, nil
	}
	var l *lineage
	var seen Block
	if err == nil {
		l, seen, err = decodeLineage(data, r.opt.Network, store)
	}
	if err != nil {
		return nil, Block{}, fmt.Errorf("load the saved lineage of store %v from %s (if it is removed, "+
			"the chain is read again, without the check for a rollback): %w",
			store, memoryName(r.opt.Memory), err)
	}
	return l, seen, nil
}

func memoryName(m Memory) string {
	if n, ok := m.(fmt.Stringer); ok {
		return n.String()
	}
	return fmt.Sprintf("a %T", m)
}

func (l *lineage) encode(network string, store auth.StoreID, seen Block) ([]byte, error) {
	w := codec.NewWriter([]byte(memoryTag))
	w.String(network)
	w.Fixed(store[:])
	w.Bool(l.whole)
	w.U32(uint32(l.settled))
	w.U64(uint64(l.checked.Unix()))
	var melted uint32
	if l.melted != nil {
		melted = l.melted.Height
	}
	w.U32(melted)
	w.U32(seen.Height)
	w.U64(seen.Time)
	w.Count(len(l.entries))
	for _, e := range l.entries {
		w.U32(uint32(e.Generation)) // -1 becomes noGeneration
		w.Fixed(e.CoinID[:])
		w.Fixed(e.Root[:])
		w.U32(e.Height)
		w.U64(e.Time)
		w.U8(uint8(e.By))
	}
	w.Count(len(l.states))
	for _, s := range l.states {
		s.encode(w)
	}
	b, err := w.Done()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

func (s *State) encode(w *codec.Writer) {
	for _, h := range []merkle.Hash{s.Coin.Parent, s.Coin.PuzzleHash} {
		w.Fixed(h[:])
	}
	w.U64(s.Coin.Amount)
	w.Fixed(s.Inner[:])
	w.Fixed(s.Owner[:])
	w.Bool(s.OwnerKnown)
	w.Count(len(s.Delegates))
	for _, d := range s.Delegates {
		w.U8(uint8(d.Role))
		w.Fixed(d.Puzzle[:])
		w.U64(d.Fee)
	}
	w.Bool(s.DelegatesKnown)
	text := func(v *string) {
		if w.Option(v != nil); v != nil {
			w.String(*v)
		}
	}
	number := func(v *uint64) {
		if w.Option(v != nil); v != nil {
			w.U64(*v)
		}
	}
	m := s.Metadata
	text(m.Label)
	text(m.Description)
	number(m.Bytes)
	text(m.SizeProof)
	if w.Option(m.Program != nil); m.Program != nil {
		w.Fixed(m.Program[:])
	}
	number(m.SizeBucket)
	w.Count(len(m.Dropped))
	for _, k := range m.Dropped {
		w.String(k)
	}
}

// decodeLineage parses the result of encode. It checks that the states have the coin ids of
// their entries.
func decodeLineage(b []byte, network string, store auth.StoreID) (*lineage, Block, error) {
	if len(b) < sha256.Size {
		return nil, Block{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	body := b[:len(b)-sha256.Size]
	if sha256.Sum256(body) != [32]byte(b[len(body):]) {
		return nil, Block{}, fmt.Errorf("%w: wrong checksum", ErrMalformed)
	}
	r := codec.NewReader(body)
	var tag [len(memoryTag)]byte
	r.Fixed(tag[:])
	if r.Err() == nil && string(tag[:]) != memoryTag {
		r.Fail(fmt.Errorf("want the tag %q, found %q", memoryTag, tag[:]))
	}
	var id auth.StoreID
	found := r.String()
	if r.Fixed(id[:]); r.Err() == nil {
		if found != network {
			return nil, Block{}, fmt.Errorf("%w: want %s, found %s", ErrWrongNetwork, network, quote(found))
		}
		if id != store {
			r.Fail(fmt.Errorf("want store %v, found %v", store, id))
		}
	}
	l := &lineage{whole: r.Bool(), settled: int(r.U32()), checked: time.Unix(int64(r.U64()), 0)}
	melted := r.U32()
	seen := Block{Height: r.U32(), Time: r.U64()}
	const entrySize = 4 + 32 + 32 + 4 + 8 + 1
	for range r.Count(entrySize) {
		e := Entry{Generation: int(r.U32())}
		if uint32(e.Generation) == noGeneration {
			e.Generation = -1
		}
		r.Fixed(e.CoinID[:])
		r.Fixed(e.Root[:])
		e.Height, e.Time, e.By = r.U32(), r.U64(), Role(r.U8())
		l.entries = append(l.entries, e)
	}
	for range r.Count(32 + 32 + 8 + 32 + 32 + 1 + 4 + 1 + 6 + 4) {
		l.states = append(l.states, decodeState(r, store))
	}
	if err := r.Done(); err != nil {
		return nil, Block{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(l.entries) == 0 || len(l.states) == 0 || len(l.states) > len(l.entries) ||
		l.settled > len(l.entries) ||
		l.settled > 0 && l.state(l.settled-1) == nil {
		return nil, Block{}, fmt.Errorf("%w: %d entries, %d states, %d settled", ErrMalformed,
			len(l.entries), len(l.states), l.settled)
	}
	for i, s := range l.states {
		e := l.entries[len(l.entries)-len(l.states)+i]
		s.Generation, s.Metadata.Root, s.By = e.Generation, e.Root, e.By
		if s.CoinID() != e.CoinID {
			return nil, Block{}, fmt.Errorf("%w: state %d is not the state of coin %v", ErrMalformed, i,
				e.CoinID)
		}
	}
	if melted != 0 {
		l.melted = &MeltedError{Last: l.tip(), Height: melted}
	}
	return l, seen, nil
}

func decodeState(r *codec.Reader, store auth.StoreID) *State {
	s := &State{Store: store}
	r.Fixed(s.Coin.Parent[:])
	r.Fixed(s.Coin.PuzzleHash[:])
	s.Coin.Amount = r.U64()
	r.Fixed(s.Inner[:])
	r.Fixed(s.Owner[:])
	s.OwnerKnown = r.Bool()
	for range r.Count(1 + 32 + 8) {
		d := Delegate{Role: Role(r.U8())}
		r.Fixed(d.Puzzle[:])
		d.Fee = r.U64()
		s.Delegates = append(s.Delegates, d)
	}
	s.DelegatesKnown = r.Bool()
	text := func() *string {
		if !r.Option() {
			return nil
		}
		v := r.String()
		return &v
	}
	number := func() *uint64 {
		if !r.Option() {
			return nil
		}
		v := r.U64()
		return &v
	}
	m := &s.Metadata
	m.Label, m.Description, m.Bytes, m.SizeProof = text(), text(), number(), text()
	if r.Option() {
		m.Program = new(merkle.Hash)
		r.Fixed(m.Program[:])
	}
	m.SizeBucket = number()
	for range r.Count(4) {
		m.Dropped = append(m.Dropped, r.String())
	}
	return s
}
