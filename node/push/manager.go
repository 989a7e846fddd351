package push

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

// A Manager accepts pushes. It is safe for concurrent use; New makes one. It starts no goroutine:
// the caller calls Expire periodically.
type Manager struct {
	opt Options

	mu       sync.Mutex
	closed   bool
	sessions map[string]*session
	staged   map[merkle.Hash]int // sessions and pushes that rely on staged content
	bytes    int64               // that the sessions may stage
	capsules int                 // that their manifests list
	stores   map[auth.StoreID]*storeLock
}

// storeLock serializes changes of a datastore.
type storeLock struct {
	mu   sync.Mutex
	uses int
}

// session is a push with missing content.
type session struct {
	push    *Push
	caller  string
	retain  time.Time
	bytes   int64
	missing map[uint32]bool
	last    time.Time // of the last upload
	uploads int       // in progress
	busy    bool      // it is being committed
}

// New returns a Manager. It does not discard old staged content: see Recover.
func New(o Options) (*Manager, error) {
	if o.Storage == nil || o.Find == nil {
		return nil, errors.New("new push manager: Storage and Find are required")
	}
	o.setDefaults()
	return &Manager{opt: o, sessions: map[string]*session{}, staged: map[merkle.Hash]int{},
		stores: map[auth.StoreID]*storeLock{}}, nil
}

// Recover discards content that no generation names, left by sessions of an earlier process. It
// must not run while there are sessions. It returns the number of bytes discarded.
func (m *Manager) Recover(ctx context.Context) (int64, error) {
	lister, ok := m.opt.Storage.(storage.OrphanLister)
	if !ok {
		return 0, nil
	}
	var hashes []merkle.Hash
	var total int64
	for o, err := range lister.Orphans(ctx) {
		if err != nil {
			return 0, fmt.Errorf("discard staged content: %w", err)
		}
		hashes = append(hashes, o.Hash)
		total += o.Size
	}
	if err := m.opt.Storage.Discard(ctx, hashes); err != nil {
		return 0, fmt.Errorf("discard staged content: %w", err)
	}
	return total, nil
}

// lock locks a datastore; the result unlocks it.
func (m *Manager) lock(store auth.StoreID) func() {
	m.mu.Lock()
	l := m.stores[store]
	if l == nil {
		l = new(storeLock)
		m.stores[store] = l
	}
	l.uses++
	m.mu.Unlock()
	l.mu.Lock()
	return func() {
		l.mu.Unlock()
		m.mu.Lock()
		defer m.mu.Unlock()
		if l.uses--; l.uses == 0 {
			delete(m.stores, store)
		}
	}
}

// Push decides about a push and executes it. It owns p.
func (m *Manager) Push(ctx context.Context, p *Push) (*Result, error) {
	man := p.Manifest
	defer m.lock(man.Store)()
	st, err := m.look(ctx, man.Store)
	if err == nil {
		err = m.authorize(ctx, p, st)
	}
	if err == nil && p.Charge != nil {
		err = p.Charge(caller(p, st))
	}
	if err == nil && m.opt.Refuses != nil {
		err = m.opt.Refuses(ctx, man.Store, man.Root)
	}
	if err == nil {
		err = complete(p)
	}
	if err != nil {
		return nil, err
	}
	done, err := m.order(p, st)
	if err != nil {
		return nil, err
	}
	missing, absent, adds, err := m.missing(p)
	if err != nil {
		return nil, err
	}
	if done && absent == 0 { // otherwise the push restores lost content
		return &Result{Accepted: true, Stored: m.opt.Now()}, nil
	}
	decision := m.opt.Decide(ctx, Candidate{Store: merkle.Hash(man.Store), Root: man.Root,
		Handle: p.Handle, Owner: p.By.Owner, Tracked: st.tracked, Capsules: len(man.Capsules),
		Size: int64(man.Size()), Adds: adds, Bribe: p.Bribe})
	if !decision.Accept {
		return &Result{Code: decision.Code}, nil
	}
	var retain time.Time
	if decision.TTL > 0 {
		retain = m.opt.Now().Add(decision.TTL)
	}
	if err := m.room(ctx, p, adds); err != nil {
		return nil, err
	}
	return m.take(ctx, p, missing, adds, retain)
}

// caller returns the caller to which a push is charged.
func caller(p *Push, st state) Caller {
	c := Caller{Credential: p.By.Name}
	if st.tracked {
		c.Writer, c.Identity = p.Manifest.Writer, p.Identity
	}
	return c
}

