package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/readerat"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// PutRecipe pushes one generation as the recipe r and the chunks that base lacks, which it reads
// from the module in src. p.Size and p.Hash are not used. base is a generation that the origin
// holds, confirmed or pending; it may be r itself, to promote a pending generation. There is no
// push-init: the origin makes every check of PUT before the body.
//
// The error is [ErrNoBase] when the origin does not hold base, [errors.ErrUnsupported] when it does
// not accept recipes, and [ErrTooLarge] when the recipe is too long to send; use [Client.Put] then.
// Otherwise PutRecipe is like Put.
func (c *Client) PutRecipe(ctx context.Context, p PutRequest, r, base *module.Recipe,
	src io.ReaderAt) (pending bool, err error) {
	if err := c.checkPut(p); err != nil {
		return false, err
	}
	body, err := wire.NewRecipeBody(r, base)
	if err != nil {
		return false, err
	}
	return c.putRecipe(ctx, p, body, base.Root(), src)
}

func (c *Client) putRecipe(ctx context.Context, p PutRequest, body *wire.RecipeBody,
	base merkle.Hash, src io.ReaderAt) (pending bool, err error) {
	return c.confirmPush(ctx, p, func() (bool, error) { return c.sendRecipe(ctx, p, body, base, src) })
}

func (c *Client) sendRecipe(ctx context.Context, p PutRequest, body *wire.RecipeBody,
	base merkle.Hash, src io.ReaderAt) (pending bool, err error) {
	var read *wire.RecipeReader
	err = c.eitherForm(ctx, p.Head, func(h http.Header) error {
		h = putHeader(h, p, wire.TypeRecipe)
		h.Set(wire.HeaderBase, base.String())
		read = body.Reader(src)
		var from io.Reader = read
		if p.Progress != nil {
			p.Progress(0, body.Size)
			from = &counted{r: read, total: body.Size, progress: p.Progress}
		}
		pending, err = c.outcome(ctx, exchange{op: request.Push, method: http.MethodPut, path: "/module",
			query: "root=" + p.Head.Root.String(), header: h, body: from, size: body.Size})
		return err
	})
	if err != nil && read != nil && read.Failed() != nil {
		return false, read.Failed()
	}
	var status *StatusError
	if errors.As(err, &status) {
		switch status.Code {
		case http.StatusPreconditionFailed:
			return false, fmt.Errorf("%w: %w", ErrNoBase, err)
		case http.StatusUnsupportedMediaType:
			return false, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
	}
	return pending, err
}

// takesRecipes reports whether the origin's descriptor said that it accepts recipes.
func (c *Client) takesRecipes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recipes
}

// publishRecipe publishes a generation by its recipe, if both sides support that and it costs less
// than the module. tried is false if the caller must send the module. It reads only the chunks to
// send: the origin has the others, and the module was verified when it was installed.
func (r *pushRun) publishRecipe(ctx context.Context, signed auth.SignedRoot,
	parent merkle.Hash) (pending, tried bool, err error) {
	store, ok := r.from.(Assembler)
	if !ok || r.Publisher != nil || !r.to.takesRecipes() {
		return false, false, nil
	}
	recipe, err := store.Recipe(ctx, signed.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, true, fmt.Errorf("remote: read recipe of %s: %w", signed.Root, err)
	}
	bases := []merkle.Hash{parent}
	if r.promotes {
		bases = []merkle.Hash{signed.Root, parent}
	}
	for _, root := range bases {
		base, err := store.Recipe(ctx, root)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, true, fmt.Errorf("remote: read recipe of %s: %w", root, err)
		}
		pending, err = r.putRecipe(ctx, r.putRequest(signed, parent), recipe, base)
		if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ErrTooLarge) && !isStatus(err) {
			return false, false, nil
		}
		if !errors.Is(err, ErrNoBase) {
			return pending, true, err
		}
	}
	return false, false, nil
}

// putRecipe sends a recipe. The error is [errors.ErrUnsupported] when the module costs less.
func (r *pushRun) putRecipe(ctx context.Context, p PutRequest,
	recipe, base *module.Recipe) (pending bool, err error) {
	root := p.Head.Root
	m, err := recipe.Module(nil)
	if err != nil {
		return false, err
	}
	if err := checkLocal(p.Head, m, m.VerifyLeaves); err != nil {
		return false, fmt.Errorf("remote: local generation %s: verification failed: %w", root, err)
	}
	body, err := wire.NewRecipeBody(recipe, base)
	if err != nil {
		return false, err
	}
	if body.Size >= recipe.Size() {
		return false, errors.ErrUnsupported
	}
	src, err := r.from.Module(ctx, root)
	if err != nil {
		return false, fmt.Errorf("remote: open local generation %s: %w", root, err)
	}
	defer src.Close()
	p.Size = recipe.Size()
	if err := r.to.checkPut(p); err != nil {
		return false, err
	}
	pending, err = r.to.putRecipe(ctx, p, body, base.Root(), readerat.New(src))
	if err == nil {
		r.report.Sent += body.Size
	}
	return pending, err
}

// isStatus reports whether err is a StatusError.
func isStatus(err error) bool {
	var status *StatusError
	return errors.As(err, &status)
}
