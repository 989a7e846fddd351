package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/merkle"
)

// Manifest returns the manifest of a generation: GET /datastore/{datastore_id}/manifest, page by
// page. A zero root means the head according to the node. The pages must belong together, the
// capsules must fold to the root, and Options.Trust must trust the root. Errors wrap
// fs.ErrNotExist, capsule.ErrUntrusted, capsule.ErrManifest, ErrProtocol or the error that ended
// the exchange.
//
// A manifest without chunk roots cannot be checked and is capsule.ErrManifest. Single capsules of
// such a node can still be read.
func (c *Client) Manifest(ctx context.Context, store auth.StoreID, root merkle.Hash) (
	*capsule.Manifest, error) {
	m, err := c.pages(ctx, store, root)
	if err == nil {
		err = c.checkRoot(ctx, m)
	}
	if err != nil {
		return nil, fmt.Errorf("manifest of datastore %v: %w", store, err)
	}
	return m, nil
}

// checkRoot returns nil if the manifest folds to its root and the root is trusted.
func (c *Client) checkRoot(ctx context.Context, m *capsule.Manifest) error {
	if !m.Complete() {
		return &capsule.ManifestError{Member: "chunk_root",
			Err: errors.New("capsules without chunk roots do not show the root")}
	}
	count, err := c.trust.Trusted(ctx, m.Store, m.Root)
	if err != nil {
		return err
	}
	if count > 0 && uint64(count) != uint64(len(m.Capsules)) {
		return &capsule.ManifestError{Member: "capsule_count",
			Err: fmt.Errorf("found %d, the trusted root has %d", len(m.Capsules), count)}
	}
	return nil
}

// pages reads all pages of a manifest and checks that they belong together.
func (c *Client) pages(ctx context.Context, store auth.StoreID, root merkle.Hash) (
	*capsule.Manifest, error) {
	left := c.opt.MaxManifest
	first, err := c.page(ctx, store, root, 0, 0, &left)
	if err != nil {
		return nil, err
	}
	m, next := &first.Manifest, first.next
	for next != nil {
		p, err := c.page(ctx, store, m.Root, *next, 0, &left)
		if err != nil {
			return nil, err
		}
		if err := first.same(p); err != nil {
			return nil, err
		}
		m.Capsules = append(m.Capsules, p.Capsules...)
		next = p.next
	}
	if uint64(len(m.Capsules)) != first.count {
		return nil, &capsule.ManifestError{Member: "capsule_count",
			Err: fmt.Errorf("found %d, %d capsules are listed", first.count, len(m.Capsules))}
	}
	if size := m.Size(); size != first.total {
		return nil, &capsule.ManifestError{Member: "total_size",
			Err: fmt.Errorf("found %d, sizes add up to %d", first.total, size)}
	}
	return m, m.Check()
}

// page is one answer. Its Manifest has the capsules of the page alone.
type page struct {
	capsule.Manifest
	count, total uint64
	next         *uint64 // nil: last page
}

