package digstore

import (
	"bytes"
	"path"
	"strings"
)

// An ignoreList is the ignore files that hold in one directory, the nearest first. A walk makes one for each
// directory it enters, so that a pattern is only ever asked about entries below its own file, and what lies in an
// ignored directory is never asked about at all: as in git, it cannot come back.
//
// .gitignore and .digignore have git's syntax. In one directory .digignore takes precedence.
type ignoreList struct {
	up       *ignoreList
	dir      string // of the files, relative to the root of the walk, "" or ending in "/"
	above    string // path from the files' directory to the root of the walk, when they lie above it; ends in "/"
	patterns []ignorePattern
}

type ignorePattern struct {
	glob   glob
	negate bool
	dirs   bool // only directories
	base   bool // no slash: matches the last element of a path
}

// ignoreFiles are the names that are looked for in every directory, weakest first.
var ignoreFiles = [...]string{".gitignore", ".digignore"}

// maxIgnore is the largest ignore file that is read, in bytes.
const maxIgnore = 4 << 20

// parseIgnore reads the lines of an ignore file.
func parseIgnore(text []byte) []ignorePattern {
	var list []ignorePattern
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for line := range bytes.Lines(text) {
		p := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
		if strings.HasPrefix(p, "#") {
			continue
		}
		p, _, _ = strings.Cut(p, "\x00")
		p = trimSpaces(p)
		var out ignorePattern
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

// trimSpaces removes spaces from the end, but for one that a backslash quotes.
func trimSpaces(p string) string {
	end := 0 // behind the last byte that stays
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

// with returns the list for a directory with ignore files of its own, whose patterns are given weakest first.
func (l *ignoreList) with(dir string, patterns []ignorePattern) *ignoreList {
	if len(patterns) == 0 {
		return l
	}
	return &ignoreList{up: l, dir: dir, patterns: patterns}
}

// ignores reports whether the entry at name, a slash-separated path from the root of the walk, is to be passed over.
func (l *ignoreList) ignores(name string, isDir bool) bool {
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
