// Package state keeps the state of a node's tiers that is not in the storage and the plots, in one
// file with a checksum.
package state

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/storage"
)

// ErrDamaged: the file is damaged.
var ErrDamaged = errors.New("damaged state file")

// maxState is the limit of a state file in bytes.
const maxState = 256 << 20

const version = 1

// Removal is a generation that is no longer served. A zero root means the whole datastore.
type Removal struct {
	Store   auth.StoreID `json:"store"`
	Root    merkle.Hash  `json:"root"`
	At      time.Time    `json:"at"`
	Revoked bool         `json:"revoked,omitempty"` // never accepted again
}

// Key returns the generation.
func (r Removal) Key() index.Key { return index.Key{Store: r.Store, Root: r.Root} }

// Damage is a capsule that was found damaged.
type Damage struct {
	Hash  merkle.Hash `json:"hash"`
	Place string      `json:"place"` // the storage, or the path of a volume
	Found time.Time   `json:"found"`
	Text  string      `json:"error"`
}

// Key returns the name of d.
func (d Damage) Key() DamageKey { return DamageKey{d.Hash, d.Place} }

// DamageKey names a Damage.
type DamageKey struct {
	Hash  merkle.Hash
	Place string
}

// Scrub is the position of a scrub.
type Scrub struct {
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

// PlotStamp identifies a plot file that has passed full verification.
type PlotStamp struct {
	Path     string      `json:"path"`
	ID       merkle.Hash `json:"id"`
	Size     int64       `json:"size"`
	Modified time.Time   `json:"modified"`
}

// PlotJob is a plot that is being made or moved, so that a restart continues it.
type PlotJob struct {
	Volume string      `json:"volume"` // where it will be
	Keys   []index.Key `json:"keys"`   // what it is made of
	From   string      `json:"from"`   // the path of the plot that is moved; empty: it is made
}

// stateFile is the form of the state in its file.
type stateFile struct {
	Volumes    map[string]string          `json:"volumes"` // path → id in the marker
	Removed    []Removal                  `json:"removed"`
	Quarantine []Damage                   `json:"quarantine"`
	Accessed   map[auth.StoreID]time.Time `json:"accessed"`
	Refused    map[auth.StoreID]time.Time `json:"refused"`
	Verified   []PlotStamp                `json:"verified"`
	Plotting   *PlotJob                   `json:"plotting,omitempty"`
	Scrub      Scrub                      `json:"scrub"`
}

// envelope has the state with its checksum.
type envelope struct {
	Version int             `json:"version"`
	Sum     merkle.Hash     `json:"sha256"`
	State   json.RawMessage `json:"state"`
}

// Data is the state.
type Data struct {
	Volumes    map[string]string // path → id in the marker
	Removed    map[index.Key]Removal
	Quarantine map[DamageKey]Damage
	Accessed   map[auth.StoreID]time.Time // when a datastore was read last
	Refused    map[auth.StoreID]time.Time // when the policy refused it first
	Verified   map[string]PlotStamp       // by path
	Plotting   *PlotJob                   // nil: none
	Scrub      Scrub
}

// State is Data with its file. It is safe for concurrent use.
type State struct {
	file string
	fs   diskfs.FS
	save sync.Mutex // held while the file is written

	mu    sync.Mutex
	data  Data
	dirty bool
}

// Load reads the state file. A missing file is an empty state. Without a file name the state is
// empty and never written. If the file is damaged, the error is ErrDamaged.
func Load(fsys diskfs.FS, file string) (*State, error) {
	s := &State{file: file, fs: fsys, data: Data{Volumes: map[string]string{},
		Removed: map[index.Key]Removal{}, Quarantine: map[DamageKey]Damage{},
		Accessed: map[auth.StoreID]time.Time{}, Refused: map[auth.StoreID]time.Time{},
		Verified: map[string]PlotStamp{}}}
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
	f, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w: %w", file, ErrDamaged, err)
	}
	maps.Copy(s.data.Volumes, f.Volumes)
	maps.Copy(s.data.Accessed, f.Accessed)
	maps.Copy(s.data.Refused, f.Refused)
	for _, r := range f.Removed {
		s.data.Removed[r.Key()] = r
	}
	for _, d := range f.Quarantine {
		s.data.Quarantine[d.Key()] = d
	}
	for _, p := range f.Verified {
		s.data.Verified[p.Path] = p
	}
	s.data.Plotting, s.data.Scrub = f.Plotting, f.Scrub
	return s, nil
}

func decode(text []byte) (*stateFile, error) {
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, err
	}
	if e.Version != version {
		return nil, fmt.Errorf("version %d, expected %d", e.Version, version)
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
func (s *State) encode() ([]byte, error) {
	d := &s.data
	f := stateFile{Volumes: d.Volumes, Accessed: d.Accessed, Refused: d.Refused,
		Plotting: d.Plotting, Scrub: d.Scrub}
	for _, r := range d.Removed {
		f.Removed = append(f.Removed, r)
	}
	for _, q := range d.Quarantine {
		f.Quarantine = append(f.Quarantine, q)
	}
	for _, p := range d.Verified {
		f.Verified = append(f.Verified, p)
	}
	body, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{Version: version, Sum: sha256.Sum256(body), State: body})
}

// Read calls f with the data, which f must not change or keep.
func (s *State) Read(f func(*Data)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.data)
}

// Change changes the data and makes the change durable.
func (s *State) Change(f func(*Data)) error {
	s.Note(f)
	return s.Flush()
}

// Note changes the data. The next Change or Flush saves it.
func (s *State) Note(f func(*Data)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.data)
	s.dirty = true
}

// Flush writes what has changed. A full disk is storage.ErrNoSpace.
func (s *State) Flush() error {
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
	if err == nil {
		return nil
	}
	s.Note(func(*Data) {})
	err = fmt.Errorf("write state %s: %w", s.file, err)
	if diskfs.NoSpace(err) {
		err = fmt.Errorf("%w: %w", storage.ErrNoSpace, err)
	}
	return err
}

// IsRemoved reports whether a generation is not to be served.
func (s *State) IsRemoved(k index.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, gone := s.data.Removed[k]
	if !gone {
		_, gone = s.data.Removed[index.Key{Store: k.Store}]
	}
	return gone
}

// IsRevoked reports whether a generation is revoked.
func (s *State) IsRevoked(k index.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data.Removed[k].Revoked || s.data.Removed[index.Key{Store: k.Store}].Revoked
}

// RevokedFor returns for how long a generation has been revoked.
func (s *State) RevokedFor(k index.Key, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.data.Removed[k]
	if !r.Revoked {
		r = s.data.Removed[index.Key{Store: k.Store}]
	}
	if !r.Revoked {
		return 0
	}
	return now.Sub(r.At)
}

// IsDamaged reports whether the copy of a content at a place is quarantined.
func (s *State) IsDamaged(hash merkle.Hash, place string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.data.Quarantine[DamageKey{hash, place}]
	return ok
}

// IsVerified reports whether the plot at a path has passed full verification.
func (s *State) IsVerified(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.data.Verified[path]
	return ok
}
