package digstore

import (
	"runtime"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of file systems in bytes: of a path, including that of the target, and of one name.
const (
	maxPath = 4000
	maxPart = 255
)

// checkNames returns the names that a checkout cannot write as files beside the others, in their
// order: those that checkKeyName refuses, and those that are also a folder of another name.
func checkNames(names []string) (refused []KeyNameError) {
	at := make(map[string]int, len(names))
	for i, name := range names {
		at[name] = i
	}
	why := map[int]string{}
	for i, name := range names {
		if err := checkKeyName(name); err != nil {
			why[i] = err.(*KeyNameError).Why
			continue
		}
		for end := strings.LastIndexByte(name,
			'/'); end > 0; end = strings.LastIndexByte(name[:end], '/') {
			if file, ok := at[name[:end]]; ok {
				why[file] = "other resources lie below it"
			}
		}
	}
	for i, name := range names {
		if text, ok := why[i]; ok {
			refused = append(refused, KeyNameError{name, text})
		}
	}
	return refused
}

// without returns the names that are not in refused, which has the same order.
func without(names []string, refused []KeyNameError) []string {
	kept := make([]string, 0, len(names)-len(refused))
	for _, name := range names {
		if len(refused) > 0 && refused[0].Key == name {
			refused = refused[1:]
			continue
		}
		kept = append(kept, name)
	}
	return kept
}

// checkKeyName returns a *KeyNameError for a resource key that cannot be a file below a directory
// on this system: one that leads out of the directory, that would create or change a workspace or
// the settings of git and similar programs, that looks like another name, or that names a device.
// The resource can still be read by its name.
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
		if r > unicode.MaxASCII && unicode.Is(unicode.Bidi_Control, r) {
			return bad("it has characters that turn the direction of writing, and reads as another name")
		}
	}
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case part == "":
			return bad("it begins or ends with a slash, or has two in a row")
		case part == "." || part == "..":
			return bad("it has a part " + part)
		case isCheckoutName(part):
			return bad("a part of it is a name that checkout uses for itself")
		case len(part) > maxPart:
			return bad("a part of it is longer than file names may be")
		case isSettingsName(part):
			return bad("some file systems take " + strconv.Quote(part) +
				" for the settings of git, hg, svn or digstore")
		}
		if goos == "windows" {
			if why := badOnWindows(part); why != "" {
				return bad(why)
			}
		}
	}
	return nil
}

// badOnWindows returns why Windows does not accept a part of a path as it is; "" if it does.
func badOnWindows(part string) string {
	if i := strings.IndexFunc(part, func(r rune) bool { return r < 0x20 || r == 0x7f || strings.ContainsRune(`<>:"|?*\`, r) }); i >= 0 {
		return "it has a character that file names cannot have on Windows"
	}
	if last := part[len(part)-1]; last == '.' || last == ' ' {
		return "a part of it ends in a dot or a space"
	}
	if isDevice(part) {
		return "it names a device"
	}
	return ""
}

// isDevice reports whether Windows regards a part of a path as a device, with or without an
// extension.
func isDevice(part string) bool {
	base, _, _ := strings.Cut(part, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if len(base) >= 4 && (strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT")) {
		switch base[3:] {
		case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
			return true
		}
	}
	return false
}

// checkoutPrefix begins the names of the temporary folders of checkouts; 32 hex digits follow.
const checkoutPrefix = ".dig-checkout-"

func isCheckoutName(part string) bool {
	_, ok := cutPrefixFold(part, checkoutPrefix)
	return ok
}
