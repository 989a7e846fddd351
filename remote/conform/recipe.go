package conform

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Names of the extension in remote/RECIPES.md.
const (
	typeRecipe = "application/vnd.dig.recipe"
	headerBase = "X-Dig-Recipe-Base"
	headerHas  = "X-Dig-Recipe"
)

// wantsRecipe requests the recipe of a generation.
func wantsRecipe(root merkle.Hash) probe {
	p := moduleProbe(root).with("Accept", typeRecipe+", application/wasm;q=0.5")
	p.peek, p.most = false, 64<<20
	// a server without recipes sends the module
	p.reads = func(a *answer) bool { return a.header.Get("Content-Type") == typeRecipe }
	return p
}

// recipe requests a recipe. If the origin sends none, the error is a *skipped.
func (s *session) recipe(ctx context.Context, p probe,
	base *module.Recipe) (*module.Recipe, *answer, error) {
	a, err := s.expect(ctx, p, http.StatusOK)
	if err != nil {
		return nil, a, err
	}
	if a.header.Get("Content-Type") != typeRecipe {
		return nil, a, skip("the origin gives no recipe of this generation")
	}
	if err := a.whole(); err != nil {
		return nil, a, err
	}
	r, err := wire.UnpackRecipe(a.body, func(root merkle.Hash) (*module.Recipe, error) {
		if base == nil || root != base.Root() {
			return nil, fs.ErrNotExist
		}
		return base, nil
	})
	if err != nil {
		return nil, a, found("a packed recipe", "%v", err)
	}
	return r, a, nil
}

// sameRecipe checks that two recipes are equal.
func sameRecipe(r, want *module.Recipe) error {
	a, err := r.MarshalBinary()
	if err != nil {
		return err
	}
	b, err := want.MarshalBinary()
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return found("the recipe of the module that GET gives",
			"another, of a module of %d bytes", r.Size())
	}
	return nil
}

// recipeChecks are the checks of recipes, if the origin has them. They read the head by GET.
func recipeChecks() []check {
	return []check{
		{"recipe/alone", "RECIPES §3", Extension, recipeAlone},
		{"recipe/against-a-base", "RECIPES §3", Extension, recipeAgainstABase},
		{"recipe/bad-base", "RECIPES §3", Extension, recipeBadBase},
		{"recipe/invisible", "RECIPES §3", Must, recipeInvisible},
		{"recipe/vary", "RECIPES §3", Extension, recipeVary},
		{"recipe/several-ranges", "RECIPES §3", Extension, recipeSeveralRanges},
	}
}

func recipeAlone(ctx context.Context, s *session) error {
	head, h, err := s.ranged(ctx)
	if err != nil {
		return err
	}
	r, a, err := s.recipe(ctx, wantsRecipe(head), nil)
	if err != nil {
		return err
	}
	if a.header.Get("ETag") != "" || a.length < 0 {
		return found("no ETag, and a Content-Length", "%q, %d", a.header.Get("ETag"), a.length)
	}
	want, err := module.Decompose(ctx, io.NewSectionReader(h.file, 0, h.size), discard)
	if err != nil {
		return skip("the module cannot be decomposed: %v", err)
	}
	return sameRecipe(r, want)
}

func recipeAgainstABase(ctx context.Context, s *session) error {
	head, _, err := s.ranged(ctx)
	if err != nil {
		return err
	}
	old, err := s.older(ctx)
	if err != nil {
		return err
	}
	base, _, err := s.recipe(ctx, wantsRecipe(old), nil)
	if err != nil {
		return skip("there is no recipe to build on: %v", err)
	}
	want, _, err := s.recipe(ctx, wantsRecipe(head), nil)
	if err != nil {
		return skip("there is no recipe to compare with: %v", err)
	}
	// The first base does not exist: the first base that the origin holds counts.
	r, a, err := s.recipe(ctx, wantsRecipe(head).with(headerBase, random().String()+", "+old.String()),
		base)
	if err != nil {
		return err
	}
	if !bytes.Contains(a.body[:min(len(a.body), 40)], old[:]) {
		return found("a recipe against the base that is held there", "one without a base")
	}
	return sameRecipe(r, want)
}

func recipeBadBase(ctx context.Context, s *session) error {
	head, _, err := s.ranged(ctx)
	if err != nil {
		return err
	}
	if _, _, err := s.recipe(ctx, wantsRecipe(head), nil); err != nil {
		return skip("there are no recipes: %v", err)
	}
	nine := strings.TrimSuffix(strings.Repeat(head.String()+",", 9), ",")
	for _, bases := range []string{"x", merkle.Hash{}.String(), nine} {
		p := wantsRecipe(head).with(headerBase, bases)
		if err := s.refused(ctx, p, http.StatusBadRequest); err != nil {
			return err
		}
	}
	return nil
}

