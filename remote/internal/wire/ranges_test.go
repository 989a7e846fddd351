package wire

import "testing"

func TestParseContentRange(t *testing.T) {
	for text, want := range map[string]struct {
		at    Span
		total int64
		ok    bool
	}{
		"bytes 0-0/1":                    {Span{0, 1}, 1, true},
		"bytes 5-9/100":                  {Span{5, 5}, 100, true},
		"bytes 5-99/100":                 {Span{5, 95}, 100, true},
		"bytes 5-100/100":                {},
		"bytes 9-5/100":                  {},
		"bytes -5/100":                   {},
		"bytes 5-/100":                   {},
		"bytes 5-9/*":                    {},
		"bytes */100":                    {},
		"bytes 5-9":                      {},
		"lines 5-9/100":                  {},
		"bytes 5-9/99999999999999999999": {},
		"bytes 5-9/-100":                 {},
		"bytes +5-9/100":                 {},
		"bytes 5-9/100 ":                 {},
		"":                               {},
		"bytes 0-4611686018427387903/4611686018427387904": {},
	} {
		at, total, ok := ParseContentRange(text)
		if ok != want.ok || ok && (at != want.at || total != want.total) {
			t.Errorf("%q: %v of %d, %v", text, at, total, ok)
		}
	}
}

func TestParseUnsatisfied(t *testing.T) {
	for text, want := range map[string]int64{
		"bytes */0": 0, "bytes */100": 100, "bytes */-1": -1, "bytes */": -1, "bytes */1 ": -1, "bytes 0-0/1": -1, "": -1,
	} {
		if total, ok := ParseUnsatisfied(text); ok != (want >= 0) || ok && total != want {
			t.Errorf("%q: %d, %v", text, total, ok)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	f.Add("bytes 5-9/100")
	f.Add("bytes */100")
	f.Fuzz(func(t *testing.T, s string) {
		if at, total, ok := ParseContentRange(s); ok &&
			(at.Offset < 0 || at.Length < 1 || at.End() > total) {
			t.Fatalf("%q gives %v of %d", s, at, total)
		}
	})
}
