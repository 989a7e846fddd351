package ignore

import (
	"bytes"
	"path"
	"strings"
)

// A List has the patterns that apply in one directory. A nil List has none. It does not change and
// may be used by several goroutines.
type List struct {
	up       *List
	dir      string // of the patterns, relative to the root of the walk, "" or ending in "/"
	above    string // path from that directory to the root of the walk, if it is above it; ends in "/"
	patterns []Pattern
}

// A Pattern is one line of an ignore file.
type Pattern struct {
	glob   glob
	negate bool
	dirs   bool // only directories
	base   bool // no slash: matches the last element of a path
}

// Parse reads the lines of an ignore file. Later patterns take precedence.
func Parse(text []byte) []Pattern {
	var list []Pattern
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for line := range bytes.Lines(text) {
		p := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
		if strings.HasPrefix(p, "#") {
			continue
		}
		p, _, _ = strings.Cut(p, "\x00")
		p = trimSpaces(p)
		var out Pattern
		p, out.negate = strings.CutPrefix(p, "!")
		p, out.dirs = strings.CutSuffix(p, "/")
		if p == "" {
			continue
		}
		out.base = !strings.Contains(p, "/")
		var ok bool
		if out.glob, ok = parseGlob(strings.TrimPrefix(p, "/")); ok {
			list = append(list, out)
		}
	}
	return list
}

// trimSpaces removes trailing spaces, except one that a backslash escapes.
func trimSpaces(p string) string {
	end := 0 // after the last byte to keep
	for i := 0; i < len(p); i++ {
		if p[i] == '\\' {
			i++
			end = min(i+1, len(p))
		} else if p[i] != ' ' {
			end = i + 1
		}
	}
	return p[:end]
}

// With returns the list of a directory with patterns of its own, of which later ones take
// precedence. dir is its path from the root of the walk: "", or a path that ends in "/".
func (l *List) With(dir string, patterns []Pattern) *List {
	if len(patterns) == 0 {
		return l
	}
	return &List{up: l, dir: dir, patterns: patterns}
}

// WithAbove is With for a directory above the root of the walk. above is the path from that
// directory to the root; it ends in "/".
func (l *List) WithAbove(above string, patterns []Pattern) *List {
	if len(patterns) == 0 {
		return l
	}
	return &List{up: l, above: above, patterns: patterns}
}

// Ignores reports whether an entry is excluded. name is its path from the root of the walk, with
// slashes. The entry must lie in the directory of the list or below it.
func (l *List) Ignores(name string, isDir bool) bool {
	for ; l != nil; l = l.up {
		rel := l.above + strings.TrimPrefix(name, l.dir)
		for i := len(l.patterns) - 1; i >= 0; i-- {
			p := &l.patterns[i]
			if p.dirs && !isDir {
				continue
			}
			subject := rel
			if p.base {
				subject = path.Base(name)
			}
			if p.glob.match(subject) {
				return !p.negate
			}
		}
	}
	return false
}
