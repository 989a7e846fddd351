package rpc

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/jsonrpc"
)

// Read reads one resource of a public store and returns its plaintext after these checks: the
// sealed bytes hash to the leaf, the proof of the leaf leads to the trusted root, and every chunk
// opens; see [remote.OpenContent]. The trusted root is that of u, or else that of the client's
// Anchor. Without either the error matches [remote.ErrUntrusted].
//
// A resource that the generation does not have fails these checks, since origins answer with
// decoys. If the origin reports that the resource does not exist, or does not hold the generation,
// the error matches [fs.ErrNotExist].
func (c *Client) Read(ctx context.Context, u urn.URN) ([]byte, error) {
	return c.ReadPrivate(ctx, u, nil)
}

// ReadPrivate is Read for a store with a salt.
func (c *Client) ReadPrivate(ctx context.Context, u urn.URN, salt *urn.Salt) ([]byte, error) {
	w, err := c.resource(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("rpc: read %s: %w", u, err)
	}
	root := w.root
	answer := &module.ContentResponse{Root: root}
	for !w.done {
		part, err := w.next(ctx)
		if err != nil {
			return nil, fmt.Errorf("rpc: read %s: %w", u, err)
		}
		answer.Sealed = append(answer.Sealed, part...)
	}
	if err := answer.Proof.UnmarshalBinary(w.proof); err != nil {
		return nil, fmt.Errorf("rpc: read %s: %w", u,
			&remote.VerificationError{Check: remote.CheckContent, Err: err})
	}
	answer.ChunkLens = w.lens
	plain, err := remote.OpenContent(answer, root, u.Key(salt))
	if err != nil {
		return nil, fmt.Errorf("rpc: read %s: %w", u, err)
	}
	return plain, nil
}

// resource returns the windows of a resource at the trusted root.
func (c *Client) resource(ctx context.Context, u urn.URN) (windows, error) {
	root := u.Root
	if root.IsZero() {
		if c.opt.Anchor == nil {
			return windows{}, fmt.Errorf("%w: no root in the URN, and no anchor", remote.ErrUntrusted)
		}
		var err error
		if root, err = c.opt.Anchor.CurrentRoot(ctx, u.Store); err != nil {
			return windows{}, fmt.Errorf("read the root from the anchor: %w", err)
		}
	}
	key, name := u.RetrievalKey(), root.String()
	return windows{c: c, root: root, limit: c.opt.MaxContent, method: "dig.getContent",
		params: func(offset, length uint64) any {
			return jsonrpc.ContentParams{Store: &u.Store, Key: &key, Root: &name,
				Offset: &offset, Length: &length}
		}}, nil
}

// ManifestOf reads the manifest resource of a public store, as [Client.Read] does. root is the
// trusted root.
func (c *Client) ManifestOf(ctx context.Context, s auth.StoreID, root merkle.Hash) ([]byte, error) {
	return c.Read(ctx, urn.URN{Store: s, Resource: ManifestName}.At(root))
}

// Module reads the module of a generation from offset on, in windows of dig.getCapsule. The reader
// has a method Size() int64 that returns the length of the whole module. The bytes are not
// verified: the caller verifies them and compares the root. The caller closes the reader.
func (c *Client) Module(ctx context.Context, id module.ID, offset int64) (io.ReadCloser, error) {
	if id.Root.IsZero() {
		return nil, fmt.Errorf("rpc: read a module of store %s: %w: no root given", id.Store,
			remote.ErrUntrusted)
	}
	name := id.Root.String()
	r := &moduleReader{ctx: ctx,
		w: windows{c: c, root: id.Root, limit: c.opt.MaxModule, at: offset, method: "dig.getCapsule",
			params: func(offset, length uint64) any {
				return jsonrpc.CapsuleParams{Store: &id.Store, Root: &name, Offset: &offset, Length: &length}
			}}}
	if err := r.more(); err != nil {
		return nil, fmt.Errorf("rpc: read module %s: %w", id, err)
	}
	return r, nil
}

// A moduleReader fetches the next window when the last one has been read.
type moduleReader struct {
	ctx context.Context
	w   windows
	buf []byte
	err error
}

func (r *moduleReader) more() error {
	buf, err := r.w.next(r.ctx)
	r.buf = buf
	return err
}

