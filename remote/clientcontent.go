package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// MaxHave is how many chunks [Client.DeltaHave] can name.
const MaxHave = wire.MaxHave

// Limits of one request and its answer.
const (
	contentWindow  = 4 << 20  // sealed bytes per request
	maxContentJSON = 16 << 20 // bytes of an answer to content
	maxProofJSON   = 4 << 20  // bytes of an answer to proof
)

// Content reads one resource of the generation root: POST /stores/{id}/content. The caller must
// trust root: it comes from a clone, a lineage or a pin, never from this origin. Content verifies
// the resource as [OpenContent] does. salt is nil for a public store. A missing resource fails
// like a forged one, because origins answer with decoys.
//
// Content holds the resource in memory, at most [ClientOptions].MaxContent sealed bytes;
// [Client.Fetch] reads longer ones.
func (c *Client) Content(ctx context.Context, root merkle.Hash, name string,
	salt *urn.Salt) ([]byte, error) {
	answer := &module.ContentResponse{Root: root}
	limit := sizeLimit{c.opt.MaxContent, "ClientOptions.MaxContent"}
	proof, lens, err := c.contentParts(ctx, root, urn.RetrievalKey(c.url.Store, name), limit,
		func(_ int64, part []byte) error {
			answer.Sealed = append(answer.Sealed, part...)
			return nil
		})
	if err != nil {
		return nil, err
	}
	answer.Proof, answer.ChunkLens = proof, lens
	return OpenContent(answer, root, urn.NewKey(c.url.Store, name, salt))
}

// contentParts passes the sealed bytes of a resource to take, from offset 0, and returns its proof
// and chunk lengths. It checks only the encoding of the proof.
func (c *Client) contentParts(ctx context.Context, root, key merkle.Hash, limit sizeLimit,
	take func(at int64, part []byte) error) (proof merkle.Proof, lens []uint32, err error) {
	var encoded []byte
	for at, total := int64(0), int64(-1); ; {
		part, err := c.contentPart(ctx, root, key, uint64(at))
		if err != nil {
			return proof, nil, err
		}
		if part.Root != root.String() {
			return proof, nil, &VerificationError{Check: CheckRoot, Want: root.String(),
				Got: oneline.Excerpt(part.Root, 100)}
		}
		if at == 0 {
			encoded, lens = part.Proof, part.ChunkLens
			if part.TotalLength != nil {
				total = *part.TotalLength
			}
		}
		n := int64(len(part.Ciphertext))
		switch {
		case n > contentWindow:
			return proof, nil, fmt.Errorf("remote: content: %w: %d bytes, %d were asked for",
				ErrProtocol, n, contentWindow)
		case !bytes.Equal(encoded, part.Proof):
			return proof, nil, fmt.Errorf("remote: content: %w: the proof changes between two parts",
				ErrProtocol)
		case total > limit.bytes:
			return proof, nil, fmt.Errorf("remote: content: %w", limit.exceeded(total))
		case at+n > limit.bytes:
			return proof, nil, fmt.Errorf("remote: content: %w", limit.exceeded(-1))
		case total >= 0 && n == 0 && at < total, total >= 0 && at+n > total:
			return proof, nil, fmt.Errorf("remote: content: %w: %d bytes at %d of %d",
				ErrProtocol, n, at, total)
		}
		if err := take(at, part.Ciphertext); err != nil {
			return proof, nil, err
		}
		if at += n; total >= 0 && at == total || total < 0 && n < contentWindow {
			break
		}
	}
	if len(encoded) > 0 {
		if err := proof.UnmarshalBinary(encoded); err != nil {
			return proof, nil, &VerificationError{Check: CheckContent, Err: err}
		}
	}
	return proof, lens, nil
}

