package request

import (
	"encoding/binary"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/bls"
)

func TestKeyCache(t *testing.T) {
	var c keyCache
	k := new(bls.PublicKey) // whose it is does not matter
	key := func(i int) auth.PublicKey {
		var k auth.PublicKey
		binary.BigEndian.PutUint32(k[:], uint32(i))
		return k
	}
	held := func(i int) bool {
		_, err := c.get(key(i)) // none of these decodes
		return err == nil
	}
	for i := range 5 * keyCacheSize {
		c.keep(key(i), k)
		if held(0) {
			c.keep(key(0), k) // in use all the time
		}
		if n := len(c.young) + len(c.old); n > 2*keyCacheSize {
			t.Fatalf("%d keys are held", n)
		}
		if !held(0) || !held(i) {
			t.Fatalf("after %d keys, one in use is not held", i)
		}
	}
	if held(1) {
		t.Error("a key that nobody used for long is held")
	}
}

// What is no key is refused every time, and no more of it is remembered than there is room for.
func TestBadKeys(t *testing.T) {
	var c keyCache
	for i := range 3 * badKeys {
		var pub auth.PublicKey
		binary.BigEndian.PutUint32(pub[:], uint32(i)) // not the flags of a compressed point
		for range 2 {
			if _, err := c.get(pub); err == nil {
				t.Fatalf("%v is a key", pub)
			}
		}
		if len(c.bad) > badKeys {
			t.Fatalf("%d are remembered", len(c.bad))
		}
	}
	if len(c.young)+len(c.old) > 0 {
		t.Error("keys are remembered of which there are none")
	}
}
