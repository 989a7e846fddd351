package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/push"
	"github.com/dig-network/digstore/remote/server"
)

// A Credential is the credential of a push.
type Credential = push.Credential

// Pusher accepts pushes. *push.Manager implements it.
type Pusher interface {
	Push(ctx context.Context, p *push.Push) (*push.Result, error)
	Upload(ctx context.Context, session string, index uint32, size int64, body io.Reader) error
	Commit(ctx context.Context, session string) (*push.Result, error)
	Abort(ctx context.Context, session string) error
}

func (s *Server) addPush(add func(bool, ...route)) {
	const session = "/datastore/push/{session}"
	add(s.opt.Pusher != nil,
		route{method: "POST", pattern: "/datastore/push", handle: s.push, json: true,
			absent: DatastoreNotFound},
		route{method: "PUT", pattern: session + "/{capsule_index}", handle: s.upload,
			absent: SessionNotFound},
		route{method: "POST", pattern: session + "/commit", handle: s.commit, json: true,
			bucket: bucketRequests, absent: SessionNotFound},
		route{method: "DELETE", pattern: session, handle: s.abort, bucket: bucketRequests,
			absent: SessionNotFound})
}

// pushErrors maps the errors of a Pusher to codes.
var pushErrors = []struct {
	err  error
	code Code
}{
	{push.ErrUnknownWriter, UnknownWriter},
	{push.ErrNotWriter, NotAWriter},
	{push.ErrUnauthorized, Unauthorized},
	{push.ErrConflict, RootConflict},
	{push.ErrStale, StaleGeneration},
	{push.ErrMerkle, MerkleMismatch},
	{push.ErrMissing, InvalidArgument},
	{push.ErrBusy, Busy},
	{push.ErrUnavailable, UpstreamUnavailable},
	{push.ErrClosed, Draining},
	{auth.ErrSignature, BadSignature},
	{capsule.ErrContentMismatch, HashMismatch},
}

func pushError(err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	for _, m := range pushErrors {
		if errors.Is(err, m.err) {
			return &Error{Code: m.code, Detail: err.Error(), Err: err}
		}
	}
	return err
}

// smallPush is the limit of the body of a push without a credential and an identity, which can only
// be refused.
const smallPush = 1 << 20

// push answers POST /datastore/push.
func (s *Server) push(w *answer, c *call) error {
	by, err := s.credential(c)
	if err != nil {
		return err
	}
	named := c.Header.Get(request.HeaderIdentity) != ""
	// The caller is known only after the body was read. Until then the push is charged to the
	// credential or the address. A signed push may have its own bucket.
	key := addressKey(c.addr)
	if by.Name != "" {
		key = callerKey{'c', by.Name}
	}
	requests := s.table[bucketRequests]
	charged := requests.take(key, 1, s.opt.Now())
	charged.headers(w.Header())
	if !charged.ok && (by.Name != "" || !named) {
		return charged.error(bucketRequests)
	}
	if err := jsonBody(c.Header); err != nil {
		return err
	}
	limit := s.opt.MaxPush
	if by.Name == "" && !named {
		limit = min(limit, smallPush)
	}
	share := s.bodies.For(c.Request)
	defer share.Release()
	p, err := readPush(&bodyReader{r: c.Body, left: limit, share: share})
	if err != nil {
		if limit < s.opt.MaxPush && errors.Is(err, errBodyTooLarge) {
			return &Error{Code: Unauthorized, Err: err}
		}
		return bodyError(err)
	}
	p.By = by
	p.Identity, err = s.identity(c, p.Manifest.Store)
	if err != nil && by.Name == "" {
		return err
	}
	p.Charge = func(who push.Caller) error {
		var own callerKey
		switch {
		case who.Credential != "":
			return nil // charged already
		case !who.Writer.IsZero():
			own = callerKey{'w', string(who.Writer[:])}
		case !who.Identity.IsZero():
			own = callerKey{'i', string(who.Identity[:])}
		case charged.ok:
			return nil
		default:
			return charged.error(bucketRequests)
		}
		mine := requests.take(own, 1, s.opt.Now())
		mine.headers(w.Header())
		if !mine.ok {
			return mine.error(bucketRequests)
		}
		return nil
	}
	res, err := s.opt.Pusher.Push(c.Context(), p)
	if err != nil {
		return pushError(err)
	}
	return s.sendResult(w, c, res)
}

// credential returns the credential of a push. An invalid credential counts as none.
func (s *Server) credential(c *call) (Credential, error) {
	if s.opt.Credential == nil {
		return Credential{}, nil
	}
	by, err := s.opt.Credential(c.Request)
	var e *Error
	if errors.As(err, &e) {
		return Credential{}, err
	}
	if err != nil {
		return Credential{}, nil
	}
	return by, nil
}

