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

// A Requester is what the server knows about the sender of a request.
type Requester struct {
	Identity   auth.PublicKey // key that signed the request; zero: no signature was needed
	Credential string         // name of its credential, from [Options].Credential; "": none
}

// Credentials maps names to secrets. Its method Check is an [Options].Credential. It accepts
// "Authorization: Bearer SECRET", and "Authorization: Basic" with name and secret. An empty secret
// is never valid. A push token is one entry:
//
//	server.Credentials{"push-token": token}.Check
type Credentials map[string]string

// Check returns the name of the credential in r, or "" if r has none. A credential that is not in c
// is [request.ErrUnauthenticated]. All secrets are compared, in constant time.
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

// credential returns the name of the valid credential of a request, or "" if it has none.
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
