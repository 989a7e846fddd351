package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/readerat"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/jsonrpc"
	"github.com/dig-network/digstore/remote/internal/wire"
	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
)

// maxMetadata is the longest JSON of metadata, in bytes.
const maxMetadata = 3 << 20

// generation finds the generation that a request names.
func (h *Handler) generation(ctx context.Context, store *auth.StoreID,
	root *string) (module.ID, error) {
	if store == nil {
		return module.ID{}, badParams("store_id is missing")
	}
	id := module.ID{Store: *store}
	if root != nil && *root != "" && *root != "latest" {
		var err error
		if id.Root, err = merkle.ParseHash(*root); err != nil {
			return id, badParams("root is neither 64 hex digits nor latest")
		}
		return id, nil
	}
	head, err := h.contents.Head(ctx, *store)
	if err != nil {
		return id, err
	}
	if head.Root.IsZero() {
		return id, badParams("the store has no generation yet")
	}
	id.Root = head.Root
	return id, nil
}

// generationAndProgram finds the generation that a request names, and its program hash.
func (h *Handler) generationAndProgram(c *call, store *auth.StoreID,
	root *string) (id module.ID, program merkle.Hash, err error) {
	if id, err = h.generation(c, store, root); err == nil {
		program, err = h.programs.hash(c, id)
	}
	return id, program, err
}

func (h *Handler) getContent(c *call, p *jsonrpc.ContentParams) (*servedWindow, error) {
	if p.Key == nil {
		return nil, badParams("retrieval_key is missing")
	}
	id, err := h.generation(c, p.Store, p.Root)
	if err != nil {
		return nil, err
	}
	return h.content(c, id, *p.Key, p.Offset, p.Length)
}

func (h *Handler) getManifest(c *call, p *jsonrpc.CapsuleParams) (*servedManifest, error) {
	id, err := h.generation(c, p.Store, p.Root)
	if err != nil {
		return nil, err
	}
	key := urn.RetrievalKey(id.Store, rpc.ManifestName)
	w, err := h.content(c, id, key, p.Offset, p.Length)
	if err != nil {
		return nil, err
	}
	return &servedManifest{*w, key}, nil
}

// content returns a window of a resource or decoy.
func (h *Handler) content(c *call, id module.ID, key merkle.Hash, offset,
	length *uint64) (*servedWindow, error) {
	program, err := h.programs.hash(c, id)
	if err != nil {
		return nil, err
	}
	content, err := h.contents.Open(c, id, key)
	if err != nil {
		return nil, err
	}
	w, err := h.window(c, id, content, program, offset, length)
	if err != nil {
		content.Close()
	}
	return w, err
}

// window returns a window of an open resource, which is closed when the window has been sent. After
// an error the caller closes it.
func (h *Handler) window(c *call, id module.ID, content *server.SealedResource, program merkle.Hash,
	offset, length *uint64) (*servedWindow, error) {
	w := cut(content.Size(), or(offset), length)
	w.Root, w.ProgramHash = id.Root, program
	proof, err := content.ProofBytes()
	if err != nil {
		return nil, err
	}
	w.InclusionProof = append(w.InclusionProof, proof...)
	if w.Offset == 0 {
		w.ChunkLens = content.ChunkLens
	}
	return w, c.from(w, content, content.Close)
}

func (h *Handler) getCapsule(c *call, p *jsonrpc.CapsuleParams) (*servedWindow, error) {
	id, program, err := h.generationAndProgram(c, p.Store, p.Root)
	if err != nil {
		return nil, err
	}
	m, err := h.contents.Module(c, id.Store, id.Root)
	if err != nil {
		return nil, err
	}
	size, err := m.Seek(0, io.SeekEnd)
	if err != nil {
		m.Close()
		return nil, err
	}
	w := cut(size, or(p.Offset), p.Length)
	w.Root, w.ProgramHash = id.Root, program
	if err := c.from(w, readerat.New(m), m.Close); err != nil {
		m.Close()
		return nil, err
	}
	return w, nil
}

// from sets the source of the bytes of a window, which are read when the window is sent; then
// closed is called. It fails if the response would be too long.
func (c *call) from(w *servedWindow, bytes io.ReaderAt, closed func() error) error {
	if err := c.spend(w.Length); err != nil {
		return err
	}
	w.Ciphertext = []byte{}
	w.from = &source{io.NewSectionReader(bytes, w.Offset, w.Length), closed}
	return nil
}

// hold takes memory for n bytes of a result that is not streamed, and n more for its JSON.
func (c *call) hold(n int64) error {
	if err := c.spend(n); err != nil {
		return err
	}
	if !c.memory.Grow(2 * n) {
		return &rpc.Error{Code: rpc.CodeLimited, Message: "too much is being sent: ask again later"}
	}
	return nil
}