// page gets one page. With limit 0 the node chooses the number of capsules. left is the number of
// bytes that may still be read.
func (c *Client) page(ctx context.Context, store auth.StoreID, root merkle.Hash, offset uint64,
	limit int, left *int64) (*page, error) {
	q := url.Values{}
	if !root.IsZero() {
		q.Set("root", root.String())
	}
	if offset > 0 {
		q.Set("offset", strconv.FormatUint(offset, 10))
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	e := exchange{method: http.MethodGet, path: "/datastore/0x" + store.String() + "/manifest",
		query: q}
	var p *page
	var used int64
	err := c.read(ctx, e, *left, func(r io.Reader) error {
		p = new(page)
		body := &counted{r: r}
		defer func() { used = body.n }()
		return p.read(strictjson.NewReader(body, math.MaxInt64))
	})
	if err != nil {
		return nil, manifestError(err)
	}
	*left -= used
	return p, p.check(store, root, offset)
}

// counted is a reader that counts bytes.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// manifestError names the member at which a page is malformed.
func manifestError(err error) error {
	var at *strictjson.MemberError
	if errors.As(err, &at) && !errors.Is(err, ErrConnection) {
		return fmt.Errorf("%w: %w", ErrProtocol, &capsule.ManifestError{Member: at.Path, Err: at.Err})
	}
	return err
}

// check returns nil if the page is the requested one and its next offset is right. The caller
// checks the capsules against the root with Manifest.Check.
func (p *page) check(store auth.StoreID, root merkle.Hash, offset uint64) error {
	fail := func(member, format string, args ...any) error {
		return &capsule.ManifestError{Member: member, Err: fmt.Errorf(format, args...)}
	}
	end := offset + uint64(len(p.Capsules))
	switch {
	case p.Store != store:
		return fail("datastore_id", "found %v, expected %v", p.Store, store)
	case !root.IsZero() && p.Root != root:
		return fail("merkle_root", "found %v, expected %v", p.Root, root)
	case len(p.Capsules) == 0:
		return fail("capsules", "found none from %d on, expected at least one", offset)
	case p.next != nil && *p.next != end:
		return fail("next_offset", "found %d, expected %d", *p.next, end)
	}
	return nil
}

// same returns nil if q, which has the same root, is a page of the same manifest.
func (p *page) same(q *page) error {
	for _, m := range []struct {
		name string
		same bool
	}{
		{"capsule_count", p.count == q.count},
		{"total_size", p.total == q.total},
		{"creation_time", p.Created == q.Created},
		{"generation", p.Generation == q.Generation},
		{"root_signature", p.Signature == q.Signature},
		{"writer_key", p.Writer == q.Writer},
		{"parent_root", p.Parent == q.Parent},
	} {
		if !m.same {
			return &capsule.ManifestError{Member: m.name,
				Err: errors.New("differs from that of the first page")}
		}
	}
	return nil
}

func (p *page) read(r *strictjson.Reader) error {
	err := r.Object([]strictjson.Member{
		{Name: "datastore_id", Required: true, Read: readHash(p.Store[:])},
		{Name: "capsule_count", Required: true, Read: readUint(&p.count, math.MaxUint32)},
		{Name: "merkle_root", Required: true, Read: readHash(p.Root[:])},
		{Name: "total_size", Required: true, Read: readUint(&p.total, math.MaxUint64)},
		{Name: "creation_time", Required: true, Read: readUint(&p.Created, math.MaxUint64)},
		{Name: "capsules", Required: true, Read: p.readCapsules},
		{Name: "parent_root", Read: optional(readHash(p.Parent[:]))},
		{Name: "generation", Read: optional(readUint(&p.Generation, math.MaxUint64))},
		{Name: "root_signature", Read: optional(readHash(p.Signature[:]))},
		{Name: "writer_key", Read: optional(readHash(p.Writer[:]))},
		{Name: "next_offset", Read: optional(func(r *strictjson.Reader) error {
			p.next = new(uint64)
			return readUint(p.next, math.MaxUint32)(r)
		})},
	})
	if err != nil {
		return err
	}
	return r.End()
}

func (p *page) readCapsules(r *strictjson.Reader) error {
	return r.Array(func(int) error {
		var d capsule.Descriptor
		var index, size uint64
		err := r.Object([]strictjson.Member{
			{Name: "index", Required: true, Read: readUint(&index, math.MaxUint32)},
			{Name: "hash", Required: true, Read: readHash(d.Hash[:])},
			{Name: "size", Required: true, Read: readUint(&size, capsule.MaxSize)},
			{Name: "chunk_root", Read: optional(readHash(d.ChunkRoot[:]))},
		})
		d.Index, d.Size = uint32(index), uint32(size)
		p.Capsules = append(p.Capsules, d)
		return err
	})
}

// optional makes null the same as a missing member.
func optional(read func(*strictjson.Reader) error) func(*strictjson.Reader) error {
	return func(r *strictjson.Reader) error {
		if null, err := r.Null(); null || err != nil {
			return err
		}
		return read(r)
	}
}

func readUint(v *uint64, max uint64) func(*strictjson.Reader) error {
	return func(r *strictjson.Reader) (err error) {
		*v, err = r.Uint(max)
		return err
	}
}

// readHash reads a value in hexadecimal digits, with or without 0x.
func readHash(dst []byte) func(*strictjson.Reader) error {
	return func(r *strictjson.Reader) error {
		s, err := r.Text(2 + 2*len(dst))
		if err != nil {
			return err
		}
		s = strings.TrimPrefix(s, "0x")
		if len(s) != 2*len(dst) {
			return fmt.Errorf("found %d characters, expected %d hexadecimal digits", len(s),
				2*len(dst))
		}
		_, err = hex.Decode(dst, []byte(s))
		return err
	}
}