// identity returns the identity that signed a push. A push without the headers has none.
func (s *Server) identity(c *call, store auth.StoreID) (auth.PublicKey, error) {
	if c.Header.Get(request.HeaderIdentity) == "" {
		return auth.PublicKey{}, nil
	}
	id, err := s.opt.Authenticator.Check(c.Request, request.Push, store)
	if err != nil && errors.Is(err, request.ErrUnauthenticated) {
		return auth.PublicKey{}, &Error{Code: Unauthorized, Detail: err.Error(), Err: err}
	}
	return id, err
}

// jsonBody returns nil if Content-Type is JSON or missing.
func jsonBody(h http.Header) error {
	kind := h.Get("Content-Type")
	if kind == "" {
		return nil
	}
	media, _, err := mime.ParseMediaType(kind)
	if err != nil || media != "application/json" {
		return &Error{Code: UnsupportedMediaType, Detail: "expected application/json"}
	}
	return nil
}

var (
	errBodyTooLarge = errors.New("body too large")
	errBodyMemory   = errors.New("bodies of all requests take too much memory")
)

// bodyReader limits a body and counts its bytes against the budget.
type bodyReader struct {
	r     io.Reader
	left  int64
	share *server.MemoryShare
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		if n, err := io.ReadFull(b.r, p[:1]); n == 0 {
			return 0, err
		}
		return 0, errBodyTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if n > 0 && b.share != nil && !b.share.Grow(int64(n)) {
		return 0, errBodyMemory
	}
	return n, err
}

// bodyError returns the refusal for a body that cannot be read.
func bodyError(err error) error {
	var e *Error
	var at *strictjson.MemberError
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, errBodyTooLarge):
		return &Error{Code: PayloadTooLarge, Err: err}
	case errors.Is(err, errBodyMemory):
		return &Error{Code: Busy, RetryAfter: 5 * time.Second, Err: err}
	case errors.As(err, &at):
		return &Error{Code: InvalidJSON, Detail: at.Error(), Err: err}
	}
	return &Error{Code: InvalidJSON, Detail: err.Error(), Err: err}
}

// sendResult answers a push.
func (s *Server) sendResult(w *answer, c *call, res *push.Result) error {
	body := struct {
		Accepted bool          `json:"accepted"`
		Estimate *string       `json:"storage_estimate"`
		Peers    []auth.NodeID `json:"propagation_peers"`
		Upload   any           `json:"upload,omitempty"`
		Code     *string       `json:"reject_code"`
		Retain   *string       `json:"retain_until"`
	}{Accepted: res.Accepted, Peers: append([]auth.NodeID{}, res.Peers...),
		Estimate: stamp(res.Stored), Retain: stamp(res.Retain)}
	if !res.Accepted {
		body.Code = &res.Code
	}
	status := http.StatusOK
	if u := res.Upload; u != nil {
		status = http.StatusAccepted
		body.Upload = map[string]any{"session": u.Session, "missing": u.Missing,
			"expires_at": stamp(u.Expires)}
	}
	return s.sendJSON(w, c, status, body)
}

// stamp returns a time in RFC 3339, or nil if it is zero.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Truncate(time.Second).Format(time.RFC3339)
	return &s
}