func (r *moduleReader) Read(p []byte) (int, error) {
	for len(r.buf) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.w.done {
			return 0, io.EOF
		}
		if err := r.more(); err != nil {
			r.err = fmt.Errorf("rpc: read module at byte %d: %w", r.w.at, err)
		}
	}
	n := copy(p, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

// Size returns the length of the whole module, or -1 if it is not known.
func (r *moduleReader) Size() int64 { return r.w.size() }

// Close implements io.Closer.
func (r *moduleReader) Close() error {
	r.buf, r.err = nil, fs.ErrClosed
	return nil
}

// WindowFetcher reads modules that an origin refuses to send by GET, for [remote.ClientOptions].
type WindowFetcher struct{}

var _ remote.WindowFetcher = WindowFetcher{}

// OpenModule implements [remote.WindowFetcher].
func (WindowFetcher) OpenModule(ctx context.Context, via remote.Channel, id module.ID,
	offset int64) (io.ReadCloser, int64, error) {
	c := &Client{origin: via.Origin,
		opt: ClientOptions{Transport: via.Transport, UserAgent: via.UserAgent,
			MaxModule: via.MaxModule, Attempts: max(1, via.Attempts)}}
	r, err := c.Module(ctx, id, offset)
	if err != nil {
		return nil, 0, err
	}
	return r, r.(*moduleReader).Size(), nil
}

// windows reads a module or a resource in windows, and checks each one against those before
// (remote/PROTOCOL.md 10.4).
type windows struct {
	c      *Client
	method string
	params func(offset, length uint64) any
	root   merkle.Hash
	limit  int64 // bytes of the whole

	at    int64 // offset of the next byte to read
	total int64 // length of the whole, if known
	known bool
	done  bool
	proof []byte   // the first one received
	lens  []uint32 // those of the window at 0
}

// window is a [Window] of any version of a node. Missing members are nil.
type window struct {
	Ciphertext     []byte       `json:"ciphertext"`
	TotalLength    *int64       `json:"total_length"`
	Offset         *int64       `json:"offset"`
	Length         *int64       `json:"length"`
	Complete       *bool        `json:"complete"`
	NextOffset     *int64       `json:"next_offset"`
	InclusionProof []byte       `json:"inclusion_proof"`
	ChunkLens      []uint32     `json:"chunk_lens"`
	Root           *merkle.Hash `json:"root"`
	Decoy          bool         `json:"decoy"`
}

// size returns the length of the whole, or -1 if it is not known.
func (w *windows) size() int64 {
	if !w.known {
		return -1
	}
	return w.total
}

// next returns the bytes that follow those of the last call, up to the end of a window.
func (w *windows) next(ctx context.Context) ([]byte, error) {
	asked := w.at / Block * Block
	var got window
	if err := w.c.call(ctx, w.method, w.params(uint64(asked), MaxWindow), maxWindowBody,
		&got); err != nil {
		return nil, err
	}
	if got.Decoy {
		return nil, fmt.Errorf("resource not found: %w", fs.ErrNotExist)
	}
	if got.Root != nil && *got.Root != w.root {
		return nil, &remote.VerificationError{Check: remote.CheckRoot, Want: w.root.String(),
			Got: got.Root.String()}
	}
	start := asked
	if got.Offset != nil {
		start = *got.Offset
	}
	end := start + int64(len(got.Ciphertext))
	complete := got.Complete == nil || *got.Complete
	bad := func(format string, args ...any) ([]byte, error) {
		return nil, fmt.Errorf("%w: window of %d bytes at offset %d, requested at %d: %s",
			remote.ErrProtocol, len(got.Ciphertext), start, asked, fmt.Sprintf(format, args...))
	}
	if t := got.TotalLength; t != nil {
		switch {
		case *t < 0 || w.known && *t != w.total:
			return bad("total_length %d, was %d before", *t, w.total)
		case *t > w.limit:
			return nil, fmt.Errorf("%w: %d bytes, the limit of this client is %d",
				remote.ErrTooLarge, *t, w.limit)
		}
		w.total, w.known = *t, true
	}
	switch {
	case got.Length != nil && *got.Length != int64(len(got.Ciphertext)):
		return bad("length is %d", *got.Length)
	case end > w.limit:
		return nil, fmt.Errorf("%w: more than %d bytes, the limit of this client",
			remote.ErrTooLarge, w.limit)
	case start < 0 || start > asked && !(start == end && w.known && start == w.total):
		return bad("it begins after the requested offset")
	case end < w.at || end == w.at && !complete:
		return bad("byte %d is not in it", w.at)
	case w.known && end > w.total:
		return bad("it ends after total_length %d", w.total)
	case complete && w.known && end != w.total:
		return bad("complete=true before the end of %d bytes", w.total)
	case complete && got.NextOffset != nil:
		return bad("complete=true with next_offset %d", *got.NextOffset)
	case !complete && (got.NextOffset == nil || *got.NextOffset != end):
		return bad("next_offset is missing or not %d", end)
	case !complete && w.known && end == w.total:
		return bad("complete=false at the end of data")
	}
	if start > w.at { // an empty window at the end of the whole
		return bad("the whole is shorter than the %d bytes received", w.at)
	}
	if w.proof == nil && len(got.InclusionProof) > 0 {
		w.proof = got.InclusionProof
	}
	if start == 0 && w.lens == nil {
		w.lens = got.ChunkLens
	}
	part := got.Ciphertext[w.at-start:]
	w.at, w.done = end, complete
	if complete && !w.known {
		w.total, w.known = end, true
	}
	return part, nil
}