// missing returns the capsules whose content is neither in the push nor at the node, how many are
// not at the node, and how many bytes the push adds. If the node has content of the hash, the
// descriptors must agree, because a false chunk root would make good content look damaged.
func (m *Manager) missing(p *Push) (missing []uint32, absent int, adds int64, err error) {
	seen := map[merkle.Hash]bool{}
	for _, d := range p.Manifest.Capsules {
		held, err := m.opt.Find(d.Hash)
		switch {
		case err == nil:
			if err := d.Matches(held); err != nil {
				return nil, 0, 0, fmt.Errorf("capsule %d: %w", d.Index, err)
			}
			continue
		case !errors.Is(err, fs.ErrNotExist):
			return nil, 0, 0, err
		}
		absent++
		if !seen[d.Hash] {
			adds += int64(d.Size)
		}
		if p.Inline[d.Index] == nil && !seen[d.Hash] {
			missing = append(missing, d.Index)
		}
		seen[d.Hash] = true
	}
	return missing, absent, adds, nil
}

// room returns nil if there is room for adds bytes.
func (m *Manager) room(ctx context.Context, p *Push, adds int64) error {
	if max := p.By.MaxBytes; max > 0 {
		used := int64(0)
		if m.opt.Used != nil {
			used = m.opt.Used(p.By.Name)
		}
		if used+adds > max {
			return fmt.Errorf("push of %d bytes: %w: credential %q keeps %d of %d bytes", adds,
				storage.ErrNoSpace, p.By.Name, used, max)
		}
	}
	usage, err := m.opt.Storage.Usage(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if usage.Free >= 0 && adds > usage.Free-m.bytes {
		return fmt.Errorf("push of %d bytes: %w: %d are free, %d are promised to sessions", adds,
			storage.ErrNoSpace, usage.Free, m.bytes)
	}
	return nil
}

// take stages the inline content of a push, and commits it or opens a session for the rest. The
// caller holds the lock of the datastore.
func (m *Manager) take(
	ctx context.Context, p *Push, missing []uint32, adds int64, retain time.Time,
) (*Result, error) {
	id, s, err := m.open(p, missing, adds, retain)
	if err != nil {
		return nil, err
	}
	if err := m.stage(ctx, p); err != nil {
		m.end(ctx, id)
		return nil, err
	}
	p.Inline = nil
	if len(missing) > 0 && len(p.Sources) > 0 && m.opt.Fetch != nil {
		missing = m.fetch(ctx, p, s, missing)
	}
	if len(missing) == 0 {
		return m.finish(ctx, id, s)
	}
	return &Result{Accepted: true, Stored: m.opt.Now().Add(m.opt.SessionIdle), Retain: retain,
		Upload: &Upload{Session: id, Missing: missing,
			Expires: m.opt.Now().Add(m.opt.SessionIdle)}}, nil
}

// open makes a session.
func (m *Manager) open(
	p *Push, missing []uint32, adds int64, retain time.Time,
) (string, *session, error) {
	owner := "c" + p.By.Name
	if p.By.Name == "" {
		owner = "w" + p.Manifest.Writer.String()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	count := 0
	for _, s := range m.sessions {
		if s.caller == owner {
			count++
		}
	}
	switch {
	case m.closed:
		return "", nil, ErrClosed
	case len(m.sessions) >= m.opt.MaxSessions || count >= m.opt.MaxPerCaller:
		return "", nil, fmt.Errorf("%w: the caller has %d, all callers have %d", ErrBusy, count,
			len(m.sessions))
	case m.capsules+len(p.Manifest.Capsules) > m.opt.MaxCapsules:
		return "", nil, fmt.Errorf("push of %d capsules: %w: all sessions list %d",
			len(p.Manifest.Capsules), ErrBusy, m.capsules)
	case m.bytes+adds > m.opt.MaxStagedBytes:
		return "", nil, fmt.Errorf("push of %d bytes: %w: %d of %d are promised to sessions",
			adds, storage.ErrNoSpace, m.bytes, m.opt.MaxStagedBytes)
	}
	var b [16]byte
	rand.Read(b[:])
	id := hex.EncodeToString(b[:])
	s := &session{push: p, caller: owner, retain: retain, bytes: adds, last: m.opt.Now(),
		missing: map[uint32]bool{}}
	for _, i := range missing {
		s.missing[i] = true
	}
	m.sessions[id] = s
	m.bytes += adds
	m.capsules += len(p.Manifest.Capsules)
	for _, d := range p.Manifest.Capsules {
		m.staged[d.Hash]++
	}
	return id, s, nil
}

// stage puts the inline content of a push into the storage.
func (m *Manager) stage(ctx context.Context, p *Push) error {
	for _, d := range p.Manifest.Capsules {
		content, ok := p.Inline[d.Index]
		if !ok {
			continue
		}
		if err := m.opt.Storage.Put(ctx, d, bytes.NewReader(content)); err != nil {
			return fmt.Errorf("capsule %d: %w", d.Index, err)
		}
	}
	return nil
}

// fetch fetches missing content from the sources of a push, and returns what is still missing.
func (m *Manager) fetch(ctx context.Context, p *Push, s *session, missing []uint32) []uint32 {
	var left []uint32
	for _, i := range missing {
		err := m.opt.Fetch(ctx, p.Sources, p.Manifest.Store, p.Manifest.Capsules[i])
		if err != nil {
			left = append(left, i)
			continue
		}
		m.mu.Lock()
		delete(s.missing, i)
		m.mu.Unlock()
	}
	return left
}

// maxUploads is the limit of concurrent uploads of one session. Each holds a capsule in memory.
const maxUploads = 8

// Upload stores the content of a capsule of a session. If the content does not match, the error is
// capsule.ErrContentMismatch, and it may be sent again. size is the announced length of body.
func (m *Manager) Upload(
	ctx context.Context, id string, index uint32, size int64, body io.Reader,
) error {
	m.mu.Lock()
	s := m.sessions[id]
	if s == nil || s.busy {
		m.mu.Unlock()
		return fmt.Errorf("upload session: %w", fs.ErrNotExist)
	}
	if uint64(index) >= uint64(len(s.push.Manifest.Capsules)) {
		m.mu.Unlock()
		return fmt.Errorf("capsule %d of the session: %w", index, capsule.ErrContentMismatch)
	}
	d := s.push.Manifest.Capsules[index]
	if size != int64(d.Size) {
		m.mu.Unlock()
		return fmt.Errorf("capsule %d: %w: %d bytes are announced, expected %d", index,
			capsule.ErrContentMismatch, size, d.Size)
	}
	if s.uploads >= maxUploads {
		m.mu.Unlock()
		return fmt.Errorf("upload: %w: the session has %d uploads in progress", ErrBusy, maxUploads)
	}
	s.uploads++
	s.last = m.opt.Now()
	m.mu.Unlock()

	err := m.opt.Storage.Put(ctx, d, body)

	m.mu.Lock()
	s.uploads--
	s.last = m.opt.Now()
	if err == nil {
		for i := range s.missing { // equal capsules are one
			if s.push.Manifest.Capsules[i].Hash == d.Hash {
				delete(s.missing, i)
			}
		}
	}
	ended := m.sessions[id] != s // during the upload
	last := s.uploads == 0
	m.mu.Unlock()
	if ended && last {
		m.release(context.WithoutCancel(ctx), s)
	}
	if ended && err == nil {
		err = fmt.Errorf("upload session: %w", fs.ErrNotExist)
	}
	return err
}

// Commit commits the generation of a session.
func (m *Manager) Commit(ctx context.Context, id string) (*Result, error) {
	m.mu.Lock()
	s := m.sessions[id]
	m.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("upload session: %w", fs.ErrNotExist)
	}
	defer m.lock(s.push.Manifest.Store)()
	m.mu.Lock()
	missing := len(s.missing)
	gone := m.sessions[id] != s || s.busy
	if !gone && missing == 0 {
		s.busy = true
	}
	m.mu.Unlock()
	switch {
	case gone:
		return nil, fmt.Errorf("upload session: %w", fs.ErrNotExist)
	case missing > 0:
		return nil, fmt.Errorf("commit: %w: %d capsules", ErrMissing, missing)
	}
	// The head may have changed since the session began.
	st, err := m.look(ctx, s.push.Manifest.Store)
	if err == nil {
		err = m.authorize(ctx, s.push, st)
	}
	if err == nil && m.opt.Refuses != nil {
		err = m.opt.Refuses(ctx, s.push.Manifest.Store, s.push.Manifest.Root)
	}
	done := false
	if err == nil {
		done, err = m.order(s.push, st)
	}
	if err != nil || done {
		m.end(ctx, id)
		if err != nil {
			return nil, err
		}
		return &Result{Accepted: true, Stored: m.opt.Now(), Retain: s.retain}, nil
	}
	return m.finish(ctx, id, s)
}

// finish commits the generation of a session, and ends it. The caller holds the lock of the
// datastore. After a temporary error, such as that of a disk, the session continues.
func (m *Manager) finish(ctx context.Context, id string, s *session) (*Result, error) {
	ctx = context.WithoutCancel(ctx) // a commit is not interrupted
	p := s.push
	err := m.fill(ctx, p)
	if err != nil {
		m.retry(s)
		return nil, err
	}
	man := *p.Manifest
	man.Created = uint64(m.opt.Now().Unix())
	meta, err := m.meta(p, s.retain).Encode()
	if err != nil {
		m.end(ctx, id)
		return nil, err
	}
	g := &storage.Generation{Manifest: &man, Meta: meta, Head: true}
	err = m.opt.Storage.Commit(ctx, g)
	if errors.Is(err, fs.ErrNotExist) { // held content was removed since the session began
		m.end(ctx, id)
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if err != nil {
		m.retry(s)
		return nil, err
	}
	m.end(ctx, id)
	res := &Result{Accepted: true, Stored: m.opt.Now(), Retain: s.retain}
	if m.opt.Committed != nil {
		res.Peers = m.opt.Committed(ctx, g)
	}
	return res, nil
}

func (m *Manager) retry(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.busy = false
	s.last = m.opt.Now()
}

// fill copies content that the node holds elsewhere into the storage.
func (m *Manager) fill(ctx context.Context, p *Push) error {
	if m.opt.Fill == nil {
		return nil
	}
	for _, d := range p.Manifest.Capsules {
		rc, err := m.opt.Storage.Open(ctx, d, 0, 0)
		if err == nil {
			rc.Close()
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := m.opt.Fill(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// Abort ends a session, and discards what was staged for it.
func (m *Manager) Abort(ctx context.Context, id string) error {
	m.mu.Lock()
	s := m.sessions[id]
	m.mu.Unlock()
	if s == nil || !m.end(ctx, id) {
		return fmt.Errorf("upload session: %w", fs.ErrNotExist)
	}
	return nil
}

// end removes a session and discards content that only it needs. If an upload is in progress, the
// upload discards it. end reports whether the session existed.
func (m *Manager) end(ctx context.Context, id string) bool {
	m.mu.Lock()
	s := m.sessions[id]
	if s == nil {
		m.mu.Unlock()
		return false
	}
	delete(m.sessions, id)
	m.bytes -= s.bytes
	m.capsules -= len(s.push.Manifest.Capsules)
	uploads := s.uploads
	m.mu.Unlock()
	if uploads == 0 {
		m.release(context.WithoutCancel(ctx), s)
	}
	return true
}

// release discards the content that only an ended session relies on. The storage keeps content that
// a generation names.
func (m *Manager) release(ctx context.Context, s *session) {
	m.mu.Lock()
	var unused []merkle.Hash
	for _, d := range s.push.Manifest.Capsules {
		if m.staged[d.Hash]--; m.staged[d.Hash] <= 0 {
			delete(m.staged, d.Hash)
			unused = append(unused, d.Hash)
		}
	}
	m.mu.Unlock()
	// Recover discards what remains after an error.
	m.opt.Storage.Discard(ctx, unused)
}

// Expire ends the sessions whose last upload is older than SessionIdle, and returns how many.
func (m *Manager) Expire(ctx context.Context) int {
	now := m.opt.Now()
	var old []string
	m.mu.Lock()
	for id, s := range m.sessions {
		if !s.busy && s.uploads == 0 && now.Sub(s.last) >= m.opt.SessionIdle {
			old = append(old, id)
		}
	}
	m.mu.Unlock()
	for _, id := range old {
		m.end(ctx, id)
	}
	return len(old)
}

// Close ends all sessions. Push returns ErrClosed afterwards.
func (m *Manager) Close(ctx context.Context) {
	m.mu.Lock()
	m.closed = true
	var ids []string
	for id := range m.sessions {
		ids = append(ids, id)
	}
	m.mu.Unlock()
	slices.Sort(ids)
	for _, id := range ids {
		m.end(ctx, id)
	}
}

// Stats returns the number of sessions, and the bytes that they may stage.
func (m *Manager) Stats() (sessions int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sessions), m.bytes
}
