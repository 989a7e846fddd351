package request

import (
	"errors"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/bls"
)

// keyCacheSize limits the keys in each half of keyCache, about 1 MiB in all. badKeys limits the
// invalid keys, about 100 KiB.
const (
	keyCacheSize = 4096
	badKeys      = 1024
)

// keyCache caches decoded identity keys. Decoding takes about a twentieth of the time of a
// check, and a tenth in a batch. New keys go to the young half. When it is full, it becomes the
// old half, and the previous old half is dropped. A key of the old half that is used moves to
// the young half.
//
// Detecting an invalid key takes as long as decoding a valid one, and a client needs no
// signature to cause it. So invalid keys are cached too, in a separate map, which is cleared
// when it is full.
type keyCache struct {
	mu         sync.Mutex
	young, old map[auth.PublicKey]*bls.PublicKey
	bad        map[auth.PublicKey]struct{}
}

// get returns the decoded key. The error is bls.ParsePublicKey's or errBadKey. get does not add
// valid keys to the cache: see keep.
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

// errBadKey is the error of a key in keyCache.bad.
var errBadKey = errors.New("invalid key")

// keep adds k, the key of pub, to the cache. It is called only for keys with a valid signature.
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
