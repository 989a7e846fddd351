package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/dig-network/digstore/auth/password"
	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/examples/dig-node/internal/keyfile"
	"github.com/dig-network/digstore/node/api"
)

// doors authorize administration and pushes.
type doors struct {
	token keyfile.Token
	gate  *api.AdminGate
	users atomic.Pointer[users]
}

// users are the credentials of a configuration.
type users struct {
	pushers  *password.Checker
	admins   *password.Checker
	plain    map[string]config.Secret // passwords of the environment
	byName   map[string]api.Credential
	byTokens map[[sha256.Size]byte]api.Credential
}

func newDoors(c *config.Config, token keyfile.Token) (*doors, error) {
	d := &doors{token: token}
	d.gate = &api.AdminGate{Token: func() ([]byte, error) { return hex.DecodeString(token.Text()) },
		Allow: d.isAdmin, Remote: c.Network.AdminRemote, Proxies: proxies(c)}
	return d, d.apply(c)
}

// apply takes the credentials of a configuration.
func (d *doors) apply(c *config.Config) error {
	u := &users{plain: map[string]config.Secret{}, byName: map[string]api.Credential{},
		byTokens: map[[sha256.Size]byte]api.Credential{}}
	pushers, admins := map[string]password.Hash{}, map[string]password.Hash{}
	for _, one := range c.Auth.Credentials {
		known := api.Credential{Name: one.Username, MaxBytes: int64(one.MaxBytes), Stores: one.Stores}
		switch {
		case one.Password != "":
			u.plain[one.Username], u.byName[one.Username] = one.Password, known
		case one.Token != "":
			sum, err := hex.DecodeString(string(one.Token))
			if err != nil || len(sum) != sha256.Size {
				return errors.New("token_sha256 is malformed")
			}
			if known.Name == "" {
				known.Name = "token-" + string(one.Token)[:8]
			}
			u.byTokens[[sha256.Size]byte(sum)] = known
		default:
			h, err := password.Parse(string(one.PasswordHash))
			if err != nil {
				return err
			}
			pushers[one.Username], u.byName[one.Username] = h, known
		}
	}
	for _, one := range c.Auth.Admins {
		h, err := password.Parse(string(one.PasswordHash))
		if err != nil {
			return err
		}
		admins[one.Username] = h
	}
	u.pushers, u.admins = password.NewChecker(pushers), password.NewChecker(admins)
	d.users.Store(u)
	return nil
}

// isAdmin reports whether a request has the name and the password of a person in auth.admins.
func (d *doors) isAdmin(r *http.Request) bool {
	user, pass, ok := r.BasicAuth()
	return ok && d.users.Load().admins.Check(r.Context(), user, pass) == nil
}

var errUnknown = errors.New("the credential is not known")

// credential returns the credential that a request carries; the zero Credential is none.
func (d *doors) credential(r *http.Request) (api.Credential, error) {
	if r.Header.Get("Authorization") == "" && r.Header.Get("X-Dig-Control-Token") == "" {
		return api.Credential{}, nil
	}
	if owns, err := d.gate.Owns(r); err == nil && owns {
		return api.Credential{Name: "owner", Owner: true}, nil
	}
	u := d.users.Load()
	if user, pass, ok := r.BasicAuth(); ok {
		return u.person(r.Context(), user, pass)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// The time of a lookup by the hash of a random token reveals nothing about the token.
	known, ok := u.byTokens[sha256.Sum256([]byte(strings.TrimSpace(token)))]
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return api.Credential{}, errUnknown
	}
	return known, nil
}

// person returns the credential of a user with a password.
func (u *users) person(ctx context.Context, user, pass string) (api.Credential, error) {
	if want, ok := u.plain[user]; ok {
		if !config.Equal(want, pass) {
			return api.Credential{}, errUnknown
		}
		return u.byName[user], nil
	}
	err := u.pushers.Check(ctx, user, pass)
	if errors.Is(err, password.ErrBusy) {
		return api.Credential{}, &api.Error{Code: api.Busy, Err: err}
	}
	if err != nil {
		return api.Credential{}, errUnknown
	}
	return u.byName[user], nil
}
