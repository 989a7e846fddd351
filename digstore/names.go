package digstore

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dig-network/digstore/digstore/urn"
)

// DiscoveryResource is the name of a resource that lists resources (module/FORMAT.md 5.10).
const DiscoveryResource = ".well-known/dig/manifest.json"

// maxNames is the length of the longest list of names that is read, in bytes.
const maxNames = 256 << 20

// Names is a list of resource names from an untrusted source. A name counts only if the generation
// has its retrieval key.
type Names []string

// ParseNames reads a list of names in one of these forms: lines "name<TAB>urn", as the command urn
// --all prints them; lines with only a name or only a URN; JSON {"resources":[{"key":…}]}, as in
// urns.json of the reference implementation; or a JSON list of strings. A name or URN in a line may
// be quoted as in Go. The text is UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it.
// A line that can be read in two ways gives both names.
func ParseNames(r io.Reader) (Names, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxNames+1))
	if err == nil && len(text) > maxNames {
		err = fmt.Errorf("more than %d bytes", maxNames)
	}
	if err == nil {
		text, err = decodeText(text)
	}
	if err != nil {
		return nil, fmt.Errorf("read names: %w", err)
	}
	trimmed := bytes.TrimSpace(text)
	first, _, _ := bytes.Cut(trimmed, []byte("\n"))
	if len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') &&
		!bytes.Contains(first, []byte("\turn:")) {
		names, err := parseJSONNames(trimmed)
		if err != nil {
			return nil, fmt.Errorf("read names: %w", err)
		}
		return names, nil
	}
	var names Names
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		names = append(names, lineNames(strings.TrimSuffix(lines.Text(), "\r"))...)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read names: %w", err)
	}
	return names, nil
}

// lineNames returns the names that a line may stand for, the most likely first.
func lineNames(line string) []string {
	field, _, listed := strings.Cut(line, "\t")
	if field == "" {
		return nil
	}
	if u, err := urn.Parse(field); err == nil {
		if listed { // the list has names in this place
			return []string{u.Name(), field}
		}
		return []string{u.Name()}
	}
	plain, err := strconv.Unquote(field)
	if err != nil || field[0] != '"' || plain == "" {
		return []string{field}
	}
	if u, err := urn.Parse(plain); err == nil && !listed {
		return []string{u.Name(), plain, field}
	}
	return []string{plain, field}
}

// decodeText converts a text to UTF-8 without a byte order mark.
func decodeText(text []byte) ([]byte, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
		if bytes.IndexByte(text, 0) >= 0 {
			return nil, errors.New("bytes 0 in the text: want UTF-8, or UTF-16 with a byte order mark")
		}
		if i := invalidAt(text); i >= 0 {
			return nil, fmt.Errorf("line %d is not UTF-8", 1+bytes.Count(text[:i], []byte("\n")))
		}
		return text, nil
	}
	text = text[2:]
	out := make([]byte, 0, len(text)/2)
	for len(text) >= 2 {
		r := rune(order.Uint16(text))
		text = text[2:]
		if utf16.IsSurrogate(r) {
			if len(text) < 2 {
				return nil, errors.New("the text ends in the middle of a UTF-16 character")
			}
			r = utf16.DecodeRune(r, rune(order.Uint16(text)))
			text = text[2:]
			if r == utf8.RuneError {
				return nil, errors.New("half of a pair of surrogates in UTF-16")
			}
		}
		out = utf8.AppendRune(out, r)
	}
	if len(text) > 0 {
		return nil, errors.New("an odd number of bytes in UTF-16")
	}
	return out, nil
}

