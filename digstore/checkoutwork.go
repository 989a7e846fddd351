package digstore

import (
	"encoding/hex"
	"io"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/internal/diskfs"
)

// checkoutWork is the temporary folder of one checkout: .dig-checkout- and 32 random hex digits. It
// has two entries: out, where the files are written, and lock, which is locked while the checkout
// is running. A folder of such a name that has no other entries and whose lock is free was left by
// a checkout that was killed. The next checkout beside it removes it. No resource can have such a
// name: see checkKeyName.
type checkoutWork struct {
	fs       diskfs.FS
	dir, out string
	lock     io.Closer // nil when there is none
}

// makeWork creates the temporary folder below dir.
func makeWork(fsys diskfs.FS, dir string, random io.Reader) (*checkoutWork, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, err
	}
	w := &checkoutWork{fs: fsys, dir: filepath.Join(dir, checkoutPrefix+hex.EncodeToString(b[:]))}
	w.out = filepath.Join(w.dir, "out")
	if err := fsys.Mkdir(w.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if w.lock, err = fsys.TryLock(filepath.Join(w.dir, "lock")); err != nil {
		_ = fsys.Remove(w.dir)
		return nil, err
	}
	if err := fsys.Mkdir(w.out, 0o777); err != nil {
		w.remove()
		return nil, err
	}
	return w, nil
}

// remove removes the folder with what is left in it. If that fails, the file lock stays, by which
// the next checkout recognizes the folder.
func (w *checkoutWork) remove() {
	err := diskfs.RemoveAll(w.fs, w.out)
	if w.lock != nil {
		_ = w.lock.Close() // Windows cannot remove an open file
	}
	if err != nil {
		return
	}
	_ = w.fs.Remove(filepath.Join(w.dir, "lock"))
	_ = w.fs.Remove(w.dir)
}

// sweepWork removes the folders below dir that were left by checkouts. It ignores errors: what it
// cannot remove stays.
func sweepWork(fsys diskfs.FS, dir string) {
	list, err := fsys.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range list {
		digits, ok := strings.CutPrefix(e.Name(), checkoutPrefix)
		if !ok || !e.IsDir() || len(digits) != 32 || strings.Trim(digits, "0123456789abcdef") != "" {
			continue
		}
		w := &checkoutWork{fs: fsys, dir: filepath.Join(dir, e.Name())}
		w.out = filepath.Join(w.dir, "out")
		if w.abandoned() {
			w.remove()
		}
	}
}

// abandoned reports whether the folder was left by a checkout. If so it locks the folder.
func (w *checkoutWork) abandoned() bool {
	list, err := w.fs.ReadDir(w.dir)
	if err != nil {
		return false
	}
	locked := false
	for _, e := range list {
		switch {
		case e.Name() == "lock" && e.Type().IsRegular():
			locked = true
		case e.Name() == "out" && e.IsDir():
		default:
			return false
		}
	}
	if !locked { // a running checkout holds its lock as long as out exists
		return true
	}
	w.lock, err = w.fs.TryLock(filepath.Join(w.dir, "lock"))
	return err == nil
}
