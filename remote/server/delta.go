package server

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Limits of delta (remote/PROTOCOL.md 4.4, 8.5).
const (
	// DefaultMaxDelta is the default of [Options].MaxDelta: 64 MiB of decoded chunks and rows.
	DefaultMaxDelta = wire.DefaultMaxDelta

	maxDeltaJSON  = 8 << 20 // bytes of a request: wire.MaxHave entries and their syntax
	maxPoolChunks = 1 << 20 // chunks of a module; a larger one has no deltas
)

// getDelta answers GET and HEAD /stores/{id}/delta?from=&to=. See remote/PROTOCOL.md 8.5.
func (s *Server) getDelta(w http.ResponseWriter, c *call) error {
	query := c.URL.Query()
	if query.Get("from") == "" || query.Get("to") == "" {
		return badRequest("from and to required")
	}
	from, err1 := merkle.ParseHash(query.Get("from"))
	to, err2 := merkle.ParseHash(query.Get("to"))
	if err1 != nil || err2 != nil {
		return badRequest("bad from/to hex")
	}
	c.root = to
	if _, err := s.head(c.Context(), c.store); err != nil {
		return err
	}
	return s.delta(w, c, from, to, func() (*deltaBase, error) { return s.deltaFrom(c, from) })
}

// A deltaBase is what a client has.
type deltaBase struct {
	chunks map[merkle.Hash]bool
	rows   map[merkle.Hash]merkle.Hash // leaf by key; nil: none
}

// deltaFrom returns what a client has that holds generation from.
func (s *Server) deltaFrom(c *call, from merkle.Hash) (*deltaBase, error) {
	old, err := s.resources.take(c.Context(), module.ID{Store: c.store, Root: from})
	if err != nil {
		return nil, rootRefusal(err)
	}
	defer old.release()
	chunks, err := old.pool(c.Context())
	if err != nil {
		return nil, deltaRefusal(err)
	}
	leaves, err := old.leaves()
	if err != nil {
		return nil, err
	}
	have := &deltaBase{make(map[merkle.Hash]bool, len(chunks)),
		make(map[merkle.Hash]merkle.Hash, len(leaves))}
	for _, c := range chunks {
		have.chunks[c.id] = true
	}
	for rank, key := range old.keys {
		have.rows[key] = leaves[rank]
	}
	return have, nil
}

// postDelta answers POST /stores/{id}/delta. The request lists only chunks, so every row of the key
// table counts as changed.
func (s *Server) postDelta(w http.ResponseWriter, c *call) error {
	var body wire.DeltaRequest
	if err := s.readJSON(c, maxDeltaJSON, &body, "body is not a delta request"); err != nil {
		return err
	}
	if body.To == nil || body.Have == nil {
		return invalid("body is not a delta request")
	}
	to, err := merkle.ParseHash(*body.To)
	if err != nil {
		return badRequest("bad from/to hex")
	}
	c.root = to
	if len(body.Have) > wire.MaxHave {
		return bodyTooLarge(wire.MaxHave, "chunks")
	}
	have := &deltaBase{chunks: make(map[merkle.Hash]bool, len(body.Have))}
	for _, text := range body.Have {
		id, err := merkle.ParseHash(text)
		if err != nil {
			return badRequest("bad chunk hash")
		}
		have.chunks[id] = true
	}
	body.Have = nil
	if _, err := s.head(c.Context(), c.store); err != nil {
		return err
	}
	return s.delta(w, c, merkle.Hash{}, to, func() (*deltaBase, error) { return have, nil })
}

// A deltaPlan says which chunks and rows of a generation are sent. It holds one bit for each, so it
// stays small while a slow client reads the response.
type deltaPlan struct {
	v            *indexedModule
	pool         []poolChunk
	chunks, rows bitset
	size         int64 // bytes to send, before encoding
}

// delta sends the chunks and rows of a generation that the client does not have. Limits.Deltas
// bounds computing, not sending. Nothing is sent until the size is within Options.MaxDelta.
func (s *Server) delta(w http.ResponseWriter, c *call, from, to merkle.Hash,
	base func() (*deltaBase, error)) error {
	plan, err := s.planDelta(c, to, base)
	if err != nil {
		return err
	}
	defer plan.v.release()
	return s.sendDelta(w, c, from, to, plan)
}

// planDelta finds the chunks of a generation that the client does not have and the rows of its key
// table that changed. The caller releases plan.v.
func (s *Server) planDelta(c *call, to merkle.Hash,
	base func() (*deltaBase, error)) (plan *deltaPlan, err error) {
	if !s.deltas.TryAcquire(1) {
		return nil, rateLimited(time.Second)
	}
	defer s.deltas.Release(1)
	have, err := base()
	if err != nil {
		return nil, err
	}
	v, err := s.resources.take(c.Context(), module.ID{Store: c.store, Root: to})
	if err != nil {
		return nil, rootRefusal(err)
	}
	defer func() {
		if err != nil {
			v.release()
		}
	}()
	plan = &deltaPlan{v: v}
	if plan.pool, err = v.pool(c.Context()); err != nil {
		return nil, deltaRefusal(err)
	}
	leaves, err := v.leaves()
	if err != nil {
		return nil, err
	}
	for i, chunk := range plan.pool {
		if !have.chunks[chunk.id] {
			have.chunks[chunk.id] = true // send a chunk that the pool repeats only once
			plan.chunks.set(i)
			plan.size += chunk.n
		}
	}
	i := 0
	for row, err := range tableRows(v.mod) {
		if err != nil {
			return nil, err
		}
		rank, _ := slices.BinarySearchFunc(v.keys, row.Key, merkle.Hash.Compare)
		if leaf, ok := have.rows[row.Key]; !ok || leaf != leaves[rank] {
			plan.rows.set(i)
			plan.size += int64(76 + 4*len(row.ChunkIndices))
		}
		i++
	}
	if plan.size > s.opt.MaxDelta {
		return nil, deltaTooLarge(plan.size)
	}
	return plan, nil
}

