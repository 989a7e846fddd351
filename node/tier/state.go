package tier

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
)

// maxState is the length in bytes of the longest state file.
const maxState = 256 << 20

const stateVersion = 1

// A removal is a generation that is not served any more. A zero root is the whole datastore.
type removal struct {
	Store   auth.StoreID `json:"store"`
	Root    merkle.Hash  `json:"root"`
	At      time.Time    `json:"at"`
	Revoked bool         `json:"revoked,omitempty"` // it is never taken again
}

func (r removal) key() index.Key { return index.Key{Store: r.Store, Root: r.Root} }

// damage is a capsule that was found damaged.
type damage struct {
	Hash  merkle.Hash `json:"hash"`
	Place string      `json:"place"` // storagePlace, or the path of a volume
	Found time.Time   `json:"found"`
	Text  string      `json:"error"`
}

type damageKey struct {
	hash  merkle.Hash
	place string
}

// scrubState is where a scrub is.
type scrubState struct {
	Started  time.Time    `json:"started"`
	Finished time.Time    `json:"finished"` // of the last whole scrub
	Running  bool         `json:"running"`
	Plots    bool         `json:"plots"` // the storage is done
	Store    auth.StoreID `json:"store"` // whose contents are read
	Hash     merkle.Hash  `json:"hash"`  // the last content that was read
	Path     string       `json:"path"`  // the last plot that was read
	Bytes    int64        `json:"bytes"`
	Damaged  int          `json:"damaged"`
	Repaired int          `json:"repaired"`
}

// plotStamp says which file has passed full verification.
type plotStamp struct {
	Path     string      `json:"path"`
	ID       merkle.Hash `json:"id"`
	Size     int64       `json:"size"`
	Modified time.Time   `json:"modified"`
}

// plotJob is a plot that is being made or moved, so that a restart goes on with it.
type plotJob struct {
	Volume string      `json:"volume"` // where it will be
	Keys   []index.Key `json:"keys"`   // what it is made of
	From   string      `json:"from"`   // the path of the plot that is moved; empty: it is made
}

// stateFile is the form of the state in its file.
type stateFile struct {
	Volumes    map[string]string          `json:"volumes"` // path → id in the marker
	Removed    []removal                  `json:"removed"`
	Quarantine []damage                   `json:"quarantine"`
	Accessed   map[auth.StoreID]time.Time `json:"accessed"`
	Refused    map[auth.StoreID]time.Time `json:"refused"`
	Verified   []plotStamp                `json:"verified"`
	Plotting   *plotJob                   `json:"plotting,omitempty"`
	Scrub      scrubState                 `json:"scrub"`
}

// envelope has the state with its checksum.
type envelope struct {
	Version int             `json:"version"`
	Sum     merkle.Hash     `json:"sha256"`
	State   json.RawMessage `json:"state"`
}

// state is what is known besides storage and plots.
type state struct {
	file string
	fs   diskfs.FS
	save sync.Mutex // held while the file is written

	mu         sync.Mutex
	volumes    map[string]string
	removed    map[index.Key]removal
	quarantine map[damageKey]damage
	accessed   map[auth.StoreID]time.Time
	refused    map[auth.StoreID]time.Time // when the policy refused it first
	verified   map[string]plotStamp
	plotting   *plotJob
	scrub      scrubState
	dirty      bool
}

// loadState reads the state file; one that is missing is an empty state.
func loadState(fsys diskfs.FS, file string) (*state, error) {
	s := &state{file: file, fs: fsys, volumes: map[string]string{},
		removed: map[index.Key]removal{}, quarantine: map[damageKey]damage{},
		accessed: map[auth.StoreID]time.Time{}, refused: map[auth.StoreID]time.Time{},
		verified: map[string]plotStamp{}}
	if file == "" {
		return s, nil
	}
	text, err := diskfs.ReadFile(fsys, file, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", file, err)
	}
	f, err := decodeState(text)
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w: %w", file, ErrState, err)
	}
	for path, id := range f.Volumes {
		s.volumes[path] = id
	}
	for _, r := range f.Removed {
		s.removed[r.key()] = r
	}
	for _, d := range f.Quarantine {
		s.quarantine[damageKey{d.Hash, d.Place}] = d
	}
	for id, at := range f.Accessed {
		s.accessed[id] = at
	}
	for id, at := range f.Refused {
		s.refused[id] = at
	}
	for _, p := range f.Verified {
		s.verified[p.Path] = p
	}
	s.plotting, s.scrub = f.Plotting, f.Scrub
	return s, nil
}

func decodeState(text []byte) (*stateFile, error) {
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, err
	}
	if e.Version != stateVersion {
		return nil, fmt.Errorf("version %d, expected %d", e.Version, stateVersion)
	}
	if sum := sha256.Sum256(e.State); sum != e.Sum {
		return nil, fmt.Errorf("checksum %x, expected %v", sum, e.Sum)
	}
	f := new(stateFile)
	if err := json.Unmarshal(e.State, f); err != nil {
		return nil, err
	}
	return f, nil
}

// encode returns the file. The caller holds mu.
func (s *state) encode() ([]byte, error) {
	f := stateFile{Volumes: s.volumes, Accessed: s.accessed, Refused: s.refused,
		Plotting: s.plotting, Scrub: s.scrub}
	for _, r := range s.removed {
		f.Removed = append(f.Removed, r)
	}
	for _, d := range s.quarantine {
		f.Quarantine = append(f.Quarantine, d)
	}
	for _, p := range s.verified {
		f.Verified = append(f.Verified, p)
	}
	body, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	e := envelope{Version: stateVersion, Sum: sha256.Sum256(body), State: body}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(e); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// change changes the state and makes the change durable.
func (s *state) change(f func(s *state)) error {
	s.note(f)
	return s.flush()
}

// note changes the state, to be saved with the next change or flush.
func (s *state) note(f func(s *state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
	s.dirty = true
}

// flush writes what has changed.
func (s *state) flush() error {
	if s.file == "" {
		return nil
	}
	s.save.Lock()
	defer s.save.Unlock()
	s.mu.Lock()
	if !s.dirty {
		s.mu.Unlock()
		return nil
	}
	text, err := s.encode()
	s.dirty = false
	s.mu.Unlock()
	if err == nil {
		err = diskfs.WriteFile(s.fs, s.file, text, 0o600)
	}
	if err != nil {
		s.note(func(*state) {})
		return noSpace(fmt.Errorf("write state %s: %w", filepath.Base(s.file), err))
	}
	return nil
}

// isRemoved reports whether a generation is not to be served.
func (s *state) isRemoved(k index.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, gone := s.removed[k]
	if !gone {
		_, gone = s.removed[index.Key{Store: k.Store}]
	}
	return gone
}

// isRevoked reports whether a generation is never taken again.
func (s *state) isRevoked(k index.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removed[k].Revoked || s.removed[index.Key{Store: k.Store}].Revoked
}

// isDamaged reports whether the copy of a content at a place is quarantined.
func (s *state) isDamaged(hash merkle.Hash, place string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.quarantine[damageKey{hash, place}]
	return ok
}

// revokedFor returns for how long a generation has been revoked.
func (s *state) revokedFor(k index.Key, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.removed[k]
	if !ok || !r.Revoked {
		r = s.removed[index.Key{Store: k.Store}]
	}
	if !r.Revoked {
		return 0
	}
	return now.Sub(r.At)
}

// isVerified reports whether the plot at a path has passed full verification.
func (s *state) isVerified(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.verified[path]
	return ok
}
