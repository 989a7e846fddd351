package digstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Limits of the evidence that a store keeps.
const (
	maxEvidence     = 32        // documents
	maxEvidenceSize = 256 << 10 // bytes of one
)

// evidence is a document that speaks against an origin, evidence/<unix seconds>-<8 hex digits of
// its SHA-256>.json. Of several in one second each is given the second after the one before, so
// that they stay in order.
type evidence struct {
	name string
	time int64
	sum  string
}

func (s *Store) listEvidence() (list []*evidence, err error) {
	files, err := s.w.fs.ReadDir(filepath.Join(s.dir, "evidence"))
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
			list = append(list, &evidence{filepath.Join(s.dir, "evidence", f.Name()), at, sum})
		}
	}
	slices.SortStableFunc(list, func(a, b *evidence) int { return int(a.time - b.time) })
	return list, nil
}

// PutEvidence keeps a document of at most 256 KiB that speaks against an origin, durably, and
// returns the path of its file. The same bytes are kept once. Of more than 32 documents the oldest
// go.
func (s *Store) PutEvidence(ctx context.Context, doc []byte) (name string, err error) {
	if len(doc) > maxEvidenceSize {
		return "", fmt.Errorf("keep evidence: %d bytes, at most %d are kept", len(doc), maxEvidenceSize)
	}
	l, err := s.lock(ctx)
	if err != nil {
		return "", fmt.Errorf("keep evidence: %w", err)
	}
	defer l.Close()
	list, err := s.listEvidence()
	if err != nil {
		return "", fmt.Errorf("keep evidence: %w", err)
	}
	hash := merkle.Sum(doc)
	sum := hex.EncodeToString(hash[:4])
	for _, e := range list {
		if e.sum != sum {
			continue
		}
		if b, err := diskfs.ReadFile(s.w.fs, e.name, maxEvidenceSize); err == nil &&
			string(b) == string(doc) {
			return e.name, nil
		}
	}
	dir := filepath.Join(s.dir, "evidence")
	if err := diskfs.MkdirAll(s.w.fs, dir, 0o755); err != nil {
		return "", fmt.Errorf("keep evidence: %w", err)
	}
	at := s.w.now().Unix()
	if n := len(list); n > 0 {
		at = max(at, list[n-1].time+1)
	}
	name = filepath.Join(dir, fmt.Sprintf("%d-%s.json", at, sum))
	if err := diskfs.WriteFile(s.w.fs, name, doc, 0o644); err != nil {
		return "", fmt.Errorf("keep evidence: %w", err)
	}
	for i := range max(0, len(list)+1-maxEvidence) {
		if err := s.w.fs.Remove(list[i].name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("keep evidence: %w", err)
		}
	}
	return name, nil
}

// Evidence returns the documents that PutEvidence has kept, oldest first.
func (s *Store) Evidence(context.Context) ([][]byte, error) {
	list, err := s.listEvidence()
	if err != nil {
		return nil, fmt.Errorf("read evidence: %w", err)
	}
	var docs [][]byte
	for _, e := range list {
		doc, err := diskfs.ReadFile(s.w.fs, e.name, maxEvidenceSize)
		if errors.Is(err, fs.ErrNotExist) { // one that has just gone
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read evidence: %w", err)
		}
		docs = append(docs, doc)
	}
	return docs, nil
}
