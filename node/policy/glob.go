package policy

import (
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/dig-network/digstore/node/economy"
)

// maxPattern is the length in bytes of the longest pattern.
const maxPattern = 256

func checkPattern(p string) error {
	if p == "" || len(p) > maxPattern {
		return fmt.Errorf("%d bytes, expected 1 to %d", len(p), maxPattern)
	}
	_, err := path.Match(strings.ToLower(p), "")
	return err
}

// isID reports whether a pattern is the hexadecimal form of an id.
func isID(p string) bool {
	b, err := hex.DecodeString(p)
	return err == nil && len(b) == len(economy.ID{})
}

// matches returns the first pattern that matches the whole handle, without ".dig", or the whole id
// in hexadecimal digits, in any letter case. * is any run of characters, ? is one, [a-z] is one of
// a class. A pattern of 64 hexadecimal digits matches the id alone.
func matches(patterns []string, handle string, store economy.ID) (pattern string, ok bool) {
	handle = strings.ToLower(strings.TrimSuffix(handle, ".dig"))
	id := hex.EncodeToString(store[:])
	for _, p := range patterns {
		low := strings.ToLower(p)
		if match(low, id) || handle != "" && !isID(low) && match(low, handle) {
			return p, true
		}
	}
	return "", false
}

func match(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil && !strings.Contains(name, "/")
}
