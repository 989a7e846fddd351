package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// The body of a push that comes as a recipe: u32 length of the packed recipe, the packed recipe, and then the sealed
// bytes of every chunk that its base does not have, one after the other in the order of the pool. Which those are and
// how long they are follows from the two recipes.

const recipePrefix = 4

// missingFrom returns the places in r.Pool() of the chunks that base does not have, each chunk once, and how many bytes
// they are. A chunk that base has with another length is an error.
func missingFrom(base, r *module.Recipe) (missing []int, size int64, err error) {
	have := make(map[merkle.Hash]uint32, len(base.Pool())+len(r.Pool())/8)
	for _, c := range base.Pool() {
		have[c.ID] = c.Len
	}
	for i, c := range r.Pool() {
		n, ok := have[c.ID]
		if ok && n != c.Len {
			return nil, 0, fmt.Errorf("%w: chunk %s of %d bytes, and of %d elsewhere", module.ErrRecipe, c.ID, c.Len, n)
		}
		if !ok {
			have[c.ID] = c.Len
			missing = append(missing, i)
			size += int64(c.Len)
		}
	}
	return missing, size, nil
}

// A recipeBody is such a body on its way out.
type recipeBody struct {
	recipe  *module.Recipe
	head    []byte // up to the first chunk
	missing []int
	size    int64 // of the whole body
}

func newRecipeBody(r, base *module.Recipe) (*recipeBody, error) {
	pack, err := PackRecipe(r, base)
	if err != nil {
		return nil, err
	}
	b := &recipeBody{recipe: r, head: append(binary.BigEndian.AppendUint32(nil, uint32(len(pack))), pack...)}
	if b.missing, b.size, err = missingFrom(base, r); err != nil {
		return nil, err
	}
	b.size += int64(len(b.head))
	return b, nil
}

// reader gives the body, its chunks from the module in src. Each is held to its id before any of it is given out.
func (b *recipeBody) reader(src io.ReaderAt) *recipeReader {
	return &recipeReader{b: b, src: src, places: b.recipe.Offsets(), now: b.head}
}

type recipeReader struct {
	b      *recipeBody
	src    io.ReaderAt
	places []int64
	next   int    // in missing
	now    []byte // not given out yet
	buf    []byte

	mu  sync.Mutex // an answer may come while net/http is still reading
	err error      // why the module could not be read
}

// failed returns why the module could not be read, nil when it could.
func (r *recipeReader) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Read implements io.Reader.
func (r *recipeReader) Read(p []byte) (int, error) {
	if len(r.now) == 0 {
		if r.next == len(r.b.missing) {
			return 0, io.EOF
		}
		if err := r.load(r.b.missing[r.next]); err != nil {
			r.now = nil
			r.mu.Lock()
			r.err = err
			r.mu.Unlock()
			return 0, err
		}
		r.next++
	}
	n := copy(p, r.now)
	r.now = r.now[n:]
	return n, nil
}

// load reads a chunk.
func (r *recipeReader) load(i int) error {
	c := r.b.recipe.Pool()[i]
	if uint32(cap(r.buf)) < c.Len {
		r.buf = make([]byte, c.Len)
	}
	r.now = r.buf[:c.Len]
	if n, err := r.src.ReadAt(r.now, r.places[i]); n < len(r.now) {
		return fmt.Errorf("remote: read chunk %s: %w", c.ID, err)
	}
	if got := merkle.Sum(r.now); got != c.ID {
		return fmt.Errorf("remote: read chunk %s: %w: what is here hashes to %s", c.ID, module.ErrVerify, got)
	}
	return nil
}

// errEarly is a body that ends before what its recipe says.
var errEarly = errors.New("the body ends early")

// readPart fills b from a body.
func readPart(body io.Reader, b []byte) error {
	_, err := io.ReadFull(body, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errEarly
	}
	return err
}