// contentPart requests at most contentWindow sealed bytes.
func (c *Client) contentPart(ctx context.Context, root, key merkle.Hash,
	from uint64) (*wire.ContentAnswer, error) {
	k, r, to := key.String(), root.String(), from+contentWindow
	body := wire.ContentRequest{Key: &k, Root: &r, Range: &wire.ContentRange{Start: &from, End: &to}}
	answer := new(wire.ContentAnswer)
	err := c.ask(ctx, request.Content, "/content", body, maxContentJSON, answer)
	return answer, err
}

// Proof returns the execution proof of a retrieval key: POST /stores/{id}/proof. It returns nil
// when the origin has none, which is usual. It checks only the encoding of the proof.
func (c *Client) Proof(ctx context.Context, root, key merkle.Hash) (*module.ExecutionProof, error) {
	k, r := key.String(), root.String()
	var answer wire.ProofAnswer
	if err := c.ask(ctx, request.Proof, "/proof", wire.ContentRequest{Key: &k, Root: &r}, maxProofJSON,
		&answer); err != nil {
		return nil, err
	}
	if answer.Root != r {
		return nil, &VerificationError{Check: CheckRoot, Want: r, Got: oneline.Excerpt(answer.Root, 100)}
	}
	if len(answer.Proof) == 0 {
		return nil, nil
	}
	proof := new(module.ExecutionProof)
	if err := module.UnmarshalStrict(answer.Proof, proof); err != nil {
		return nil, fmt.Errorf("remote: proof: %w: %w", ErrProtocol, err)
	}
	return proof, nil
}

// Delta fetches the chunks of the generation to that from lacks: GET /stores/{id}/delta. It passes
// each sealed chunk to put after checking its hash; the slice is valid during the call. If one
// chunk fails, Delta fails and the caller should keep none of them. A delta that breaks off is
// retried from its start, so put may see a chunk twice. Delta returns the changed rows of the key
// table, unverified.
//
// Chunks are a cache, not a generation: install only a whole, verified module. After any error,
// fetch that instead. The error is [ErrTooLarge] when the delta is larger than the server sends.
func (c *Client) Delta(ctx context.Context, from, to merkle.Hash,
	put func(id merkle.Hash, sealed []byte) error) ([]module.KeyTableRow, error) {
	return c.delta(ctx, from, to, exchange{op: request.Delta, method: http.MethodGet, path: "/delta",
		query: "from=" + from.String() + "&to=" + to.String(), ok: okStatus}, nil, put)
}

// DeltaHave is like Delta for a client that has chunks, at most [MaxHave], but no generation: POST
// /stores/{id}/delta. It returns all rows of the key table.
func (c *Client) DeltaHave(ctx context.Context, to merkle.Hash, have []merkle.Hash,
	put func(id merkle.Hash, sealed []byte) error) ([]module.KeyTableRow, error) {
	if len(have) > MaxHave {
		return nil, fmt.Errorf("remote: delta: %w: %d chunks, at most %d can be named", ErrTooLarge,
			len(have), MaxHave)
	}
	target := to.String()
	body := wire.DeltaRequest{To: &target, Have: make([]string, len(have))}
	for i, id := range have {
		body.Have[i] = id.String()
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("remote: encode request: %w", err)
	}
	return c.delta(ctx, merkle.Hash{}, to,
		exchange{op: request.Delta, method: http.MethodPost, path: "/delta",
			header: http.Header{"Content-Type": {wire.TypeJSON}}, size: int64(len(text)), ok: okStatus},
		text, put)
}

func (c *Client) delta(ctx context.Context, from, to merkle.Hash, e exchange, body []byte,
	put func(merkle.Hash, []byte) error) (rows []module.KeyTableRow, err error) {
	// base64, and as much again for the JSON around it
	limit := int64(wire.DefaultMaxDelta)/3*4 + wire.DefaultMaxDelta
	err = c.retry(ctx, readPolicy, func() error {
		if body != nil {
			e.body = bytes.NewReader(body)
		}
		resp, err := c.do(ctx, e)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		r := &capReader{r: resp.Body, left: limit}
		if rows, err = decodeDelta(r, from, to, put); err != nil {
			return c.unread(resp, r, err)
		}
		io.CopyN(io.Discard, r, 4<<10)
		return nil
	})
	return rows, err
}

