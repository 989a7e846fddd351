package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxDepth is the limit of nested arrays and objects.
const MaxDepth = 32

// Errors of Check and Unmarshal.
var (
	// ErrDuplicate reports a duplicate name in one object.
	ErrDuplicate = errors.New("duplicate name in an object")
	// ErrDepth reports a value that is nested deeper than MaxDepth.
	ErrDepth = fmt.Errorf("nested deeper than %d", MaxDepth)
)

// Unmarshal is json.Unmarshal for a text that also passes Check.
func Unmarshal(text []byte, v any) error {
	if err := Check(text); err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// Check refuses a text with a duplicate name in one object ([ErrDuplicate]) and one that is
// nested too deep ([ErrDepth]). Names that differ only in case are duplicates, because
// encoding/json decodes them into the same field. For a text that is not JSON the result has no
// meaning. Check keeps the names of open objects only.
func Check(text []byte) error {
	var open []object
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			if len(open) == MaxDepth {
				return ErrDepth
			}
			open = append(open, object{array: text[i] == '[', name: text[i] == '{'})
		case '}', ']':
			if len(open) == 0 {
				return nil // not JSON
			}
			open = open[:len(open)-1]
		case ',':
			if len(open) > 0 {
				open[len(open)-1].name = !open[len(open)-1].array
			}
		case '"':
			end := stringEnd(text, i)
			if len(open) > 0 && open[len(open)-1].name {
				top := &open[len(open)-1]
				top.name = false
				if name := fold(text[i:end]); !top.add(name) {
					return fmt.Errorf("%w: %.40q", ErrDuplicate, name)
				}
			}
			i = end - 1
		}
	}
	return nil
}

// stringEnd returns the offset behind the string that begins at from.
func stringEnd(text []byte, from int) int {
	for i := from + 1; ; {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return len(text)
		}
		escapes := 0
		for at := i + n - 1; at > from && text[at] == '\\'; at-- {
			escapes++
		}
		if i += n + 1; escapes%2 == 0 {
			return i
		}
	}
}

// object is an object or an array that is open.
type object struct {
	array bool
	name  bool // the next string is a name
	few   []string
	many  map[string]struct{}
}

// add adds a name and reports whether it is new.
func (o *object) add(name string) bool {
	if o.many == nil {
		if slices.Contains(o.few, name) {
			return false
		}
		if len(o.few) < 16 {
			o.few = append(o.few, name)
			return true
		}
		o.many = make(map[string]struct{})
		for _, other := range o.few {
			o.many[other] = struct{}{}
		}
	}
	_, twice := o.many[name]
	o.many[name] = struct{}{}
	return !twice
}

// fold returns the name in a quoted string with its case folded, as encoding/json compares names.
func fold(quoted []byte) string {
	name := strings.Trim(string(quoted), `"`)
	if strings.IndexByte(name, '\\') >= 0 {
		if json.Unmarshal(quoted, &name) != nil {
			return string(quoted) // not JSON
		}
	}
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			// Through upper case, so that the long s and the Kelvin sign fold too.
			return strings.ToLower(strings.ToUpper(strings.ToValidUTF8(name, "\uFFFD")))
		}
	}
	return strings.ToLower(name)
}
