package digstore

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/dig-network/digstore/digstore/module"
)

// Open implements fs.FS. A file is also an io.Seeker, io.ReaderAt and io.WriterTo. A name that is
// neither a resource nor a directory of one is fs.ErrNotExist. If names are missing, a directory
// can be opened but not listed.
func (g *Generation) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	isDir, err := g.isDir(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if isDir {
		return &openDir{g: g, info: g.dirInfo(name), name: name}, nil
	}
	p, err := g.Resource(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fs.ErrNotExist
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{Plain: p, info: g.fileInfo(name, p.Size())}, nil
}

// Stat implements fs.StatFS.
func (g *Generation) Stat(name string) (fs.FileInfo, error) {
	f, err := g.Open(name)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			pe.Op = "stat"
		}
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// ReadDir implements fs.ReadDirFS. If the names of some resources are not known, the error is an
// *fs.PathError with errors.ErrUnsupported, because the list would be incomplete.
func (g *Generation) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	t, err := g.names()
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	if missing := t.missing(); missing != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name,
			Err: errors.Join(errors.ErrUnsupported, missing)}
	}
	isDir, err := g.isDir(name)
	if err == nil && !isDir {
		if _, err = g.Resource(name); err == nil {
			err = errors.New("not a directory")
		} else if errors.Is(err, fs.ErrNotExist) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	prefix := name + "/"
	if name == "." {
		prefix = ""
	}
	dirs, files := map[string]bool{}, map[string]bool{}
	for i := sort.SearchStrings(t.names, prefix); i < len(t.names) &&
		strings.HasPrefix(t.names[i], prefix); i++ {
		if !fs.ValidPath(t.names[i]) || t.names[i] == "." {
			continue
		}
		base, _, deeper := strings.Cut(t.names[i][len(prefix):], "/")
		if !deeper {
			files[base] = true
			continue
		}
		dirs[base] = true
		// continue after everything in that directory
		if next := i + sort.SearchStrings(t.names[i:], prefix+base+"0"); next > i { // '0' follows '/'
			i = next - 1
		}
	}
	var list []fs.DirEntry
	for base := range dirs {
		list = append(list, fs.FileInfoToDirEntry(g.dirInfo(path.Join(name, base))))
	}
	for base := range files {
		if !dirs[base] {
			list = append(list, &lazyEntry{g: g, name: path.Join(name, base)})
		}
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// isDir reports whether a resource with a known name lies below name.
func (g *Generation) isDir(name string) (bool, error) {
	if name == "." {
		return true, nil
	}
	t, err := g.names()
	if err != nil {
		return false, err
	}
	prefix := name + "/"
	for i := sort.SearchStrings(t.names, prefix); i < len(t.names) &&
		strings.HasPrefix(t.names[i], prefix); i++ {
		if fs.ValidPath(t.names[i]) {
			return true, nil
		}
	}
	return false, nil
}

// info is the fs.FileInfo of a file or directory.
type info struct {
	name string
	size int64
	mode fs.FileMode
	time time.Time
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.size }
func (i *info) Mode() fs.FileMode  { return i.mode }
func (i *info) ModTime() time.Time { return i.time }
func (i *info) IsDir() bool        { return i.mode.IsDir() }
func (i *info) Sys() any           { return nil }

func (g *Generation) dirInfo(name string) fs.FileInfo {
	return &info{name: path.Base(name), mode: fs.ModeDir | 0o555, time: g.info.Time}
}

func (g *Generation) fileInfo(name string, size int64) fs.FileInfo {
	return &info{name: path.Base(name), size: size, mode: 0o444, time: g.info.Time}
}

// lazyEntry is a file in a list. Its size is looked up on demand.
type lazyEntry struct {
	g    *Generation
	name string
}

func (e *lazyEntry) Name() string      { return path.Base(e.name) }
func (e *lazyEntry) IsDir() bool       { return false }
func (e *lazyEntry) Type() fs.FileMode { return 0 }
func (e *lazyEntry) String() string    { return fs.FormatDirEntry(e) }
func (e *lazyEntry) Info() (fs.FileInfo, error) {
	p, err := e.g.Resource(e.name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: e.name, Err: err}
	}
	return e.g.fileInfo(e.name, p.Size()), nil
}

type openFile struct {
	*module.Plain
	info fs.FileInfo
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	g    *Generation
	info fs.FileInfo
	name string
	list []fs.DirEntry
	read bool
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		list, err := d.g.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.list, d.read = list, true
	}
	if n <= 0 {
		n = len(d.list)
	} else if len(d.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.list))
	out := d.list[:n:n]
	d.list = d.list[n:]
	return out, nil
}
