package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/backoff"
	"github.com/dig-network/digstore/merkle"
)

// maxProof is the limit of X-Merkle-Proof in characters. It is enough for 32 steps.
const maxProof = 2 << 10

// A Capsule is open content with its descriptor. The caller closes it. Descriptor and Ref.Root are
// verified. The content is verified while it is read, as by [capsule.VerifyReader]: the last bytes
// are returned only if all bytes are right, and earlier bytes must not be used before. The chunk
// root of Descriptor is zero if the node does not send it; then the client computes it from the
// content.
type Capsule struct {
	io.ReadCloser
	Ref        capsule.Ref // Root is the one that was checked, also when the head was asked for
	Descriptor capsule.Descriptor
	Plot       merkle.Hash // the plot with the capsule, according to the node; zero: not given
	Cache      string      // for example "l1_hit"; empty: not given

	leaf merkle.Hash // of the proof
}

// Stat implements capsule.Source: HEAD /capsule/{datastore_id}/{capsule_index}. The descriptor is
// verified by its proof under a root that Options.Trust trusts. For that the node must send the
// header X-Dig-Chunk-Root. A zero root means the head according to the node: it is a generation of
// the datastore, but may be an old one. Errors wrap fs.ErrNotExist, capsule.ErrUntrusted,
// capsule.ErrPath, ErrProtocol or the error that ended the exchange.
func (c *Client) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	var d capsule.Descriptor
	err := c.retry(ctx, func() error {
		resp, err := c.attempt(ctx, capsuleExchange(http.MethodHead, ref))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		opened, err := c.describe(ctx, resp, ref)
		if err == nil && opened.Descriptor.ChunkRoot.IsZero() {
			err = protocolf("header X-Dig-Chunk-Root is missing")
		}
		if err == nil {
			d = opened.Descriptor
		}
		return err
	})
	if err != nil {
		return d, fmt.Errorf("stat capsule %v: %w", ref, err)
	}
	return d, nil
}

