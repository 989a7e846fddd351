package conform

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/backoff"
)

// A session is the state of one run.
type session struct {
	opt    Options
	origin string // with its prefix
	prefix string
	store  auth.StoreID
	http   http.RoundTripper

	mu       sync.Mutex // guards the fields below: some requests race
	asked    int
	refusals []refusal
	limited  []bool // of each answer 429 or 503: whether it had a Retry-After

	facts
}

// A refusal is an answer other than a success, for errorChecks.
type refusal struct {
	what   string // method and route
	status int
	kind   string // content type
	text   string // the beginning
	sniff  bool   // the answer had nosniff
}

// A probe describes a request.
type probe struct {
	method string // "": GET
	tail   string // the part of the path after /stores/{id}
	path   string // replaces /stores/{id} and tail
	query  string
	store  auth.StoreID // zero: the session's
	// the operation to sign for; "": that of method and tail; if they have none, there is no signature
	op     request.Op
	bare   bool // no signature
	age    time.Duration
	header map[string]string
	edit   func(*http.Request) error // changes the finished request
	body   []byte
	stream io.Reader // replaces body; has size bytes
	size   int64
	into   io.Writer // receives the body of a success
	most   int64     // limit of the body in bytes; 0: 16 MiB
	peek   bool      // the body of a success is not read
	// reads reports whether the body of a success is read, by its status and header. nil: it is,
	// unless peek is set.
	reads func(*answer) bool
}

// An answer is a response.
type answer struct {
	status int
	header http.Header
	length int64 // by Content-Length; -1: unknown
	body   []byte
	size   int64 // bytes of the body
	broke  error // the error of reading the body
	tls    *tls.ConnectionState
}

// asJSON returns a POST of v.
func (p probe) asJSON(v any) probe {
	body, err := json.Marshal(v)
	if err != nil {
		panic("conform: " + err.Error()) // types of this package always encode
	}
	return p.asText(string(body))
}

// asText returns a POST of a JSON text.
func (p probe) asText(body string) probe {
	p.method, p.body = http.MethodPost, []byte(body)
	return p.with("Content-Type", "application/json")
}

// with sets a header.
func (p probe) with(name, value string) probe {
	h := map[string]string{name: value}
	for k, v := range p.header {
		if k != name {
			h[k] = v
		}
	}
	p.header = h
	return p
}

