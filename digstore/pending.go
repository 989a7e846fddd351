package digstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/internal/recipefile"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A pending generation waits to be made the head. See LAYOUT.md 10.3. It lies in pending/:
// <root>.recipe, which stands alone, <root>.pack, which no index covers, so that nothing else comes
// to rest on it, and <root>.json, with which it is there.
type pendingFile struct {
	Parent    merkle.Hash    `json:"parent"`
	Time      int64          `json:"time"`
	PublicKey auth.PublicKey `json:"public_key"`
	Tagged    auth.Signature `json:"tagged"`
	Untagged  auth.Signature `json:"untagged"`
}

func (s *Store) pendingName(root merkle.Hash, ext string) string {
	return filepath.Join(s.dir, "pending", root.String()+ext)
}

// keepPending keeps what was received as pending. The caller holds the lock.
func (s *Store) keepPending(in *incoming.Transfer, recipe *module.Recipe, head auth.SignedRoot,
	parent merkle.Hash) error {
	root := recipe.Root()
	if _, err := s.w.fs.Stat(s.pendingName(root, ".json")); err == nil {
		return s.writePending(root, head, parent)
	}
	if err := diskfs.MkdirAll(s.w.fs, filepath.Join(s.dir, "pending"), 0o755); err != nil {
		return err
	}
	pack, err := in.Packed()
	if err != nil {
		return err
	}
	if pack != "" {
		if err := s.w.fs.Rename(pack, s.pendingName(root, packdir.Ext)); err != nil {
			return err
		}
	}
	body, err := recipefile.NewBody(recipe, nil)
	if err != nil {
		return err
	}
	b, err := recipefile.Encode(body.Bytes, nil)
	if err != nil {
		return err
	}
	if err := diskfs.WriteFile(s.w.fs, s.pendingName(root, recipefile.Ext), b, 0o644); err != nil {
		return err
	}
	return s.writePending(root, head, parent)
}

func (s *Store) writePending(root merkle.Hash, head auth.SignedRoot, parent merkle.Hash) error {
	text, err := json.Marshal(pendingFile{parent, s.w.now().Unix(), head.PublicKey,
		head.Tagged, head.Untagged})
	if err != nil {
		return err
	}
	return diskfs.WriteFile(s.w.fs, s.pendingName(root, ".json"), text, 0o644)
}

func (s *Store) readPending(root merkle.Hash) (p pendingFile, err error) {
	name := s.pendingName(root, ".json")
	text, err := diskfs.ReadFile(s.w.fs, name, maxConfig)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, corrupt(name, "%v", err)
	}
	return p, nil
}

// pendingRoots lists what is pending.
func (s *Store) pendingRoots() ([]merkle.Hash, error) {
	list, err := s.w.fs.ReadDir(filepath.Join(s.dir, "pending"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list pending generations: %w", err)
	}
	var roots []merkle.Hash
	for _, e := range list {
		if text, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			if root, err := merkle.ParseHash(text); err == nil {
				roots = append(roots, root)
			}
		}
	}
	return roots, nil
}

// Pending lists the pending generations of a store, oldest first: the root, when it was received,
// and the number that it would get.
func (w *Workspace) Pending(_ context.Context, id auth.StoreID) ([]module.Generation, error) {
	s, err := w.store(id)
	if err != nil {
		return nil, err
	}
	h, err := s.log.Current()
	if err != nil {
		return nil, err
	}
	roots, err := s.pendingRoots()
	if err != nil {
		return nil, err
	}
	var out []module.Generation
	for _, root := range roots {
		if _, ok, err := h.Find(root); err != nil {
			return nil, err
		} else if ok { // promoted, or pushed since
			continue
		}
		p, err := s.readPending(root)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out,
			module.Generation{Number: h.Len(), Root: root, Time: time.Unix(p.Time, 0).UTC()})
	}
	slices.SortStableFunc(out, func(a, b module.Generation) int { return a.Time.Compare(b.Time) })
	return out, nil
}

