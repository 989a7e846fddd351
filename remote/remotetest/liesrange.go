package remotetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Liars with false parts of a module.

var errDown = errors.New("the line is down")

// broken stores the first half of the head's module in a local store, so that a pull requests the
// rest.
func broken(ctx context.Context, w *World, l remote.Local) (bool, error) {
	r, ok := l.(remote.Resumer)
	if !ok {
		return false, nil
	}
	lines, err := l.Generations(ctx)
	if err != nil {
		return false, err
	}
	mod := w.Modules[head]
	err = l.Install(ctx, w.lines(Generations)[len(lines):], w.Heads[head],
		io.MultiReader(bytes.NewReader(mod[:len(mod)/2]), failing{}),
		func(*module.Module) error { return errDown })
	if !errors.Is(err, errDown) {
		return false, fmt.Errorf("break an install: %w", err)
	}
	held, err := r.Held(ctx, w.Heads[head].Root)
	return held > 0, err
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDown }

// ranged passes requests for a single range to answer, and serves no recipes.
func ranged(answer func(w *World, res http.ResponseWriter, from, to int)) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		m, err := w.Memory(ctx, Generations)
		if err != nil {
			return nil, err
		}
		b := NewStores(w.now, m)
		honest := w.serve(wholeModules{b, b})
		return http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
			text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
			if !ok || !strings.HasSuffix(r.URL.Path, "/module") {
				honest.ServeHTTP(res, r)
				return
			}
			first, last, _ := strings.Cut(text, "-")
			from, _ := strconv.Atoi(first)
			to := len(w.Modules[head])
			if n, err := strconv.Atoi(last); err == nil {
				to = n + 1
			}
			answer(w, res, from, to)
		}), nil
	}
}

// part answers with 206 and the given bytes and range.
func part(res http.ResponseWriter, root merkle.Hash, from, to, total int, body []byte) {
	res.Header().Set("ETag", tag(root))
	res.Header().Set("Content-Type", "application/wasm")
	res.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, total))
	res.WriteHeader(http.StatusPartialContent)
	res.Write(body)
}

// otherObject sends the part of another generation, with its tag.
func otherObject(w *World, res http.ResponseWriter, from, to int) {
	mod := w.Modules[0]
	to = min(to, len(mod))
	from = min(from, to)
	part(res, w.Heads[0].Root, from, to, len(mod), mod[from:to])
}

// otherRange sends another part than the requested one.
func otherRange(w *World, res http.ResponseWriter, from, to int) {
	mod := w.Modules[head]
	if from == 0 {
		from, to = 2, to+1
	}
	part(res, w.Heads[head].Root, from-1, to-1, len(mod), mod[from-1:to-1])
}

// otherTotal sends the part of a longer module.
func otherTotal(w *World, res http.ResponseWriter, from, to int) {
	mod := append(bytes.Clone(w.Modules[head]), 0)
	part(res, w.Heads[head].Root, from, len(mod), len(mod), mod[from:])
}

// otherBytes sends zeros as the part, but the true module to a request without a range.
func otherBytes(w *World, res http.ResponseWriter, from, to int) {
	part(res, w.Heads[head].Root, from, to, len(w.Modules[head]), make([]byte, to-from))
}

// Liars with false recipes or chunks. They matter only to pulls.

// recipes answers requests for a recipe with the result of make, and other requests honestly.
func recipes(make func(ctx context.Context, w *World,
	honest *module.Recipe) ([]byte, error)) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		m, err := w.Memory(ctx, Generations)
		if err != nil {
			return nil, err
		}
		recipe, err := m.Recipe(ctx, w.Heads[head].Root)
		if err != nil {
			return nil, err
		}
		body, err := make(ctx, w, recipe)
		if err != nil {
			return nil, err
		}
		return recipeServer(w, w.serve(NewStores(w.now, m)),
			func(res http.ResponseWriter, _ *http.Request) { res.Write(body) }), nil
	}
}

const typeRecipe = "application/vnd.dig.recipe"

// recipeServer passes requests for a recipe to answer, and others to honest.
func recipeServer(w *World, honest http.Handler, answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), typeRecipe) {
			honest.ServeHTTP(res, r)
			return
		}
		res.Header().Set("ETag", tag(w.Heads[head].Root))
		res.Header().Set("Content-Type", typeRecipe)
		answer(res, r)
	})
}

