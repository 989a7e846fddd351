package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// getDescriptor answers GET /stores/{id}. See remote/PROTOCOL.md 5.1.
func (s *Server) getDescriptor(w http.ResponseWriter, c *call) error {
	head, err := s.head(c.Context(), c.store)
	if err != nil {
		return err
	}
	if head.Root.IsZero() {
		return unknownRoot()
	}
	size, err := s.size(c.Context(), module.ID{Store: c.store, Root: head.Root})
	if err != nil {
		return err
	}
	ts, err := s.tombstones(c.Context(), c.store)
	if err != nil {
		return err
	}
	d := &wire.Descriptor{Root: head.Root, Size: size, PublicKey: head.PublicKey, PushSig: head.Tagged,
		Untagged: head.Untagged, Tombstones: ts}
	if d.PushSig.IsZero() {
		d.PushSig = head.Untagged
	}
	s.recipes.announce(w.Header())
	return writeJSON(w, c.Request, d)
}

// getRoots answers GET /stores/{id}/roots. See remote/PROTOCOL.md 5.2.
func (s *Server) getRoots(w http.ResponseWriter, c *call) error {
	if _, err := s.head(c.Context(), c.store); err != nil {
		return err
	}
	gens, err := s.back.Generations(c.Context(), c.store)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", wire.TypeJSON)
	if c.Method == http.MethodHead {
		return nil
	}
	return wire.EncodeRoots(w, gens)
}

// size returns the length of a module in bytes.
func (s *Server) size(ctx context.Context, id module.ID) (int64, error) {
	m, n, err := s.open(ctx, id.Store, id.Root)
	if err != nil {
		return 0, err
	}
	return n, m.Close()
}

// open opens the module of a confirmed generation at offset 0 and returns its length. The caller
// closes it.
func (s *Server) open(ctx context.Context, store auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, int64, error) {
	m, err := s.back.Module(ctx, store, root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, unknownRoot()
	}
	if err != nil {
		return nil, 0, err
	}
	n, err := m.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = m.Seek(0, io.SeekStart)
	}
	if err != nil {
		m.Close()
		return nil, 0, fmt.Errorf("measure module %s: %w", root, err)
	}
	return m, n, nil
}

// writeJSON writes v as a 200 response in compact JSON.
func writeJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", wire.TypeJSON)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
	return nil
}
