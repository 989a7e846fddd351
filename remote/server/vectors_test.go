package server_test

import (
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/remote/server"
)

// TestHostileAuthHeaders sends each case of the vectors to every route.
func TestHostileAuthHeaders(t *testing.T) {
	var f struct {
		About string
		Cases []struct {
			Header string
			Value  any // nil: not sent; a string; or several
			Why    string
			Status int // 200: not 401
		}
	}
	vectors.Load(t, "dig/hostile-auth-headers.json", &f)
	s := newSite(t, 1, nil)
	s.serve(s.stores, &server.Options{Limits: noLimit,
		Authenticator: &request.Authenticator{Now: s.now, Start: start.Add(-time.Hour)}})
	for _, c := range f.Cases {
		for _, route := range everyRoute {
			body := &touched{}
			r := s.request(route.method, s.path(route.tail), body)
			s.spoil(r, c.Header, c.Value)
			res := s.answer(r)
			if c.Status == 401 != (res.StatusCode == 401) {
				t.Errorf("%s %q (%s) to %s %q: %d, want %d", c.Header, c.Value, c.Why, route.method, route.tail,
					res.StatusCode, c.Status)
			}
			if c.Status == 401 && body.read {
				t.Errorf("%s (%s): the body of %s %s was read", c.Header, c.Why, route.method, route.tail)
			}
		}
	}
	vectors.Count(t, "dig/hostile-auth-headers.json", len(f.Cases), 0)
}

// spoil replaces one header by the value of a vector, and signs it if it can still be parsed.
func (s *site) spoil(r *http.Request, name string, value any) {
	s.t.Helper()
	values := []any{value}
	if list, ok := value.([]any); ok {
		values = list
	}
	good := r.Header.Get(name)
	r.Header.Del(name)
	for _, v := range values {
		if text, ok := v.(string); ok {
			r.Header.Add(name, s.fill(name, good, text))
		}
	}
	if len(values) != 1 || name != request.HeaderTimestamp && name != request.HeaderNonce {
		return
	}
	sent := r.Header.Get(name)
	at, err := strconv.ParseInt(r.Header.Get(request.HeaderTimestamp), 10, 64)
	nonce, nerr := hex.DecodeString(r.Header.Get(request.HeaderNonce))
	if err != nil || nerr != nil || len(nonce) != request.NonceSize {
		return
	}
	op, _ := request.OpOf(r.Method, strings.TrimPrefix(r.URL.Path, s.path("")))
	if name == request.HeaderNonce && strings.Trim(sent, "0") == "" {
		// it has not been used there
		s.serve(s.stores, &server.Options{Limits: noLimit,
			Authenticator: &request.Authenticator{Now: s.now, Start: start.Add(-time.Hour)}})
	}
	if err := request.SignAt(r, op, s.id, s.identity, time.Unix(at, 0),
		[request.NonceSize]byte(nonce)); err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set(name, sent)
}

var nowish = regexp.MustCompile(`<now([+-][0-9]+)?>`)

// fill replaces the <words> of a vector by values.
func (s *site) fill(name, good, text string) string {
	other := key(0x64).PublicKey().String()
	if name != request.HeaderIdentity {
		other = good[1:] + "0"
	}
	text = strings.NewReplacer(
		"<valid minus last byte>", good[:max(0, len(good)-2)],
		"<valid minus last digit>", good[:max(0, len(good)-1)],
		"<valid with one g>", "g"+good[1:],
		"<valid upper case>", strings.ToUpper(good),
		"<other valid>", other,
		"<valid>", good,
	).Replace(text)
	text = nowish.ReplaceAllStringFunc(text, func(m string) string {
		n, _ := strconv.ParseInt(nowish.FindStringSubmatch(m)[1], 10, 64)
		return strconv.FormatInt(s.now().Unix()+n, 10)
	})
	return strings.TrimSpace(text) // as HTTP does
}