// recipeOf returns the packed recipe of a module.
func recipeOf(ctx context.Context, mod []byte) ([]byte, error) {
	r, err := module.Decompose(ctx, bytes.NewReader(mod), func(module.Chunk, []byte) error {
		return nil
	})
	if err != nil {
		return nil, err
	}
	return wire.PackRecipe(r, nil)
}

func olderRecipe(ctx context.Context, w *World, _ *module.Recipe) ([]byte, error) {
	return recipeOf(ctx, w.Modules[0])
}

func foreignRecipe(ctx context.Context, w *World, _ *module.Recipe) ([]byte, error) {
	mod, err := foreign(ctx, w)
	if err != nil {
		return nil, err
	}
	return recipeOf(ctx, mod)
}

// rekeyedRecipe returns a recipe with the attacker's key.
func rekeyedRecipe(ctx context.Context, w *World, _ *module.Recipe) ([]byte, error) {
	mod, err := w.rekeyed()
	if err != nil {
		return nil, err
	}
	return recipeOf(ctx, mod)
}

// wrongChunk returns the recipe of a module with one bit flipped in a chunk, so that no module has
// that chunk.
func wrongChunk(ctx context.Context, w *World, _ *module.Recipe) ([]byte, error) {
	mod := bytes.Clone(w.Modules[head])
	if err := flipFirst(w, mod); err != nil {
		return nil, err
	}
	return recipeOf(ctx, mod)
}

// flipFirst flips a bit of every chunk that the head does not share with the generation before it.
func flipFirst(w *World, mod []byte) error {
	shared := map[merkle.Hash]bool{}
	err := eachChunk(w.Modules[head-1], func(sealed []byte) { shared[merkle.Sum(sealed)] = true })
	if err != nil {
		return err
	}
	return eachChunk(mod, func(sealed []byte) {
		if !shared[merkle.Sum(sealed)] {
			sealed[0] ^= 1
		}
	})
}

// eachChunk calls do with each chunk of a module's pool, in order. do may change the chunk in
// place.
func eachChunk(mod []byte, do func(sealed []byte)) error {
	at, err := section(mod, module.SectionChunkPool)
	if err != nil {
		return err
	}
	for pos := at.from + 4; pos+4 <= at.to; {
		n := int(binary.BigEndian.Uint32(mod[pos:]))
		do(mod[pos+4 : pos+4+n])
		pos += 4 + n
	}
	return nil
}

// packed serves the packed recipe changed by edit.
func packed(change func(b []byte) []byte) origin {
	return recipes(func(_ context.Context, _ *World, r *module.Recipe) ([]byte, error) {
		b, err := wire.PackRecipe(r, nil)
		if err != nil {
			return nil, err
		}
		return change(b), nil
	})
}

func truncatedRecipe(b []byte) []byte { return b[:len(b)*2/3] }

func garbageRecipe(b []byte) []byte { return bytes.Repeat([]byte("no recipe "), 100) }

// sizedRecipe sets the announced unpacked size to n bytes.
func sizedRecipe(n uint32) func([]byte) []byte {
	return func(b []byte) []byte {
		b = bytes.Clone(b)
		b[48], b[49], b[50], b[51] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
		return b
	}
}

// baseless names a base that the client did not offer.
func baseless(b []byte) []byte {
	b = bytes.Clone(b)
	for i := range 32 {
		b[8+i] = 0xab
	}
	return b
}

// bombRecipe packs 1 GiB of zeros into one zstd frame, as run-length blocks of 128 KiB.
func bombRecipe(b []byte) []byte {
	b = bytes.Clone(b[:52])
	// a content size of four bytes, a window of 2 MiB
	b = append(b, 0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x58)
	b = append(b, b[51], b[50], b[49], b[48]) // as announced
	const n = 128 << 10
	for i := range 8192 {
		h := uint32(n<<3 | 1<<1) // run-length
		if i == 8191 {
			h |= 1
		}
		b = append(b, byte(h), byte(h>>8), byte(h>>16), 0)
	}
	return b
}

