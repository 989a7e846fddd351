// Package names encodes and decodes lists of resource names, the format of the files in names/ of
// a store (LAYOUT.md 7.4).
package names

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"unicode/utf8"
)

const (
	magic  = "DIGNAME1"
	header = len(magic) + 4 + 4
	prefix = 4 // bytes of the length of a name
)

// MaxName is the length of the longest name, in bytes.
const MaxName = 65_536

// ErrFormat reports a list that is damaged.
var ErrFormat = errors.New("damaged list of names")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Valid reports whether a list may contain name: it has 1 to MaxName bytes and is UTF-8.
func Valid(name string) bool {
	return name != "" && len(name) <= MaxName && utf8.ValidString(name)
}

// Size returns the number of bytes of a list.
func Size(list []string) int64 {
	n := int64(header)
	for _, name := range list {
		n += Cost(name)
	}
	return n
}

// Cost returns how many bytes a name adds to a list.
func Cost(name string) int64 { return prefix + int64(len(name)) }

// Encode returns a list of valid names.
func Encode(list []string) []byte {
	b := make([]byte, header, Size(list))
	copy(b, magic)
	binary.BigEndian.PutUint32(b[header-4:], uint32(len(list)))
	for _, name := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
		b = append(b, name...)
	}
	binary.BigEndian.PutUint32(b[len(magic):], crc32.Checksum(b[header-4:], castagnoli))
	return b
}

// Decode returns the names of a list, in its order. If the list is damaged, the error is ErrFormat,
// and Decode returns the names that it could read. Any of these may be wrong, so the caller must
// compare them with the retrieval keys of a generation.
func Decode(b []byte) ([]string, error) {
	if len(b) < header || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: no header", ErrFormat)
	}
	var damage error
	sum := crc32.Checksum(b[header-4:], castagnoli)
	if want := binary.BigEndian.Uint32(b[len(magic):]); sum != want {
		damage = fmt.Errorf("%w: checksum %08x, expected %08x", ErrFormat, sum, want)
	}
	count := int64(binary.BigEndian.Uint32(b[header-4:]))
	rest := string(b[header:]) // the names are substrings of it
	list := make([]string, 0, min(count, int64(len(rest)/(prefix+1))))
	for len(rest) >= prefix {
		n := int64(rest[0])<<24 | int64(rest[1])<<16 | int64(rest[2])<<8 | int64(rest[3])
		rest = rest[prefix:]
		if n > int64(len(rest)) {
			return list, fmt.Errorf("%w: a name of %d bytes, %d are left", ErrFormat, n, len(rest))
		}
		if !Valid(rest[:n]) {
			damage = fmt.Errorf("%w: name %d is not valid", ErrFormat, len(list))
		} else {
			list = append(list, rest[:n])
		}
		rest = rest[n:]
	}
	if damage == nil && (rest != "" || int64(len(list)) != count) {
		damage = fmt.Errorf("%w: %d names, expected %d", ErrFormat, len(list), count)
	}
	return list, damage
}
