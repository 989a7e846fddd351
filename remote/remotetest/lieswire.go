package remotetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// Liars with false HTTP answers.

// answering replaces the answer of one route.
func answering(tail string,
	answer func(w *World, res http.ResponseWriter, r *http.Request)) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		honest, err := w.Honest(ctx, Generations)
		if err != nil {
			return nil, err
		}
		path := "/stores/" + w.Store.String() + tail
		return http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path && r.Method == http.MethodGet {
				answer(w, res, r)
				return
			}
			honest.ServeHTTP(res, r)
		}), nil
	}
}

// edited changes the honest server's answers of one route.
func edited(tail string, edit func(h http.Header, body []byte) []byte) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		honest, err := w.Honest(ctx, Generations)
		if err != nil {
			return nil, err
		}
		return answering(tail, func(_ *World, res http.ResponseWriter, r *http.Request) {
			kept := &keeper{header: res.Header(), status: http.StatusOK}
			honest.ServeHTTP(kept, r)
			body := edit(res.Header(), kept.body.Bytes())
			res.Header().Set("Content-Length", strconv.Itoa(len(body)))
			res.WriteHeader(kept.status)
			res.Write(body)
		})(ctx, w)
	}
}

// A keeper is a ResponseWriter that buffers the answer.
type keeper struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *keeper) Header() http.Header         { return k.header }
func (k *keeper) WriteHeader(status int)      { k.status = status }
func (k *keeper) Write(p []byte) (int, error) { return k.body.Write(p) }

func otherTag(h http.Header, body []byte) []byte {
	h.Set("ETag", `"`+strings.Repeat("ab", 32)+`"`)
	return body
}

func noTag(h http.Header, body []byte) []byte {
	h.Del("ETag")
	return body
}

// sized changes the size in a descriptor.
func sized(change func(int64) int64) func(http.Header, []byte) []byte {
	return func(_ http.Header, body []byte) []byte {
		var d remote.Descriptor
		if err := json.Unmarshal(body, &d); err != nil {
			return body
		}
		d.Size = change(d.Size)
		edited, err := json.Marshal(&d)
		if err != nil {
			return body
		}
		return edited
	}
}

func longer(n int64) int64  { return n + 1 }
func shorter(n int64) int64 { return n - 1 }

// otherTombstone adds the publisher's tombstone of another store.
func otherTombstone(_ http.Header, body []byte) []byte {
	t, err := auth.SignTombstone(context.Background(),
		auth.Tombstone{Store: auth.StoreID{1}, Reason: auth.Takedown}, seeded(1))
	if err != nil {
		return nil
	}
	record, err := t.MarshalBinary()
	if err != nil {
		return nil
	}
	return bytes.Replace(body, []byte(`"tombstones":[`), fmt.Appendf(nil, `"tombstones":[{"record":"%x","signature":"%s"}`, record, t.Sig), 1)
}

// flooding adds more forged tombstones of the store than a client considers.
func flooding(ctx context.Context, w *World) (http.Handler, error) {
	var tombstones bytes.Buffer
	for n := range 5000 {
		t := auth.Tombstone{Store: w.Store, Root: merkle.Sum([]byte{byte(n >> 8), byte(n)}),
			Reason: auth.Takedown}
		record, err := t.MarshalBinary()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			tombstones.WriteByte(',')
		}
		fmt.Fprintf(&tombstones, `{"record":"%x","signature":"9f%0190x"}`, record, n)
	}
	return edited("", func(_ http.Header, body []byte) []byte {
		return bytes.Replace(body, []byte(`"tombstones":[`), append([]byte(`"tombstones":[`), tombstones.Bytes()...), 1)
	})(ctx, w)
}

// oversized announces the length that it sends.
func oversized(ctx context.Context, w *World) (http.Handler, error) {
	described, err := edited("", sized(func(int64) int64 { return 1 << 40 }))(ctx, w)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/module") {
			endless(w, res, r)
			return
		}
		described.ServeHTTP(res, r)
	}), nil
}

// endless sends a module whose first section is announced as 1 GiB, and zeros after it.
func endless(w *World, res http.ResponseWriter, r *http.Request) {
	res.Header().Set("ETag", tag(w.Heads[head].Root))
	io.WriteString(res, "\x00asm\x01\x00\x00\x00\x00\x80\x80\x80\x80\x04")
	zeros := make([]byte, 64<<10)
	for r.Context().Err() == nil {
		if _, err := res.Write(zeros); err != nil {
			return
		}
	}
}

func redirect(w *World, res http.ResponseWriter, r *http.Request) {
	http.Redirect(res, r, "https://example.com"+r.URL.Path, http.StatusTemporaryRedirect)
}

func compressed(w *World, res http.ResponseWriter, r *http.Request) {
	res.Header().Set("ETag", tag(w.Heads[head].Root))
	res.Header().Set("Content-Encoding", "gzip")
	res.Write(w.Modules[head])
}

func notModified(w *World, res http.ResponseWriter, _ *http.Request) {
	res.Header().Set("ETag", tag(w.Heads[head].Root))
	res.WriteHeader(http.StatusNotModified)
}

