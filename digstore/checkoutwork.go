package digstore

import (
	"encoding/hex"
	"io"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/internal/diskfs"
)

// A checkout writes its files in a folder for the work, .dig-checkout- and 32 random hex digits,
// which holds two things: out, where the files are, and lock, which is locked as long as the
// checkout is at work. A folder of such a name that holds nothing else and whose lock is free was
// left by a checkout that was killed, and the next checkout beside it removes it. No resource can
// have such a name: see checkKeyName.

// checkoutWork is the folder for the work of one checkout.
type checkoutWork struct {
	fs       diskfs.FS
	dir, out string
	lock     io.Closer // nil when there is none
}

// makeWork makes a folder for the work below dir.
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

// remove removes the folder with what is left in it. Where that fails the lock's file stays, by
// which the next checkout knows the folder.
func (w *checkoutWork) remove() {
	err := diskfs.RemoveAll(w.fs, w.out)
	if w.lock != nil {
		_ = w.lock.Close() // before it is removed, for Windows
	}
	if err != nil {
		return
	}
	_ = w.fs.Remove(filepath.Join(w.dir, "lock"))
	_ = w.fs.Remove(w.dir)
}

// sweepWork removes the folders below dir that checkouts have left. It does what it can: what it
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

// abandoned reports whether the folder is one that a checkout has left, and locks it then.
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
	if !locked { // a checkout at work has its lock before out, and until out is gone
		return true
	}
	w.lock, err = w.fs.TryLock(filepath.Join(w.dir, "lock"))
	return err == nil
}
