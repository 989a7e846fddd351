package request

import (
	"context"
	"crypto/sha256"
	"math"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
)

// Nonce is the nonce of a request, with its identity and times.
type Nonce struct {
	Identity auth.PublicKey
	Value    [NonceSize]byte
	At       time.Time // the request's timestamp
	Until    time.Time // when the request is stale and the nonce may be forgotten
	Mutating bool      // Op.Mutating of the request
}

// NonceStore stores used nonces. Servers with the same host name should share one; if each has its
// own, a request can be accepted once by each. Implementations are safe for concurrent use.
type NonceStore interface {
	// Use atomically checks and stores n. It returns ErrReplayed if n is stored already,
	// ErrForgotten if n may have been stored and forgotten, and ErrNoncesFull (or a *FullError) if
	// there is no room. Other errors are failures of the store. The request is accepted only if the
	// error is nil. now is the time of the Authenticator.
	Use(ctx context.Context, n Nonce, now time.Time) error
}

// Peeker is an optional interface of a NonceStore. With it an Authenticator refuses replays
// before it verifies a signature. Implementations are safe for concurrent use.
type Peeker interface {
	// Peek returns ErrReplayed or ErrForgotten if Use would, and stores nothing. Other errors are
	// failures of the store.
	Peek(ctx context.Context, n Nonce, now time.Time) error
}

// Persistent is an optional interface of a NonceStore that keeps the nonces of mutating requests
// after a restart. Implementations are safe for concurrent use.
type Persistent interface {
	// Since returns the earliest timestamp for which nonces are kept. An Authenticator refuses
	// mutating requests with earlier timestamps.
	Since() time.Time
}

// The default limits of a Nonces.
const (
	DefaultMaxNonces            = 1 << 20
	DefaultMaxNoncesPerIdentity = 1 << 14
)

// NoncesOptions are the limits of a Nonces. Zero and negative values mean the defaults.
type NoncesOptions struct {
	Max            int // entries in all: 1,048,576
	MaxPerIdentity int // entries of one identity: 16,384
}

// Nonces is a NonceStore in memory. It uses about 70 bytes for each entry and 40 for each
// identity, up to its limits. It forgets an entry only after its Until time. It has no
// goroutine: Use and Peek remove expired entries.
type Nonces struct {
	max, maxPerIdentity int

	mu     sync.Mutex
	seen   map[nonceKey]struct{}
	byTime map[int64]*expiring // by the second after which they are forgotten
	count  map[holder]int      // entries of each identity
	pruned int64               // the second of the last prune
	floor  int64               // the newest timestamp of a forgotten entry
}

// nonceKey and holder are the first bytes of SHA-256(identity || nonce) and SHA-256(identity),
// which saves memory. To find two nonces with the same nonceKey takes 2^64 hashes and only
// makes one's own request fail. Identities with the same holder share a limit.
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

// NewNonces returns an empty Nonces. Nil options mean the defaults.
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

// Use implements NonceStore. It does not block and ignores ctx.
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

// Peek implements Peeker. It does not block and ignores ctx.
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

// Len returns the number of entries, including expired ones that were not removed yet.
func (m *Nonces) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.seen)
}

// prune removes the entries that expired before now. There is one list for each second, and prune
// runs at most once a second.
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
		m.reset() // a map does not shrink
	}
}

// untilNext returns the time until the next entry expires, at least a second.
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
