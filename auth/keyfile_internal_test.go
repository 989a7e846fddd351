package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/diskfs"
)

const sweptKey = "/home/dig/identity_key.bin"

// afterFailure checks what a key file is like after an attempt that failed: there is no key, or
// one that can be read, and the next attempt leaves the key and nothing else. saved is the key
// that an attempt has returned; nil for none.
func afterFailure(disk *diskfs.Crash, saved *Key) error {
	before, err := readKey(disk, sweptKey)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("what is left: %w", err)
	}
	if saved != nil && (before == nil || before.PublicKey() != saved.PublicKey()) {
		return fmt.Errorf("the key that was returned is lost: %v", err)
	}
	k, err := loadKey(disk, sweptKey)
	if err != nil {
		return fmt.Errorf("the next attempt: %w", err)
	}
	if before != nil && before.PublicKey() != k.PublicKey() {
		return errors.New("the next attempt has another key")
	}
	list, err := disk.ReadDir(filepath.Dir(sweptKey))
	if err != nil || len(list) != 1 {
		return fmt.Errorf("the next attempt leaves %v, %v", list, err)
	}
	info, err := disk.Stat(sweptKey)
	if err != nil || info.Mode() != 0o600 {
		return fmt.Errorf("mode %v, %v", info, err)
	}
	return nil
}

// A key file is whole or not there, whichever operation fails, is the last before a kill, or
// before a loss of power.
func TestSaveKeyAtEveryOperation(t *testing.T) {
	broken := errors.New("broken")
	points := 0
	for n := 1; ; n++ {
		disk := diskfs.NewCrash("/home")
		failing := diskfs.Fail(disk, n, broken, nil)
		k, err := loadKey(failing, sweptKey)
		if err == nil && !failing.Failed() {
			break
		}
		points++
		if err != nil {
			k = nil
		}
		if err := afterFailure(disk, k); err != nil {
			t.Errorf("operation %d fails: %v", n, err)
		}
		disk = diskfs.NewCrash("/home")
		p := diskfs.NewProcess(disk)
		p.KillAfter(n)
		if k, err = loadKey(p, sweptKey); err != nil {
			k = nil
		}
		p.Kill()
		if err := afterFailure(disk, k); err != nil {
			t.Errorf("killed at operation %d: %v", n, err)
		}
		for seed := range uint64(6) {
			disk = diskfs.NewCrash("/home")
			disk.StopAfter(n)
			if k, err = loadKey(disk, sweptKey); err != nil {
				k = nil
			}
			if err := afterFailure(disk.Recover(seed), k); err != nil {
				t.Errorf("power lost at operation %d, seed %d: %v", n, seed, err)
			}
		}
	}
	if points < 10 {
		t.Errorf("%d points, want 10 or more", points)
	}
}

// Of two processes that make a key at once, both have the same one, whichever of them is
// between which operations, and both leave the key and nothing else.
func TestLoadKeyBesideAnother(t *testing.T) {
	for n, fired := 1, true; fired; n++ {
		disk := diskfs.NewCrash("/home")
		fired = false
		calls := 0
		var other *Key
		k, err := loadKey(diskfs.Before(disk, func(string, string) error {
			if calls++; calls == n {
				fired = true
				var err error
				if other, err = loadKey(disk, sweptKey); err != nil {
					t.Errorf("another process, before operation %d: %v", n, err)
				}
			}
			return nil
		}), sweptKey)
		if err != nil || fired && (other == nil || k.PublicKey() != other.PublicKey()) {
			t.Errorf("another process makes a key before operation %d: %v, %v, %v", n, k, other, err)
			continue
		}
		if err := afterFailure(disk, k); err != nil {
			t.Errorf("another process makes a key before operation %d: %v", n, err)
		}
	}
}

// Only files that a call may have left are removed beside a key.
func TestSweepBesideKey(t *testing.T) {
	disk := diskfs.NewCrash("/home")
	if _, err := loadKey(disk, sweptKey); err != nil {
		t.Fatal(err)
	}
	left := sweptKey + ".0123456789abcdef.new"
	others := []string{sweptKey + ".new", sweptKey + ".0123.new", sweptKey + ".0123456789abcdef",
		"/home/dig/other.0123456789abcdef.new"}
	for _, name := range append(others, left) {
		if err := diskfs.WriteNew(disk, name, nil, 0o600, true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := loadKey(disk, sweptKey); err != nil {
		t.Fatal(err)
	}
	for _, name := range others {
		if _, err := disk.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := disk.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", strings.TrimPrefix(left, "/home/dig/"), err)
	}
}

// A pipe is refused without waiting for a writer, and so is a file that takes the place of the
// key after it was looked at.
func TestReadKeyOfOtherFiles(t *testing.T) {
	disk := diskfs.NewCrash("/home")
	if _, err := loadKey(disk, sweptKey); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		replaced := false
		_, err := readKey(diskfs.Before(disk, func(op, name string) error {
			if op != "open" || replaced {
				return nil
			}
			replaced = true
			return errors.Join(disk.Remove(sweptKey),
				diskfs.WriteNew(disk, sweptKey, make([]byte, SeedSize), 0o644, true))
		}), sweptKey)
		if !replaced || !errors.Is(err, ErrKeyFile) {
			t.Errorf("a file that others can read, after the first look: %v", err)
		}
	}
	pipe := "/home/dig/pipe"
	if err := disk.Special(pipe, fs.ModeNamedPipe|0o600); err != nil {
		t.Fatal(err)
	}
	opened := false
	_, err := readKey(diskfs.Before(disk, func(op, name string) error {
		opened = opened || op == "open"
		return nil
	}), pipe)
	if opened || !errors.Is(err, ErrKeyFile) {
		t.Errorf("a pipe: opened %v, %v", opened, err)
	}
}
