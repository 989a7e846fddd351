package remotetest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Descriptors and histories that are not what they should be, as JSON.

// replacing puts one text in place of another, once.
func replacing(old, new string) func(http.Header, []byte) []byte {
	return func(_ http.Header, body []byte) []byte {
		return bytes.Replace(body, []byte(old), []byte(new), 1)
	}
}

// saying answers with a text.
func saying(text string) func(*World, http.ResponseWriter, *http.Request) {
	return func(_ *World, res http.ResponseWriter, _ *http.Request) {
		res.Header().Set("Content-Type", "application/json")
		io.WriteString(res, text)
	}
}

// secondRoot says the head twice, the true one first.
func secondRoot(_ http.Header, body []byte) []byte {
	return bytes.Replace(body, []byte("{"), []byte(`{"current_root":"`+strings.Repeat("ab", 32)+`",`), 1)
}

// secondLine says the root of a line twice.
func secondLine(_ http.Header, body []byte) []byte {
	return bytes.Replace(body, []byte(`{"generation"`), []byte(`{"root":"`+strings.Repeat("ab", 32)+`","generation"`), 1)
}

// deep is a descriptor with a member of a million arrays in one another.
func deep(_ *World, res http.ResponseWriter, r *http.Request) {
	io.WriteString(res, `{"x":`+strings.Repeat("[", 1<<20))
}

// endlessRoots is a history in which a root does not end.
func endlessRoots(_ *World, res http.ResponseWriter, r *http.Request) {
	io.WriteString(res, `{"roots":[{"generation":0,"root":"`)
	digits := bytes.Repeat([]byte("ab"), 32<<10)
	for r.Context().Err() == nil {
		if _, err := res.Write(digits); err != nil {
			return
		}
	}
}

// fractional is a descriptor whose size is a number, and no integer.
func fractional(w *World, res http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(res, `{"current_root":"%s","size":1e3}`, w.Heads[head].Root)
}
