package diskfs

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxLinks is the limit of links in the resolution of one name.
const maxLinks = 40

// Symlink makes name a symbolic link to target, which need not exist.
func (c *Crash) Symlink(target, name string) error {
	return c.make("symlink", name, &node{mode: fs.ModeSymlink | 0o777, target: target})
}

// Special makes name a special file: mode is fs.ModeNamedPipe, fs.ModeSocket, fs.ModeDevice or
// fs.ModeDevice|fs.ModeCharDevice, with permissions. Opening a pipe without syscall.O_NONBLOCK
// is ErrWouldWait; with it the pipe is empty. A socket cannot be opened. A device reads as
// zeros without end.
func (c *Crash) Special(name string, mode fs.FileMode) error {
	return c.make("mknod", name, &node{mode: mode})
}

// split returns the elements of a path.
func split(name string) []string {
	name = filepath.ToSlash(filepath.Clean(name)[len(filepath.VolumeName(name)):])
	return strings.FieldsFunc(name, func(r rune) bool {
		return r == '/' || r == '\\' && filepath.Separator == '\\'
	})
}

// lookup returns the entry of dir for name, and its spelling there.
func (c *Crash) lookup(dir *node, name string) (string, *node) {
	n := dir.names[name]
	if n != nil || !c.o.FoldCase {
		return name, n
	}
	for base, n := range dir.names {
		if strings.EqualFold(base, name) {
			return base, n
		}
	}
	return name, nil
}

// resolve returns the directory that holds name, its last element as it is spelled there, and
// the node there, nil when there is none. Links on the way are followed; one at the end only
// when follow is set. The caller holds mu.
func (c *Crash) resolve(op, name string, follow bool) (*node, string, *node, error) {
	fail := func(err error) (*node, string, *node, error) {
		return nil, "", nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	rest, above := split(name), []*node{c.root} // the last of above is where rest begins
	for links := 0; ; {
		for len(rest) > 0 && (rest[0] == "." || rest[0] == "..") {
			if rest[0] == ".." && len(above) > 1 {
				above = above[:len(above)-1]
			}
			rest = rest[1:]
		}
		at := above[len(above)-1]
		if len(rest) == 0 {
			return at, "", at, nil
		}
		if !at.dir {
			return fail(syscall.ENOTDIR)
		}
		base, n := c.lookup(at, rest[0])
		rest = rest[1:]
		last := len(rest) == 0
		switch {
		case n != nil && n.mode&fs.ModeSymlink != 0 && (follow || !last):
			if links++; links > maxLinks {
				return fail(syscall.ELOOP)
			}
			target := filepath.ToSlash(n.target[len(filepath.VolumeName(n.target)):])
			if strings.HasPrefix(target, "/") {
				above = above[:1]
			}
			to := strings.Split(target, "/")
			to = slices.DeleteFunc(to, func(s string) bool { return s == "" })
			rest = append(to, rest...)
		case last:
			return at, base, n, nil
		case n == nil:
			return fail(fs.ErrNotExist)
		default:
			above = append(above, n)
		}
	}
}
