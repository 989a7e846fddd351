package request

import (
	"errors"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/bls"
)

// keyCacheSize bounds each of the two halves of keyCache, which take about 1 MiB when full, and
// badKeys what it knows to be no keys, which takes 100 KiB.
const (
	keyCacheSize = 4096
	badKeys      = 1024
)

// keyCache remembers decoded identity keys; decoding one is about a twentieth of a check alone, and
// a tenth of one in a batch. New keys go to the young half. When that is full it becomes the old half
// and the former old half is dropped. A key in the old half that is used again is young again, so
// that what is in use stays.
//
// What is no key takes as long to find out, and nobody needs a signature to ask, so that is
// remembered too, apart from the keys; all of it is forgotten when there is no more room.
type keyCache struct {
	mu         sync.Mutex
	young, old map[auth.PublicKey]*bls.PublicKey
	bad        map[auth.PublicKey]struct{}
}

// get returns the key decoded. The error is bls.ParsePublicKey's, or errBadKey. Of keys only what keep
// was told of is remembered.
func (c *keyCache) get(pub auth.PublicKey) (*bls.PublicKey, error) {
	c.mu.Lock()
	k, ok := c.young[pub]
	if !ok {
		k, ok = c.old[pub]
	}
	_, bad := c.bad[pub]
	c.mu.Unlock()
	switch {
	case ok:
		return k, nil
	case bad:
		return nil, errBadKey
	}
	k, err := bls.ParsePublicKey(pub[:])
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.bad == nil {
			c.bad = make(map[auth.PublicKey]struct{})
		} else if len(c.bad) >= badKeys {
			clear(c.bad)
		}
		c.bad[pub] = struct{}{}
	}
	return k, err
}

// errBadKey is for a key that was found to be none before.
var errBadKey = errors.New("no key")

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
