package remote

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/dig-network/digstore/auth"
)

// identityInfo separates derived identities from whatever else is derived from a seed.
const identityInfo = "digstore:identity:v1\x00"

// DeriveIdentity returns the key that k stands for at one host, for [ClientOptions].IdentityAt:
// always the same one, and nobody without k's seed can tell that two of them belong together. host
// is what [URL].Host holds: a name or an address in lower case, with the port where one was given.
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
