package wasm

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A Kind is the kind of an import or export.
type Kind byte

// The kinds of WebAssembly with their numbers.
const (
	Func Kind = iota
	Table
	Memory
	Global
	Tag
)

// String returns the name of the kind.
func (k Kind) String() string {
	if names := [...]string{"function", "table", "memory", "global", "tag"}; int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", byte(k))
}

// An Import is an import of a module.
type Import struct {
	Module, Name string
	Kind         Kind
}

// An Export is an export of a module.
type Export struct {
	Name string
	Kind Kind
}

// Check returns nil if the module has all of these imports and exports, and at least one
// memory of its own, each of 32 bits and not shared. It may have other imports and
// exports. Missing ones are named in an ErrTemplate. See digstore/module/FORMAT.md 6.4.
func Check(module []byte, imports []Import, exports []Export) error {
	w := newWalk(&file{r: bytes.NewReader(module), size: int64(len(module))}, int64(len(module)))
	haveImports, haveExports := map[Import]bool{}, map[Export]bool{}
	memories := uint32(0)
	for {
		c, err := w.section()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		switch c.id {
		case importID:
			err = w.list(func() error {
				i, err := w.importEntry()
				haveImports[i] = true
				return err
			})
		case exportID:
			err = w.list(func() error {
				e, err := w.exportEntry()
				haveExports[e] = true
				return err
			})
		case memoryID:
			err = w.list(func() error {
				memories++
				_, err := w.memory()
				return err
			})
		case dataID:
			var n uint32
			if n, err = w.segments(); err != nil {
				return err
			}
			for range n {
				s, err := w.segment()
				if err == nil {
					err = w.skip(s.n)
				}
				if err != nil {
					return err
				}
			}
			err = w.full()
		default:
			err = w.pass(c)
		}
		if err != nil {
			return err
		}
	}
	var missing []string
	for _, i := range imports {
		if !haveImports[i] {
			missing = append(missing, fmt.Sprintf("import of %v %s.%s", i.Kind, i.Module, i.Name))
		}
	}
	for _, e := range exports {
		if !haveExports[e] {
			missing = append(missing, fmt.Sprintf("export of %v %s", e.Kind, e.Name))
		}
	}
	if memories == 0 {
		missing = append(missing, "memory")
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: missing %s", ErrTemplate, strings.Join(missing, ", missing "))
	}
	return nil
}

// list reads a count and that many items, which must fill the section.
func (w *walk) list(item func() error) error {
	n, err := w.u32()
	if err != nil {
		return err
	}
	for range n { // at the end of the section item fails, since it reads a byte or more
		if err := item(); err != nil {
			return err
		}
	}
	return w.full()
}

func (w *walk) importEntry() (i Import, err error) {
	if i.Module, err = w.name(); err != nil {
		return i, err
	}
	if i.Name, err = w.name(); err != nil {
		return i, err
	}
	at := w.at
	k, err := w.byte()
	if err != nil {
		return i, err
	}
	i.Kind = Kind(k)
	switch i.Kind {
	case Func:
		_, err = w.u32()
	case Table:
		if err = w.skip(1); err == nil {
			err = w.limits()
		}
	case Memory:
		err = w.limits()
	case Global:
		err = w.skip(2)
	case Tag:
		if err = w.skip(1); err == nil {
			_, err = w.u32()
		}
	default:
		err = malformed(at, "import of unknown kind %d", k)
	}
	return i, err
}

func (w *walk) exportEntry() (e Export, err error) {
	if e.Name, err = w.name(); err != nil {
		return e, err
	}
	k, err := w.byte()
	if err != nil {
		return e, err
	}
	e.Kind = Kind(k)
	_, err = w.u32()
	return e, err
}

// limits skips the limits of an imported table or memory.
func (w *walk) limits() error {
	flags, err := w.byte()
	if err != nil {
		return err
	}
	if _, err = w.signed(64); err == nil && flags&1 == 1 {
		_, err = w.signed(64)
	}
	return err
}

// name reads a string of UTF-8.
func (w *walk) name() (string, error) {
	start := w.at
	n, err := w.u32()
	if err != nil {
		return "", err
	}
	if n > maxName {
		return "", malformed(start, "name of %d bytes, want at most %d", n, maxName)
	}
	if int64(n) > w.limit-w.at {
		return "", malformed(start, "name of %d bytes ends behind the section: %w",
			n, io.ErrUnexpectedEOF)
	}
	b := make([]byte, n)
	for i := range b {
		if b[i], err = w.byte(); err != nil {
			return "", err
		}
	}
	if !utf8.Valid(b) {
		return "", malformed(start, "name of %d bytes is not UTF-8", n)
	}
	return string(b), nil
}
