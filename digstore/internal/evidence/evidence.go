// Package evidence keeps documents about the misbehavior of an origin, in the directory evidence of
// a store (LAYOUT.md 11).
package evidence

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Limits of what is kept.
const (
	MaxDocuments = 32
	MaxSize      = 256 << 10 // bytes of a document
)

// SubDir is the directory of the documents, below that of the store. Files that end in .tmp in it
// were left by a crash.
const SubDir = "evidence"

// A Dir is the directory of the documents. Put needs the lock of the store.
type Dir struct {
	fs   diskfs.FS
	path string
}

// New returns the documents of the store in the directory dir.
func New(fsys diskfs.FS, dir string) *Dir { return &Dir{fsys, filepath.Join(dir, SubDir)} }

// document is the file <Unix seconds>-<8 hex digits of the SHA-256>.json. The time is later than
// that of the previous document, so that the names stay in order.
type document struct {
	path string
	time int64
	sum  string
}

func (d *Dir) list() (list []*document, err error) {
	files, err := d.fs.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		text, ok := strings.CutSuffix(f.Name(), ".json")
		seconds, sum, cut := strings.Cut(text, "-")
		if at, err := strconv.ParseInt(seconds, 10, 64); err == nil && ok && cut {
			list = append(list, &document{filepath.Join(d.path, f.Name()), at, sum})
		}
	}
	slices.SortStableFunc(list, func(a, b *document) int { return int(a.time - b.time) })
	return list, nil
}

// CheckSize returns an error for a document longer than MaxSize.
func CheckSize(doc []byte) error {
	if len(doc) > MaxSize {
		return fmt.Errorf("document of %d bytes, limit %d", len(doc), MaxSize)
	}
	return nil
}

// Put keeps a document, durably, and returns the path of its file. A document that is there already
// is not written again. Put removes the oldest documents above MaxDocuments.
func (d *Dir) Put(doc []byte, now time.Time) (path string, err error) {
	list, err := d.list()
	if err != nil {
		return "", err
	}
	hash := merkle.Sum(doc)
	sum := hex.EncodeToString(hash[:4])
	for _, e := range list {
		if e.sum != sum {
			continue
		}
		b, err := diskfs.ReadFile(d.fs, e.path, MaxSize)
		if err == nil && string(b) == string(doc) {
			return e.path, nil
		}
	}
	if err := diskfs.MkdirAll(d.fs, d.path, 0o755); err != nil {
		return "", err
	}
	at := now.Unix()
	if n := len(list); n > 0 {
		at = max(at, list[n-1].time+1)
	}
	path = filepath.Join(d.path, fmt.Sprintf("%d-%s.json", at, sum))
	if err := diskfs.WriteFile(d.fs, path, doc, 0o644); err != nil {
		return "", err
	}
	for i := range max(0, len(list)+1-MaxDocuments) {
		if err := d.fs.Remove(list[i].path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return path, nil
}

// All returns the documents, oldest first.
func (d *Dir) All() ([][]byte, error) {
	list, err := d.list()
	if err != nil {
		return nil, err
	}
	var docs [][]byte
	for _, e := range list {
		doc, err := diskfs.ReadFile(d.fs, e.path, MaxSize)
		if errors.Is(err, fs.ErrNotExist) { // another process has just removed it
			continue
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}
