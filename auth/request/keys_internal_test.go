package request

import (
	"encoding/binary"
	"testing"

	"github.com/dig-network/digstore/auth"
)

// named is a Verifier that only has a name.
type named struct {
	auth.Verifier
	pub auth.PublicKey
}

func (n *named) PublicKey() auth.PublicKey { return n.pub }

func TestKeyCache(t *testing.T) {
	var c keyCache
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
		c.keep(&named{pub: key(i)})
		if held(0) {
			c.keep(&named{pub: key(0)}) // in use all the time
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
