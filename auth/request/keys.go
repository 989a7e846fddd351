package request

import (
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/bls"
)

// keyCacheSize bounds each of the two halves of keyCache, which take about 1 MiB when full.
const keyCacheSize = 4096

// keyCache remembers decoded identity keys; decoding one is about a twentieth of a check alone, and
// a tenth of one in a batch. New keys
// go to the young half. When that is full it becomes the old half and the former old half is
// dropped. A key in the old half that is used again is young again, so that what is in use stays.
type keyCache struct {
	mu         sync.Mutex
	young, old map[auth.PublicKey]*bls.PublicKey
}

// get returns the key decoded. The error is bls.ParsePublicKey's. Only what keep was told of is
// remembered.
func (c *keyCache) get(pub auth.PublicKey) (*bls.PublicKey, error) {
	c.mu.Lock()
	k, ok := c.young[pub]
	if !ok {
		k, ok = c.old[pub]
	}
	c.mu.Unlock()
	if ok {
		return k, nil
	}
	return bls.ParsePublicKey(pub[:])
}

// keep remembers k, the key of pub, which has just verified a signature: others are not worth the room.
func (c *keyCache) keep(pub auth.PublicKey, k *bls.PublicKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.young[pub]; ok {
		return
	}
	if c.young == nil || len(c.young) >= keyCacheSize {
		c.young, c.old = make(map[auth.PublicKey]*bls.PublicKey), c.young
	}
	c.young[pub] = k
}
