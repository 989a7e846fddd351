package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/strictjson"
)

// follow has the datastores that the operator has tracked, and those that are pinned and never
// evicted.
type follow struct {
	fs   diskfs.FS
	path string // of the file; empty: none

	mu      sync.Mutex
	tracked map[auth.StoreID]string // with the origin, which may be empty
	pinned  map[auth.StoreID]bool
}

// followFile is the form of the file.
type followFile struct {
	Tracked map[string]string `json:"tracked"`
	Pinned  []string          `json:"pinned"`
}

// maxFollow is the limit of the file in bytes.
const maxFollow = 64 << 20

func loadFollow(fsys diskfs.FS, dir string) (*follow, error) {
	f := &follow{fs: fsys, tracked: map[auth.StoreID]string{}, pinned: map[auth.StoreID]bool{}}
	if dir == "" {
		return f, nil
	}
	f.path = filepath.Join(dir, "follow.json")
	text, err := diskfs.ReadRegular(fsys, f.path, maxFollow)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	var file followFile
	if err := strictjson.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	for s, origin := range file.Tracked {
		id, err := auth.ParseStoreID(s)
		if err != nil {
			return nil, fmt.Errorf("%s: tracked: %w", f.path, err)
		}
		f.tracked[id] = origin
	}
	for _, s := range file.Pinned {
		id, err := auth.ParseStoreID(s)
		if err != nil {
			return nil, fmt.Errorf("%s: pinned: %w", f.path, err)
		}
		f.pinned[id] = true
	}
	return f, nil
}

// change makes a change and writes the file. If writing fails, nothing changes.
func (f *follow) change(
	do func(tracked map[auth.StoreID]string, pinned map[auth.StoreID]bool),
) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	tracked, pinned := maps.Clone(f.tracked), maps.Clone(f.pinned)
	do(tracked, pinned)
	if f.path != "" {
		file := followFile{Tracked: map[string]string{}, Pinned: []string{}}
		for id, origin := range tracked {
			file.Tracked[id.String()] = origin
		}
		for _, id := range slices.SortedFunc(maps.Keys(pinned), auth.StoreID.Compare) {
			file.Pinned = append(file.Pinned, id.String())
		}
		text, err := json.MarshalIndent(file, "", "  ")
		if err != nil {
			return err
		}
		if err := diskfs.WriteFile(f.fs, f.path, append(text, '\n'), 0o600); err != nil {
			return err
		}
	}
	f.tracked, f.pinned = tracked, pinned
	return nil
}

func (f *follow) isTracked(s auth.StoreID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.tracked[s]
	return ok
}

func (f *follow) isPinned(s auth.StoreID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pinned[s]
}
