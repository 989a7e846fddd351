package api

import (
	"bytes"
	"compress/gzip"
	"sync"
)

// compressAbove is the length in bytes above which JSON is compressed.
const compressAbove = 1 << 10

var gzips = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails only for unknown levels
	return w
}}

// compress returns the body to send for a text, and sets its headers.
func compress(w *answer, c *call, text []byte) []byte {
	if len(text) <= compressAbove {
		return text
	}
	w.Header().Add("Vary", "Accept-Encoding")
	if !acceptsEncoding(c.Header, "gzip") {
		return text
	}
	var b bytes.Buffer
	z := gzips.Get().(*gzip.Writer)
	defer gzips.Put(z)
	z.Reset(&b)
	z.Write(text) // a bytes.Buffer does not fail
	if z.Close() != nil || b.Len() >= len(text) {
		return text
	}
	w.Header().Set("Content-Encoding", "gzip")
	return b.Bytes()
}
