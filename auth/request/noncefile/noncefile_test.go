package noncefile_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/auth/request/noncefile"
	"github.com/dig-network/digstore/internal/diskfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "/d/nonces"

var start = time.Unix(1_700_000_000, 0)

// nonce is one of many, for a request of a mutating operation that is signed at a time.
func nonce(n int, at time.Time) request.Nonce {
	return request.Nonce{Identity: auth.PublicKey{byte(n % 50), 1},
		Value: sha256.Sum256(fmt.Append(nil, n)), At: at,
		Until: at.Add(request.DefaultWindow + time.Second), Mutating: true}
}

func open(t *testing.T, fsys diskfs.FS, now time.Time, max int) *noncefile.File {
	t.Helper()
	s, err := noncefile.Open(name, &noncefile.Options{FS: fsys, Now: func() time.Time {
		return now
	}, Max: max})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestReplayAfterRestart: what changes something passes once, whenever it was signed and
// whether or not the server starts anew. What did not pass before a restart passes after it.
func TestReplayAfterRestart(t *testing.T) {
	key, store := auth.NewKey([32]byte{1}), auth.StoreID{2}
	for _, op := range []request.Op{request.Push, request.PushInit, request.PushComplete,
		request.Tombstone, request.Fetch} {
		for _, signed := range []time.Duration{-299, -100, -6, 0, 120, 300} {
			disk := diskfs.NewCrash("/d")
			now := start
			check := func(s *noncefile.File, header http.Header) error {
				guard := &request.Authenticator{Now: func() time.Time { return now }, Nonces: s}
				_, err := guard.Check(&http.Request{Header: header}, op, store)
				return err
			}
			sign := func(n byte) http.Header {
				r := &http.Request{Header: http.Header{}}
				if err := request.SignAt(r, op, store, key, start.Add(signed*time.Second),
					[32]byte{n}); err != nil {
					t.Fatal(err)
				}
				return r.Header
			}
			open(t, disk, start.Add(-time.Hour), 0).Close()
			s := open(t, disk, now, 0)
			used, kept := sign(1), sign(2)
			if err := check(s, used); err != nil {
				t.Fatalf("%s at %d s: %v", op, signed, err)
			}
			for range 3 {
				s.Close()
				now = now.Add(time.Second / 4)
				s = open(t, disk, now, 0)
				err := check(s, used)
				if replayed := new(request.Error); op.Mutating() != (errors.As(err, &replayed) &&
					replayed.Kind == request.Replayed) {
					t.Errorf("%s at %d s, after a restart: %v", op, signed, err)
				}
			}
			if err := check(s, kept); err != nil {
				t.Errorf("%s at %d s, not used before the restart: %v", op, signed, err)
			}
			s.Close()
		}
	}
}

// TestPowerCuts: whatever call the power is cut at, a nonce that was accepted is remembered,
// and what was not is not in the way of the file.
func TestPowerCuts(t *testing.T) {
	for cut, more := 1, true; more; cut++ {
		for seed := range uint64(4) {
			disk := diskfs.NewCrash("/d")
			disk.StopAfter(cut)
			var accepted []request.Nonce
			s, err := noncefile.Open(name, &noncefile.Options{FS: disk, Now: func() time.Time {
				return start
			}})
			for n := 0; err == nil && n < 8; n++ {
				next := nonce(n, start.Add(time.Duration(n)*time.Second))
				if err = s.Use(t.Context(), next, start); err == nil {
					accepted = append(accepted, next)
				}
			}
			more = errors.Is(err, diskfs.ErrPowerLost)
			if s != nil {
				s.Close()
			}
			s = open(t, disk.Recover(seed), start, 0)
			for _, n := range accepted {
				if err := s.Use(t.Context(), n, start); !errors.Is(err, request.ErrReplayed) {
					t.Fatalf("cut %d, seed %d: %d were accepted, one of them again: %v", cut, seed, len(accepted),
						err)
				}
			}
			if err := s.Use(t.Context(), nonce(100, start), start); err != nil {
				t.Fatalf("cut %d, seed %d: a new one: %v", cut, seed, err)
			}
			s.Close()
		}
	}
}

// TestFailedWrites: a request whose nonce is not on disk is refused, and the next ones pass
// when the disk works again.
func TestFailedWrites(t *testing.T) {
	for fail := 1; ; fail++ {
		disk := diskfs.NewCrash("/d")
		open(t, disk, start, 0).Close()
		broken := diskfs.Fail(disk, fail, errors.New("no space"), nil)
		s, err := noncefile.Open(name, &noncefile.Options{FS: broken, Now: func() time.Time {
			return start
		}})
		if err != nil {
			continue
		}
		var accepted []request.Nonce
		failed := false
		for n := range 5 {
			next := nonce(n, start)
			if err := s.Use(t.Context(), next, start); err == nil {
				accepted = append(accepted, next)
			} else {
				failed = true
			}
		}
		if s.Close(); !broken.Failed() {
			break
		}
		if len(accepted) == 0 || failed != (len(accepted) < 5) {
			t.Errorf("call %d fails: %d of 5 accepted", fail, len(accepted))
		}
		s = open(t, disk.Recover(1), start, 0)
		for _, n := range accepted {
			if err := s.Use(t.Context(), n, start); !errors.Is(err, request.ErrReplayed) {
				t.Errorf("call %d fails: accepted again: %v", fail, err)
			}
		}
		s.Close()
	}
}

// TestFailedSync: a sync that fails refuses every request that waited for it, though a second
// sync would succeed: the system may have dropped what it could not write.
func TestFailedSync(t *testing.T) {
	disk := &syncFS{FS: diskfs.NewCrash("/d"), written: make(chan struct{}, 2),
		fail: make(chan struct{})}
	s := open(t, disk, start, 0)
	defer s.Close()
	disk.armed.Store(true)
	results := make(chan error, 2)
	for i := range 2 {
		go func() { results <- s.Use(t.Context(), nonce(i, start), start) }()
	}
	for range 2 {
		<-disk.written
	}
	close(disk.fail)
	for range 2 {
		if err := <-results; err == nil {
			t.Error("a nonce whose sync failed was accepted")
		}
	}
}

// syncFS is a file system on which, once armed, the first sync waits until fail is closed, and
// fails.
type syncFS struct {
	diskfs.FS
	armed, failed atomic.Bool
	written, fail chan struct{}
}

func (s *syncFS) OpenFile(name string, flag int, perm fs.FileMode) (diskfs.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	return &syncFile{f, s}, err
}

type syncFile struct {
	diskfs.File
	of *syncFS
}

func (f *syncFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	if f.of.armed.Load() {
		f.of.written <- struct{}{}
	}
	return n, err
}

func (f *syncFile) Sync() error {
	if f.of.armed.Load() && f.of.failed.CompareAndSwap(false, true) {
		<-f.of.fail
		return errors.New("input/output error")
	}
	return f.File.Sync()
}

// TestFileIsBounded: nonces that are over leave the file, and a full one refuses.
func TestFileIsBounded(t *testing.T) {
	disk := diskfs.NewCrash("/d")
	now := start
	s := open(t, disk, now, 0)
	largest := int64(0)
	for n := range 6000 { // 5 a second
		now = start.Add(time.Duration(n) * time.Second / 5)
		if err := s.Use(t.Context(), nonce(n, now), now); err != nil {
			t.Fatal(n, err)
		}
		if n%100 != 0 {
			continue
		}
		info, err := disk.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	if live := int64(301 * 5 * 100); largest > 3*live {
		t.Errorf("the file grew to %d bytes for %d that count", largest, live)
	}
	s.Close()

	s = open(t, disk, now.Add(time.Hour), 10)
	defer s.Close()
	now = now.Add(time.Hour)
	for n := range 10 {
		if err := s.Use(t.Context(), nonce(n, now), now); err != nil {
			t.Fatal(err)
		}
	}
	var full *request.FullError
	if err := s.Use(t.Context(), nonce(10, now), now); !errors.As(err, &full) {
		t.Errorf("an 11th of 10: %v", err)
	}
	reading := nonce(11, now)
	reading.Mutating = false
	if err := s.Use(t.Context(), reading, now); err != nil {
		t.Errorf("a read beside a full file: %v", err)
	}
	now = now.Add(302 * time.Second)
	if err := s.Use(t.Context(), nonce(12, now), now); err != nil {
		t.Errorf("when they are over: %v", err)
	}
}

// TestForgotten: a timestamp of which the file has forgotten nonces is refused, after a restart
// and on a clock that steps back too; but not for ever when the clock was years ahead once.
func TestForgotten(t *testing.T) {
	disk := diskfs.NewCrash("/d")
	s := open(t, disk, start, 0)
	if got := s.Since(); got != start.Add(-5*time.Second) {
		t.Errorf("a new file knows of requests since %v", got)
	}
	if err := s.Use(t.Context(), nonce(1, start.Add(9*time.Second)), start); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, disk, start.Add(time.Hour), 0)
	s.Close()
	s = open(t, disk, start, 0)
	if got := s.Since(); got != start.Add(10*time.Second) {
		t.Errorf("after it forgot a request of 9 s it knows of those since %v", got)
	}
	ahead := start.AddDate(10, 0, 0)
	if err := s.Use(t.Context(), nonce(2, ahead), ahead); err != nil {
		t.Fatal(err)
	}
	s.Close()
	open(t, disk, ahead.Add(time.Hour), 0).Close()
	s = open(t, disk, start.Add(time.Hour), 0)
	defer s.Close()
	if got := s.Since(); got != start.Add(time.Hour+10*time.Minute) {
		t.Errorf("with a clock that was ahead: since %v", got)
	}
}

// TestDamage: single records may be damaged, the header may not; one File at a time has it.
func TestDamage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nonces")
	s, err := noncefile.Open(file, &noncefile.Options{Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := noncefile.Open(file, nil); !errors.Is(err, diskfs.ErrLocked) {
		t.Errorf("a second one: %v", err)
	}
	for n := range 3 {
		if err := s.Use(t.Context(), nonce(n, start), start); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 { // Windows has no such modes
		t.Errorf("mode %v", info.Mode())
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 4
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := noncefile.Open(file, &noncefile.Options{Now: func() time.Time { return start }})
		if i < 20 {
			if !errors.Is(err, noncefile.ErrDamaged) {
				t.Fatalf("byte %d of the header: %v", i, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		for n := range 3 {
			err := s.Use(t.Context(), nonce(n, start), start)
			if hit := n == (i-20)/100; hit != (err == nil) ||
				err != nil && !errors.Is(err, request.ErrReplayed) {
				t.Errorf("byte %d: nonce %d: %v", i, n, err)
			}
		}
		s.Close()
	}
}

// TestLinks: below a folder that may come from anywhere no link is followed.
func TestLinks(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	if err := os.Symlink(outside, filepath.Join(dir, "nonces")); err != nil {
		t.Skip("no links here: ", err)
	}
	s, err := noncefile.Open(filepath.Join(dir, "nonces"), &noncefile.Options{Beneath: dir})
	if err == nil {
		err = s.Use(t.Context(), nonce(1, time.Now()), time.Now())
		s.Close()
	}
	if _, serr := os.Stat(outside); serr == nil {
		t.Errorf("a file was made outside (%v)", err)
	}
}

// TestAtOnce: many at once share syncs, and of copies one passes.
func TestAtOnce(t *testing.T) {
	disk := diskfs.NewCrash("/d")
	s := open(t, disk, start, 0)
	const n, copies = 400, 3
	var mu sync.Mutex
	passed := map[int]int{}
	var wg sync.WaitGroup
	for i := range n * copies {
		wg.Go(func() {
			err := s.Use(t.Context(), nonce(i%n, start), start)
			if err != nil && !errors.Is(err, request.ErrReplayed) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				passed[i%n]++
			}
		})
	}
	wg.Wait()
	s.Close()
	s = open(t, disk.Recover(3), start, 0)
	defer s.Close()
	for i := range n {
		if passed[i] != 1 {
			t.Errorf("nonce %d passed %d times", i, passed[i])
		}
		if err := s.Use(t.Context(), nonce(i, start), start); !errors.Is(err, request.ErrReplayed) {
			t.Errorf("nonce %d after a power cut: %v", i, err)
		}
	}
}
