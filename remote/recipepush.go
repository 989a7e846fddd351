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

// PutRecipe pushes one generation as the recipe r and the chunks that base does not have, which are
// read from the module in src; p.Size and p.Hash are not used. base is a generation that the origin
// holds, confirmed or pending; it may be r itself, which promotes what is pending there. There is
// no push-init: PUT alone makes every check before its body.
//
// [ErrNoBase] says that the origin does not hold base, [errors.ErrUnsupported] that it takes no
// recipes, and [ErrTooLarge] that this one is too long to travel: then [Client.Put] is the way. All
// else is as with Put.
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
	return c.settle(ctx, p, func() (bool, error) { return c.sendRecipe(ctx, p, body, base, src) })
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

// TakesRecipes reports whether the origin has said so in its descriptor.
func (c *Client) takesRecipes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recipes
}

// publishRecipe publishes a generation by its recipe, where both sides can and it costs less than
// the module: tried is false when the module is to be sent. The module is not read but for the
// chunks that are sent: the origin holds the others, and it was verified when it came here.
func (p *Pusher) publishRecipe(ctx context.Context, to Publisher, from Local,
	signed auth.SignedRoot, parent merkle.Hash,
	report *PushReport) (pending, tried bool, err error) {
	put, ok1 := to.(putPublisher)
	store, ok2 := from.(Assembler)
	if !ok1 || !ok2 || !put.client.takesRecipes() {
		return false, false, nil
	}
	r, err := store.Recipe(ctx, signed.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, true, fmt.Errorf("remote: read recipe of %s: %w", signed.Root, err)
	}
	bases := []merkle.Hash{parent}
	if p.promotes {
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
		pending, err = p.putRecipe(ctx, put.client, from, signed, parent, r, base, report)
		if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, ErrTooLarge) && !isStatus(err) {
			return false, false, nil
		}
		if !errors.Is(err, ErrNoBase) {
			return pending, true, err
		}
	}
	return false, false, nil
}

// putRecipe sends one recipe; errors.ErrUnsupported says that the module costs less.
func (p *Pusher) putRecipe(ctx context.Context, to *Client, from Local, signed auth.SignedRoot,
	parent merkle.Hash,
	r, base *module.Recipe, report *PushReport) (bool, error) {
	m, err := r.Module(nil)
	if err != nil {
		return false, err
	}
	if err := selfCheck(signed, m, m.VerifyLeaves); err != nil {
		return false, fmt.Errorf("remote: local generation %s is not fit to be pushed: %w", signed.Root,
			err)
	}
	body, err := wire.NewRecipeBody(r, base)
	if err != nil {
		return false, err
	}
	if body.Size >= r.Size() {
		return false, errors.ErrUnsupported
	}
	src, err := from.Module(ctx, signed.Root)
	if err != nil {
		return false, fmt.Errorf("remote: open local generation %s: %w", signed.Root, err)
	}
	defer src.Close()
	put := PutRequest{Head: signed, Parent: parent, Pending: p.Pending, Size: r.Size(),
		Progress: p.progressOf(signed.Root)}
	if err := to.checkPut(put); err != nil {
		return false, err
	}
	pending, err := to.putRecipe(ctx, put, body, base.Root(), readerat.New(src))
	if err == nil {
		report.Sent += body.Size
	}
	return pending, err
}

// isStatus reports whether an origin said so.
func isStatus(err error) bool {
	var status *StatusError
	return errors.As(err, &status)
}
