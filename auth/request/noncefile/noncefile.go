// Package noncefile keeps the nonces of mutating requests in a file, so that a server refuses
// replays after a restart.
//
//	nonces, err := noncefile.Open("nonces.bin", nil)
//	authenticator := &request.Authenticator{Nonces: nonces}
//	server := server.New(backend, &server.Options{Authenticator: authenticator})
package noncefile

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/internal/diskfs"
)

// DefaultMax is how many nonces of mutating requests a file has at most by default.
const DefaultMax = 1 << 17

// Options configure a [File]. Zero, negative and nil values mean the defaults.
type Options struct {
	// FS is the file system. Default: that of the operating system or, if Beneath is set, the part
	// of it below that folder, where links are not followed.
	FS      diskfs.FS
	Beneath string
	// Max is how many nonces of mutating requests are kept at the same time. More are refused with
	// [request.ErrNoncesFull]. Default [DefaultMax]. The file has at most 200 bytes for each.
	Max int
	// Memory limits the nonces in memory, including those of reads.
	Memory *request.NoncesOptions
	// Now is the clock that Open uses. Default [time.Now].
	Now func() time.Time
}

// The file is a header and records of equal length, integers in big-endian order:
//
//	header  "DIGNONC1" || i64 since || u32 CRC-32C of the bytes before it
//	record  identity(48) || nonce(32) || i64 at || i64 until || u32 CRC-32C of the bytes before it
//
// Times are unix seconds. A record with a wrong checksum was not written completely before a crash.
// Its request was not accepted, so the record is skipped.
const (
	magic      = "DIGNONC1"
	headerSize = len(magic) + 8 + 4
	recordSize = len(auth.PublicKey{}) + request.NonceSize + 8 + 8 + 4

	// startSlack is how much older than a new file a request may be.
	startSlack = 5 * time.Second
	// firstRewrite is how many records a file has at least before it is rewritten.
	firstRewrite = 1024
	// fullWait is how long a full file is not rewritten.
	fullWait = 10 * time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged means that a file of nonces has no valid header. The file can be removed ten minutes
// after the last request. If it is removed earlier, requests of that time can be replayed.
var ErrDamaged = errors.New("not a file of nonces")

// A File is a [request.NonceStore] that keeps all nonces in memory, and those of mutating
// requests in a file too. Use returns after such a nonce was synced to disk; concurrent
// requests share a sync. The file is rewritten when more than half of its records have expired.
//
// It is safe for concurrent use. Only one File at a time can have a file open.
type File struct {
	fsys diskfs.FS
	name string
	max  int
	mem  *request.Nonces
	lock io.Closer

	syncing sync.Mutex // held while the file is synced or rewritten; locked before mu

	mu      sync.Mutex
	f       diskfs.File
	size    int64
	rewrite int             // number of records at which the file is rewritten
	inFile  int             // records in the file
	live    []request.Nonce // nonces that have not expired, in the order of arrival
	since   time.Time
	full    time.Time // until then the file has no room
	written uint64    // records written in all
	synced  uint64    // records of written that are synced
	broken  bool      // a write failed: the file must be rewritten
}

var (
	_ request.NonceStore = (*File)(nil)
	_ request.Peeker     = (*File)(nil)
	_ request.Persistent = (*File)(nil)
)

// Open opens a file, or makes it if it does not exist. A new file has no nonces of earlier
// requests: see Since. A file that another File has open is [diskfs.ErrLocked], and one without
// a valid header ErrDamaged. The caller closes the File.
func Open(name string, o *Options) (*File, error) {
	if o == nil {
		o = &Options{}
	}
	s := &File{fsys: o.FS, name: name, max: o.Max, mem: request.NewNonces(o.Memory)}
	switch {
	case s.fsys != nil:
	case o.Beneath != "":
		s.fsys = diskfs.Beneath(o.Beneath)
	default:
		s.fsys = diskfs.OS()
	}
	if s.max <= 0 {
		s.max = DefaultMax
	}
	now := time.Now()
	if o.Now != nil {
		now = o.Now()
	}
	var err error
	if s.lock, err = s.fsys.TryLock(name + ".lock"); err != nil {
		return nil, fmt.Errorf("open nonces %s: %w", name, err)
	}
	err = s.load(now)
	if err == nil {
		err = s.rewriteFile(now)
	}
	if err != nil {
		_ = s.lock.Close()
		return nil, fmt.Errorf("open nonces %s: %w", name, err)
	}
	return s, nil
}

// load reads the file.
func (s *File) load(now time.Time) error {
	records := 2 * (max(s.max, DefaultMax) + firstRewrite)
	b, err := diskfs.ReadFile(s.fsys, s.name, int64(headerSize)+int64(records)*int64(recordSize))
	if errors.Is(err, fs.ErrNotExist) {
		s.since = now.Add(-startSlack)
		return nil
	}
	if err != nil {
		return err
	}
	if len(b) < headerSize || string(b[:len(magic)]) != magic || !checksumMatches(b[:headerSize]) {
		return ErrDamaged
	}
	s.since = time.Unix(int64(binary.BigEndian.Uint64(b[len(magic):])), 0)
	if latest := now.Add(2 * request.DefaultWindow); s.since.After(latest) {
		s.since = latest // the clock was ahead once
	}
	for b = b[headerSize:]; len(b) >= recordSize; b = b[recordSize:] {
		n, ok := parseRecord(b[:recordSize])
		if !ok {
			continue
		}
		if s.expire(n, now) {
			continue
		}
		if err := s.mem.Use(context.Background(), n, now); err != nil {
			return err // Options.Memory is smaller than before
		}
		s.live = append(s.live, n)
	}
	return nil
}

// expire reports whether a nonce has expired. It then moves since behind the nonce's timestamp.
func (s *File) expire(n request.Nonce, now time.Time) bool {
	if !n.Until.Before(now) {
		return false
	}
	if after := n.At.Add(time.Second); after.After(s.since) {
		s.since = after
	}
	return true
}

// rewriteFile replaces the file with one of the nonces that have not expired. The caller holds both
// locks, or is the only user.
func (s *File) rewriteFile(now time.Time) error {
	s.live = slices.DeleteFunc(s.live, func(n request.Nonce) bool { return s.expire(n, now) })
	b := append(make([]byte, 0, headerSize+len(s.live)*recordSize), magic...)
	b = withChecksum(binary.BigEndian.AppendUint64(b, uint64(s.since.Unix())), 0)
	for _, n := range s.live {
		b = appendRecord(b, n)
	}
	if s.f != nil {
		_ = s.f.Close()
		s.f = nil
	}
	s.broken = true
	if err := diskfs.WriteFile(s.fsys, s.name, b, 0o600); err != nil {
		return err
	}
	f, err := s.fsys.OpenFile(s.name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	s.f, s.size, s.inFile = f, int64(len(b)), len(s.live)
	s.rewrite = max(firstRewrite, 2*len(s.live))
	s.synced, s.broken = s.written, false
	return nil
}

// Since implements [request.Persistent]. It returns the time 5 seconds before the file was made, or
// the newest timestamp of a forgotten nonce.
func (s *File) Since() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// Peek implements [request.Peeker].
func (s *File) Peek(ctx context.Context, n request.Nonce, now time.Time) error {
	return s.mem.Peek(ctx, n, now)
}

// Use implements [request.NonceStore]. A nonce that could not be written stays refused.
func (s *File) Use(ctx context.Context, n request.Nonce, now time.Time) error {
	if !n.Mutating {
		return s.mem.Use(ctx, n, now)
	}
	if err := s.room(now); err != nil {
		return err
	}
	if err := s.mem.Use(ctx, n, now); err != nil {
		return err
	}
	if err := s.keep(n); err != nil {
		return fmt.Errorf("write nonces %s: %w", s.name, err)
	}
	return nil
}

// room makes room for a record, if necessary by a rewrite.
func (s *File) room(now time.Time) error {
	s.mu.Lock()
	need := s.broken || s.inFile >= s.rewrite || len(s.live) >= s.max
	s.mu.Unlock()
	if !need {
		return nil
	}
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.full.Sub(now); wait > 0 && wait <= fullWait {
		return &request.FullError{RetryAfter: wait}
	}
	if !s.broken && s.inFile < s.rewrite && len(s.live) < s.max { // another call did it
		return nil
	}
	if err := s.rewriteFile(now); err != nil {
		return fmt.Errorf("write nonces %s: %w", s.name, err)
	}
	if len(s.live) >= s.max {
		s.full = now.Add(fullWait)
		return &request.FullError{RetryAfter: fullWait}
	}
	return nil
}

// keep writes a record and syncs it.
func (s *File) keep(n request.Nonce) error {
	s.mu.Lock()
	s.live = append(s.live, n)
	if s.broken {
		s.mu.Unlock()
		return errors.New("an earlier write failed")
	}
	record := appendRecord(nil, n)
	_, err := s.f.WriteAt(record, s.size)
	if err != nil {
		s.broken = true
		s.mu.Unlock()
		return err
	}
	s.size += int64(len(record))
	s.inFile++
	s.written++
	mine := s.written
	s.mu.Unlock()

	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	done, upTo, f := s.synced >= mine, s.written, s.f
	broken := s.broken
	s.mu.Unlock()
	if done {
		return nil
	}
	if broken {
		return errors.New("an earlier write failed")
	}
	err = f.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.broken = true
		return err
	}
	s.synced = upTo
	return nil
}

// Close closes the file. The File must not be used afterwards.
func (s *File) Close() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = true
	var err error
	if s.f != nil {
		err = s.f.Close()
		s.f = nil
	}
	return errors.Join(err, s.lock.Close())
}

// withChecksum appends the checksum of b[begin:].
func withChecksum(b []byte, begin int) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[begin:], castagnoli))
}

func checksumMatches(b []byte) bool {
	n := len(b) - 4
	return crc32.Checksum(b[:n], castagnoli) == binary.BigEndian.Uint32(b[n:])
}

func appendRecord(b []byte, n request.Nonce) []byte {
	begin := len(b)
	b = append(b, n.Identity[:]...)
	b = append(b, n.Value[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(n.At.Unix()))
	b = binary.BigEndian.AppendUint64(b, uint64(n.Until.Unix()))
	return withChecksum(b, begin)
}

func parseRecord(b []byte) (n request.Nonce, ok bool) {
	if !checksumMatches(b) {
		return n, false
	}
	at := copy(n.Identity[:], b)
	at += copy(n.Value[:], b[at:])
	n.At = time.Unix(int64(binary.BigEndian.Uint64(b[at:])), 0)
	n.Until = time.Unix(int64(binary.BigEndian.Uint64(b[at+8:])), 0)
	n.Mutating = true
	return n, true
}
