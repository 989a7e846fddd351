package api

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// maxPage is the largest number of capsules in one answer.
const maxPage = 100_000

// manifest answers GET /datastore/{datastore_id}/manifest.
func (s *Server) manifest(w *answer, c *call) error {
	store, err := c.store()
	if err != nil {
		return err
	}
	root, err := c.root()
	if err != nil {
		return err
	}
	offset, err := c.bounded("offset", 0, 0, 1<<32)
	if err != nil {
		return err
	}
	limit, err := c.bounded("limit", maxPage, 1, maxPage)
	if err != nil {
		return err
	}
	ds, err := s.opt.Datastores.Datastore(c.Context(), store, root)
	if err != nil {
		return err
	}
	page := newPage(ds, offset, limit)
	v := variant{etag: page.etag()}
	if ds.Manifest.Created > 0 {
		v.modified = time.Unix(int64(ds.Manifest.Created), 0)
	}
	h := w.Header()
	h.Set("ETag", v.etag)
	h.Set("Cache-Control", shortly)
	if !root.IsZero() && page.stored == nil {
		h.Set("Cache-Control", forever)
	}
	switch v.check(c.Header) {
	case notModified:
		w.WriteHeader(http.StatusNotModified)
		return nil
	case failed:
		return &Error{Code: PreconditionFailed}
	}
	return s.sendText(w, c, http.StatusOK, page.appendJSON(nil))
}

// page is a part of a manifest.
type page struct {
	m      *capsule.Manifest
	from   int
	to     int
	asked  [2]int64 // offset and limit
	stored []byte   // bit i: the capsule from + i is held; nil: all are
}

func newPage(ds *Datastore, offset, limit int64) page {
	n := int64(len(ds.Manifest.Capsules))
	p := page{m: ds.Manifest, from: int(min(offset, n)), asked: [2]int64{offset, limit}}
	p.to = int(min(int64(p.from)+limit, n))
	if ds.Held == nil {
		return p
	}
	bits := make([]byte, (p.to-p.from+7)/8)
	all := true
	for i := p.from; i < p.to; i++ {
		if ds.Held(uint32(i)) {
			bits[(i-p.from)/8] |= 1 << ((i - p.from) % 8)
		} else {
			all = false
		}
	}
	if !all {
		p.stored = bits
	}
	return p
}

func (p page) etag() string {
	sum := merkle.Sum(p.stored)
	return `"` + p.m.Root.String() + "-" + strconv.FormatInt(p.asked[0], 10) + "-" +
		strconv.FormatInt(p.asked[1], 10) + "-" + hex.EncodeToString(sum[:4]) + `"`
}

func (p page) appendJSON(b []byte) []byte {
	m := p.m
	b = append(b, `{"datastore_id":"`+hex32(m.Store)+`","capsule_count":`...)
	b = strconv.AppendInt(b, int64(len(m.Capsules)), 10)
	b = append(b, `,"merkle_root":"`+hex32(m.Root)+`","total_size":`...)
	b = strconv.AppendUint(b, m.Size(), 10)
	b = append(b, `,"creation_time":`...)
	b = strconv.AppendUint(b, m.Created, 10)
	b = append(b, `,"capsules":[`...)
	for i, d := range m.Capsules[p.from:p.to] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"index":`...)
		b = strconv.AppendUint(b, uint64(d.Index), 10)
		b = append(b, `,"hash":"0x`...)
		b = hex.AppendEncode(b, d.Hash[:])
		b = append(b, `","size":`...)
		b = strconv.AppendUint(b, uint64(d.Size), 10)
		if !d.ChunkRoot.IsZero() {
			b = append(b, `,"chunk_root":"0x`...)
			b = append(hex.AppendEncode(b, d.ChunkRoot[:]), '"')
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	if m.Generation > 0 || !m.Signature.IsZero() {
		b = strconv.AppendUint(append(b, `,"generation":`...), m.Generation, 10)
	}
	if !m.Signature.IsZero() {
		b = append(b, `,"root_signature":"`+m.Signature.String()+`"`...)
	}
	if !m.Writer.IsZero() {
		b = append(b, `,"writer_key":"`+m.Writer.String()+`"`...)
	}
	b = append(b, `,"parent_root":`...)
	if m.Parent.IsZero() {
		b = append(b, "null"...)
	} else {
		b = append(b, `"`+hex32(m.Parent)+`"`...)
	}
	b = append(b, `,"next_offset":`...)
	if p.to < len(m.Capsules) {
		b = strconv.AppendInt(b, int64(p.to), 10)
	} else {
		b = append(b, "null"...)
	}
	if p.stored != nil {
		b = append(b, `,"stored":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, p.stored), '"')
	}
	return append(b, '}')
}
