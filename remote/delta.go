package remote

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Limits of delta (remote-protocol 3.8, 6.3).
const (
	// DefaultMaxDelta is how many decoded bytes of chunks and rows a server sends as one delta by default: 64 MiB.
	DefaultMaxDelta = 64 << 20
	// MaxHave is how many chunks a client can say it has.
	MaxHave = 100_000

	maxDeltaJSON  = 8 << 20 // bytes of a request: MaxHave entries and what is around them
	maxPoolChunks = 1 << 20 // of a module that deltas are made from
)

// deltaRequest is the request of POST /stores/{id}/delta.
type deltaRequest struct {
	To   *string  `json:"to"`
	Have []string `json:"have"`
}

// deltaChunk is one chunk of an answer to delta, sealed; deltaRow is one row of the key table, as store-format 2.3
// encodes it.
type (
	deltaChunk struct {
		Hash string `json:"hash"`
		Data []byte `json:"data_b64"`
	}
	deltaRow struct {
		Entry []byte `json:"entry_b64"`
	}
)

// getDelta answers GET and HEAD /stores/{id}/delta?from=&to=. Spec: remote-protocol 6.3.
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
	if _, err := s.head(c.Context(), c.store); err != nil {
		return err
	}
	old, err := s.contents.take(c.Context(), module.ID{Store: c.store, Root: from})
	if err != nil {
		return rootRefusal(err)
	}
	defer old.leave()
	chunks, err := old.pool(c.Context())
	if err != nil {
		return deltaRefusal(err)
	}
	have := make(map[merkle.Hash]bool, len(chunks))
	for _, c := range chunks {
		have[c.id] = true
	}
	leaves, err := old.leaves()
	if err != nil {
		return err
	}
	return s.sendDelta(w, c, from, to, have, func(key, leaf merkle.Hash) bool {
		rank, ok := slices.BinarySearchFunc(old.keys, key, merkle.Hash.Compare)
		return !ok || leaves[rank] != leaf
	})
}

// postDelta answers POST /stores/{id}/delta. Every row of the key table is a change: what the client has is chunks.
func (s *Server) postDelta(w http.ResponseWriter, c *call) error {
	var body deltaRequest
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
	if len(body.Have) > MaxHave {
		return bodyTooLarge(MaxHave, "chunks")
	}
	have := make(map[merkle.Hash]bool, len(body.Have))
	for _, text := range body.Have {
		id, err := merkle.ParseHash(text)
		if err != nil {
			return badRequest("bad chunk hash")
		}
		have[id] = true
	}
	if _, err := s.head(c.Context(), c.store); err != nil {
		return err
	}
	return s.sendDelta(w, c, merkle.Hash{}, to, have, func(merkle.Hash, merkle.Hash) bool { return true })
}

// sendDelta sends the chunks of a generation that are not in have, which it changes, and the rows of its key table
// that changed says yes to. Nothing is sent before it is known to be within the limit.
func (s *Server) sendDelta(w http.ResponseWriter, c *call, from, to merkle.Hash, have map[merkle.Hash]bool,
	changed func(key, leaf merkle.Hash) bool) error {
	v, err := s.contents.take(c.Context(), module.ID{Store: c.store, Root: to})
	if err != nil {
		return rootRefusal(err)
	}
	defer v.leave()
	chunks, err := v.pool(c.Context())
	if err != nil {
		return deltaRefusal(err)
	}
	leaves, err := v.leaves()
	if err != nil {
		return err
	}
	rowChanged := func(row *module.KeyTableRow) bool {
		rank, _ := slices.BinarySearchFunc(v.keys, row.Key, merkle.Hash.Compare)
		return changed(row.Key, leaves[rank])
	}

	var size int64
	var missing []poolChunk
	for _, chunk := range chunks {
		if !have[chunk.id] {
			have[chunk.id] = true // once, also where a pool has it twice
			missing = append(missing, chunk)
			size += chunk.n
		}
	}
	for row, err := range tableRows(v.mod) {
		if err != nil {
			return err
		}
		if rowChanged(&row) {
			size += int64(76 + 4*len(row.ChunkIndices))
		}
	}
	if size > s.opt.MaxDelta {
		return deltaTooLarge(size)
	}

	out := &lateWriter{w: w, head: func(h http.Header) { h.Set("Content-Type", typeJSON) }}
	if c.Method == http.MethodHead {
		return out.flush()
	}
	fmt.Fprintf(out, `{"from":"%s","to":"%s","chunks":[`, from, to)
	for i, chunk := range missing {
		if err := c.Context().Err(); err != nil {
			return out.broke(s, c, err)
		}
		if i > 0 {
			io.WriteString(out, ",")
		}
		fmt.Fprintf(out, `{"hash":"%s","data_b64":"`, hex.EncodeToString(chunk.id[:]))
		if err := writeBase64(out, io.NewSectionReader(v, chunk.off, chunk.n)); err != nil {
			return out.broke(s, c, err)
		}
		io.WriteString(out, `"}`)
	}
	io.WriteString(out, `],"key_table_changes":[`)
	first := true
	for row, err := range tableRows(v.mod) {
		if err != nil {
			return out.broke(s, c, err)
		}
		if !rowChanged(&row) {
			continue
		}
		entry, err := row.MarshalBinary()
		if err != nil {
			return out.broke(s, c, err)
		}
		if !first {
			io.WriteString(out, ",")
		}
		first = false
		if _, err := fmt.Fprintf(out, `{"entry_b64":"%s"}`, base64.StdEncoding.EncodeToString(entry)); err != nil {
			return out.broke(s, c, err)
		}
	}
	io.WriteString(out, "]}")
	return out.flush()
}

// errPool is a module with more chunks than deltas are made from.
var errPool = errors.New("remote: too many chunks for a delta")

func deltaRefusal(err error) error {
	if errors.Is(err, errPool) {
		return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("delta too large: over %d chunks", maxPoolChunks))
	}
	return err
}

// A poolChunk is where a chunk lies in a module, and its hash.
type poolChunk struct {
	id     merkle.Hash
	off, n int64 // in the module
}

// pool returns the chunks of a volume that has been entered. The first call reads and hashes them all.
func (v *volume) pool(ctx context.Context) ([]poolChunk, error) {
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

// readPool hashes what stands in section 9 (store-format 7.3): u32 count, and for each chunk u32 length and body.
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

// leaves reads the leaves of a volume that has been entered, one for each of its keys.
func (v *volume) leaves() ([]merkle.Hash, error) {
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
