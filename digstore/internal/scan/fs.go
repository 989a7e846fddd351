package scan

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// FS lists the directory dir of fsys, or all of fsys if dir is ".". The ignore files of the
// directories above dir apply too. Names are paths from the root of fsys. Only the Size of a Stat
// is set. FS ignores Options.Workers and uses one goroutine, so fsys need not be safe for
// concurrent use.
func FS(ctx context.Context, fsys fs.FS, dir string, o *Options) (*Tree, error) {
	single := Options{}
	if o != nil {
		single = *o
	}
	single.Workers = 1
	w, ctx := newWalker(ctx, files{fsys}, &single)
	rules := global(o)
	at := ""
	if dir != "." {
		for part := range strings.SplitSeq(dir, "/") {
			list, err := fs.ReadDir(fsys, path.Join(".", at))
			if err != nil {
				return nil, err
			}
			if rules, err = w.rulesHere(at, entries(list), rules); err != nil {
				return nil, err
			}
			at += part + "/"
		}
	}
	return w.walk(ctx, at, rules)
}

// files makes an fs.FS a source.
type files struct{ fsys fs.FS }

func (f files) open(name string) (directory, error) {
	list, err := fs.ReadDir(f.fsys, path.Join(".", name))
	if err != nil {
		return nil, err
	}
	return &fsDir{list}, nil
}

func (f files) ignoreFile(name string) ([]byte, error) {
	file, err := f.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxIgnore+1))
	if err == nil && len(text) > maxIgnore {
		err = fmt.Errorf("read %s: more than %d bytes", name, maxIgnore)
	}
	return text, err
}

// fsDir is a listed directory of a file system.
type fsDir struct{ entries []fs.DirEntry }

func (d *fsDir) list() []entry { return entries(d.entries) }

func entries(list []fs.DirEntry) []entry {
	out := make([]entry, len(list))
	for i, e := range list {
		out[i] = entry{e.Name(), e.Type().IsRegular(), e.IsDir()}
	}
	return out
}

func (d *fsDir) stat(i int) (st Stat, regular bool, err error) {
	info, err := d.entries[i].Info()
	if err != nil {
		return Stat{}, false, err
	}
	return Stat{Size: info.Size()}, info.Mode().IsRegular(), nil
}

func (d *fsDir) close() {}
