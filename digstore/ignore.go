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
// .gitignore and .digignore have git's syntax; the latter is the stronger one of the two in a directory.
// store-format 8.1.
type ignoreList struct {
	up       *ignoreList
	dir      string // of the files, relative to the root of the walk, "" or ending in "/"
	above    string // path from the files' directory to the root of the walk, when they lie above it; ends in "/"
	patterns []ignorePattern
}

type ignorePattern struct {
	glob   string
	negate bool
	dirs   bool // only directories
	base   bool // no slash: matches the last element of a path
}

// ignoreFiles are the names that are looked for in every directory, weakest first.
var ignoreFiles = [...]string{".gitignore", ".digignore"}

// parseIgnore reads the lines of an ignore file.
func parseIgnore(text []byte) []ignorePattern {
	var list []ignorePattern
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for line := range bytes.Lines(text) {
		p := strings.TrimRight(string(line), "\r\n")
		for strings.HasSuffix(p, " ") && !strings.HasSuffix(p, `\ `) {
			p = p[:len(p)-1]
		}
		if p == "" || p[0] == '#' {
			continue
		}
		var out ignorePattern
		if p[0] == '!' {
			out.negate = true
			p = p[1:]
		}
		if strings.HasSuffix(p, "/") {
			out.dirs = true
			p = strings.TrimSuffix(p, "/")
		}
		if p == "" {
			continue
		}
		out.base = !strings.Contains(p, "/")
		out.glob = strings.TrimPrefix(p, "/")
		list = append(list, out)
	}
	return list
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
			if globMatch(p.glob, subject) {
				return !p.negate
			}
		}
	}
	return false
}

// globMatch matches as git's wildmatch does for paths: * and ? stop at slashes, ** between slashes crosses them,
// [a-z] is a class, \ quotes.
func globMatch(glob, name string) bool {
	for glob != "" {
		switch glob[0] {
		case '*':
			if strings.HasPrefix(glob, "**") {
				rest := strings.TrimLeft(glob, "*")
				switch {
				case rest == "":
					return true // a trailing /**: everything inside (a plain ** like *)
				case rest[0] == '/':
					for at := name; ; {
						if globMatch(rest[1:], at) {
							return true
						}
						i := strings.IndexByte(at, '/')
						if i < 0 {
							return false
						}
						at = at[i+1:]
					}
				}
				glob = "*" + rest // not between slashes: like *
			}
			for i := 0; ; i++ {
				if globMatch(glob[1:], name[i:]) {
					return true
				}
				if i == len(name) || name[i] == '/' {
					return false
				}
			}
		case '?':
			if name == "" || name[0] == '/' {
				return false
			}
			glob, name = glob[1:], name[1:]
		case '[':
			if name == "" || name[0] == '/' {
				return false
			}
			ok, rest, valid := classMatch(glob, name[0])
			if !valid || !ok {
				return false
			}
			glob, name = rest, name[1:]
		case '\\':
			if len(glob) > 1 {
				glob = glob[1:]
			}
			fallthrough
		default:
			if name == "" || name[0] != glob[0] {
				return false
			}
			glob, name = glob[1:], name[1:]
		}
	}
	return name == ""
}

// classMatch matches one byte against the class that glob begins with and returns what follows the class.
// A class that does not end matches nothing.
func classMatch(glob string, c byte) (ok bool, rest string, valid bool) {
	i := 1
	negate := i < len(glob) && (glob[i] == '!' || glob[i] == '^')
	if negate {
		i++
	}
	for first := true; ; first = false {
		if i >= len(glob) {
			return false, "", false
		}
		if glob[i] == ']' && !first {
			return ok != negate, glob[i+1:], true
		}
		if strings.HasPrefix(glob[i:], "[:") {
			if end := strings.Index(glob[i:], ":]"); end > 0 {
				ok = ok || inNamedClass(glob[i+2:i+end], c)
				i += end + 2
				continue
			}
		}
		lo := glob[i]
		if lo == '\\' && i+1 < len(glob) {
			i++
			lo = glob[i]
		}
		i++
		hi := lo
		if i+1 < len(glob) && glob[i] == '-' && glob[i+1] != ']' {
			hi = glob[i+1]
			i += 2
			if hi == '\\' && i < len(glob) {
				hi = glob[i]
				i++
			}
		}
		ok = ok || lo <= c && c <= hi
	}
}

func inNamedClass(name string, c byte) bool {
	lower, upper, digit := 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9'
	switch name {
	case "alpha":
		return lower || upper
	case "alnum":
		return lower || upper || digit
	case "digit":
		return digit
	case "lower":
		return lower
	case "upper":
		return upper
	case "space":
		return c == ' ' || '\t' <= c && c <= '\r'
	case "xdigit":
		return digit || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
	case "punct":
		return '!' <= c && c <= '~' && !lower && !upper && !digit
	}
	return false
}