// endlessDescriptor sends a descriptor with an endless list of tombstones.
func endlessDescriptor(w *World, res http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(res, `{"current_root":"%s","size":1,"tombstones":[`, w.Heads[head].Root)
	entries := strings.Repeat(`{"record":"","signature":""},`, 1000)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(res, entries); err != nil {
			return
		}
	}
}

func gibberish(_ *World, res http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(res, `{"current_root":`)
}

// silent sends half of the module and then waits until the client disconnects.
func silent(w *World, res http.ResponseWriter, r *http.Request) {
	mod := w.Modules[head]
	res.Header().Set("ETag", tag(w.Heads[head].Root))
	res.Header().Set("Content-Length", strconv.Itoa(len(mod)))
	res.Write(mod[:len(mod)/2])
	http.NewResponseController(res).Flush()
	<-r.Context().Done()
}

func absent(_ *World, res http.ResponseWriter, _ *http.Request) {
	http.Error(res, "unknown root", http.StatusNotFound)
}

func tag(root merkle.Hash) string { return `"` + root.String() + `"` }

// elsewhere redirects one route to another host, which would give the true answer.
func elsewhere(tail, base string) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		return answering(tail, func(_ *World, res http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(base, "http") && r.URL.Query().Has("moved") {
				return // an empty answer: a client that follows fails, but not with ErrRedirect
			}
			http.Redirect(res, r, base+r.URL.Path+"?moved", http.StatusFound)
		})(ctx, w)
	}
}

// gzipBomb sends 64 MiB of blanks compressed with gzip.
func gzipBomb(_ *World, res http.ResponseWriter, _ *http.Request) {
	res.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(res)
	blanks := bytes.Repeat([]byte(" "), 1<<20)
	for range 64 {
		if _, err := z.Write(blanks); err != nil {
			return
		}
	}
	z.Close()
}

// hidden sends gzip without a Content-Encoding.
func hidden(_ *World, res http.ResponseWriter, _ *http.Request) {
	z := gzip.NewWriter(res)
	io.WriteString(z, `{"current_root":"`)
	z.Close()
}

// short announces a longer module than it sends, and breaks the connection.
func short(w *World, res http.ResponseWriter, _ *http.Request) {
	mod := w.Modules[head]
	res.Header().Set("ETag", tag(w.Heads[head].Root))
	res.Header().Set("Content-Length", strconv.Itoa(len(mod)))
	res.Write(mod[:len(mod)/2])
	panic(http.ErrAbortHandler)
}

// cut announces a shorter module than the descriptor does, and sends that much of it.
func cut(h http.Header, body []byte) []byte { return body[:len(body)-1] }

// grown appends a byte to the module, which the descriptor counts.
func grown(ctx context.Context, w *World) (http.Handler, error) {
	return swapped(func(context.Context, *World) ([]byte, error) {
		return append(bytes.Clone(w.Modules[head]), 0), nil
	})(ctx, w)
}

// crawling sends the answer at a byte every ten seconds.
func crawling(tail string) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		honest, err := w.Honest(ctx, Generations)
		if err != nil {
			return nil, err
		}
		return answering(tail, func(_ *World, res http.ResponseWriter, r *http.Request) {
			honest.ServeHTTP(&crawler{res, r.Context()}, r)
		})(ctx, w)
	}
}

type crawler struct {
	http.ResponseWriter
	ctx context.Context
}

func (c *crawler) Write(p []byte) (n int, err error) {
	for ; n < len(p); n++ {
		select {
		case <-time.After(10 * time.Second):
		case <-c.ctx.Done():
			return n, c.ctx.Err()
		}
		if _, err := c.ResponseWriter.Write(p[n : n+1]); err != nil {
			return n, err
		}
		http.NewResponseController(c.ResponseWriter).Flush()
	}
	return n, nil
}

// partial answers with 206 to a request without a range.
func partial(w *World, res http.ResponseWriter, _ *http.Request) {
	mod := w.Modules[head]
	res.Header().Set("ETag", tag(w.Heads[head].Root))
	res.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(mod)-1, len(mod)))
	res.WriteHeader(http.StatusPartialContent)
	res.Write(mod)
}

// noContent answers with 204.
func noContent(_ *World, res http.ResponseWriter, _ *http.Request) {
	res.WriteHeader(http.StatusNoContent)
}

// endlessRefusal answers with 404 and an endless text.
func endlessRefusal(_ *World, res http.ResponseWriter, r *http.Request) {
	res.WriteHeader(http.StatusNotFound)
	words := strings.Repeat("no such store ", 1000)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(res, words); err != nil {
			return
		}
	}
}

// otherClock refuses every request as expired, by a wrong clock.
func otherClock(_ *World, res http.ResponseWriter, _ *http.Request) {
	res.Header().Set("Date", "Tue, 01 Jan 1991 00:00:00 GMT")
	http.Error(res, "request authentication failed: stale request timestamp", http.StatusUnauthorized)
}
