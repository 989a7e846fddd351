package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dig-network/digstore/internal/regular"
)

// maxFile is the size in bytes of the largest file that is read.
const maxFile = 1 << 20

// A Problem is an error of a setting.
type Problem struct {
	Key   string // empty: the file as a whole
	Text  string
	Place string // as in "node.yaml:12"; empty: the default
}

// String returns the problem as one line.
func (p Problem) String() string {
	text := p.Text
	if p.Key != "" {
		text = p.Key + ": " + text
	}
	if p.Place != "" {
		text += ", " + p.Place
	}
	return text
}

// Problems is an error with all problems of a configuration.
type Problems []Problem

// Error returns a line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// An Origin says where a value comes from.
type Origin struct {
	Kind string // default, file, environment or flag
	Name string // "node.yaml:12", the name of the variable, or the flag; empty for a default
}

// String returns what Name has, or "default".
func (o Origin) String() string {
	if o.Name == "" {
		return "default"
	}
	return o.Name
}

// A leaf is a field of a Config with its key.
type leaf struct {
	key string
	v   reflect.Value
}

// leaves returns the fields of c, in the order of Config.
func (c *Config) leaves() []leaf { return leavesOf(reflect.ValueOf(c).Elem(), "") }

func leavesOf(v reflect.Value, prefix string) []leaf {
	var all []leaf
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		field := v.Field(i)
		if isSection(field) {
			all = append(all, leavesOf(field, prefix+name+".")...)
		} else {
			all = append(all, leaf{prefix + name, field})
		}
	}
	return all
}

// isSection reports whether a field has keys of its own.
func isSection(v reflect.Value) bool {
	_, word := v.Addr().Interface().(scalar)
	return v.Kind() == reflect.Struct && !word
}

// A reader fills a Config, and collects problems.
type reader struct {
	c        *Config
	fields   map[string]reflect.Value
	problems Problems
	name     string // of the file, for places
}

func newReader() *reader {
	r := &reader{c: &Config{origins: map[string]Origin{}}, fields: map[string]reflect.Value{}}
	for _, l := range r.c.leaves() {
		r.fields[l.key] = l.v
	}
	for _, s := range settings {
		if s.def != "" {
			r.set(s.key, textNode(s.def, r.fields[s.key]), Origin{})
		}
	}
	return r
}

func (r *reader) fail(key, place, format string, args ...any) {
	r.problems = append(r.problems, Problem{key, fmt.Sprintf(format, args...), place})
}

func (r *reader) place(n *yaml.Node) string { return fmt.Sprintf("%s:%d", r.name, n.Line) }

// set sets one key. null does not change the value.
func (r *reader) set(key string, n *yaml.Node, from Origin) {
	field := r.fields[key]
	_, isJSON := field.Interface().(JSON)
	if isNull(n) && !isJSON {
		return
	}
	d := &decoder{}
	fresh := reflect.New(field.Type()).Elem()
	d.decode(n, fresh, key)
	for _, p := range d.problems {
		place := from.Name
		if from.Kind == "file" {
			place = fmt.Sprintf("%s:%d", r.name, p.line)
		}
		r.fail(p.key, place, "%s", p.text)
	}
	if len(d.problems) > 0 {
		return
	}
	field.Set(fresh)
	if from.Kind != "" {
		r.c.origins[key] = from
	}
}

// file reads a file.
func (r *reader) file(path string) error {
	text, err := regular.ReadFile(path, maxFile)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	r.name, r.c.File = filepath.Base(path), path
	r.text(text)
	return nil
}

func (r *reader) text(text []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return // nothing but comments
	}
	if err == nil && !errors.Is(dec.Decode(&more), io.EOF) {
		err = errors.New("expected one document, found more")
	}
	if err != nil {
		r.fail("", r.name, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	root := doc.Content[0]
	switch {
	case isNull(root):
	case root.Kind != yaml.MappingNode:
		r.fail("", r.place(root), "expected sections such as storage:")
	case isModeDictionary(root):
		r.modeDictionary(root)
	default:
		r.section(root, "")
	}
}

// section reads the keys of a section.
func (r *reader) section(n *yaml.Node, prefix string) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := prefix + name.Value
		_, known := r.fields[key]
		switch {
		case seen[name.Value]:
			r.fail(key, r.place(name), "given twice")
		case known:
			r.set(key, value, Origin{"file", r.place(name)})
		case r.isSectionKey(key):
			r.subsection(value, key)
		default:
			r.unknown(key, r.place(name))
		}
		seen[name.Value] = true
	}
}

func (r *reader) subsection(value *yaml.Node, key string) {
	switch {
	case value.Kind == yaml.MappingNode:
		r.section(value, key+".")
	case !isNull(value):
		r.fail(key, r.place(value), "expected the keys of the section, indented below it")
	}
}

func (r *reader) isSectionKey(key string) bool {
	for _, s := range settings {
		if strings.HasPrefix(s.key, key+".") {
			return true
		}
	}
	return false
}

// unknown reports an unknown key, with the most similar known one.
func (r *reader) unknown(key, place string) {
	text := "unknown key"
	if near := nearest(key); near != "" {
		text += "; did you mean " + near
	}
	r.fail(key, place, "%s", text)
}

// isModeDictionary reports whether a file is a dictionary of a mode, without sections.
func isModeDictionary(n *yaml.Node) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "mode" && n.Content[i+1].Kind == yaml.ScalarNode {
			return true
		}
	}
	return false
}

// modeDictionary reads mode, and the keys of section policy.
func (r *reader) modeDictionary(n *yaml.Node) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := "policy." + name.Value
		if name.Value == "mode" {
			key = "node.mode"
		}
		_, known := r.fields[key]
		switch {
		case seen[name.Value]:
			r.fail(name.Value, r.place(name), "given twice")
		case known:
			r.set(key, value, Origin{"file", r.place(name)})
		default:
			r.fail(name.Value, r.place(name), "unknown key in a dictionary of a mode")
		}
		seen[name.Value] = true
	}
}

// nearest returns the known key that is most like an unknown one, or "".
func nearest(key string) string {
	last := key[strings.LastIndexByte(key, '.')+1:]
	best, at := "", 1+len(last)/3
	consider := func(name string, distance int) {
		if distance < at {
			best, at = name, distance
		}
	}
	var names []string
	for _, s := range settings {
		names = append(names, s.key)
		for i, c := range s.key {
			if c == '.' && !slices.Contains(names, s.key[:i]) {
				names = append(names, s.key[:i])
			}
		}
	}
	for _, name := range names {
		if last == name[strings.LastIndexByte(name, '.')+1:] {
			return name // the right name in the wrong section
		}
	}
	for _, name := range names {
		consider(name, distance(key, name))
	}
	if best != "" {
		return best
	}
	for _, name := range names { // a wrong name in the wrong section
		consider(name, distance(last, name[strings.LastIndexByte(name, '.')+1:]))
	}
	return best
}

// distance is the number of letters to change, add or remove between two words.
func distance(a, b string) int {
	if len(a) > 80 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
