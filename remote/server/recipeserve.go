package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

const (
	keptPacks = 128 // packed recipes in the cache
	// keptPack is the longest cached recipe, in bytes. Differences are short; a recipe without a base
	// is packed quickly.
	keptPack = 128 << 10
	packing  = 2 // recipes packed concurrently
	// unpacking bounds the bytes in use for unpacking pushed recipes, in total.
	unpacking = 96 << 20
)

// recipes is the state of the recipe extension. It is nil if the backend is no RecipeBackend.
type recipes struct {
	back     RecipeBackend
	received bool // the backend takes pushes
	packs    *lru.Cache[packKey, []byte]
	packing  *semaphore.Weighted
	memory   *budget // bytes
}

// packKey identifies a packed recipe by the digests of the recipe and its base.
type packKey struct {
	store        auth.StoreID
	recipe, base merkle.Hash
}

func newRecipes(o optional) *recipes {
	if o.recipeBackend == nil {
		return nil
	}
	return &recipes{back: o.recipeBackend, received: o.receiver != nil,
		packs:   newLRU[packKey, []byte](keptPacks),
		packing: semaphore.NewWeighted(packing),
		memory:  &budget{total: unpacking}}
}

// announce sets the header of a descriptor that says that pushes of recipes are accepted.
func (r *recipes) announce(h http.Header) {
	if r != nil && r.received {
		h.Set(wire.HeaderRecipe, wire.TakesRecipes)
	}
}

// giveRecipe answers a GET of a confirmed module with its recipe, if the request prefers it. If
// done is false, the caller sends the module.
func (s *Server) giveRecipe(w http.ResponseWriter, c *call,
	root merkle.Hash) (done bool, err error) {
	if s.recipes == nil {
		return false, nil
	}
	w.Header().Set("Vary", "Accept, "+wire.HeaderBase)
	if !prefersRecipe(c.Request) {
		return false, nil
	}
	bases, err := readBases(c.Header)
	if err != nil {
		return false, err
	}
	b, err := s.packed(c.Context(), c.store, root, bases)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, wire.ErrTooLarge) {
		return false, nil // there is no recipe, or it is too large
	}
	if err != nil {
		return false, err
	}
	w.Header().Set("Content-Type", wire.TypeRecipe)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
	return true, nil
}

// prefersRecipe reports whether a request prefers a recipe. A range request or a conditional one
// always means the module.
func prefersRecipe(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	for _, k := range []string{"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since",
		"If-Unmodified-Since"} {
		if r.Header.Get(k) != "" {
			return false
		}
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	return strings.Contains(accept, wire.TypeRecipe) &&
		quality(accept, "application", "vnd.dig.recipe") > quality(accept, "application", "wasm")
}

// readBases reads the roots that a request names as bases.
func readBases(h http.Header) ([]merkle.Hash, error) {
	var bases []merkle.Hash
	for _, line := range h.Values(wire.HeaderBase) {
		for text := range strings.SplitSeq(line, ",") {
			root, err := merkle.ParseHash(strings.TrimSpace(text))
			if err != nil || root.IsZero() || len(bases) == wire.MaxBases {
				return nil, badRequest("bad recipe base")
			}
			bases = append(bases, root)
		}
	}
	return bases, nil
}

// packed returns the recipe of root, packed against the first of bases that is also served here.
func (s *Server) packed(ctx context.Context, store auth.StoreID, root merkle.Hash,
	bases []merkle.Hash) ([]byte, error) {
	r, err := s.recipes.back.Recipe(ctx, store, root)
	if err != nil {
		return nil, err
	}
	key := packKey{store: store}
	if key.recipe, err = r.Digest(); err != nil {
		return nil, err
	}
	var base *module.Recipe
	for _, b := range bases {
		m, _, err := s.open(ctx, store, b)
		if err == nil {
			m.Close()
			if base, err = s.recipes.back.Recipe(ctx, store, b); errors.Is(err, fs.ErrNotExist) {
				break
			} else if err != nil {
				return nil, err
			}
			if key.base, err = base.Digest(); err != nil {
				return nil, err
			}
			break
		}
		if f := refusalOf(err); f.status != http.StatusNotFound {
			return nil, err
		}
	}
	if b, ok := s.recipes.packs.Get(key); ok {
		return b, nil
	}
	if err := s.recipes.packing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.recipes.packing.Release(1)
	if b, ok := s.recipes.packs.Get(key); ok { // packed by another request in the meantime
		return b, nil
	}
	b, err := wire.PackRecipe(r, base)
	if errors.Is(err, wire.ErrTooLarge) && base != nil {
		b, err = wire.PackRecipe(r, nil)
	}
	if err == nil && len(b) <= keptPack {
		s.recipes.packs.Add(key, b)
	}
	return b, err
}