// Capsule opens the capsule at ref: GET /capsule/{datastore_id}/{capsule_index}. It makes the
// checks of Stat before it returns, with the same errors, and verifies the content while it is
// read. An interrupted transfer is resumed. If the length or the content is wrong, the error is
// capsule.ErrContentMismatch.
func (c *Client) Capsule(ctx context.Context, ref capsule.Ref) (*Capsule, error) {
	var opened *Capsule
	err := c.retry(ctx, func() error {
		e := capsuleExchange(http.MethodGet, ref)
		resp, err := c.attempt(ctx, e)
		if err != nil {
			return err
		}
		if opened, err = c.describe(ctx, resp, ref); err != nil {
			resp.Body.Close()
			return err
		}
		e.query = url.Values{"root": {opened.Ref.Root.String()}}
		opened.ReadCloser = c.verified(ctx, e, resp, opened.Descriptor)
		if opened.Descriptor.ChunkRoot.IsZero() {
			opened.ReadCloser = &leafReader{ReadCloser: opened.ReadCloser, d: opened.Descriptor,
				leaf: opened.leaf, hash: capsule.NewHasher()}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open capsule %v: %w", ref, err)
	}
	return opened, nil
}

// Open implements capsule.Source: GET /blob/{capsule_hash}. The content is verified against d as by
// [capsule.VerifyReader]. An interrupted transfer is resumed. The caller must trust d; Stat and
// Manifest return verified descriptors.
func (c *Client) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	e := exchange{method: http.MethodGet, path: "/blob/0x" + d.Hash.String()}
	var body io.ReadCloser
	err := c.retry(ctx, func() error {
		resp, err := c.attempt(ctx, e)
		if err != nil {
			return err
		}
		if n := resp.ContentLength; n >= 0 && n != int64(d.Size) {
			resp.Body.Close()
			return fmt.Errorf("%w: Content-Length is %d, expected %d", capsule.ErrContentMismatch, n,
				d.Size)
		}
		body = c.verified(ctx, e, resp, d)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open capsule with hash %v: %w", d.Hash, err)
	}
	return body, nil
}

func capsuleExchange(method string, ref capsule.Ref) exchange {
	e := exchange{method: method, path: "/capsule/0x" + ref.Store.String() + "/" +
		strconv.FormatUint(uint64(ref.Index), 10)}
	if !ref.Root.IsZero() {
		e.query = url.Values{"root": {ref.Root.String()}}
	}
	return e
}

// describe reads the headers of a capsule and checks them.
func (c *Client) describe(ctx context.Context, resp *http.Response, ref capsule.Ref) (*Capsule,
	error) {
	h := resp.Header
	size := resp.ContentLength
	if size < 0 || size > capsule.MaxSize {
		return nil, protocolf("Content-Length is %d, expected the size of a capsule", size)
	}
	out := &Capsule{Ref: ref, Cache: token(h.Get("X-Dig-Cache"), 32),
		Descriptor: capsule.Descriptor{Index: ref.Index, Size: uint32(size)}}
	d := &out.Descriptor
	var err error
	if d.Hash, err = hashHeader(h, "X-Capsule-Hash"); err != nil {
		return nil, err
	}
	for name, value := range map[string]*merkle.Hash{"X-Dig-Chunk-Root": &d.ChunkRoot,
		"X-Plot-ID": &out.Plot} {
		if len(h.Values(name)) == 0 {
			continue
		}
		if *value, err = hashHeader(h, name); err != nil {
			return nil, err
		}
	}
	proof, err := proofHeader(h)
	if err != nil {
		return nil, err
	}
	if out.Ref.Root.IsZero() {
		out.Ref.Root = proof.Root
	}
	return out, c.checkProof(ctx, out, proof)
}

// checkProof returns nil if the proof leads from the capsule to a trusted root. The leaf contains
// the index, so the proof binds the index even if the number of capsules is unknown.
func (c *Client) checkProof(ctx context.Context, got *Capsule, proof merkle.Proof) error {
	root := got.Ref.Root
	count, err := c.trust.Trusted(ctx, got.Ref.Store, root)
	if err != nil {
		return err
	}
	got.leaf = proof.Leaf
	if !got.Descriptor.ChunkRoot.IsZero() {
		got.leaf = got.Descriptor.Leaf()
	}
	if count > 0 {
		err = proof.CheckAt(got.leaf, root, int64(got.Ref.Index), int64(count))
	} else {
		err = proof.Check(got.leaf, root)
	}
	if err != nil {
		return fmt.Errorf("%w: capsule %d: %w", capsule.ErrPath, got.Ref.Index, err)
	}
	return nil
}

// leafReader computes the chunk root of content whose descriptor has none. It returns the last
// bytes only if the descriptor has the leaf of the proof.
type leafReader struct {
	io.ReadCloser // checks size and hash
	d             capsule.Descriptor
	leaf          merkle.Hash
	hash          *capsule.Hasher
	read          uint64
	err           error
}

func (l *leafReader) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.ReadCloser.Read(p)
	l.hash.Write(p[:n]) // at most the size of a capsule, so it cannot fail
	l.read += uint64(n)
	if l.err = err; l.read < uint64(l.d.Size) || err != nil && err != io.EOF {
		return n, err
	}
	if l.hash.Descriptor(l.d.Index).Leaf() != l.leaf {
		l.err = fmt.Errorf("%w: capsule %d: content does not have the leaf of the proof",
			capsule.ErrPath, l.d.Index)
		return 0, l.err
	}
	return n, err
}

func hashHeader(h http.Header, name string) (merkle.Hash, error) {
	v := h.Values(name)
	if len(v) != 1 {
		return merkle.Hash{}, protocolf("found %d headers %s, expected 1", len(v), name)
	}
	hash, err := merkle.ParseHash(strings.TrimPrefix(v[0], "0x"))
	if err != nil {
		return hash, protocolf("header %s is not 64 hexadecimal digits", name)
	}
	return hash, nil
}

func proofHeader(h http.Header) (p merkle.Proof, err error) {
	v := h.Values("X-Merkle-Proof")
	if len(v) != 1 || len(v[0]) > maxProof {
		return p, protocolf("found %d headers X-Merkle-Proof, expected 1 of at most %d characters",
			len(v), maxProof)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(v[0])
	if err != nil {
		return p, protocolf("header X-Merkle-Proof: %w", err)
	}
	if err := p.UnmarshalBinary(raw); err != nil {
		return p, protocolf("header X-Merkle-Proof: %w", err)
	}
	return p, nil
}

// verified returns the content of an answer, verified against d and resumed if it is interrupted.
func (c *Client) verified(ctx context.Context, e exchange, resp *http.Response,
	d capsule.Descriptor) io.ReadCloser {
	return capsule.VerifyReader(&content{c: c, ctx: ctx, e: e, rc: resp.Body, size: int64(d.Size),
		etag: `"` + d.Hash.String() + `"`}, d)
}

// content is the body of a capsule. If the transfer is interrupted, content requests the rest.
type content struct {
	c      *Client
	ctx    context.Context
	e      exchange
	etag   string
	size   int64
	rc     io.ReadCloser   // nil: interrupted
	off    int64           // of the next byte
	failed backoff.Counter // since the last byte
}

// Read implements io.Reader. It returns io.EOF at the expected length of the capsule, or the excess
// bytes if there are any.
func (b *content) Read(p []byte) (int, error) {
	for {
		n, err := b.next(p)
		if n > 0 {
			b.failed.Reset()
			return n, nil
		}
		if err == nil || err == io.EOF {
			return 0, err
		}
		if b.rc != nil {
			b.rc.Close()
			b.rc = nil
		}
		if b.c.attempts().Next(b.ctx, &b.failed, err) != backoff.Continue {
			return 0, err
		}
	}
}

// next reads from the open answer, or requests the rest.
func (b *content) next(p []byte) (int, error) {
	if b.rc == nil {
		if err := b.resume(); err != nil {
			return 0, err
		}
	}
	n, err := b.rc.Read(p)
	b.off += int64(n)
	return n, err
}

// resume requests the rest. The hash of the whole content verifies it.
func (b *content) resume() error {
	e := b.e
	e.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-", b.off)}, "If-Range": {b.etag}}
	e.ok = []int{http.StatusOK, http.StatusPartialContent}
	resp, err := b.c.attempt(b.ctx, e)
	if err != nil {
		return err
	}
	if err := b.skip(resp); err != nil {
		resp.Body.Close()
		return err
	}
	b.rc = resp.Body
	return nil
}

// skip discards the bytes of an answer before the requested offset.
func (b *content) skip(resp *http.Response) error {
	if resp.StatusCode == http.StatusPartialContent {
		want := fmt.Sprintf("bytes %d-%d/%d", b.off, b.size-1, b.size)
		if got := resp.Header.Get("Content-Range"); got != want {
			return protocolf("Content-Range is %q, expected %q", printable(got), want)
		}
		return nil
	}
	if _, err := io.CopyN(io.Discard, resp.Body, b.off); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: found fewer than %d bytes", capsule.ErrContentMismatch, b.size)
		}
		return err
	}
	return nil
}

// Close closes the open answer.
func (b *content) Close() error {
	if b.rc == nil {
		return nil
	}
	return b.rc.Close()
}
