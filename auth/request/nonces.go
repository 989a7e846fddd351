package request

import (
	"context"
	"crypto/sha256"
	"math"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
)

// Nonce is a request's nonce, with what a store needs to know about it.
type Nonce struct {
	Identity auth.PublicKey
	Value    [NonceSize]byte
	At       time.Time // the request's timestamp
	Until    time.Time // when the request is stale for sure, and the nonce may be forgotten
	Mutating bool      // the request changes what the server holds: Op.Mutating
}

// NonceStore remembers nonces. Servers that answer under one name can share one, or each has its
// own and some sender may be believed once by each. It is safe for concurrent use.
type NonceStore interface {
	// Use remembers n and returns nil or, in the same step, finds that it must not be used:
	// ErrReplayed when it is remembered already, ErrForgotten when it may have been and was
	// forgotten, ErrNoncesFull (perhaps a *FullError) when it cannot be remembered. Other errors
	// are failures of the store; the request is not accepted then. now is the guard's clock.
	Use(ctx context.Context, n Nonce, now time.Time) error
}

// Peeker is what a NonceStore can be besides, for a Guard to refuse replays before it verifies a
// signature. It is safe for concurrent use.
type Peeker interface {
	// Peek returns ErrReplayed or ErrForgotten where Use would, and nil otherwise, and remembers
	// nothing. Other errors are failures of the store.
	Peek(ctx context.Context, n Nonce, now time.Time) error
}

// A Persistent is what a NonceStore can be besides: one that remembers the nonces of mutating
// requests after a restart. It is safe for concurrent use.
type Persistent interface {
	// Since returns the timestamp from which on such nonces are remembered. A Guard refuses
	// mutating requests with earlier ones.
	Since() time.Time
}

// Limits of a Nonces that are not given otherwise.
const (
	DefaultMaxNonces            = 1 << 20
	DefaultMaxNoncesPerIdentity = 1 << 14
)

// NoncesOptions are a Nonces' limits. Zero and negative values mean the defaults.
type NoncesOptions struct {
	Max            int // entries in all: 1,048,576
	MaxPerIdentity int // entries of one identity: 16,384
}

// Nonces is a NonceStore in memory. It takes about 70 bytes for each entry and 40 for each identity,
// grows with use up to its limits, and forgets an entry only when its time is over. It starts
// nothing: what is over is dropped while new nonces come.
type Nonces struct {
	max, maxPerIdentity int

	mu     sync.Mutex
	seen   map[nonceKey]struct{}
	byTime map[int64]*expiring // by the second after which they are forgotten
	count  map[holder]int      // entries of each identity
	pruned int64               // the second of the last look for expired entries
	floor  int64               // the newest timestamp of a forgotten entry
}

// nonceKey and holder are the beginnings of SHA-256(identity || nonce) and SHA-256(identity), so
// that memory does not depend on how many identities there are. Equal nonceKeys of different
// nonces need 2^64 work, for one's own request to be refused; equal holders share a limit.
type (
	nonceKey [16]byte
	holder   [8]byte
)

type expiring struct {
	newest  int64 // the latest timestamp among entries
	entries []entry
}

type entry struct {
	key  nonceKey
	from holder
}

var (
	_ NonceStore = (*Nonces)(nil)
	_ Peeker     = (*Nonces)(nil)
)

// NewNonces makes an empty memory. Nil options mean the defaults.
func NewNonces(o *NoncesOptions) *Nonces {
	n := &Nonces{max: DefaultMaxNonces, maxPerIdentity: DefaultMaxNoncesPerIdentity}
	if o != nil && o.Max > 0 {
		n.max = o.Max
	}
	if o != nil && o.MaxPerIdentity > 0 {
		n.maxPerIdentity = o.MaxPerIdentity
	}
	n.reset()
	return n
}

func (m *Nonces) reset() {
	m.seen = make(map[nonceKey]struct{})
	m.byTime = make(map[int64]*expiring)
	m.count = make(map[holder]int)
}

// Use is NonceStore's. It does not block, and ignores ctx.
func (m *Nonces) Use(_ context.Context, n Nonce, now time.Time) error {
	key, from := keysOf(n)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.prune(now.Unix())
	if err := m.peek(key, n.At); err != nil {
		return err
	}
	if len(m.seen) >= m.max || m.count[from] >= m.maxPerIdentity {
		return &FullError{RetryAfter: m.untilNext(now.Unix())}
	}
	m.count[from]++
	m.seen[key] = struct{}{}
	at := m.byTime[n.Until.Unix()]
	if at == nil {
		at = new(expiring)
		m.byTime[n.Until.Unix()] = at
	}
	at.newest = max(at.newest, n.At.Unix())
	at.entries = append(at.entries, entry{key, from})
	return nil
}

// Peek is Peeker's. It does not block, and ignores ctx.
func (m *Nonces) Peek(_ context.Context, n Nonce, now time.Time) error {
	key, _ := keysOf(n)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.prune(now.Unix())
	return m.peek(key, n.At)
}

func (m *Nonces) peek(key nonceKey, at time.Time) error {
	if _, ok := m.seen[key]; ok {
		return ErrReplayed
	}
	if m.floor != 0 && at.Unix() <= m.floor {
		return ErrForgotten
	}
	return nil
}

// Len returns how many nonces are remembered, expired ones that were not dropped yet included.
func (m *Nonces) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.seen)
}

// prune drops what ended before now. There is one list for each second, so a look at all of them
// is short, and one in a second is enough.
func (m *Nonces) prune(now int64) {
	if now == m.pruned {
		return
	}
	m.pruned = now
	for until, over := range m.byTime {
		if until >= now {
			continue
		}
		for _, e := range over.entries {
			delete(m.seen, e.key)
			if m.count[e.from]--; m.count[e.from] == 0 {
				delete(m.count, e.from)
			}
		}
		m.floor = max(m.floor, over.newest)
		delete(m.byTime, until)
	}
	if len(m.seen) == 0 {
		m.reset() // maps keep the room that they grew to
	}
}

// untilNext returns how long it takes until the next entry of anyone is forgotten, at least a second.
func (m *Nonces) untilNext(now int64) time.Duration {
	next := int64(math.MaxInt64)
	for until := range m.byTime {
		next = min(next, until)
	}
	return time.Duration(max(next+1-now, 1)) * time.Second
}

func keysOf(n Nonce) (nonceKey, holder) {
	var b [len(n.Identity) + NonceSize]byte
	copy(b[copy(b[:], n.Identity[:]):], n.Value[:])
	key, from := sha256.Sum256(b[:]), sha256.Sum256(n.Identity[:])
	return nonceKey(key[:]), holder(from[:])
}
