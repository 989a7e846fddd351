package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

// ownerFile has the identity of the first push of a store: 96 hex digits. It lies in the directory
// of the store.
const ownerFile = "pushed_by"

// SetOwner records the identity that pushed a store first, durably.
func (w *Workspace) SetOwner(ctx context.Context, id auth.StoreID, owner auth.PublicKey) error {
	s, err := w.store(id)
	if err != nil {
		return err
	}
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return fmt.Errorf("set owner: %w", err)
	}
	defer l.Close()
	if err := diskfs.WriteFile(w.fs, filepath.Join(s.dir.Path, ownerFile), []byte(owner.String()+"\n"),
		0o644); err != nil {
		return fmt.Errorf("set owner: %w", err)
	}
	return nil
}

// ownerIn reads the identity that pushed the store in a directory first; fs.ErrNotExist if the
// store was not pushed.
func (w *Workspace) ownerIn(dir string) (owner auth.PublicKey, err error) {
	name := filepath.Join(dir, ownerFile)
	text, err := smallfile.Read(w.fs, name)
	if err != nil {
		return owner, err
	}
	if len(text) == 0 || owner.UnmarshalText(text[:len(text)-1]) != nil {
		return owner, corrupt(name, "not a public key")
	}
	return owner, nil
}

// bytesIn returns the bytes of all files below a directory of a store. Files that vanish meanwhile
// do not count.
func (w *Workspace) bytesIn(dir string) (sum int64, err error) {
	list, err := w.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", dir, err)
	}
	for _, e := range list {
		name := filepath.Join(dir, e.Name())
		if e.IsDir() {
			below, err := w.bytesIn(name)
			if err != nil {
				return 0, err
			}
			sum += below
			continue
		}
		info, err := w.fs.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("measure %s: %w", dir, err)
		}
		sum += info.Size()
	}
	return sum, nil
}

// Owned yields the stores that were pushed, with their owner and their size on the disk.
func (w *Workspace) Owned(context.Context) iter.Seq2[module.Owned, error] {
	return func(yield func(module.Owned, error) bool) {
		ids, err := w.ids()
		if err != nil {
			yield(module.Owned{}, err)
			return
		}
		for _, id := range ids {
			dir := filepath.Join(w.dot, "stores", id.String()) // where a push puts a store
			owner, err := w.ownerIn(dir)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			one := module.Owned{Store: id, Owner: owner}
			if err == nil {
				one.Bytes, err = w.bytesIn(dir)
			}
			if !yield(one, err) || err != nil {
				return
			}
		}
	}
}
