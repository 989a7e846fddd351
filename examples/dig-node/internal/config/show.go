package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Value is a setting with its value.
type Value struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`  // null: that of the mode; secrets are masked
	Origin string `json:"origin"` // "default", "node.yaml:12", a variable or a flag
	Reload bool   `json:"reload"` // a reload applies it
}

// Values returns every setting, in the order of a file.
func (c *Config) Values() []Value {
	fields := map[string]reflect.Value{}
	for _, l := range c.leaves() {
		fields[l.key] = l.v
	}
	all := make([]Value, len(settings))
	for i, s := range settings {
		all[i] = Value{s.key, shown(fields[s.key]), c.Origin(s.key).String(), s.live}
	}
	return all
}

// shown returns a value as text, number, list or mapping. Secrets, and passwords in URLs, are
// masked.
func shown(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case JSON:
		if x == "" {
			return nil
		}
		return json.RawMessage(x)
	case *Amount:
		if x == nil {
			return nil
		}
		return json.RawMessage(x.String())
	case Amount:
		return json.RawMessage(x.String())
	case Dirs:
		if len(x) == 1 && x[0].Class == "" {
			return x[0].Path
		}
	case Switch:
		if x != Auto {
			return x == On
		}
		return "auto"
	case fmt.Stringer:
		return x.String()
	case string:
		if strings.Contains(x, "://") {
			return redact(x)
		}
		return x
	}
	switch v.Kind() {
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, shown(v.Index(i)))
		}
		return list
	case reflect.Map:
		entries := map[string]any{}
		for _, k := range v.MapKeys() {
			entries[k.String()] = shown(v.MapIndex(k))
		}
		return entries
	case reflect.Struct:
		entries := map[string]any{}
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("yaml")
			if name != "-" && !v.Field(i).IsZero() {
				entries[name] = shown(v.Field(i))
			}
		}
		return entries
	}
	return v.Interface()
}

// Text returns the settings as a file, each with its origin behind it.
func (c *Config) Text() string {
	values := map[string]Value{}
	for _, v := range c.Values() {
		values[v.Key] = v
	}
	return write(func(s setting) (string, string) {
		v := values[s.key]
		if v.Value == nil {
			return "", "that of the mode"
		}
		return flow(v.Value), v.Origin
	}, false)
}

// flow returns a value as YAML in one line.
func flow(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if s, ok := v.(string); ok && plainWord(s) {
		return s
	}
	return string(text)
}

// plainWord reports whether YAML reads a text without quotes as the same text.
func plainWord(s string) bool {
	var n yaml.Node
	err := yaml.Unmarshal([]byte(s), &n)
	return s != "" && err == nil && len(n.Content) == 1 && n.Content[0].Kind == yaml.ScalarNode &&
		n.Content[0].Value == s && n.Content[0].ShortTag() != "!!null" && !strings.ContainsAny(s, "#\n")
}

// Example returns a file with every key and its meaning. The values are those of the flags, or else
// the defaults.
func Example(flags ...Flag) string {
	given := map[string]string{}
	for _, f := range flags {
		given[f.Key] = flow(f.Value)
	}
	return write(func(s setting) (string, string) {
		if text, ok := given[s.key]; ok {
			return text, ""
		}
		return s.def, ""
	}, true)
}

// write returns a file. value returns the value of a key as YAML, and a comment behind it; a key
// without a value becomes a comment.
func write(value func(setting) (text, comment string), about bool) string {
	var b bytes.Buffer
	var open []string // the sections that the last key is in
	for _, s := range settings {
		parts := strings.Split(s.key, ".")
		names := parts[:len(parts)-1]
		for i, name := range names {
			if i < len(open) && open[i] == name {
				continue
			}
			if i == 0 && b.Len() > 0 {
				b.WriteString("\n")
			}
			open = open[:min(i, len(open))]
			fmt.Fprintf(&b, "%s%s:", strings.Repeat("  ", i), name)
			if text := sections[strings.Join(names[:i+1], ".")]; text != "" && about {
				b.WriteString("  # " + text)
			}
			b.WriteString("\n")
			open = append(open, name)
		}
		open = open[:len(names)]
		line(&b, s, parts[len(parts)-1], len(names), about, value)
	}
	return b.String()
}

func line(b *bytes.Buffer, s setting, name string, depth int, about bool,
	value func(setting) (text, comment string)) {
	indent := strings.Repeat("  ", depth)
	if s.about != "" && about {
		for l := range strings.SplitSeq(s.about, "\n") {
			fmt.Fprintf(b, "%s# %s\n", indent, l)
		}
	}
	text, comment := value(s)
	if comment != "" {
		comment = "  # " + comment
	}
	if text == "" {
		fmt.Fprintf(b, "%s#%s:%s\n", indent, name, comment)
		return
	}
	fmt.Fprintf(b, "%s%s: %s%s\n", indent, name, text, comment)
}