// invalidAt returns the offset of the first byte of text that is not UTF-8, -1 if there is none.
func invalidAt(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func parseJSONNames(text []byte) (Names, error) {
	if text[0] == '[' {
		var names Names
		if err := json.Unmarshal(text, &names); err == nil {
			return names, nil
		}
	}
	type resource struct {
		Key string `json:"key"`
		URN string `json:"urn"`
	}
	var list struct {
		Resources []resource `json:"resources"`
	}
	into := any(&list)
	if text[0] == '[' {
		into = &list.Resources
	}
	if err := json.Unmarshal(text, into); err != nil {
		return nil, err
	}
	var names Names
	for _, r := range list.Resources {
		if r.Key == "" && r.URN != "" {
			if u, err := urn.Parse(r.URN); err == nil {
				r.Key = u.Name()
			}
		}
		if r.Key != "" {
			names = append(names, r.Key)
		}
	}
	return names, nil
}

// nameTable has the names that are known of a generation.
type nameTable struct {
	names []string // sorted
	total int      // resources in the generation

	damage error // files of names that cannot be read; nil: none was needed
}

// missing returns an error if a resource has no name.
func (t *nameTable) missing() *UnnamedError {
	if n := t.total - len(t.names); n > 0 {
		return &UnnamedError{Missing: n, Total: t.total, Damage: t.damage}
	}
	return nil
}

// WithNames returns the same generation with more names for listings.
func (g *Generation) WithNames(names Names) *Generation {
	return &Generation{s: g.s, info: g.info, mod: g.mod, recipe: g.recipe, own: g.own,
		more: slices.Concat(g.more, names)}
}

// Names returns the known names, sorted, and how many resources have none.
func (g *Generation) Names() (names []string, unnamed int, err error) {
	t, err := g.names()
	if err != nil {
		return nil, 0, err
	}
	return t.names, t.total - len(t.names), nil
}

// names returns the names that are known.
func (g *Generation) names() (*nameTable, error) {
	g.named.Do(func() { g.table, g.err = g.findNames() })
	return g.table, g.err
}

func (g *Generation) findNames() (*nameTable, error) {
	total, err := g.mod.Len()
	if err != nil {
		return nil, fmt.Errorf("generation %s: %w", g.info.Root, err)
	}
	t := &nameTable{total: total}
	if len(g.own) == total {
		t.names = slices.Sorted(slices.Values(g.own))
		return t, nil
	}
	seen := map[string]bool{}
	try := func(name string) {
		if seen[name] || len(t.names) == total {
			return
		}
		seen[name] = true
		if _, err := g.mod.Find(urn.RetrievalKey(g.s.set.id, name)); err == nil {
			t.names = append(t.names, name)
		}
	}
	for _, n := range g.own {
		try(n)
	}
	listed, err := g.s.dir.Listed(g.mod)
	if err != nil {
		return nil, err
	}
	for _, n := range listed {
		try(n)
	}
	discovered, err := g.discover()
	if err != nil {
		return nil, err
	}
	for _, n := range discovered {
		try(n)
	}
	for _, n := range g.more {
		try(n)
	}
	if len(t.names) < total {
		kept, damage, err := g.s.dir.Names.All()
		if err != nil {
			return nil, err
		}
		t.damage = damage
		for _, n := range kept {
			try(n)
		}
	}
	slices.Sort(t.names)
	return t, nil
}

// discover returns the names that the discovery resource lists, and its own. There are none if the
// resource does not exist or cannot be read.
func (g *Generation) discover() (Names, error) {
	p, err := g.Resource(DiscoveryResource)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	const most = 16 << 20
	if p.Size() > most {
		return Names{DiscoveryResource}, nil
	}
	text, err := io.ReadAll(p)
	if errors.Is(err, urn.ErrSealed) {
		return nil, nil // the salt is not known
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", DiscoveryResource, err)
	}
	names, err := parseJSONNames(append(bytes.TrimSpace(text), ' '))
	if err != nil {
		names = nil
	}
	return append(names, DiscoveryResource), nil
}

// URNs returns the addresses of the resources whose names are known, with the root of this
// generation, sorted by name.
func (g *Generation) URNs() ([]urn.URN, error) {
	t, err := g.names()
	if err != nil {
		return nil, err
	}
	list := make([]urn.URN, len(t.names))
	for i, n := range t.names {
		list[i] = g.URN(n)
	}
	return list, nil
}
