package diskfs

import (
	"io"
	"io/fs"
	"sync/atomic"
)

// FailOptions says how a Failing disk fails.
type FailOptions struct {
	// Always makes every call from the n-th on fail, as on a disk that is full or dead, not only the n-th.
	Always bool
}

// Failing is an FS whose n-th call fails. Make one with Fail.
type Failing struct {
	fsys   FS
	n      int64
	err    error
	always bool
	calls  atomic.Int64
}

// Fail wraps fsys so that its n-th call, counted from 1 over all operations of the FS and of its files, fails
// with err. A failing write first writes half of its bytes; a failing Close closes. n = 0 fails nothing and only counts.
func Fail(fsys FS, n int, err error, o *FailOptions) *Failing {
	f := &Failing{fsys: fsys, n: int64(n), err: err}
	if o != nil {
		f.always = o.Always
	}
	return f
}

// Calls returns the number of calls so far.
func (f *Failing) Calls() int { return int(f.calls.Load()) }

// Failed reports whether the n-th call has come.
func (f *Failing) Failed() bool { return f.n > 0 && f.calls.Load() >= f.n }

func (f *Failing) step(op, name string) error {
	c := f.calls.Add(1)
	if f.n > 0 && (c == f.n || f.always && c > f.n) {
		return &fs.PathError{Op: op, Path: name, Err: f.err}
	}
	return nil
}

// OpenFile implements FS.
func (f *Failing) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if err := f.step("open", name); err != nil {
		return nil, err
	}
	file, err := f.fsys.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &failingFile{f: file, on: f, name: name}, nil
}

// Rename implements FS.
func (f *Failing) Rename(oldname, newname string) error {
	if err := f.step("rename", oldname); err != nil {
		return err
	}
	return f.fsys.Rename(oldname, newname)
}

// Remove implements FS.
func (f *Failing) Remove(name string) error {
	if err := f.step("remove", name); err != nil {
		return err
	}
	return f.fsys.Remove(name)
}

// Mkdir implements FS.
func (f *Failing) Mkdir(name string, perm fs.FileMode) error {
	if err := f.step("mkdir", name); err != nil {
		return err
	}
	return f.fsys.Mkdir(name, perm)
}

// ReadDir implements FS.
func (f *Failing) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.step("readdir", name); err != nil {
		return nil, err
	}
	return f.fsys.ReadDir(name)
}

// Stat implements FS.
func (f *Failing) Stat(name string) (fs.FileInfo, error) {
	if err := f.step("stat", name); err != nil {
		return nil, err
	}
	return f.fsys.Stat(name)
}

// SyncDir implements FS.
func (f *Failing) SyncDir(name string) error {
	if err := f.step("syncdir", name); err != nil {
		return err
	}
	return f.fsys.SyncDir(name)
}

// TryLock implements FS. Letting go of the lock is not a call that fails.
func (f *Failing) TryLock(name string) (io.Closer, error) {
	if err := f.step("lock", name); err != nil {
		return nil, err
	}
	return f.fsys.TryLock(name)
}

type failingFile struct {
	f    File
	on   *Failing
	name string
}

func (f *failingFile) Read(p []byte) (int, error) {
	if err := f.on.step("read", f.name); err != nil {
		return 0, err
	}
	return f.f.Read(p)
}

func (f *failingFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.on.step("read", f.name); err != nil {
		return 0, err
	}
	return f.f.ReadAt(p, off)
}

func (f *failingFile) Write(p []byte) (int, error) {
	if err := f.on.step("write", f.name); err != nil {
		n, _ := f.f.Write(p[:len(p)/2])
		return n, err
	}
	return f.f.Write(p)
}

func (f *failingFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.on.step("write", f.name); err != nil {
		n, _ := f.f.WriteAt(p[:len(p)/2], off)
		return n, err
	}
	return f.f.WriteAt(p, off)
}

func (f *failingFile) Seek(off int64, whence int) (int64, error) {
	if err := f.on.step("seek", f.name); err != nil {
		return 0, err
	}
	return f.f.Seek(off, whence)
}

func (f *failingFile) Stat() (fs.FileInfo, error) {
	if err := f.on.step("stat", f.name); err != nil {
		return nil, err
	}
	return f.f.Stat()
}

func (f *failingFile) Sync() error {
	if err := f.on.step("sync", f.name); err != nil {
		return err
	}
	return f.f.Sync()
}

func (f *failingFile) Truncate(size int64) error {
	if err := f.on.step("truncate", f.name); err != nil {
		return err
	}
	return f.f.Truncate(size)
}

func (f *failingFile) Close() error {
	err := f.on.step("close", f.name)
	if cerr := f.f.Close(); err == nil {
		err = cerr
	}
	return err
}
