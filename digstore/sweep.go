package digstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// The file publishing says what the last writer was about, so that the next one need not look
// through the whole store for what that may have left. It is written and synced before the first
// file gets the name under which it stays:
//
//	"DIGPUBL1" || u8 1, or 0 where everything may have been touched ||
//	root(32), zero bytes with 0 || u64 serial number || u32 CRC-32C of what stands before
//
// The serial number grows with each writer. A process that finds another one than that of its own
// last writing, or reading of the file, forgets what it remembers of packs and recipes. New packs
// are named by it, so no name is used twice for different packs. Without the file, and where it is
// torn, everything is looked through.
type intent struct {
	known  bool // root says it all
	root   merkle.Hash
	serial uint64
}

const (
	intentMagic = "DIGPUBL1"
	intentSize  = len(intentMagic) + 1 + 32 + 8 + 4
)

func (s *Store) intentName() string { return filepath.Join(s.dir, "publishing") }

// nextSerial returns a new serial number. The caller holds the lock.
func (s *Store) nextSerial() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intent.serial = max(s.intent.serial+1, uint64(s.w.now().UnixNano()))
	return s.intent.serial
}

// intend notes, durably, that files of root are to be published under a serial number; nil: that
// any file may be touched. The caller holds the lock.
func (s *Store) intend(root *merkle.Hash, serial uint64) error {
	b := append(make([]byte, 0, intentSize), intentMagic...)
	if root != nil {
		b = append(append(b, 1), root[:]...)
	} else {
		b = append(b, make([]byte, 1+32)...)
	}
	b = binary.BigEndian.AppendUint64(b, serial)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	f, err := s.w.fs.OpenFile(s.intentName(), openCreate, 0o644)
	if err != nil {
		return fmt.Errorf("note what is published: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && info.Size() == 0 {
		err = s.w.fs.SyncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("note what is published: %w", err)
	}
	s.mu.Lock()
	s.upTo = serial
	s.mu.Unlock()
	return nil
}

// keepUp forgets what is remembered of packs and recipes when another process has written since the
// writer of that serial number; 0 is no number.
func (s *Store) keepUp(serial uint64) {
	s.mu.Lock()
	same := serial != 0 && s.upTo == serial
	s.upTo = serial
	if !same {
		s.cache = recipeCache{}
	}
	s.mu.Unlock()
	if !same {
		s.packs.Reload()
	}
}

// readIntent reads what the last writer was about.
func (s *Store) readIntent() (i intent, err error) {
	b, err := diskfs.ReadFile(s.w.fs, s.intentName(), maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return i, nil
	}
	if err != nil {
		return i, fmt.Errorf("sweep: %w", err)
	}
	return parseIntent(b), nil
}

// parseIntent returns the zero intent when b is not whole.
func parseIntent(b []byte) (i intent) {
	sum, kind := intentSize-4, len(intentMagic)
	if len(b) != intentSize || crc32.Checksum(b[:sum],
		castagnoli) != binary.BigEndian.Uint32(b[sum:]) || string(b[:kind]) != intentMagic {
		return i
	}
	return intent{known: b[kind] == 1, root: merkle.Hash(b[kind+1:]),
		serial: binary.BigEndian.Uint64(b[sum-8:])}
}

// sweep removes what a writer that died has left: temporary files, and packs, recipes and
// signatures of a root that did not come into the history. Where the head is not held it removes
// nothing: then the history may name another root than that of what is here. The caller holds the
// lock.
func (s *Store) sweep(ctx context.Context, h *history.History) error {
	switch err := s.checkHead(h); {
	case errors.Is(err, ErrCorrupt):
		s.keepUp(0)
		return nil
	case err != nil:
		return err
	}
	last, err := s.readIntent()
	if err != nil {
		return err
	}
	if err := s.sweepPending(h, last); err != nil { // first: what it takes back is no orphan
		return err
	}
	for _, sub := range []string{"", history.IndexDir, "tombstones", "pending", "evidence", namesDir} {
		if err := s.sweepDir(sub, func(name string) bool {
			return strings.HasSuffix(name, ".tmp")
		}); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.intent = last
	s.mu.Unlock()
	if last.known {
		err = s.sweepRoot(h, last)
	} else {
		err = s.sweepAll(h)
	}
	if err != nil {
		return err
	}
	s.keepUp(last.serial)
	return s.sweepIncoming(ctx)
}

// sweepDir removes the files of a directory that belong to nothing.
func (s *Store) sweepDir(sub string, orphan func(name string) bool) error {
	dir := filepath.Join(s.dir, sub)
	list, err := s.w.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	removed := false
	for _, e := range list {
		if e.IsDir() || !orphan(e.Name()) {
			continue
		}
		if err := s.sweepFile(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
		removed = true
	}
	if sub == "packs" && removed {
		s.packs.Reload()
	}
	return nil
}

func (s *Store) sweepFile(name string) error {
	err := s.w.fs.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) || diskfs.InUse(err) {
		// a removed pack that is being read, on Windows
		return nil
	}
	return fmt.Errorf("sweep: %w", err)
}

// sweepAll looks through packs, recipes and signatures.
func (s *Store) sweepAll(h *history.History) error {
	lines, err := h.Every()
	if err != nil {
		return err
	}
	known := make(map[merkle.Hash]bool, len(lines))
	for _, g := range lines {
		known[g.Root] = true
	}
	for _, sub := range []string{"packs", "recipes", "sigs"} {
		err := s.sweepDir(sub, func(name string) bool {
			if strings.HasSuffix(name, ".tmp") {
				return true
			}
			root, err := merkle.ParseHash(strings.SplitN(name, ".", 2)[0])
			// else: not named by a root
			return err == nil && !strings.HasSuffix(name, packdir.IndexExt) && !known[root]
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepRoot removes what the writer of that intent may have left.
func (s *Store) sweepRoot(h *history.History, last intent) error {
	root := last.root
	_, there, err := h.Find(root)
	if err != nil {
		return err
	}
	names := []string{filepath.Join(s.dir, "packs", commitPack),
		filepath.Join(s.dir, "packs", packdir.IndexTemp)}
	for _, name := range []string{s.recipeName(root), s.sigName(root, true), s.sigName(root, false)} {
		names = append(names, name+".tmp")
		if !there {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if err := s.sweepFile(name); err != nil {
			return err
		}
	}
	if there {
		return nil
	}
	for _, name := range s.packNames(last) {
		if err := s.sweepFile(name); err != nil {
			return err
		}
	}
	s.packs.Reload()
	return nil
}