// A putError wraps an error of the caller's put function.
type putError struct{ err error }

func (e *putError) Error() string { return e.err.Error() }
func (e *putError) Unwrap() error { return e.err }

// unread returns the error for a body that was not decoded: of the caller's function, of a check,
// of the connection, or ErrProtocol.
func (c *Client) unread(resp *http.Response, r *capReader, err error) error {
	var put *putError
	var refused *VerificationError
	name := resp.Request.Method + " " + resp.Request.URL.Path
	switch {
	case errors.As(err, &put):
		return fmt.Errorf("remote: %s: %w", name, put.err)
	case errors.As(err, &refused):
		return err
	case r.err != nil:
		return fmt.Errorf("remote: %s: %w", name, &connectionError{r.err})
	}
	return fmt.Errorf("remote: %s: %w: %v", name, ErrProtocol, err)
}

// decodeDelta reads a delta chunk by chunk.
func decodeDelta(r io.Reader, from, to merkle.Hash,
	put func(merkle.Hash, []byte) error) (rows []module.KeyTableRow, err error) {
	dec := json.NewDecoder(r)
	if err := wire.Delim(dec, '{'); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if seen[name] {
			return nil, fmt.Errorf("delta: duplicate member %q", oneline.Excerpt(name, 40))
		}
		switch name {
		case "from", "to":
			want := from
			if name == "to" {
				want = to
			}
			var text string
			if err := wire.DecodeNext(dec, &text); err != nil {
				return nil, err
			}
			if got, err := merkle.ParseHash(text); err != nil || got != want {
				return nil, &VerificationError{Check: CheckRoot, Want: want.String(),
					Got: oneline.Excerpt(text, 100)}
			}
		case "chunks":
			err = each(dec, func() error {
				var c wire.DeltaChunk
				if err := wire.DecodeNext(dec, &c); err != nil {
					return err
				}
				id, err := merkle.ParseHash(c.Hash)
				if err != nil {
					return err
				}
				if got := merkle.Sum(c.Data); got != id {
					return &VerificationError{Check: CheckContent, Want: "chunk " + id.String(), Got: got.String()}
				}
				if err := put(id, c.Data); err != nil {
					return &putError{err}
				}
				return nil
			})
		case "key_table_changes":
			err = each(dec, func() error {
				var row wire.DeltaRow
				var parsed module.KeyTableRow
				if err := wire.DecodeNext(dec, &row); err != nil {
					return err
				}
				if err := module.UnmarshalStrict(row.Entry, &parsed); err != nil {
					return err
				}
				rows = append(rows, parsed)
				return nil
			})
		default:
			err = wire.DecodeNext(dec, new(json.RawMessage))
			name = "" // unknown members may be repeated
		}
		if err != nil {
			return nil, err
		}
		seen[name] = name != ""
	}
	if err := wire.LastDelim(dec, '}'); err != nil {
		return nil, err
	}
	for _, name := range []string{"from", "to", "chunks"} {
		if !seen[name] {
			return nil, fmt.Errorf("delta: missing member %s", name)
		}
	}
	return rows, nil
}

// each calls element for each element of the JSON array that dec is at. element decodes it.
func each(dec *json.Decoder, element func() error) error {
	if err := wire.Delim(dec, '['); err != nil {
		return err
	}
	for dec.More() {
		if err := element(); err != nil {
			return err
		}
	}
	return wire.Delim(dec, ']')
}

// ask posts v and decodes an answer of at most limit bytes. It retries like a read: the request
// changes nothing.
func (c *Client) ask(ctx context.Context, op request.Op, path string, v any, limit int64,
	answer any) error {
	return c.retry(ctx, readPolicy, func() error {
		resp, err := c.post(ctx, op, path, nil, v)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body := &capReader{r: resp.Body, left: limit}
		if err := decodeStrict(body, answer); err != nil {
			return c.unread(resp, body, err)
		}
		return nil
	})
}
