package diskfs

import (
	"io"
	"io/fs"
)

// Before wraps fsys. It calls fn before every call on the FS and on its files, with the operation
// ("open", "rename", "remove", "mkdir", "readdir", "stat", "lstat", "syncdir", "lock"; "read",
// "write", "seek", "stat", "sync", "truncate" and "close" for files) and the name. If fn returns
// an error the call returns it and does nothing, except that a write writes half of its bytes
// and a close closes. fn is not called for the release of a lock.
//
// fn may use fsys, so that a test can simulate another process at any point of an operation. It
// is called concurrently if the methods of the FS are.
func Before(fsys FS, fn func(op, name string) error) FS { return &before{fsys, fn} }

type before struct {
	fsys FS
	fn   func(op, name string) error
}

func (b *before) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if err := b.fn("open", name); err != nil {
		return nil, err
	}
	f, err := b.fsys.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &beforeFile{f, b.fn, name}, nil
}

func (b *before) Rename(oldname, newname string) error {
	if err := b.fn("rename", oldname); err != nil {
		return err
	}
	return b.fsys.Rename(oldname, newname)
}

func (b *before) Remove(name string) error {
	if err := b.fn("remove", name); err != nil {
		return err
	}
	return b.fsys.Remove(name)
}

func (b *before) Mkdir(name string, perm fs.FileMode) error {
	if err := b.fn("mkdir", name); err != nil {
		return err
	}
	return b.fsys.Mkdir(name, perm)
}

func (b *before) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := b.fn("readdir", name); err != nil {
		return nil, err
	}
	return b.fsys.ReadDir(name)
}

func (b *before) Stat(name string) (fs.FileInfo, error) {
	if err := b.fn("stat", name); err != nil {
		return nil, err
	}
	return b.fsys.Stat(name)
}

func (b *before) Lstat(name string) (fs.FileInfo, error) {
	if err := b.fn("lstat", name); err != nil {
		return nil, err
	}
	return b.fsys.Lstat(name)
}

func (b *before) SyncDir(name string) error {
	if err := b.fn("syncdir", name); err != nil {
		return err
	}
	return b.fsys.SyncDir(name)
}

func (b *before) TryLock(name string) (io.Closer, error) {
	if err := b.fn("lock", name); err != nil {
		return nil, err
	}
	return b.fsys.TryLock(name)
}

type beforeFile struct {
	f    File
	fn   func(op, name string) error
	name string
}

func (f *beforeFile) Read(p []byte) (int, error) {
	if err := f.fn("read", f.name); err != nil {
		return 0, err
	}
	return f.f.Read(p)
}

func (f *beforeFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fn("read", f.name); err != nil {
		return 0, err
	}
	return f.f.ReadAt(p, off)
}

func (f *beforeFile) Write(p []byte) (int, error) {
	if err := f.fn("write", f.name); err != nil {
		n, _ := f.f.Write(p[:len(p)/2])
		return n, err
	}
	return f.f.Write(p)
}

func (f *beforeFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fn("write", f.name); err != nil {
		n, _ := f.f.WriteAt(p[:len(p)/2], off)
		return n, err
	}
	return f.f.WriteAt(p, off)
}

func (f *beforeFile) Seek(off int64, whence int) (int64, error) {
	if err := f.fn("seek", f.name); err != nil {
		return 0, err
	}
	return f.f.Seek(off, whence)
}

func (f *beforeFile) Stat() (fs.FileInfo, error) {
	if err := f.fn("stat", f.name); err != nil {
		return nil, err
	}
	return f.f.Stat()
}

func (f *beforeFile) Sync() error {
	if err := f.fn("sync", f.name); err != nil {
		return err
	}
	return f.f.Sync()
}

func (f *beforeFile) Truncate(size int64) error {
	if err := f.fn("truncate", f.name); err != nil {
		return err
	}
	return f.f.Truncate(size)
}

func (f *beforeFile) Close() error {
	err := f.fn("close", f.name)
	if cerr := f.f.Close(); err == nil {
		err = cerr
	}
	return err
}
