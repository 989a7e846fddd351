package api

import (
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"github.com/dig-network/digstore/capsule"
)

// How long caches may keep an answer.
const (
	forever = "public, max-age=31536000, immutable"
	shortly = "public, max-age=60, must-revalidate"
)

// capsule answers GET /capsule/{datastore_id}/{capsule_index}.
func (s *Server) capsule(w *answer, c *call) error {
	store, err := c.store()
	if err != nil {
		return err
	}
	index, err := parseIndex(c.path["capsule_index"])
	if err != nil {
		return err
	}
	root, err := c.root()
	if err != nil {
		return err
	}
	f, err := s.opt.Capsules.Find(c.Context(), capsule.Ref{Store: store, Root: root, Index: index})
	if err != nil {
		return err
	}
	keep := shortly
	if !root.IsZero() {
		keep = forever
	}
	return s.content(w, c, f, keep)
}

// blob answers GET /blob/{capsule_hash}.
func (s *Server) blob(w *answer, c *call) error {
	hash, err := parse32(c.path["capsule_hash"], "capsule_hash")
	if err != nil {
		return err
	}
	f, err := s.opt.Capsules.FindHash(c.Context(), hash)
	if err != nil {
		return err
	}
	return s.content(w, c, f, forever)
}

// content answers with the content of a capsule, or a range of it.
func (s *Server) content(w *answer, c *call, f *Found, keep string) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	d := f.Descriptor
	v := variant{etag: `"` + d.Hash.String() + `"`, modified: f.Modified}
	encoded := q.Get("encoded") == "1" && acceptsEncoding(c.Header, "zstd")
	h := w.Header()
	h.Set("X-Capsule-Hash", hex32(d.Hash))
	h.Set("Cache-Control", keep)
	if q.Get("encoded") == "1" {
		h.Add("Vary", "Accept-Encoding")
	}
	if !f.Modified.IsZero() {
		h.Set("Last-Modified", f.Modified.UTC().Format(http.TimeFormat))
	}
	if encoded {
		done, err := s.encoded(w, c, f, v)
		if done || err != nil {
			return err
		}
	}
	h.Set("ETag", v.etag)
	h.Set("Accept-Ranges", "bytes")
	switch v.check(c.Header) {
	case notModified:
		w.WriteHeader(http.StatusNotModified)
		return nil
	case failed:
		return &Error{Code: PreconditionFailed}
	}
	if err := describe(w, c, f, q.Get("proof") != "0"); err != nil {
		return err
	}
	size := int64(d.Size)
	whole := part{0, size}
	status := http.StatusOK
	if c.Method == http.MethodGet {
		p, ok, unsatisfiable := v.ranged(c.Header, size)
		if unsatisfiable {
			h.Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
			return &Error{Code: RangeNotSatisfiable}
		}
		if ok {
			whole, status = p, http.StatusPartialContent
			h.Set("Content-Range", "bytes "+strconv.FormatInt(p.off, 10)+"-"+
				strconv.FormatInt(p.off+p.n-1, 10)+"/"+strconv.FormatInt(size, 10))
		}
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(whole.n, 10))
	if c.Method == http.MethodHead {
		w.WriteHeader(status)
		return nil
	}
	return s.sendContent(w, c, f, whole, status)
}

// describe adds what a client needs to check the content.
func describe(w *answer, c *call, f *Found, prove bool) error {
	h := w.Header()
	if !f.Descriptor.ChunkRoot.IsZero() {
		h.Set("X-Dig-Chunk-Root", hex32(f.Descriptor.ChunkRoot))
	}
	if !f.Plot.IsZero() {
		h.Set("X-Plot-ID", hex32(f.Plot))
	}
	if !prove || f.Prove == nil {
		return nil
	}
	p, err := f.Prove(c.Context())
	if err != nil {
		return err
	}
	raw, err := p.MarshalBinary()
	if err != nil {
		return err
	}
	h.Set("X-Merkle-Proof", base64.StdEncoding.EncodeToString(raw))
	return nil
}

// patience is how long a request waits for a slot of MaxReads.
const patience = 2 * time.Second

// enter acquires a slot, and waits at most wait. leave releases the slot.
func enter(c *call, places chan struct{}, wait time.Duration) (leave func(), err error) {
	leave = func() { <-places }
	select {
	case places <- struct{}{}:
		return leave, nil
	default:
	}
	if wait <= 0 {
		return nil, &Error{Code: Busy, RetryAfter: time.Second}
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case places <- struct{}{}:
		return leave, nil
	case <-c.Context().Done():
		return nil, c.Context().Err()
	case <-t.C:
		return nil, &Error{Code: Busy, RetryAfter: time.Second}
	}
}

// sendContent sends a part of the content. The read slot is released when the content is open, so a
// slow client does not hold it.
func (s *Server) sendContent(w *answer, c *call, f *Found, p part, status int) error {
	leave, err := enter(c, s.reads, patience)
	if err != nil {
		return err
	}
	body, err := s.opt.Capsules.Open(c.Context(), f, p.off, p.n, c.addr.String())
	leave()
	if err != nil {
		return err
	}
	defer body.Close()
	if body.Cache != "" {
		w.Header().Set("X-Dig-Cache", body.Cache)
	}
	return copyBody(w, body, p.n, status)
}

// copyBody sends n bytes of src. An error before the first byte is returned, a later one aborts
// the answer.
func copyBody(w *answer, src io.Reader, n int64, status int) error {
	buf := make([]byte, min(n, copySize))
	for sent := int64(0); sent < n; {
		got, err := io.ReadFull(src, buf[:min(int64(len(buf)), n-sent)])
		if err != nil {
			if w.status == 0 {
				return readError(err)
			}
			panic(http.ErrAbortHandler)
		}
		if w.status == 0 {
			w.WriteHeader(status)
		}
		if _, err := w.Write(buf[:got]); err != nil {
			panic(http.ErrAbortHandler)
		}
		sent += int64(got)
	}
	if w.status == 0 {
		w.WriteHeader(status)
	}
	return nil
}

// readError returns the refusal for content that cannot be read.
func readError(err error) error {
	if errors.Is(err, capsule.ErrContentMismatch) || errors.Is(err, io.ErrUnexpectedEOF) ||
		err == io.EOF {
		return &Error{Code: CorruptCapsule, Err: err}
	}
	return err
}

// encoded sends the content in compressed form if the node stores it in that form.
func (s *Server) encoded(w *answer, c *call, f *Found, v variant) (done bool, err error) {
	src, ok := s.opt.Capsules.(Encoded)
	if !ok {
		return false, nil
	}
	body, size, err := src.OpenEncoded(c.Context(), f)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer body.Close()
	h := w.Header()
	v.etag = `"` + f.Descriptor.Hash.String() + `-zstd"`
	h.Set("ETag", v.etag)
	switch v.check(c.Header) {
	case notModified:
		w.WriteHeader(http.StatusNotModified)
		return true, nil
	case failed:
		return true, &Error{Code: PreconditionFailed}
	}
	q, _ := c.query() // parsed before without error
	if err := describe(w, c, f, q.Get("proof") != "0"); err != nil {
		return true, err
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Encoding", "zstd")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	if c.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return true, nil
	}
	return true, copyBody(w, body, size, http.StatusOK)
}
