package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
)

// A Requester is the sender of a request, as far as the server knows it.
type Requester struct {
	Identity   auth.PublicKey // that signed the request; zero: it needed no signature
	Credential string         // name of its credential, from [Options].Credential; "": none
}

// Credentials are secrets by name. Check is an [Options].Credential: it takes "Authorization:
// Bearer SECRET" and "Authorization: Basic" with name and secret. An empty secret is never valid. A
// push token is one entry:
//
//	server.Credentials{"push-token": token}.Check
type Credentials map[string]string

// Check returns the name of the credential that r carries, and "" when it carries none. One that is
// not among c is [request.ErrUnauthenticated]. All secrets are compared, in constant time.
//
// [request.ErrUnauthenticated]:
// https://pkg.go.dev/github.com/dig-network/digstore/auth/request#ErrUnauthenticated
func (c Credentials) Check(r *http.Request) (name string, err error) {
	header := strings.Join(r.Header.Values("Authorization"), ",")
	if header == "" {
		return "", nil
	}
	user, secret, basic := r.BasicAuth()
	if !basic {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", fmt.Errorf("check a credential: %w: neither Bearer nor Basic",
				request.ErrUnauthenticated)
		}
		secret = strings.TrimSpace(token)
	}
	got, found := sha256.Sum256([]byte(secret)), false
	for known, s := range c {
		want := sha256.Sum256([]byte(s))
		same := subtle.ConstantTimeCompare(got[:], want[:]) == 1
		if same && s != "" && (!basic || known == user) {
			name, found = known, true
		}
	}
	if !found {
		return "", fmt.Errorf("check a credential: %w: it is not known", request.ErrUnauthenticated)
	}
	return name, nil
}

// credential returns the name of the credential that a request carries; "" where it carries no
// valid one.
func (s *Server) credential(r *http.Request) string {
	if s.opt.Credential == nil {
		return ""
	}
	name, err := s.opt.Credential(r)
	if err != nil {
		s.log.DebugContext(r.Context(), "credential refused", "err", err)
		return ""
	}
	return name
}
