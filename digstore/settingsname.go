package digstore

import (
	"slices"
	"strings"
	"unicode"
)

// settingsDirs are folders of settings that make programs run commands, or of keys. Nothing below
// them is committed or checked out.
var settingsDirs = [...]string{".git", ".hg", ".svn", dotDig}

// isSettingsDir reports whether a directory entry is one of settingsDirs, in upper or lower case.
func isSettingsDir(base string) bool {
	return slices.ContainsFunc(settingsDirs[:], func(dir string) bool {
		return strings.EqualFold(base, dir)
	})
}

// isSettingsName reports whether some file system regards one element of a path as one of
// settingsDirs: by case folding, by ignoring invisible code points (HFS+, ext4), by dropping dots
// and spaces at the end or what follows a colon (Windows), or as a short name (NTFS: GIT~1, or GI
// and four hex digits before the tilde).
func isSettingsName(part string) bool {
	part, _, _ = strings.Cut(strings.Map(dropIgnorable, part), ":")
	part = strings.TrimRight(part, ". ")
	if isSettingsDir(part) {
		return true
	}
	base, number, short := strings.Cut(part, "~")
	if !short || number == "" || strings.Trim(number, "0123456789") != "" {
		return false
	}
	return slices.ContainsFunc(settingsDirs[:], func(dir string) bool {
		name := dir[1:]
		hash, hashed := cutPrefixFold(base, name[:2])
		return strings.EqualFold(base, name) ||
			hashed && len(hash) == 4 && strings.Trim(hash, "0123456789abcdefABCDEF") == ""
	})
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// dropIgnorable drops invisible code points: Default_Ignorable_Code_Point of Unicode.
func dropIgnorable(r rune) rune {
	if r < unicode.MaxASCII {
		return r
	}
	if unicode.In(r, unicode.Cf, unicode.Variation_Selector,
		unicode.Other_Default_Ignorable_Code_Point) {
		return -1
	}
	return r
}
