package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/readerat"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A recipePut is a push whose body is a recipe and chunks.
type recipePut struct {
	of     *recipes
	root   merkle.Hash    // of the base
	base   *module.Recipe // set by find
	recipe *module.Recipe // set by readRecipe
	chunks []int          // chunks that follow the recipe; set by readRecipe
}

func noBaseHere() *refusal {
	return refuse(http.StatusPreconditionFailed, "recipe base is not here: send the module")
}

// readRecipePut reads the headers of a recipe push. It returns nil if the body is a module.
func (s *Server) readRecipePut(r *http.Request) (*recipePut, error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != wire.TypeRecipe {
		return nil, nil
	}
	if s.recipes == nil {
		return nil, refuse(http.StatusUnsupportedMediaType, "unsupported media type: send the module")
	}
	root, err := merkle.ParseHash(strings.TrimSpace(header(r.Header, wire.HeaderBase)))
	if err != nil || root.IsZero() {
		return nil, invalid("missing or malformed recipe base")
	}
	return &recipePut{of: s.recipes, root: root}, nil
}

// find looks up the base, which may be pending.
func (r *recipePut) find(ctx context.Context, s *Server, p *push) (err error) {
	if s.promoter != nil {
		s.trimPending(ctx, p.store)
	}
	r.base, err = r.of.back.Recipe(ctx, p.store, r.root)
	if errors.Is(err, fs.ErrNotExist) {
		return noBaseHere()
	}
	return err
}

// receive reads the body (remote/RECIPES.md 4) with the checks of remote/PROTOCOL.md 6.3.
func (r *recipePut) receive(c *call, s *Server, p *push, body *upload) error {
	ctx := c.Context()
	memory := c.share(r.of.memory)
	defer memory.release()
	if err := r.readRecipe(body, &memory); err != nil {
		return bodyRefusal(err)
	}
	if r.recipe.Size() > s.opt.MaxModule {
		return tooLarge(r.recipe.Size())
	}
	m, err := r.recipe.Module(nil)
	if err != nil {
		return err
	}
	if err := s.verifyHead(p, m); err != nil { // before the chunks are read
		return err
	}
	fetch := func(put func(int, []byte) error) error { return bodyRefusal(r.readChunks(body, put)) }
	check := func(m *module.Module) error {
		return s.verify(ctx, p, m, func() (merkle.Hash, error) { return readerat.Sum(ctx, m.Reader()) })
	}
	err = r.of.back.ReceiveRecipe(ctx,
		module.Push{Head: p.signed, Parent: p.parent, Pending: p.pending},
		module.Assembly{Recipe: r.recipe, Base: r.root, Fetch: fetch}, check)
	if answer := new(refusal); errors.Is(err, fs.ErrNotExist) && !errors.As(err, &answer) {
		gone := noBaseHere() // the base or some of its chunks: removed by a concurrent gc
		gone.cause = err
		return gone
	}
	return bodyRefusal(err)
}

// readRecipe reads and unpacks the recipe. It takes memory for the packed form as it arrives, then
// for unpacking, and keeps the share of the recipe itself. If memory runs out it asks the client
// for the module, which needs none.
func (r *recipePut) readRecipe(body *upload, memory *share) error {
	head := make([]byte, wire.RecipePrefix+wire.PackHeader)
	if err := wire.ReadPart(body, head); err != nil {
		return err
	}
	length := int64(binary.BigEndian.Uint32(head))
	size := int64(binary.BigEndian.Uint32(head[wire.RecipePrefix+wire.PackHeader-4:]))
	if length > wire.MaxPack || size > wire.MaxRecipe || length < int64(wire.PackHeader) {
		return errBody
	}
	pack := append([]byte(nil), head[wire.RecipePrefix:]...)
	for int64(len(pack)) < length {
		more := min(length-int64(len(pack)), max(int64(len(pack)), freeBody))
		if !memory.grow(more) {
			return noBaseHere()
		}
		n := len(pack)
		pack = slices.Grow(pack, int(more))[:n+int(more)]
		if err := wire.ReadPart(body, pack[n:]); err != nil {
			return err
		}
	}
	if !memory.grow(min(3*size, unpacking-memory.held)) {
		return noBaseHere()
	}
	var err error
	r.recipe, err = wire.UnpackRecipe(pack, func(root merkle.Hash) (*module.Recipe, error) {
		if root != r.root {
			return nil, errBody
		}
		return r.base, nil
	})
	if err != nil {
		return err
	}
	memory.shrink(size)
	var chunks int64
	if r.chunks, chunks, err = wire.MissingFrom(r.base, r.recipe); err != nil {
		return err
	}
	if total := wire.RecipePrefix + length + chunks; body.length >= 0 &&
		body.length != total || total > body.max {
		return errBody
	}
	return nil
}

// errBody says that a body does not follow remote/RECIPES.md.
var errBody = errors.New("not a body of recipe and chunks")

// readChunks passes the chunks to put. It is an error if the body does not end after the last one.
func (r *recipePut) readChunks(body io.Reader, put func(int, []byte) error) error {
	var buf []byte
	for _, i := range r.chunks {
		n := r.recipe.Pool()[i].Len
		if uint32(cap(buf)) < n {
			buf = make([]byte, n)
		}
		if err := wire.ReadPart(body, buf[:n]); err != nil {
			return err
		}
		if err := put(i, buf[:n]); err != nil {
			return err
		}
	}
	switch n, err := io.ReadFull(body, make([]byte, 1)); {
	case n > 0:
		return errBody
	case err != io.EOF:
		return err
	}
	return nil
}

// bodyRefusal returns the refusal for an error of a body of recipe and chunks.
func bodyRefusal(err error) error {
	var f *refusal
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case errors.Is(err, wire.ErrNoBase):
		f = noBaseHere()
	case errors.Is(err, module.ErrRecipe), errors.Is(err, errBody):
		f = invalid("not a recipe and its chunks")
	case errors.Is(err, wire.ErrBodyEnds):
		f = invalid("the body ends before the last chunk")
	case errors.Is(err, module.ErrVerify), errors.Is(err, module.ErrFormat):
		f = invalid("content does not match root")
	default:
		return err
	}
	f.cause = err
	return f
}