// make builds the request and signs it with a new nonce.
func (s *session) make(ctx context.Context, p probe) (*http.Request, error) {
	if p.method == "" {
		p.method = http.MethodGet
	}
	if p.store.IsZero() {
		p.store = s.store
	}
	where := p.path
	if where == "" {
		where = "/stores/" + p.store.String() + p.tail
	}
	u, err := url.Parse(s.origin)
	if err != nil {
		return nil, err
	}
	u.Path, u.RawQuery = u.Path+where, p.query
	r := (&http.Request{Method: p.method, URL: u, Host: u.Host, Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	switch {
	case p.stream != nil:
		r.Body, r.ContentLength = io.NopCloser(p.stream), p.size
	case p.body != nil:
		body := p.body
		r.ContentLength = int64(len(body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	r.Header.Set("User-Agent", s.opt.UserAgent)
	r.Header.Set("Accept-Encoding", "identity")
	for name, value := range p.header {
		r.Header.Set(name, value)
	}
	if p.op == "" && p.path == "" {
		p.op, _ = request.OpOf(p.method, p.tail)
	}
	if p.op != "" && !p.bare {
		if err := s.sign(r, p.op, p.store, s.opt.Identity, p.age); err != nil {
			return nil, err
		}
	}
	if p.edit != nil {
		if err := p.edit(r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// sign puts a signature of that age on r.
func (s *session) sign(r *http.Request, op request.Op, store auth.StoreID, by auth.Signer,
	age time.Duration) error {
	var nonce [request.NonceSize]byte
	rand.Read(nonce[:]) // never fails
	return request.SignAt(r, op, store, by, s.opt.Now().Add(-age), nonce)
}

// maxAttempts is how often a request is sent to an origin that answers that it is busy.
const maxAttempts = 10

// errBusy is the error of an attempt that was answered with 429 or 503.
var errBusy = errors.New("the origin is busy")

// send sends a request, and repeats it while the origin answers that it is busy. A request with a
// stream is sent once.
func (s *session) send(ctx context.Context, p probe) (*answer, error) {
	var a *answer // to the last attempt
	policy := backoff.Policy{
		Attempts: maxAttempts,
		Wait:     func(int) time.Duration { return time.Second },
		Again: func(err error) (after time.Duration, ok bool) {
			if err != errBusy || p.stream != nil {
				return 0, false
			}
			n, _ := strconv.Atoi(a.header.Get("Retry-After"))
			return time.Duration(n) * time.Second, true
		},
	}
	outcome, err := policy.Do(ctx, nil, func() error {
		r, err := s.make(ctx, p)
		if err != nil {
			return err
		}
		a, err = s.roundTrip(r, p)
		if err == nil && a.busy() {
			err = errBusy
		}
		return err
	})
	switch {
	case err == nil:
		return a, nil
	case err != errBusy:
		return nil, err
	case outcome == backoff.Cancelled && p.stream == nil, outcome == backoff.Interrupted:
		return nil, ctx.Err()
	}
	return a, nil
}

// busy reports whether the origin asks to retry later.
func (a *answer) busy() bool {
	return a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable
}

// roundTrip sends r once and reads the answer.
func (s *session) roundTrip(r *http.Request, p probe) (*answer, error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	resp, err := s.http.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.Method, route(r.URL.Path), err)
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header,
		length: resp.ContentLength, tls: resp.TLS}
	success := a.status/100 == 2
	unread := success && (p.peek || p.reads != nil && !p.reads(a))
	if !unread {
		most := p.most
		if most == 0 {
			most = 16 << 20
		}
		var body bytes.Buffer
		var into io.Writer = &body
		if success && p.into != nil {
			into = p.into
		}
		a.size, a.broke = io.Copy(into, io.LimitReader(resp.Body, most))
		a.body = body.Bytes()
		if a.size == most {
			return nil, fmt.Errorf("%s %s: the answer has over %d bytes", r.Method, route(r.URL.Path), most)
		}
	}
	if !success && a.status != http.StatusNotModified {
		s.note(r, a)
	}
	return a, nil
}

// note records a refusal for errorChecks.
func (s *session) note(r *http.Request, a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.busy() {
		_, err := strconv.Atoi(a.header.Get("Retry-After"))
		s.limited = append(s.limited, err == nil)
	}
	const kept = 4096
	if len(s.refusals) < kept {
		s.refusals = append(s.refusals,
			refusal{r.Method + " " + route(r.URL.Path), a.status, a.header.Get("Content-Type"),
				string(a.body[:min(len(a.body), kept)]), a.header.Get("X-Content-Type-Options") == "nosniff"})
	}
}

// route returns a path without its id, for messages.
func route(path string) string {
	_, rest, ok := strings.Cut(path, "/stores/") // after the prefix of the origin
	if !ok {
		return path
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return "/stores/{id}" + rest[i:]
	}
	return "/stores/{id}"
}

// expect sends p and checks that the status is one of codes.
func (s *session) expect(ctx context.Context, p probe, codes ...int) (*answer, error) {
	a, err := s.send(ctx, p)
	if err != nil {
		return nil, err
	}
	return a, a.is(codes...)
}

// refused is expect without the answer.
func (s *session) refused(ctx context.Context, p probe, codes ...int) error {
	_, err := s.expect(ctx, p, codes...)
	return err
}

// is checks that the status is one of codes.
func (a *answer) is(codes ...int) error {
	if slices.Contains(codes, a.status) {
		return nil
	}
	var names []string
	for _, c := range codes {
		names = append(names, strconv.Itoa(c))
	}
	return found("status "+strings.Join(names, " or "), "%s", a)
}

// String returns the status, and the text of a refusal.
func (a *answer) String() string {
	text := strconv.Itoa(a.status)
	if a.status >= 300 && len(a.body) > 0 {
		text += " " + strconv.Quote(excerpt(string(a.body)))
	}
	return text
}

// whole checks that the body was read to its end and has the announced length.
func (a *answer) whole() error {
	switch {
	case a.broke != nil:
		return found("a whole body", "one that breaks off after %d bytes: %v", a.size, a.broke)
	case a.length >= 0 && a.length != a.size:
		return found(fmt.Sprintf("the %d bytes that Content-Length says", a.length), "%d", a.size)
	}
	return nil
}

// decode parses the JSON body of a success.
func (a *answer) decode(v any) error {
	if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); kind != "application/json" {
		return found("Content-Type application/json", "%q", a.header.Get("Content-Type"))
	}
	if err := a.whole(); err != nil {
		return err
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return found("a JSON body of the route's shape", "%v: %.80q", err, a.body)
	}
	return nil
}

// members returns the names of the members of a JSON object, in order.
func members(body []byte) ([]string, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no object")
	}
	var names []string
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		names = append(names, name.(string)) // the key of an object
		if err := dec.Decode(new(json.RawMessage)); err != nil {
			return nil, err
		}
	}
	return names, nil
}