// spend takes n bytes from the budget of the response.
func (c *call) spend(n int64) error {
	if n > *c.budget {
		return &rpc.Error{Code: rpc.CodeRuntime,
			Message: "the answer would be too long: ask for less at once"}
	}
	*c.budget -= n
	return nil
}

func or(n *uint64) uint64 {
	if n == nil {
		return 0
	}
	return *n
}

func (h *Handler) getMetadata(c *call, p *jsonrpc.RootParams) (*rpc.Metadata, error) {
	id, program, err := h.generationAndProgram(c, p.Store, p.Root)
	if err != nil {
		return nil, err
	}
	m, err := h.contents.Metadata(c, id)
	if err != nil {
		return nil, err
	}
	answer := &rpc.Metadata{Manifest: m, ProgramHash: program, Root: id.Root}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	if len(text) > maxMetadata {
		return nil, &rpc.Error{Code: rpc.CodeTooLarge, Message: "metadata too large"}
	}
	return answer, c.hold(int64(len(text)))
}

func (h *Handler) getProof(c *call, p *jsonrpc.ProofParams) (*rpc.Proof, error) {
	if p.Key == nil {
		return nil, badParams("retrieval_key is missing")
	}
	id, program, err := h.generationAndProgram(c, p.Store, p.Root)
	if err != nil {
		return nil, err
	}
	content, err := h.contents.Open(c, id, *p.Key)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	proof, err := content.ProofBytes()
	if err != nil {
		return nil, err
	}
	status := rpc.ProofElsewhere
	if p.ProofID != nil {
		status = rpc.ProofNotFound
	}
	return &rpc.Proof{InclusionProof: append([]byte{}, proof...), ProgramHash: program, Root: id.Root,
		ExecutionProofStatus: status}, nil
}

func (h *Handler) getProofStatus(c *call, p *jsonrpc.StatusParams) (*rpc.ProofStatus, error) {
	if p.Store == nil || p.ProofID == nil || len(*p.ProofID) > maxID {
		return nil, badParams("store_id or proof_id are missing, or too long")
	}
	head, err := h.contents.Head(c, *p.Store)
	if err != nil {
		return nil, err
	}
	s := &rpc.ProofStatus{ProofID: *p.ProofID, Status: rpc.ProofNotFound}
	if !head.Root.IsZero() {
		s.Root = &head.Root
	}
	return s, nil
}

func (h *Handler) listCapsules(c *call, p *jsonrpc.StoreParams) (*rpc.CapsuleList, error) {
	if p.Store == nil {
		return nil, badParams("store_id is missing")
	}
	lines, err := h.contents.Generations(c, *p.Store)
	if err != nil {
		return nil, err
	}
	const line = 170 // bytes of a capsule in JSON, at most
	if err := c.hold(line * int64(len(lines))); err != nil {
		return nil, err
	}
	list := &rpc.CapsuleList{Store: *p.Store, Capsules: make([]rpc.Capsule, len(lines))}
	for i, g := range lines {
		list.Capsules[i] = rpc.Capsule{Seq: g.Number, Root: g.Root}
	}
	for i := max(0, len(lines)-listedPrograms); i < len(lines); i++ {
		if sum, ok := h.programs.remembered(c, module.ID{Store: *p.Store, Root: lines[i].Root}); ok {
			list.Capsules[i].ProgramHash = &sum
		}
	}
	return list, nil
}

func (h *Handler) health(*call, *jsonrpc.NoParams) (*rpc.Health, error) {
	return &rpc.Health{OK: true, Service: "dig-rpc", Methods: h.names(), Status: "ok",
		Version: h.opt.Version}, nil
}

func (h *Handler) methods(*call, *jsonrpc.NoParams) (*rpc.MethodList, error) {
	return &rpc.MethodList{Methods: h.names()}, nil
}

func (h *Handler) discover(*call, *jsonrpc.NoParams) (json.RawMessage, error) {
	return document, nil
}

// fail returns the JSON-RPC error for an error of a method. It logs errors that the client must not
// see.
func (h *Handler) fail(ctx context.Context, method string, err error) *rpc.Error {
	var ours *rpc.Error
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, module.ErrRemoved):
		return &rpc.Error{Code: rpc.CodeUnavailable, Message: "not available at the requested root"}
	case errors.Is(err, auth.ErrRevoked):
		return &rpc.Error{Code: rpc.CodeUnavailable, Message: "revoked"}
	case errors.Is(err, module.ErrFormat), errors.Is(err, module.ErrVerify), errors.Is(err,
		wire.ErrVerification):
		h.opt.Logger.ErrorContext(ctx, "module does not decode", "method", method, "err", err)
		return &rpc.Error{Code: rpc.CodeUnavailable, Message: "not available at the requested root"}
	}
	if ctx.Err() == nil {
		h.opt.Logger.ErrorContext(ctx, "request failed", "method", method, "err", err)
	}
	return &rpc.Error{Code: rpc.CodeInternal, Message: "internal error"}
}
