package remotetest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Liars with invalid JSON as descriptor or history.

// replacing replaces the first occurrence of one text by another.
func replacing(old, new string) func(http.Header, []byte) []byte {
	return func(_ http.Header, body []byte) []byte {
		return bytes.Replace(body, []byte(old), []byte(new), 1)
	}
}

// saying answers with a fixed text.
func saying(text string) func(*World, http.ResponseWriter, *http.Request) {
	return func(_ *World, res http.ResponseWriter, _ *http.Request) {
		res.Header().Set("Content-Type", "application/json")
		io.WriteString(res, text)
	}
}

// secondRoot repeats the member of the head; the true one is first.
func secondRoot(_ http.Header, body []byte) []byte {
	return bytes.Replace(body, []byte("{"), []byte(`{"current_root":"`+strings.Repeat("ab", 32)+`",`), 1)
}

// secondLine repeats the member of a line's root.
func secondLine(_ http.Header, body []byte) []byte {
	return bytes.Replace(body, []byte(`{"generation"`), []byte(`{"root":"`+strings.Repeat("ab", 32)+`","generation"`), 1)
}

// deep answers with a descriptor that has a million nested arrays.
func deep(_ *World, res http.ResponseWriter, r *http.Request) {
	io.WriteString(res, `{"x":`+strings.Repeat("[", 1<<20))
}

// endlessRoots answers with a history whose first root does not end.
func endlessRoots(_ *World, res http.ResponseWriter, r *http.Request) {
	io.WriteString(res, `{"roots":[{"generation":0,"root":"`)
	digits := bytes.Repeat([]byte("ab"), 32<<10)
	for r.Context().Err() == nil {
		if _, err := res.Write(digits); err != nil {
			return
		}
	}
}

// fractional answers with a descriptor whose size is not written as an integer.
func fractional(w *World, res http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(res, `{"current_root":"%s","size":1e3}`, w.Heads[head].Root)
}