// Promote makes a pending generation the head, if the parent that its push named is the head still,
// else module.ErrNotHead. A root that is not pending is fs.ErrNotExist.
func (w *Workspace) Promote(ctx context.Context, id auth.StoreID, root merkle.Hash) error {
	s, err := w.store(id)
	if err != nil {
		return err
	}
	l, h, err := s.lockClean(ctx)
	if err != nil {
		return fmt.Errorf("promote %s: %w", root, err)
	}
	defer l.Close()
	p, err := s.readPending(root)
	if err != nil {
		return fmt.Errorf("promote %s: %w", root, err)
	}
	head := auth.SignedRoot{Store: s.set.id, Root: root, PublicKey: p.PublicKey, Tagged: p.Tagged,
		Untagged: p.Untagged}
	if err := s.promote(ctx, h, head, p.Parent); err != nil {
		return fmt.Errorf("promote %s: %w", root, err)
	}
	return nil
}

// promote makes a pending generation the head behind parent, with those signatures. The caller
// holds the lock.
func (s *Store) promote(ctx context.Context, h *history.History, head auth.SignedRoot,
	parent merkle.Hash) error {
	root := head.Root
	if err := follows(h, root, parent); err != nil {
		return err
	}
	recipe, err := s.pendingRecipe(root)
	if err != nil {
		return err
	}
	a := &arrival{recipe: recipe, lines: []module.Generation{s.nextLine(h, root)}, head: head}
	brought := map[merkle.Hash]bool{}
	index, err := packdir.ReadIndex(s.w.fs, s.pendingName(root, packdir.Ext))
	switch {
	case err == nil && index.Len() > 0:
		a.packed = s.pendingName(root, packdir.Ext)
		for e := range index.Entries() {
			a.chunks = append(a.chunks, e)
			brought[e.ID] = true
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist): // it may have brought no chunk
		return err
	}
	if err := s.checkPool(recipe, func(id merkle.Hash) bool { return brought[id] }); err != nil {
		return err
	}
	if err := s.publish(ctx, h, a); err != nil {
		return err
	}
	return s.dropPending(root)
}

func (s *Store) pendingRecipe(root merkle.Hash) (*module.Recipe, error) {
	name := s.pendingName(root, recipefile.Ext)
	b, err := diskfs.ReadFile(s.w.fs, name, recipefile.MaxBody)
	if err != nil {
		return nil, err
	}
	kept, err := s.decodeHeld(name, b, 0)
	var body *recipefile.Body
	if err == nil {
		body, err = recipefile.ParseBody(kept.bytes)
	}
	if err != nil {
		return nil, corrupt(name, "%v", err)
	}
	return body.Recipe, nil
}

// Drop forgets a pending generation. One that is not pending is no error.
func (w *Workspace) Drop(ctx context.Context, id auth.StoreID, root merkle.Hash) error {
	s, err := w.store(id)
	if err != nil {
		return err
	}
	l, _, err := s.lockClean(ctx)
	if err != nil {
		return fmt.Errorf("drop %s: %w", root, err)
	}
	defer l.Close()
	return s.dropPending(root)
}

// dropPending removes a pending generation, its marker first. The caller holds the lock.
func (s *Store) dropPending(root merkle.Hash) error {
	for _, ext := range []string{".json", recipefile.Ext, packdir.Ext} {
		if err := s.w.fs.Remove(s.pendingName(root, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("drop %s: %w", root, err)
		}
		if ext == ".json" {
			if err := s.syncDirs("pending"); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("drop %s: %w", root, err)
			}
		}
	}
	return nil
}

// sweepPending removes rests of pending generations, and takes back the pack of one whose promotion
// broke off, so that nothing comes to rest on it. The caller holds the lock.
func (s *Store) sweepPending(h *history.History, last intent) error {
	dir := filepath.Join(s.dir, "pending")
	list, err := s.w.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	there := map[string]bool{}
	for _, e := range list {
		there[e.Name()] = true
	}
	for name := range there {
		text, ext, _ := strings.Cut(name, ".")
		root, err := merkle.ParseHash(text)
		if err != nil {
			continue
		}
		_, done, err := h.Find(root)
		if err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
		switch {
		case done || !there[text+".json"]:
			err = s.w.fs.Remove(filepath.Join(dir, name))
		case ext == "json":
			if last.known && last.root == root {
				err = s.takeBack(last)
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sweep: %w", err)
		}
	}
	return nil
}

// takeBack moves the pack of a promotion that broke off back to the pending generation.
func (s *Store) takeBack(last intent) error {
	for _, name := range s.packNames(last) {
		err := s.w.fs.Rename(name, s.pendingName(last.root, packdir.Ext))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		s.packs.Reload()
		if err == nil {
			err = s.syncDirs("pending")
		}
		return err
	}
	return nil
}
