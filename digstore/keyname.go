package digstore

import (
	"runtime"
	"strings"
	"unicode/utf8"
)

// What file systems take: the length of a path, which the target's own is part of, and of one name, in bytes.
const (
	maxPath = 4000
	maxPart = 255
)

// checkKeyName refuses resource keys that cannot become a file below a directory, on this system: those that lead
// out of it, that would make or change a workspace, that a reader would take for another name, or that name a
// device (store-format 8.1). They can still be read by their names.
func checkKeyName(key string) error { return checkKeyNameOn(runtime.GOOS, key) }

func checkKeyNameOn(goos, key string) error {
	bad := func(why string) error { return &KeyNameError{key, why} }
	switch {
	case key == "":
		return bad("it is empty")
	case !utf8.ValidString(key):
		return bad("it is not UTF-8")
	case strings.ContainsRune(key, 0):
		return bad("it has a NUL")
	case len(key) > maxPath:
		return bad("it is longer than paths may be")
	}
	for _, r := range key {
		if r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return bad("it has characters that turn the direction of writing, and reads as another name")
		}
	}
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case part == "":
			return bad("it begins or ends with a slash, or has two in a row")
		case part == "." || part == "..":
			return bad("it has a part " + part)
		case len(part) > maxPart:
			return bad("a part of it is longer than file names may be")
		case strings.EqualFold(part, dotDig):
			return bad("it leads into a workspace")
		}
		if goos == "windows" {
			if why := badOnWindows(part); why != "" {
				return bad(why)
			}
		}
	}
	return nil
}

// badOnWindows says why Windows would not take a part of a path for what it is.
func badOnWindows(part string) string {
	if i := strings.IndexFunc(part, func(r rune) bool { return r < 0x20 || r == 0x7f || strings.ContainsRune(`<>:"|?*\`, r) }); i >= 0 {
		return "it has a character that file names cannot have on Windows"
	}
	if last := part[len(part)-1]; (last == '.' || last == ' ') && strings.Trim(part, ".") != "" {
		return "a part of it ends in a dot or a space"
	}
	base, _, _ := strings.Cut(part, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return "it names a device"
	}
	if len(base) >= 4 && (strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT")) {
		switch base[3:] {
		case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
			return "it names a device"
		}
	}
	return ""
}
