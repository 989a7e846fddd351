package request

import (
	"sync"

	"github.com/dig-network/digstore/auth"
)

// keyCacheSize bounds each of the two halves of keyCache.
const keyCacheSize = 1024

// keyCache remembers decoded identity keys; decoding one is about a twentieth of a check. New keys
// go to the young half. When that is full it becomes the old half and the former old half is
// dropped. A key in the old half that is used again is young again, so that what is in use stays.
type keyCache struct {
	mu         sync.Mutex
	young, old map[auth.PublicKey]auth.Verifier
}

// get returns the key decoded. The error is auth.NewVerifier's. Only what keep was told of is
// remembered.
func (c *keyCache) get(pub auth.PublicKey) (auth.Verifier, error) {
	c.mu.Lock()
	v, ok := c.young[pub]
	if !ok {
		v, ok = c.old[pub]
	}
	c.mu.Unlock()
	if ok {
		return v, nil
	}
	return auth.NewVerifier(pub)
}

// keep remembers a key that has just verified a signature: others are not worth the room.
func (c *keyCache) keep(v auth.Verifier) {
	pub := v.PublicKey()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.young[pub]; ok {
		return
	}
	if c.young == nil || len(c.young) >= keyCacheSize {
		c.young, c.old = make(map[auth.PublicKey]auth.Verifier), c.young
	}
	c.young[pub] = v
}
