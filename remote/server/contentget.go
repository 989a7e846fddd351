package server

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// contentPath is the prefix of the path of a single resource, after /stores/{id}. The retrieval key
// follows.
const contentPath = "/content/"

// getContent answers GET and HEAD /stores/{id}/content/{retrieval key}?root=ROOT&range=a-b with the
// same sealed bytes of a resource or decoy as POST /stores/{id}/content. root defaults to the head.
// range is half-open and clamped; Range headers work too. With Options.Anonymous any cache may keep
// a response for a named root forever.
func (s *Server) getContent(w http.ResponseWriter, c *call) error {
	key, err := merkle.ParseHash(c.key)
	if err != nil {
		return badRequest("bad retrieval key")
	}
	query := c.URL.Query()
	start, end, err := parseRange(query)
	if err != nil {
		return err
	}
	id := module.ID{Store: c.store}
	if query.Has("root") {
		if id.Root, err = merkle.ParseHash(query.Get("root")); err != nil {
			return badRequest("bad root")
		}
	}
	head, err := s.head(c.Context(), c.store)
	if err != nil {
		return err
	}
	if !query.Has("root") {
		id.Root = head.Root
	}
	if id.Root.IsZero() {
		return unknownRoot()
	}
	c.root = id.Root
	content, err := s.resources.Open(c.Context(), id, key)
	if err != nil {
		return rootRefusal(err)
	}
	defer content.Close()
	size := uint64(content.Size())
	from, to := int64(min(start, size)), int64(min(end, size))
	tag, err := contentTag(content, from, to)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Content-Type", "application/octet-stream")
	h.Set(wire.HeaderRoot, id.Root.String())
	switch {
	case !s.opt.Anonymous:
		h.Set("Cache-Control", "private, no-store") // a cache would not authenticate
	case query.Has("root"):
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	default:
		h.Set("Cache-Control", "public, no-cache")
	}
	if s.opt.Anonymous { // for web pages
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "ETag, "+wire.HeaderRoot)
	}
	body := &failingReader{ReadSeeker: io.NewSectionReader(content, from, to-from)}
	out := &moduleWriter{ResponseWriter: w, size: to - from}
	// The struct hides ReadFrom, so that io.Copy uses its small buffer: there may be many slow
	// readers.
	http.ServeContent(struct{ http.ResponseWriter }{out}, servedRanges(c.Request),
		"", time.Time{}, body)
	if out.unsatisfiable {
		return refuse(http.StatusRequestedRangeNotSatisfiable, "bad request: range not satisfiable")
	}
	if body.err != nil {
		if c.Context().Err() == nil {
			s.log.ErrorContext(c.Context(), "resource broke off", "store", c.store, "root",
				id.Root, "err", body.err)
		}
		panic(http.ErrAbortHandler) // a partial body must not look complete
	}
	return nil
}

// parseRange parses range=a-b of a query, two canonical decimals. Without it the range is
// everything.
func parseRange(query url.Values) (start, end uint64, err error) {
	if !query.Has("range") {
		return 0, 1<<63 - 1, nil
	}
	first, last, _ := strings.Cut(query.Get("range"), "-")
	start, err1 := strconv.ParseUint(first, 10, 63)
	end, err2 := strconv.ParseUint(last, 10, 63)
	if err1 != nil || err2 != nil || start > end ||
		fmt.Sprintf("%d-%d", start, end) != query.Get("range") {
		return 0, 0, badRequest("bad range")
	}
	return start, end, nil
}

// contentTag returns a strong ETag from the hash of the sealed bytes and the range. The leaf of a
// proof is that hash, also for a decoy.
func contentTag(content *SealedResource, from, to int64) (string, error) {
	var leaf merkle.Hash
	if content.Proof != nil {
		leaf = content.Proof.Leaf
	} else {
		sum := sha256.New()
		if _, err := io.Copy(sum, io.NewSectionReader(content, 0, content.Size())); err != nil {
			return "", err
		}
		sum.Sum(leaf[:0])
	}
	if from == 0 && to == content.Size() {
		return fmt.Sprintf("%q", leaf), nil
	}
	return fmt.Sprintf("\"%s-%d-%d\"", leaf, from, to), nil
}

// A failingReader keeps its read error, which http.ServeContent does not return.
type failingReader struct {
	io.ReadSeeker
	err error
}

func (r *failingReader) Read(p []byte) (int, error) {
	n, err := r.ReadSeeker.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