func recipeInvisible(ctx context.Context, s *session) error {
	head, _, err := s.ranged(ctx)
	if err != nil {
		return err
	}
	asked := wantsRecipe(head)
	asked.peek = true
	headed, ranged, weak := asked, asked.with("Range", "bytes=0-0"), asked.with("Accept", "*/*")
	headed.method = http.MethodHead
	for _, p := range []probe{headed, ranged, weak} {
		a, err := s.expect(ctx, p, http.StatusOK, http.StatusPartialContent)
		if err != nil {
			return err
		}
		if a.header.Get("Content-Type") != "application/wasm" || a.header.Get("ETag") != tag(head) {
			return found("the module for HEAD, for ranges and for who does not ask for recipes by name",
				"%q, ETag %q", a.header.Get("Content-Type"), a.header.Get("ETag"))
		}
	}
	return nil
}

func recipeVary(ctx context.Context, s *session) error {
	head, h, err := s.ranged(ctx)
	if err != nil {
		return err
	}
	if _, _, err := s.recipe(ctx, wantsRecipe(head), nil); err != nil {
		return skip("there are no recipes: %v", err)
	}
	vary := strings.ToLower(strings.Join(h.answer.header.Values("Vary"), ","))
	if !strings.Contains(vary, "accept") || !strings.Contains(vary, strings.ToLower(headerBase)) {
		return found("Vary: Accept, "+headerBase, "%q", vary)
	}
	return nil
}

func recipeSeveralRanges(ctx context.Context, s *session) error {
	head, h, err := s.ranged(ctx)
	if err != nil {
		return err
	}
	p := moduleProbe(head).with("Range", "bytes=4-11,40-47").with("If-Range", tag(head))
	p.peek, p.reads = false, isPartial
	a, err := s.send(ctx, p)
	if err != nil {
		return err
	}
	if err := a.is(http.StatusPartialContent, http.StatusOK); err != nil {
		return err
	}
	if a.status == http.StatusOK {
		return as(knownRanges,
			found("206 with both parts", "200 with the module; clients ask for one range at a time then"))
	}
	_, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		return found("multipart/byteranges", "%q", a.header.Get("Content-Type"))
	}
	parts := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for _, from := range []int64{4, 40} {
		part, err := parts.NextRawPart()
		if err != nil {
			return found("two parts", "%v", err)
		}
		got, err := io.ReadAll(part)
		want := make([]byte, 8)
		if _, rerr := h.file.ReadAt(want, from); err != nil || rerr != nil || !bytes.Equal(got, want) {
			return found("the bytes of each range", "%d others, %v", len(got), err)
		}
	}
	return nil
}

// discard ignores the chunks of a module.
func discard(module.Chunk, []byte) error { return nil }

// byRecipe returns the request that pushes g as a recipe and the chunks that the head does not
// have. change may alter the chunks.
func (s *session) byRecipe(ctx context.Context, g generation, parent merkle.Hash,
	change func(chunks []byte)) (probe, error) {
	var p probe
	a, err := s.send(ctx, probe{store: s.opt.Write.Store})
	if err != nil {
		return p, err
	}
	if a.header.Get(headerHas) != "1" {
		return p, skip("the origin does not say that it takes recipes")
	}
	var old generation
	for _, pushed := range s.writer.pushed {
		if pushed.head.Root == parent {
			old = pushed
		}
	}
	if old.body == nil {
		return p, skip("the head was not pushed by this run")
	}
	held := map[merkle.Hash]bool{}
	base, err := module.Decompose(ctx, bytes.NewReader(old.body),
		func(c module.Chunk, _ []byte) error {
			held[c.ID] = true
			return nil
		})
	if err != nil {
		return p, err
	}
	var chunks []byte
	r, err := module.Decompose(ctx, bytes.NewReader(g.body),
		func(c module.Chunk, sealed []byte) error {
			if !held[c.ID] {
				chunks = append(chunks, sealed...)
			}
			return nil
		})
	if err != nil {
		return p, err
	}
	packed, err := wire.PackRecipe(r, base)
	if err != nil {
		return p, err
	}
	if change != nil {
		change(chunks)
	}
	p = s.put(g, parent).with("Content-Type", typeRecipe).with(headerBase, parent.String())
	p.body = append(append(binary.BigEndian.AppendUint32(nil, uint32(len(packed))), packed...),
		chunks...)
	return p, nil
}

// pushByRecipe pushes a generation by its recipe.
func pushByRecipe(ctx context.Context, s *session) error {
	g, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	p, err := s.byRecipe(ctx, g, parent, nil)
	if err != nil {
		return err
	}
	if _, err := s.push(ctx, p, g); err != nil {
		return err
	}
	return s.serves(ctx, g)
}
