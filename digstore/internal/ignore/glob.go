package ignore

import (
	"slices"
	"strings"
)

// A glob is a pattern of git's ignore files. It matches as git's wildmatch does: * and ? stop at
// slashes, ** between slashes crosses them, [a-z] is a class of bytes, \ escapes. The time for a
// match is bounded by the product of the lengths of pattern and name.
type glob struct {
	prefix string // literal prefix of a name
	suffix string // literal suffix of a name, if tokens is a single star
	tokens []token
	sets   []byteSet
}

// A token matches a part of a name.
type token struct {
	kind tokenKind
	char byte  // of a literal
	set  int32 // of a class: its index
}

type tokenKind uint8

const (
	literal  tokenKind = iota
	anyByte            // ?: one byte, no slash
	class              // [...]: one byte, no slash
	star               // *: bytes, no slash
	starStar           // **: bytes
	skipDirs           // nothing, or nothing in place of the ** and the slash that follow
)

// byteSet is a set of bytes.
type byteSet [256 / 64]uint64

func (s *byteSet) add(from, to byte) {
	for c := int(from); c <= int(to); c++ {
		s[c/64] |= 1 << (c % 64)
	}
}

func (s *byteSet) has(c byte) bool { return s[c/64]&(1<<(c%64)) != 0 }

// parseGlob parses a pattern. ok is false if no name can match it.
func parseGlob(p string) (g glob, ok bool) {
	n := strings.IndexAny(p, `*?[\`)
	if n < 0 {
		return glob{prefix: p}, true
	}
	// The rest after the literal prefix is parsed as a pattern of its own: in "a**/b" the ** counts
	// as between slashes, as it does in git.
	g.prefix, p = p[:n], p[n:]
	if p[0] == '*' && !strings.ContainsAny(p[1:], `*?[\/`) {
		g.tokens, g.suffix = []token{{kind: star}}, p[1:]
		return g, true
	}
	for i := 0; i < len(p); {
		t := token{kind: literal, char: p[i]}
		switch p[i] {
		case '?':
			t.kind = anyByte
		case '*':
			end := i + len(p[i:]) - len(strings.TrimLeft(p[i:], "*"))
			rest := p[end:]
			between := end-i > 1 && (i == 0 || p[i-1] == '/') // two stars or more between slashes
			t.kind = star
			switch {
			case between && strings.HasPrefix(rest, "/"):
				g.tokens = append(g.tokens, token{kind: skipDirs})
				t.kind = starStar
			case between && (rest == "" || strings.HasPrefix(rest, `\/`)):
				t.kind = starStar
			}
			i = end - 1
		case '[':
			set, n := parseClass(p[i:])
			if n == 0 {
				return glob{}, false
			}
			t = token{kind: class, set: int32(len(g.sets))}
			g.sets = append(g.sets, set)
			i += n - 1
		case '\\':
			i++
			if i == len(p) {
				return glob{}, false
			}
			t.char = p[i]
		}
		g.tokens = append(g.tokens, t)
		i++
	}
	return g, true
}

// parseClass parses the class at the beginning of p. n is its length in p, or 0 if it has no end.
func parseClass(p string) (set byteSet, n int) {
	i := 1
	negate := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negate {
		i++
	}
	last := -1 // the byte with which a range may begin; -1: none
	for first := true; ; first = false {
		if i >= len(p) {
			return set, 0
		}
		c := p[i]
		switch {
		case c == ']' && !first:
			if negate {
				for w := range set {
					set[w] = ^set[w]
				}
			}
			return set, i + 1
		case c == '-' && last >= 0 && i+1 < len(p) && p[i+1] != ']':
			i++
			if p[i] == '\\' {
				i++
			}
			if i == len(p) {
				return set, 0
			}
			set.add(byte(last), p[i])
			last = -1
		case c == '[' && i+1 < len(p) && p[i+1] == ':':
			end := strings.IndexByte(p[i+2:], ']')
			if end < 0 {
				return set, 0
			}
			name, isName := strings.CutSuffix(p[i+2:i+2+end], ":")
			if !isName {
				set.add(c, c)
				last = int(c)
				break
			}
			if !set.addNamed(name) {
				return set, 0
			}
			i += 2 + end
			last = -1
		default:
			if c == '\\' {
				i++
				if i == len(p) {
					return set, 0
				}
				c = p[i]
			}
			set.add(c, c)
			last = int(c)
		}
		i++
	}
}

// addNamed adds a POSIX class, in ASCII, and reports whether it exists.
func (s *byteSet) addNamed(name string) bool {
	ranges, ok := map[string]string{
		"alnum": "azAZ09", "alpha": "azAZ", "blank": "  \t\t", "cntrl": "\x00\x1f\x7f\x7f", "digit": "09", "graph": "!~",
		"lower": "az", "print": " ~", "punct": "!/:@[`{~", "space": "  \t\r", "upper": "AZ", "xdigit": "09afAF",
	}[name]
	for ; ranges != ""; ranges = ranges[2:] {
		s.add(ranges[0], ranges[1])
	}
	return ok
}

// match reports whether the pattern matches all of name.
func (g *glob) match(name string) bool {
	name, ok := strings.CutPrefix(name, g.prefix)
	switch {
	case !ok || len(g.tokens) == 0:
		return ok && name == ""
	case g.suffix != "" || len(g.tokens) == 1 && g.tokens[0].kind == star:
		name, ok = strings.CutSuffix(name, g.suffix)
		return ok && !strings.Contains(name, "/")
	}
	m := matcher{tokens: g.tokens, seen: make([]int, len(g.tokens)+1)}
	m.now = m.enter(make([]int, 0, 8), 0, 1)
	next := make([]int, 0, 8)
	for i := range len(name) {
		next = next[:0]
		for _, at := range m.now {
			if at == len(g.tokens) {
				continue
			}
			switch t, c := g.tokens[at], name[i]; {
			case t.kind == starStar, t.kind == star && c != '/':
				next = m.enter(next, at, i+2)
			case t.kind == literal && c == t.char, t.kind == anyByte && c != '/',
				t.kind == class && c != '/' && g.sets[t.set].has(c):
				next = m.enter(next, at+1, i+2)
			}
		}
		if len(next) == 0 {
			return false
		}
		m.now, next = next, m.now
	}
	return slices.Contains(m.now, len(g.tokens))
}

// matcher simulates a nondeterministic automaton: it follows all alternatives at once.
type matcher struct {
	tokens []token
	now    []int // tokens that may match next
	seen   []int // per token, the last step that entered it
}

// enter adds a token to list, and the later tokens that can be reached without consuming a byte.
func (m *matcher) enter(list []int, at, step int) []int {
	for m.seen[at] != step {
		m.seen[at] = step
		list = append(list, at)
		if at == len(m.tokens) {
			break
		}
		switch m.tokens[at].kind {
		case star, starStar:
			at++
		case skipDirs:
			for _, next := range [...]int{at + 1, at + 2} { // the ** and the slash
				if m.seen[next] != step {
					m.seen[next] = step
					list = append(list, next)
				}
			}
			at += 3
		default:
			return list
		}
	}
	return list
}
