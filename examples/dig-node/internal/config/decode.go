package config

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/dig-network/digstore/node/policy"
)

const maxItems = 10_000 // of one list

// A decoder converts nodes of YAML to values.
type decoder struct {
	problems []found
}

// found is a problem with a node.
type found struct {
	key, text string
	line      int
}

func (d *decoder) fail(n *yaml.Node, key, format string, args ...any) {
	d.problems = append(d.problems, found{key, fmt.Sprintf(format, args...), n.Line})
}

// got describes the value of a node.
func got(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	}
	text := n.Value
	if utf8.RuneCountInString(text) > 60 {
		text = string([]rune(text)[:60]) + "…"
	}
	return strconv.Quote(text)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// decode sets v to the value of a node.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.AliasNode {
		d.fail(n, key, "aliases are not supported")
		return
	}
	switch to := v.Addr().Interface().(type) {
	case *JSON:
		d.json(n, to, key)
	case *Dirs:
		d.dirs(n, to, key)
	case scalar:
		d.word(n, to, key)
	default:
		d.plain(n, v, key)
	}
}

func (d *decoder) word(n *yaml.Node, to scalar, key string) {
	err := error(nil)
	if n.Kind == yaml.ScalarNode {
		err = to.parse(n.Value)
	} else {
		err = expected("one value")
	}
	if _, secret := to.(*Secret); err != nil && secret {
		d.fail(n, key, "%v", err)
	} else if err != nil {
		d.fail(n, key, "%v (got %s)", err, got(n))
	}
}

// plain decodes types of the language.
func (d *decoder) plain(n *yaml.Node, v reflect.Value, key string) {
	switch v.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		d.decode(n, fresh.Elem(), key)
		v.Set(fresh)
		return
	case reflect.Struct:
		d.mapping(n, v, key)
		return
	case reflect.Slice:
		d.list(n, v, key)
		return
	case reflect.Map:
		d.entries(n, v, key)
		return
	}
	if n.Kind != yaml.ScalarNode {
		d.fail(n, key, "expected one value (got %s)", got(n))
		return
	}
	if want := setWord(v, n.Value); want != "" {
		d.fail(n, key, "expected %s (got %s)", want, got(n))
	}
}

// setWord sets a text, a number or a truth value. It returns what was expected, or "".
func setWord(v reflect.Value, text string) string {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		switch strings.ToLower(text) {
		case "true", "false":
			v.SetBool(strings.EqualFold(text, "true"))
		default:
			return "true or false"
		}
	case reflect.Int:
		i, err := strconv.ParseInt(text, 10, min(53, v.Type().Bits()))
		if err != nil {
			return "a whole number"
		}
		v.SetInt(i)
	case reflect.Uint64:
		i, err := strconv.ParseUint(text, 10, 53)
		if err != nil {
			return "a whole number from 0"
		}
		v.SetUint(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return "a number"
		}
		v.SetFloat(f)
	default:
		panic("config: no rule for type " + v.Type().String())
	}
	return ""
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxItems {
		d.fail(n, key, "expected a list of at most %d items (got %s)", maxItems, got(n))
		return
	}
	all := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.decode(item, all.Index(i), fmt.Sprintf("%s[%d]", key, i))
	}
	v.Set(all)
}

// mapping decodes an item with keys of its own.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		if field := v.FieldByName("Key"); field.IsValid() && n.Kind == yaml.ScalarNode {
			d.decode(n, field, key) // an API key without a multiplier
			return
		}
		d.fail(n, key, "expected a mapping (got %s)", got(n))
		return
	}
	fields := map[string]reflect.Value{}
	var names []string
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		if name == "-" {
			continue
		}
		fields[name] = v.Field(i)
		names = append(names, name)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		at := key + "." + name.Value
		field, known := fields[name.Value]
		switch {
		case seen[name.Value]:
			d.fail(name, at, "given twice")
		case !known:
			d.fail(name, at, "unknown key; expected %s", strings.Join(names, ", "))
		case !isNull(value):
			d.decode(value, field, at)
		}
		seen[name.Value] = true
	}
}

// entries decodes a mapping from names.
func (d *decoder) entries(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, key, "expected a mapping (got %s)", got(n))
		return
	}
	all := reflect.MakeMap(v.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		at := key + "." + name.Value
		if all.MapIndex(reflect.ValueOf(name.Value)).IsValid() {
			d.fail(name, at, "given twice")
			continue
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, item, at)
		all.SetMapIndex(reflect.ValueOf(name.Value), item)
	}
	v.Set(all)
}

// dirs decodes a folder, or a list of folders with or without a class.
func (d *decoder) dirs(n *yaml.Node, to *Dirs, key string) {
	if n.Kind == yaml.ScalarNode {
		*to = Dirs{{Path: n.Value}}
		return
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) > maxItems {
		d.fail(n, key, "expected a folder, or a list of them (got %s)", got(n))
		return
	}
	for i, item := range n.Content {
		var dir Dir
		if item.Kind == yaml.ScalarNode {
			dir.Path = item.Value
		} else {
			d.decode(item, reflect.ValueOf(&dir).Elem(), fmt.Sprintf("%s[%d]", key, i))
		}
		*to = append(*to, dir)
	}
}

// json converts a node to JSON, which package policy checks.
func (d *decoder) json(n *yaml.Node, to *JSON, key string) {
	text, err := jsonOf(n)
	name := key[strings.LastIndexByte(key, '.')+1:]
	if err == nil {
		object, _ := json.Marshal(map[string]json.RawMessage{name: text})
		_, err = policy.ParseSettings(object)
	}
	if err != nil {
		d.fail(n, key, "%v (got %s)", err, got(n))
		return
	}
	*to = JSON(text)
}

// jsonOf returns a scalar or a list of scalars as JSON. A plain None is null, as in Python.
func jsonOf(n *yaml.Node) (json.RawMessage, error) {
	switch {
	case n.Kind == yaml.SequenceNode && len(n.Content) <= maxItems:
		list := []json.RawMessage{}
		for _, item := range n.Content {
			one, err := jsonOf(item)
			if err != nil || item.Kind != yaml.ScalarNode {
				return nil, expected("a list of words or numbers")
			}
			list = append(list, one)
		}
		return json.Marshal(list)
	case n.Kind != yaml.ScalarNode:
		return nil, expected("a value or a list")
	case isNull(n), n.Style == 0 && n.Value == "None":
		return json.RawMessage("null"), nil
	case n.ShortTag() == "!!bool":
		return json.RawMessage(strings.ToLower(n.Value)), nil
	case n.ShortTag() == "!!int", n.ShortTag() == "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.RawMessage(n.Value), nil
		}
		return nil, expected("a decimal number")
	}
	return json.Marshal(n.Value)
}

// textNode returns a node for text of the environment, a flag or a default. Words of a list are
// separated by commas, unless the text is a list in YAML.
func textNode(text string, field reflect.Value) *yaml.Node {
	word := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: yaml.DoubleQuotedStyle}
	to := field.Addr().Interface()
	_, isWord := to.(scalar)
	_, isDirs := to.(*Dirs)
	simple := isWord || field.Kind() == reflect.String || isDirs && !strings.HasPrefix(text, "[")
	if _, isJSON := to.(*JSON); simple && !isJSON {
		return word
	}
	var doc yaml.Node
	starts := strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{")
	if field.Kind() == reflect.Slice && !starts {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				one := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: item}
				list.Content = append(list.Content, one)
			}
		}
		return list
	}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 {
		return word
	}
	return doc.Content[0]
}
