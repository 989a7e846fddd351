// Package oneline makes untrusted text fit for one line of a terminal. It escapes or replaces
// hidden characters: those that a terminal interprets, does not show, or shows in another place.
package oneline

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hidden reports whether a terminal interprets a character, does not show it, or shows it in
// another place: control characters, direction marks, separators, fillers and unassigned
// characters.
func Hidden(r rune) bool {
	switch {
	case r == '\ufe0e' || r == '\ufe0f': // select text or emoji style
		return false
	case r == '\u2800': // Braille blank
		return true
	}
	return !strconv.IsPrint(r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// HasHidden reports whether s has hidden characters or is not UTF-8.
func HasHidden(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, Hidden)
}

// Name returns a name or another value: unchanged, or quoted as in Go if it has hidden characters.
// A name that begins with a quote is quoted too, so that quoted names are unambiguous.
func Name(s string) string {
	if HasHidden(s) || strings.HasPrefix(s, `"`) {
		return Quote(s)
	}
	return s
}

// Quote quotes s so that strconv.Unquote returns it.
func Quote(s string) string {
	out := []byte{'"'}
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		default:
			out = AppendChar(out, s[:n])
		}
		s = s[n:]
	}
	return string(append(out, '"'))
}

// Message returns a sentence. Line ends and tabs become spaces, and other hidden characters are
// escaped as in Go.
func Message(s string) string {
	s = strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ", "\r", " ").Replace(s)
	var out []byte
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(s)
		out = AppendChar(out, s[:n])
		s = s[n:]
	}
	return string(out)
}

// Excerpt returns a text, or its first n bytes and an ellipsis. Hidden characters become spaces,
// and bytes that are not UTF-8 become replacement characters. Spaces at the ends are removed.
func Excerpt(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "…"
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if Hidden(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// AppendChar appends one character, or one byte that is not UTF-8. It is escaped as in Go if it is
// hidden.
func AppendChar(out []byte, char string) []byte {
	r, n := utf8.DecodeRuneInString(char)
	broken := r == utf8.RuneError && n == 1
	switch {
	case !Hidden(r) && !broken:
		return append(out, char...)
	case broken:
		return fmt.Appendf(out, `\x%02x`, char[0])
	case r == '\n':
		return append(out, `\n`...)
	case r == '\t':
		return append(out, `\t`...)
	case r == '\r':
		return append(out, `\r`...)
	case r < 0x80:
		return fmt.Appendf(out, `\x%02x`, r)
	case r > 0xffff:
		return fmt.Appendf(out, `\U%08x`, r)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}
