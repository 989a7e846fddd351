package client

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// A Push is a generation to send to a node, with its content.
type Push struct {
	// Manifest has all chunk roots. Its Parent and its root statement (capsule.SignRoot,
	// Manifest.SetStatement) are sent when they are set.
	Manifest *capsule.Manifest
	// Content is the source of capsules that the node does not have. The client verifies the
	// content while it sends it.
	Content capsule.Source

	Handle string      // registered name of the datastore; empty: none
	Bribe  merkle.Hash // bribe distributor; zero: none
	// Sources are nodes from which the node may fetch content, by address or id. At most 16.
	Sources []string
	// Inline is the limit in bytes up to which all content is sent with the push itself. 0, or more
	// content: the node first reports the capsules that it does not have.
	Inline int64
	// Progress, if not nil, is called with the bytes of content sent so far, and of all capsules
	// that the node does not have. It may be called concurrently.
	Progress func(sent, total int64)
}

// A PushResult is the answer of a node to an accepted push.
type PushResult struct {
	Root   merkle.Hash
	Stored time.Time // when everything is expected to be stored
	Retain time.Time // kept until this time; zero: no limit
	Peers  []string  // ids of the nodes notified in this call
	Sent   int64     // bytes of content, in this call
}

// maxRounds is how often a push is restarted because its session has ended.
const maxRounds = 3

// Push sends a generation: POST /datastore/push, then the capsules that the node does not have in
// an upload session, then its commit. At any time the head at the node is the old or the new one.
// The same push may be sent again. If the push fails, its session is aborted.
//
// Errors are a *DeclinedError; a *StatusError, as of ErrConflict, ErrStale, ErrNoSpace,
// auth.ErrForbidden (the key may not write, or the writers are not known), auth.ErrSignature and
// request.ErrUnauthenticated (a credential is needed); an error of the manifest or of the content;
// ErrInsecure for a credential over plain HTTP; or the error that ended an exchange.
func (c *Client) Push(ctx context.Context, p *Push) (*PushResult, error) {
	res, err := c.push(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("push datastore %v, root %v: %w", p.Manifest.Store, p.Manifest.Root,
			err)
	}
	return res, nil
}

func (c *Client) push(ctx context.Context, p *Push) (*PushResult, error) {
	if err := p.Manifest.Check(); err != nil {
		return nil, err
	}
	if !p.Manifest.Complete() {
		return nil, &capsule.ManifestError{Member: "chunk_root",
			Err: errors.New("a push needs all chunk roots")}
	}
	body, inline, err := p.body(ctx)
	if err != nil {
		return nil, err
	}
	header, err := c.credential(c.pushCredential())
	if err != nil {
		return nil, err
	}
	up := &upload{c: c, p: p, sent: inline}
	for round := 1; ; round++ {
		res, err := c.offer(ctx, p, header, body)
		if err == nil && res.Upload != nil {
			res, err = up.run(ctx, res.Upload)
		}
		if err == nil {
			return &PushResult{Root: p.Manifest.Root, Stored: res.Estimate.Time,
				Retain: res.Retain.Time, Peers: res.Peers, Sent: up.sent}, nil
		}
		if round == maxRounds || ctx.Err() != nil || !sessionEnded(err) {
			return nil, err
		}
	}
}

// pushCredential returns the value of Authorization for pushes; "": none.
func (c *Client) pushCredential() string {
	switch {
	case c.opt.Token != "":
		return "Bearer " + c.opt.Token
	case c.opt.User != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.opt.User+":"+c.opt.Password))
	}
	return ""
}

// sessionEnded reports whether the session does not exist: it expired, the node was restarted, or
// its commit succeeded and the answer was lost.
func sessionEnded(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Code == "session_not_found"
}

// pushAnswer is the answer of a push and of a commit.
type pushAnswer struct {
	Accepted *bool       `json:"accepted"`
	Estimate jsonTime    `json:"storage_estimate"`
	Peers    []string    `json:"propagation_peers"`
	Upload   *pushUpload `json:"upload"`
	Code     string      `json:"reject_code"`
	Retain   jsonTime    `json:"retain_until"`
}

type pushUpload struct {
	Session string   `json:"session"`
	Missing []uint32 `json:"missing"`
}

// jsonTime is a time in RFC 3339, zero for null.
type jsonTime struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *jsonTime) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	return json.Unmarshal(text, &t.Time)
}

// offer sends the first request of a push.
func (c *Client) offer(ctx context.Context, p *Push, h http.Header, body []byte) (*pushAnswer,
	error) {
	return c.pushed(ctx, exchange{method: http.MethodPost, path: "/datastore/push", header: h,
		body: bytesBody(body), size: int64(len(body)), kind: "application/json",
		sign: p.Manifest.Store, ok: []int{http.StatusOK, http.StatusAccepted}}, p.Manifest)
}

// pushed sends a request whose answer is a pushAnswer about m.
func (c *Client) pushed(ctx context.Context, e exchange, m *capsule.Manifest) (*pushAnswer, error) {
	var a *pushAnswer
	limit := int64(maxSmall) + 12*int64(len(m.Capsules))
	err := c.read(ctx, e, limit, func(r io.Reader) error {
		a = new(pushAnswer)
		return into(a)(r)
	})
	switch {
	case err != nil:
		return nil, err
	case a.Accepted == nil:
		return nil, protocolf("%s: member accepted is missing", e.path)
	case !*a.Accepted:
		return nil, &DeclinedError{Code: token(a.Code, 64)}
	case a.Upload == nil:
		return a, nil
	}
	u := a.Upload
	if u.Session == "" || token(u.Session, 64) == "" {
		return nil, protocolf("%s: malformed session %q", e.path, printable(u.Session))
	}
	for i, index := range u.Missing {
		if uint64(index) >= uint64(len(m.Capsules)) || i > 0 && index <= u.Missing[i-1] {
			return nil, protocolf("%s: member missing: index %d at %d, expected ascending ones "+
				"below %d", e.path, index, i, len(m.Capsules))
		}
	}
	return a, nil
}