// sendDelta sends the chunks and rows of a plan.
func (s *Server) sendDelta(w http.ResponseWriter, c *call, from, to merkle.Hash,
	plan *deltaPlan) error {
	out := &lateWriter{w: w, head: func(h http.Header) { h.Set("Content-Type", wire.TypeJSON) }}
	if c.Method == http.MethodHead {
		return out.flush()
	}
	fmt.Fprintf(out, `{"from":"%s","to":"%s","chunks":[`, from, to)
	separator := ""
	for i, chunk := range plan.pool {
		if !plan.chunks.has(i) {
			continue
		}
		if err := c.Context().Err(); err != nil {
			return out.broke(s, c, err)
		}
		fmt.Fprintf(out, `%s{"hash":"%s","data_b64":"`, separator, chunk.id)
		separator = ","
		if err := writeBase64(out, io.NewSectionReader(plan.v, chunk.off, chunk.n)); err != nil {
			return out.broke(s, c, err)
		}
		io.WriteString(out, `"}`)
	}
	io.WriteString(out, `],"key_table_changes":[`)
	separator = ""
	i := -1
	for row, err := range tableRows(plan.v.mod) {
		if err != nil {
			return out.broke(s, c, err)
		}
		if i++; !plan.rows.has(i) {
			continue
		}
		entry, err := row.MarshalBinary()
		if err != nil {
			return out.broke(s, c, err)
		}
		text := base64.StdEncoding.EncodeToString(entry)
		if _, err := fmt.Fprintf(out, `%s{"entry_b64":"%s"}`, separator, text); err != nil {
			return out.broke(s, c, err)
		}
		separator = ","
	}
	io.WriteString(out, "]}")
	return out.flush()
}

// A bitset is a set of small numbers.
type bitset []uint64

func (b *bitset) set(i int) {
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bitset) has(i int) bool { return i/64 < len(b) && b[i/64]>>(i%64)&1 != 0 }

// errPool says that a module has more than maxPoolChunks chunks.
var errPool = errors.New("remote: too many chunks for a delta")

func deltaRefusal(err error) error {
	if errors.Is(err, errPool) {
		return refuse(http.StatusRequestEntityTooLarge,
			fmt.Sprintf("delta too large: over %d chunks", maxPoolChunks))
	}
	return err
}

// A poolChunk is the hash and the position of a chunk in a module.
type poolChunk struct {
	id     merkle.Hash
	off, n int64 // in the module
}

// pool returns the chunks of an acquired module. The first call reads and hashes all of them.
func (v *indexedModule) pool(ctx context.Context) ([]poolChunk, error) {
	v.hashing.Lock()
	defer v.hashing.Unlock()
	if v.chunks != nil {
		return v.chunks, nil
	}
	chunks, err := readPool(ctx, v.mod)
	if err != nil {
		return nil, fmt.Errorf("read the chunks of generation %s: %w", v.id, err)
	}
	v.chunks = chunks
	v.weight.Add(int64(len(chunks)))
	return chunks, nil
}

// readPool hashes the chunks of section 9 (digstore/module/FORMAT.md 5.6): u32 count, then u32
// length and body of each chunk.
func readPool(ctx context.Context, m *module.Module) ([]poolChunk, error) {
	s, err := m.Section(module.SectionChunkPool)
	if err != nil {
		return nil, err
	}
	_, base, size := s.Outer()
	r := bufio.NewReaderSize(s, copySize)
	at := int64(0)
	number := func() (int64, error) {
		var b [4]byte
		if at += 4; at > size {
			return 0, errCut
		}
		_, err := io.ReadFull(r, b[:])
		return int64(binary.BigEndian.Uint32(b[:])), err
	}
	n, err := number()
	if err != nil {
		return nil, err
	}
	if n > maxPoolChunks {
		return nil, errPool
	}
	chunks := make([]poolChunk, 0, min(n, (size-4)/4))
	h := sha256.New()
	for range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		length, err := number()
		if err != nil {
			return nil, err
		}
		c := poolChunk{off: base + at, n: length}
		if at += length; at > size {
			return nil, errCut
		}
		h.Reset()
		if _, err := io.CopyN(h, r, length); err != nil {
			return nil, err
		}
		h.Sum(c.id[:0])
		chunks = append(chunks, c)
	}
	return chunks, nil
}

// leaves reads the leaves of an acquired module, one for each key.
func (v *indexedModule) leaves() ([]merkle.Hash, error) {
	s, err := v.mod.Section(module.SectionMerkleNodes)
	if err != nil {
		return nil, err
	}
	if s.Size() < 4+int64(len(v.keys))*int64(len(merkle.Hash{})) {
		return nil, errCut
	}
	leaves := make([]merkle.Hash, len(v.keys))
	r := bufio.NewReaderSize(io.NewSectionReader(s, 4, s.Size()-4), 64<<10)
	for i := range leaves {
		if _, err := io.ReadFull(r, leaves[i][:]); err != nil {
			return nil, err
		}
	}
	return leaves, nil
}
