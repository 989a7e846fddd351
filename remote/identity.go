package remote

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/dig-network/digstore/auth"
)

// identityInfo separates derived identities from other keys derived from the same seed.
const identityInfo = "digstore:identity:v1\x00"

// DeriveIdentity derives from k the key for one host, for [ClientOptions].IdentityAt. It is
// deterministic, and without k's seed the keys of two hosts cannot be linked. host has the form of
// [URL].Host: a name or an address in lower case, with the port if one was given.
//
// Its seed is HKDF-SHA-256 of k's seed, without salt, for "digstore:identity:v1", a zero byte and
// the host.
func DeriveIdentity(k *auth.Key, host string) (*auth.Key, error) {
	secret := k.Seed()
	seed, err := hkdf.Key(sha256.New, secret[:], nil, identityInfo+host, auth.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("remote: derive the identity for %s: %w", host, err)
	}
	return auth.NewKey([auth.SeedSize]byte(seed)), nil
}