// endlessRecipe sends an endless recipe.
func endlessRecipe(ctx context.Context, w *World) (http.Handler, error) {
	honest, err := w.Honest(ctx, Generations)
	if err != nil {
		return nil, err
	}
	return recipeServer(w, honest, func(res http.ResponseWriter, r *http.Request) {
		zeros := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			if _, err := res.Write(zeros); err != nil {
				return
			}
		}
	}), nil
}

// chunked serves true recipes, and changes the answers to range requests by edit.
func chunked(edit func(w *World, h http.Header, status int, body []byte) (int, []byte)) origin {
	return func(ctx context.Context, w *World) (http.Handler, error) {
		honest, err := w.Honest(ctx, Generations)
		if err != nil {
			return nil, err
		}
		return http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				honest.ServeHTTP(res, r)
				return
			}
			kept := &keeper{header: res.Header(), status: http.StatusOK}
			honest.ServeHTTP(kept, r)
			status, body := edit(w, res.Header(), kept.status, kept.body.Bytes())
			res.Header().Set("Content-Length", strconv.Itoa(len(body)))
			res.WriteHeader(status)
			res.Write(body)
		}), nil
	}
}

// wrongBytes flips a bit of the last byte of each range.
func wrongBytes(_ *World, h http.Header, status int, body []byte) (int, []byte) {
	body = bytes.Clone(body)
	_, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if boundary := params["boundary"]; err == nil && boundary != "" {
		end := []byte("\r\n--" + boundary)
		for at := bytes.Index(body, end); at > 0; {
			body[at-1] ^= 1
			next := bytes.Index(body[at+1:], end)
			if next < 0 {
				break
			}
			at += 1 + next
		}
		return status, body
	}
	body[len(body)-1] ^= 1
	return status, body
}

func chunkTag(w *World, h http.Header, status int, body []byte) (int, []byte) {
	h.Set("ETag", tag(w.Heads[0].Root))
	return status, body
}

var contentRange = regexp.MustCompile(`bytes ([0-9]+)-([0-9]+)/`)

// shifted announces the bytes one byte before their offset.
func shifted(_ *World, h http.Header, status int, body []byte) (int, []byte) {
	move := func(text []byte) []byte {
		m := contentRange.FindSubmatch(text)
		from, _ := strconv.Atoi(string(m[1]))
		to, _ := strconv.Atoi(string(m[2]))
		return fmt.Appendf(nil, "bytes %d-%d/", from-1, to-1)
	}
	h.Set("Content-Range", string(contentRange.ReplaceAllFunc([]byte(h.Get("Content-Range")), move)))
	if h.Get("Content-Range") == "" { // a multipart answer has a Content-Range in each part
		h.Del("Content-Range")
		body = contentRange.ReplaceAllFunc(body, move)
	}
	return status, body
}

// shortened sends fewer bytes than announced.
func shortened(_ *World, _ http.Header, status int, body []byte) (int, []byte) {
	return status, body[:len(body)-1]
}

// unsatisfied answers that the range is beyond the end.
func unsatisfied(w *World, h http.Header, _ int, _ []byte) (int, []byte) {
	h.Set("Content-Range", fmt.Sprintf("bytes */%d", 10))
	return http.StatusRequestedRangeNotSatisfiable, nil
}

// Functions that set up Liar.Needs.

// knowing stores the publisher's tombstone of the store in l.
func knowing(ctx context.Context, w *World, l remote.Local) (bool, error) {
	r, ok := l.(remote.TrustStore)
	if !ok {
		return false, nil
	}
	pins, err := r.Pins(ctx)
	if err != nil {
		return false, err
	}
	pins.Publisher = w.Publisher.PublicKey() // the key of the tombstone
	if err := r.Pin(ctx, pins); err != nil {
		return false, err
	}
	t, err := auth.SignTombstone(ctx,
		auth.Tombstone{Store: w.Store, NotAfter: 1_700_000_000, Reason: auth.Compromise}, w.Publisher)
	if err != nil {
		return false, err
	}
	return true, r.Revoke(ctx, t)
}

// pinned pins the head in l, which does not hold it.
func pinned(ctx context.Context, w *World, l remote.Local) (bool, error) {
	p, ok := l.(remote.TrustStore)
	if !ok {
		return false, nil
	}
	return true, p.Pin(ctx,
		module.Pins{Publisher: w.Publisher.PublicKey(), Root: w.Heads[head].Root, Generation: head})
}
