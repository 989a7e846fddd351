package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// The body of a push by recipe is the u32 length of the packed recipe, the packed recipe, and the
// sealed bytes of every chunk that its base does not have, in the order of the pool. The two
// recipes tell which chunks these are and how long they are.

// RecipePrefix is the length of the prefix before the packed recipe.
const RecipePrefix = 4

// MissingFrom returns the indices in r.Pool() of the chunks that base does not have, each chunk
// once, and their size in bytes. A chunk that base has with another length is an error.
func MissingFrom(base, r *module.Recipe) (missing []int, size int64, err error) {
	have := make(map[merkle.Hash]uint32, len(base.Pool())+len(r.Pool())/8)
	for _, c := range base.Pool() {
		have[c.ID] = c.Len
	}
	for i, c := range r.Pool() {
		n, ok := have[c.ID]
		if ok && n != c.Len {
			return nil, 0, fmt.Errorf("%w: chunk %s has %d bytes, and %d in another place",
				module.ErrRecipe, c.ID, c.Len, n)
		}
		if !ok {
			have[c.ID] = c.Len
			missing = append(missing, i)
			size += int64(c.Len)
		}
	}
	return missing, size, nil
}

// A RecipeBody is the body of a push by recipe.
type RecipeBody struct {
	recipe  *module.Recipe
	head    []byte // up to the first chunk
	missing []int
	Size    int64 // of the whole body
}

// NewRecipeBody packs r against base. Chunks that base does not have follow in Reader.
func NewRecipeBody(r, base *module.Recipe) (*RecipeBody, error) {
	pack, err := PackRecipe(r, base)
	if err != nil {
		return nil, err
	}
	b := &RecipeBody{recipe: r,
		head: append(binary.BigEndian.AppendUint32(nil, uint32(len(pack))), pack...)}
	if b.missing, b.Size, err = MissingFrom(base, r); err != nil {
		return nil, err
	}
	b.Size += int64(len(b.head))
	return b, nil
}

// Reader returns a reader of the body. It reads the chunks from the module in src, and compares
// each with its id before it returns any of its bytes.
func (b *RecipeBody) Reader(src io.ReaderAt) *RecipeReader {
	return &RecipeReader{b: b, src: src, places: b.recipe.Offsets(), now: b.head}
}

// A RecipeReader reads a RecipeBody.
type RecipeReader struct {
	b      *RecipeBody
	src    io.ReaderAt
	places []int64
	next   int    // in missing
	now    []byte // bytes that Read has not returned yet
	buf    []byte

	mu  sync.Mutex // net/http may read after the answer has arrived
	err error      // why the module could not be read
}

// Failed returns the error of reading the module, or nil.
func (r *RecipeReader) Failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Read implements io.Reader.
func (r *RecipeReader) Read(p []byte) (int, error) {
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
func (r *RecipeReader) load(i int) error {
	c := r.b.recipe.Pool()[i]
	if uint32(cap(r.buf)) < c.Len {
		r.buf = make([]byte, c.Len)
	}
	r.now = r.buf[:c.Len]
	if n, err := r.src.ReadAt(r.now, r.places[i]); n < len(r.now) {
		return fmt.Errorf("remote: read chunk %s: %w", c.ID, err)
	}
	if got := merkle.Sum(r.now); got != c.ID {
		return fmt.Errorf("remote: read chunk %s: %w: found hash %s", c.ID,
			module.ErrVerify, got)
	}
	return nil
}

// ErrBodyEnds reports a body that is shorter than its recipe says.
var ErrBodyEnds = errors.New("the body ends early")

// ReadPart fills b from a body.
func ReadPart(body io.Reader, b []byte) error {
	_, err := io.ReadFull(body, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrBodyEnds
	}
	return err
}