// upload answers PUT /datastore/push/{session}/{capsule_index}.
func (s *Server) upload(w *answer, c *call) error {
	index, err := parseIndex(c.path["capsule_index"])
	if err != nil {
		return err
	}
	if c.ContentLength < 0 {
		return failf(InvalidArgument, "Content-Length is required")
	}
	err = s.opt.Pusher.Upload(c.Context(), c.path["session"], index, c.ContentLength, c.Body)
	if err != nil {
		return pushError(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// commit answers POST /datastore/push/{session}/commit.
func (s *Server) commit(w *answer, c *call) error {
	res, err := s.opt.Pusher.Commit(c.Context(), c.path["session"])
	if err != nil {
		return pushError(sessionGone(err))
	}
	return s.sendResult(w, c, res)
}

// abort answers DELETE /datastore/push/{session}.
func (s *Server) abort(w *answer, c *call) error {
	if err := s.opt.Pusher.Abort(c.Context(), c.path["session"]); err != nil {
		return pushError(sessionGone(err))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func sessionGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, push.ErrMissing) {
		return &Error{Code: SessionNotFound, Err: err}
	}
	return err
}

// Limits of the texts of a push.
const (
	maxSources = 16
	maxText    = 256
)

// readPush reads the body of a push.
func readPush(body io.Reader) (*push.Push, error) {
	p := &push.Push{Manifest: new(capsule.Manifest), Inline: map[uint32][]byte{}}
	m := p.Manifest
	r := strictjson.NewReader(body, math.MaxInt64)
	err := r.Object([]strictjson.Member{
		{Name: "datastore_id", Required: true, Read: readHex(m.Store[:])},
		{Name: "capsules", Required: true, Read: func(r *strictjson.Reader) error {
			return r.Array(func(i int) error { return readCapsule(r, p, i) })
		}},
		{Name: "merkle_tree", Required: true, Read: func(r *strictjson.Reader) error {
			return readTree(r, p)
		}},
		{Name: "generation", Read: func(r *strictjson.Reader) (err error) {
			m.Generation, err = r.Uint(1<<53 - 1)
			return err
		}},
		{Name: "root_signature", Read: optional(func(r *strictjson.Reader) error {
			p.Signed = true
			return readHex(m.Signature[:])(r)
		})},
		{Name: "writer_key", Read: optional(readHex(m.Writer[:]))},
		{Name: "parent_root", Read: optional(readHex(m.Parent[:]))},
		{Name: "bribe_distributor", Read: optional(readHex(p.Bribe[:]))},
		{Name: "handle", Read: optional(func(r *strictjson.Reader) (err error) {
			p.Handle, err = r.Text(maxText)
			return err
		})},
		{Name: "sources", Read: optional(func(r *strictjson.Reader) error {
			return r.Array(func(i int) error {
				if i >= maxSources {
					return fmt.Errorf("more than %d sources", maxSources)
				}
				text, err := r.Text(maxText)
				p.Sources = append(p.Sources, text)
				return err
			})
		})},
	})
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, err
	}
	return p, checkPush(p)
}

// checkPush returns an error if a push lacks a required member.
func checkPush(p *push.Push) error {
	switch {
	case len(p.Manifest.Capsules) == 0:
		return failf(InvalidArgument, "capsules: expected at least one")
	case !p.Signed:
		p.Manifest.Writer = auth.PublicKey{} // meaningless without a statement
	}
	for _, d := range p.Manifest.Capsules {
		if _, inline := p.Inline[d.Index]; !inline && d.ChunkRoot.IsZero() {
			return failf(InvalidArgument,
				"capsules[%d].chunk_root: required for capsules whose data is not in the push",
				d.Index)
		}
	}
	return nil
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

func readCapsule(r *strictjson.Reader, p *push.Push, i int) error {
	var d capsule.Descriptor
	var index, size uint64
	var data []byte
	err := r.Object([]strictjson.Member{
		{Name: "index", Required: true, Read: func(r *strictjson.Reader) (err error) {
			index, err = r.Uint(math.MaxUint32)
			return err
		}},
		{Name: "hash", Required: true, Read: readHex(d.Hash[:])},
		{Name: "size", Required: true, Read: func(r *strictjson.Reader) (err error) {
			size, err = r.Uint(capsule.MaxSize)
			return err
		}},
		{Name: "chunk_root", Read: optional(readHex(d.ChunkRoot[:]))},
		{Name: "data", Read: optional(func(r *strictjson.Reader) error {
			text, err := r.Text(math.MaxInt32)
			if err == nil {
				data, err = base64.StdEncoding.Strict().DecodeString(text)
			}
			if data == nil {
				data = []byte{}
			}
			return err
		})},
	})
	if err != nil {
		return err
	}
	if index != uint64(i) {
		return failf(InvalidArgument, "capsules[%d].index: found %d", i, index)
	}
	d.Index, d.Size = uint32(index), uint32(size)
	p.Manifest.Capsules = append(p.Manifest.Capsules, d)
	if data != nil {
		p.Inline[d.Index] = data
	}
	return nil
}

func readTree(r *strictjson.Reader, p *push.Push) error {
	return r.Object([]strictjson.Member{
		{Name: "root", Required: true, Read: readHex(p.Manifest.Root[:])},
		{Name: "leaf_count", Required: true, Read: func(r *strictjson.Reader) (err error) {
			p.LeafCount, err = r.Uint(math.MaxUint32)
			return err
		}},
		{Name: "leaves", Read: optional(func(r *strictjson.Reader) error {
			return r.Array(func(int) error {
				var leaf merkle.Hash
				err := readHex(leaf[:])(r)
				p.Leaves = append(p.Leaves, leaf)
				return err
			})
		})},
	})
}

// readHex reads a value in hexadecimal digits, with or without 0x.
func readHex(dst []byte) func(*strictjson.Reader) error {
	return func(r *strictjson.Reader) error {
		s, err := r.Text(2 + 2*len(dst))
		if err != nil {
			return err
		}
		s = strings.TrimPrefix(s, "0x")
		if len(s) != 2*len(dst) {
			return failf(InvalidHex, "expected %d hexadecimal digits, found %d characters",
				2*len(dst), len(s))
		}
		if _, err := hex.Decode(dst, []byte(s)); err != nil {
			return failf(InvalidHex, "expected %d hexadecimal digits", 2*len(dst))
		}
		return nil
	}
}
