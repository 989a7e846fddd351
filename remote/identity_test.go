package remote_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
)

func TestDeriveIdentity(t *testing.T) {
	derive := func(seed byte, host string) *auth.Key {
		k, err := remote.DeriveIdentity(auth.NewKey([32]byte{seed}), host)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	seen := map[auth.PublicKey]string{auth.NewKey([32]byte{1}).PublicKey(): "the key itself"}
	for _, host := range []string{"example.org", "example.org:8443", "example.com", "[::1]:8443"} {
		k := derive(1, host)
		if other, twice := seen[k.PublicKey()]; twice {
			t.Errorf("%s has the key of %s", host, other)
		}
		seen[k.PublicKey()] = host
		if derive(1, host).PublicKey() != k.PublicKey() || derive(2, host).PublicKey() == k.PublicKey() {
			t.Errorf("the key of %s does not follow from seed and host", host)
		}
	}
	// HKDF of RFC 5869, computed independently (Python's hmac and hashlib).
	seed := derive(1, "example.org").Seed()
	if got, want := hex.EncodeToString(seed[:]),
		"b9ab09a26047fb2dc080d243ff1a2f2b15669638cdd2cba84e07eff5e8e77cb5"; got != want {
		t.Errorf("seed %s, want %s", got, want)
	}
}

// A client signs with the key for its host, and calls IdentityAt once.
func TestIdentityAt(t *testing.T) {
	var sent []string
	asked := 0
	key := auth.NewKey([32]byte{3})
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.Header.Get("X-Dig-Identity"))
		io.WriteString(w, `{"current_root":"`+strings.Repeat("20", 32)+`"}`)
	}, remote.ClientOptions{IdentityAt: func(host string) (auth.Signer, error) {
		asked++
		return remote.DeriveIdentity(key, host)
	}}, func(t *testing.T, c *remote.Client) {
		for range 2 {
			if _, err := c.Describe(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		want, err := remote.DeriveIdentity(key, c.URL().Host)
		if err != nil {
			t.Fatal(err)
		}
		if asked != 1 || len(sent) != 2 || sent[0] != want.PublicKey().String() || sent[1] != sent[0] {
			t.Errorf("asked %d times, sent %q", asked, sent)
		}
	})
}