// upload is an upload session of a push.
type upload struct {
	c     *Client
	p     *Push
	mu    sync.Mutex
	sent  int64
	total int64
}

// run sends the missing capsules and commits. If that fails, it aborts the session.
func (u *upload) run(ctx context.Context, s *pushUpload) (*pushAnswer, error) {
	path := "/datastore/push/" + s.Session
	u.total = u.sent
	for _, i := range s.Missing {
		u.total += int64(u.p.Manifest.Capsules[i].Size)
	}
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(u.c.opt.Uploads)
	for _, i := range s.Missing {
		group.Go(func() error { return u.send(sending, path, u.p.Manifest.Capsules[i]) })
	}
	err := group.Wait()
	var a *pushAnswer
	if err == nil {
		a, err = u.c.pushed(ctx, exchange{method: http.MethodPost, path: path + "/commit",
			ok: []int{http.StatusOK, http.StatusAccepted}}, u.p.Manifest)
	}
	if err == nil && a.Upload != nil {
		err = protocolf("%s: capsules %v are missing after all were sent", path+"/commit",
			a.Upload.Missing[:min(len(a.Upload.Missing), 8)])
	}
	if err != nil && !sessionEnded(err) {
		u.abort(ctx, path)
	}
	return a, err
}

// abort ends the session, so that it does not count against the limits of the caller. Otherwise the
// node ends it later.
func (u *upload) abort(ctx context.Context, path string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	resp, err := u.c.attempt(ctx, exchange{method: http.MethodDelete, path: path,
		ok: []int{http.StatusNoContent, http.StatusOK}})
	if err == nil {
		resp.Body.Close()
	}
}

// send uploads one capsule.
func (u *upload) send(ctx context.Context, path string, d capsule.Descriptor) error {
	e := exchange{method: http.MethodPut, size: int64(d.Size),
		path: path + "/" + strconv.FormatUint(uint64(d.Index), 10),
		kind: "application/octet-stream",
		body: func() (io.ReadCloser, error) { return u.open(ctx, d) },
		ok:   []int{http.StatusNoContent, http.StatusOK}}
	if d.Size > bufferSize { // a refusal arrives before the content is sent
		e.header = http.Header{"Expect": {"100-continue"}}
	}
	err := u.c.retry(ctx, func() error {
		resp, err := u.c.attempt(ctx, e)
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("upload capsule %d: %w", d.Index, err)
	}
	u.mu.Lock()
	u.sent += int64(d.Size)
	sent := u.sent
	u.mu.Unlock()
	if u.p.Progress != nil {
		u.p.Progress(sent, u.total)
	}
	return nil
}

// open opens the content of a capsule and verifies it against its descriptor, so wrong content is
// never sent completely.
func (u *upload) open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	rc, err := u.p.Content.Open(ctx, d)
	if err != nil {
		return nil, &localError{err}
	}
	return capsule.VerifyReader(rc, d), nil
}

// body returns the JSON text of the push, and how many bytes of content it has.
func (p *Push) body(ctx context.Context) (text []byte, inline int64, err error) {
	m := p.Manifest
	all := m.Size()
	whole := p.Inline > 0 && all <= uint64(p.Inline)
	b := make([]byte, 0, 512+256*len(m.Capsules))
	b = append(b, `{"datastore_id":"0x`+m.Store.String()+`","capsules":[`...)
	for i, d := range m.Capsules {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"index":%d,"hash":"0x%v","size":%d,"chunk_root":"0x%v"`, d.Index, d.Hash,
			d.Size, d.ChunkRoot)
		if whole {
			content, err := p.read(ctx, d)
			if err != nil {
				return nil, 0, err
			}
			b = append(b, `,"data":"`...)
			b = append(base64.StdEncoding.AppendEncode(b, content), '"')
		}
		b = append(b, '}')
	}
	b = fmt.Appendf(b, `],"merkle_tree":{"root":"0x%v","leaf_count":%d}`, m.Root, len(m.Capsules))
	if !m.Signature.IsZero() {
		b = fmt.Appendf(b, `,"generation":%d,"root_signature":"%v"`, m.Generation, m.Signature)
		if !m.Writer.IsZero() {
			b = fmt.Appendf(b, `,"writer_key":"%v"`, m.Writer)
		}
	}
	for _, h := range []struct {
		name  string
		value merkle.Hash
	}{{"parent_root", m.Parent}, {"bribe_distributor", p.Bribe}} {
		if !h.value.IsZero() {
			b = append(b, `,"`+h.name+`":"0x`...)
			b = append(hex.AppendEncode(b, h.value[:]), '"')
		}
	}
	rest := struct {
		Handle  string   `json:"handle,omitempty"`
		Sources []string `json:"sources,omitempty"`
	}{p.Handle, slices.Clone(p.Sources)}
	more, err := json.Marshal(rest)
	if err != nil {
		return nil, 0, err
	}
	if len(more) > len("{}") {
		b = append(append(b, ','), more[1:len(more)-1]...)
	}
	if whole {
		inline = int64(all)
	}
	return append(b, '}'), inline, nil
}

// read reads the content of a capsule, of at most Inline bytes.
func (p *Push) read(ctx context.Context, d capsule.Descriptor) ([]byte, error) {
	rc, err := p.Content.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(capsule.VerifyReader(rc, d))
}
