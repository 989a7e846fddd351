package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

var _ RecipeOrigin = (*Client)(nil)

// OpenRecipe implements [RecipeOrigin]: GET /stores/{id}/module?root= with an Accept header that
// prefers the recipe. If the answer is packed against a base that is encoded differently here, it
// requests the recipe once more without bases.
func (c *Client) OpenRecipe(ctx context.Context, root merkle.Hash,
	bases []*module.Recipe) (a *RecipeAnswer, err error) {
	err = c.retry(ctx, readPolicy, func() error {
		a, err = c.openRecipe(ctx, root, bases[:min(len(bases), wire.MaxBases)])
		if errors.Is(err, ErrNoBase) {
			a, err = c.openRecipe(ctx, root, nil)
		}
		return err
	})
	return a, err
}

func (c *Client) openRecipe(ctx context.Context, root merkle.Hash,
	bases []*module.Recipe) (*RecipeAnswer, error) {
	h := http.Header{}
	h.Set("Accept", wire.TypeRecipe+", "+wire.TypeModule+";q=0.5")
	var names []string
	for _, b := range bases {
		names = append(names, b.Root().String())
	}
	if len(names) > 0 {
		h.Set(wire.HeaderBase, strings.Join(names, ", "))
	}
	resp, err := c.do(ctx, exchange{op: request.Module, method: http.MethodGet, path: "/module",
		query:  "root=" + root.String(),
		header: h, ok: okStatus})
	if c.refusedAsLarge(err) {
		return c.largeAnswer(ctx, root)
	}
	if err != nil {
		return nil, err
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != wire.TypeRecipe {
		if limit := c.opt.InlineLimit; c.opt.WindowFetcher != nil && limit > 0 &&
			resp.ContentLength > limit {
			resp.Body.Close()
			return c.largeAnswer(ctx, root)
		}
		r, _, err := c.moduleAnswer(resp, root, 0)
		if err != nil {
			return nil, err
		}
		return &RecipeAnswer{Module: r}, nil
	}
	defer resp.Body.Close()
	if resp.ContentLength > wire.MaxPack {
		return nil, fmt.Errorf("remote: GET recipe of %s: %w: %d bytes, at most %d are read", root,
			ErrTooLarge, resp.ContentLength, wire.MaxPack)
	}
	body := &capReader{r: resp.Body, left: wire.MaxPack}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("remote: GET recipe of %s: %w", root, &connectionError{err})
	}
	r, err := wire.UnpackRecipe(b, func(named merkle.Hash) (*module.Recipe, error) {
		for _, b := range bases {
			if b.Root() == named {
				return b, nil
			}
		}
		return nil, fmt.Errorf("%w: base %s was not offered", module.ErrRecipe, named)
	})
	if err != nil {
		return nil, fmt.Errorf("remote: GET recipe of %s: %w", root, recipeError(err))
	}
	if id := r.ID(); id.Store != c.url.Store {
		return nil, &VerificationError{Check: CheckStore, Want: c.url.Store.String(),
			Got: id.Store.String()}
	} else if id.Root != root {
		return nil, &VerificationError{Check: CheckRoot, Want: root.String(), Got: id.Root.String()}
	}
	return &RecipeAnswer{Recipe: r, Size: int64(len(b))}, nil
}

func (c *Client) largeAnswer(ctx context.Context, root merkle.Hash) (*RecipeAnswer, error) {
	r, _, err := c.openLarge(ctx, root, 0)
	if err != nil {
		return nil, err
	}
	return &RecipeAnswer{Module: r}, nil
}

// recipeError returns an error of wire.UnpackRecipe as a VerificationError if it is
// module.ErrRecipe.
func recipeError(err error) error {
	if errors.Is(err, module.ErrRecipe) {
		return &VerificationError{Check: CheckRecipe, Err: err}
	}
	return err
}

// learn records from the headers of a descriptor whether the origin accepts recipes.
func (c *Client) learn(e exchange, h http.Header) {
	if e.op == request.Fetch {
		c.mu.Lock()
		c.recipes = h.Get(wire.HeaderRecipe) == wire.TakesRecipes
		c.mu.Unlock()
	}
}
