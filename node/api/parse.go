package api

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// parse32 reads a 32-byte value in hexadecimal digits, with or without 0x.
func parse32(s, what string) (merkle.Hash, error) {
	h, err := merkle.ParseHash(strings.TrimPrefix(s, "0x"))
	if err != nil {
		return h, failf(InvalidHex, "%s: expected 64 hexadecimal digits", what)
	}
	return h, nil
}

// hex32 returns the text form of a 32-byte value.
func hex32[T ~[32]byte](v T) string { return "0x" + hex.EncodeToString(v[:]) }

func (c *call) store() (auth.StoreID, error) {
	h, err := parse32(c.path["datastore_id"], "datastore_id")
	return auth.StoreID(h), err
}

// root returns the query parameter root, or zero if it is missing.
func (c *call) root() (merkle.Hash, error) {
	q, err := c.query()
	if err != nil || !q.Has("root") {
		return merkle.Hash{}, err
	}
	return parse32(q.Get("root"), "root")
}

// parseIndex reads the index of a capsule.
func parseIndex(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, failf(InvalidIndex, "capsule_index: expected a decimal number below 2^32")
	}
	return uint32(n), nil
}

// bounded returns a query parameter that is a number. Values out of range are clamped.
func (c *call) bounded(name string, absent, least, most int64) (int64, error) {
	q, err := c.query()
	if err != nil {
		return 0, err
	}
	s := q.Get(name)
	if s == "" {
		return absent, nil
	}
	n, ok := decimal(strings.TrimPrefix(s, "-"))
	if !ok {
		return 0, failf(InvalidArgument, "%s: expected a number", name)
	}
	if strings.HasPrefix(s, "-") {
		n = least
	}
	return max(least, min(n, most)), nil
}

// sendJSON answers with a value.
func (s *Server) sendJSON(w *answer, c *call, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.sendText(w, c, status, text)
}

// sendText answers with a JSON text.
func (s *Server) sendText(w *answer, c *call, status int, text []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	text = compress(w, c, text)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if c.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(text)
	return err
}
