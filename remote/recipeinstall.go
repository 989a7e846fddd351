package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

const (
	// maxNeighbours is how many generations to each side of the one that is wanted are looked for as bases.
	maxNeighbours = 16
	// smallModule is from how many bytes on a module is worth the second request that a recipe makes necessary.
	smallModule = 2 * requestCost
)

// assemble installs the last line's generation from its recipe and the chunks that are not held, where both sides can
// and it costs less than the module. done is false when the module is to be had whole; opened is that, if the origin
// gave it in place of the recipe.
//
// An origin whose recipe lies is refused like one whose module does: there is no second chance with the whole module.
func (v *visit) assemble(ctx context.Context, lines []module.Generation, head auth.SignedRoot, size int64,
	check func(*module.Module) error) (done bool, opened io.ReadCloser, err error) {
	to, ok1 := v.to.(Assembler)
	from, ok2 := v.from.(RecipeOrigin)
	if !ok1 || !ok2 {
		return false, nil, nil
	}
	line := lines[len(lines)-1]
	bases, err := v.bases(ctx, to, line)
	if err != nil || len(bases) == 0 {
		return false, nil, err
	}
	held, err := v.heldOf(ctx, line.Root)
	if err != nil {
		return false, nil, err
	}
	if likely := cmp.Or(size, bases[0].Size()); likely-held < smallModule {
		return false, nil, nil
	}
	answer, err := from.OpenRecipe(ctx, line.Root, bases)
	switch {
	case errors.Is(err, ErrTooLarge): // the recipe; the module has a limit of its own
		return false, nil, nil
	case err != nil:
		return false, nil, &openError{fmt.Errorf("remote: fetch %s: %w", line.Root, err)}
	case answer.Recipe == nil && held > 0: // the rest of it costs less
		return false, nil, answer.Module.Close()
	case answer.Recipe == nil:
		return false, answer.Module, nil
	}
	r := answer.Recipe
	if limit := v.maxModule(); r.Size() > limit.bytes {
		return false, nil, fmt.Errorf("remote: fetch %s: %w", line.Root, limit.exceeded(r.Size()))
	}
	if size > 0 && r.Size() != size {
		return false, nil, &VerificationError{Check: CheckSize, Want: strconv.FormatInt(size, 10), Got: strconv.FormatInt(r.Size(), 10)}
	}
	if err := v.turn(ctx, line.Root); err != nil {
		return false, nil, err
	}
	a := &assembly{visit: v, from: from, recipe: r, places: r.Offsets(), done: answer.Size}
	for failures := 0; ; {
		got := a.done
		if err = a.find(ctx, to); err != nil {
			return false, nil, err
		}
		if a.cost() >= r.Size()-held {
			return false, nil, nil
		}
		err = to.Assemble(ctx, lines, head, r, bases[0].Root(), func(put func(int, []byte) error) error {
			return a.fetch(ctx, put)
		}, check)
		switch {
		case err == nil:
			v.report.Installed = append(v.report.Installed, line)
			v.report.Bytes += a.done
			v.came = arrival{recipe: true, parts: a.parts}
			return true, nil, nil
		case ctx.Err() != nil:
			return false, nil, fmt.Errorf("remote: fetch %s: %w", line.Root, context.Cause(ctx))
		case errors.Is(a.broken, errors.ErrUnsupported):
			return false, nil, nil
		case a.broken == nil && !errors.Is(err, fs.ErrNotExist): // a gc may have taken chunks, or the base, meanwhile
			return false, nil, contentError(err)
		}
		if a.broken != nil {
			if err = fmt.Errorf("remote: fetch chunks of %s: %w", line.Root, a.broken); lasting(err) {
				return false, nil, err
			}
		}
		moved := a.done >= got+worthwhile
		if isRetried(a.broken) && !moved || !v.again(ctx, err, &failures, moved) {
			return false, nil, err
		}
	}
}

// heldOf is how many bytes of the module are here from an earlier try.
func (v *visit) heldOf(ctx context.Context, root merkle.Hash) (int64, error) {
	resumer, ok := v.to.(Resumer)
	if !ok {
		return 0, nil
	}
	if _, ok := v.from.(RangeOrigin); !ok {
		return 0, nil
	}
	held, err := resumer.Held(ctx, root)
	if err != nil {
		return 0, fmt.Errorf("remote: look for a part of %s: %w", root, err)
	}
	return held, nil
}

// bases returns the recipes of generations that are held here and are likely to have much in common with the one that
// is wanted, the likeliest first: its neighbours in the history, and the head.
func (v *visit) bases(ctx context.Context, to Assembler, line module.Generation) ([]*module.Recipe, error) {
	lines, err := v.local.tail(ctx, maxNeighbours)
	if err == nil && len(lines) > 0 && line.Number <= lines[len(lines)-1].Number {
		lines, err = v.local.lines(ctx)
	}
	if err != nil {
		return nil, err
	}
	at, _ := slices.BinarySearchFunc(lines, line.Number, func(g module.Generation, n uint64) int { return cmp.Compare(g.Number, n) })
	var roots []merkle.Hash
	for d := range maxNeighbours {
		if i := at - 1 - d; i >= 0 {
			roots = append(roots, lines[i].Root)
		}
		if i := at + d; i < len(lines) {
			roots = append(roots, lines[i].Root)
		}
	}
	roots = append(roots, v.head.Root)
	var bases []*module.Recipe
	for i, root := range roots {
		if root.IsZero() || root == line.Root || slices.Contains(roots[:i], root) {
			continue
		}
		r, err := to.Recipe(ctx, root)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("remote: read recipe of %s: %w", root, err)
		}
		if bases = append(bases, r); len(bases) == 2 {
			break
		}
	}
	return bases, nil
}

// assembly is a generation on its way in as chunks.
type assembly struct {
	*visit
	from    SpanOrigin
	recipe  *module.Recipe
	places  []int64
	lacking []int  // what is not held, in the order of the module
	wanted  []Span // where that lies
	parts   bool   // some of that came
	done    int64  // bytes that came, the recipe's included
	total   int64  // done when all is here
	broken  error  // why the chunks stopped coming
}

// find learns what is not held.
func (a *assembly) find(ctx context.Context, to Assembler) (err error) {
	if a.lacking, err = to.MissingChunks(ctx, a.recipe); err != nil {
		return chunkError(fmt.Errorf("remote: look for chunks of %s: %w", a.recipe.Root(), err))
	}
	a.lacking = slices.Clone(a.lacking)
	slices.SortFunc(a.lacking, func(i, j int) int { return cmp.Compare(a.places[i], a.places[j]) })
	a.wanted, a.broken, a.total = a.wanted[:0], nil, a.done
	for _, i := range a.lacking {
		c := a.recipe.Pool()[i]
		if a.places[i] < 0 {
			return &VerificationError{Check: CheckRecipe, Want: "chunks of the module", Got: c.ID.String() + ", which stands nowhere in it"}
		}
		a.wanted = append(a.wanted, Span{a.places[i], int64(c.Len)})
		a.total += int64(c.Len)
	}
	return nil
}

// cost is what the chunks will cost, in bytes.
func (a *assembly) cost() int64 {
	bytes, ranges, end := int64(0), int64(0), int64(-partCost)
	for _, w := range a.wanted {
		if gap := w.Offset - end; gap <= partCost && ranges > 0 {
			bytes += gap
		} else {
			ranges++
		}
		bytes += w.Length
		end = w.end()
	}
	return bytes + ranges*partCost + (ranges+maxRanges-1)/maxRanges*requestCost
}

// fetch gets the chunks that are not held.
func (a *assembly) fetch(ctx context.Context, put func(int, []byte) error) error {
	a.report()
	var buf []byte
	var refused error
	for from := 0; from < len(a.wanted); from += maxSpans {
		to := min(from+maxSpans, len(a.wanted))
		err := a.from.Spans(ctx, a.recipe.Root(), a.wanted[from:to], func(n int, body io.Reader) error {
			i := a.lacking[from+n]
			size := int(a.recipe.Pool()[i].Len)
			if cap(buf) < size {
				buf = make([]byte, size)
			}
			if _, err := io.ReadFull(body, buf[:size]); err != nil {
				return err
			}
			if refused = chunkError(put(i, buf[:size])); refused != nil {
				return refused
			}
			a.done += int64(size)
			a.parts = true
			a.report()
			return nil
		})
		if err != nil {
			if a.broken = err; refused != nil && errors.Is(err, refused) {
				a.broken = nil // it is not the transfer that failed
			}
			return err
		}
	}
	return nil
}

func (a *assembly) report() {
	if a.Progress != nil {
		a.Progress(a.recipe.Root(), a.done, max(a.total, a.done))
	}
}

// chunkError names the check that a chunk has failed which is not what the recipe says.
func chunkError(err error) error {
	var done *VerificationError
	if errors.Is(err, module.ErrVerify) && !errors.As(err, &done) {
		return &VerificationError{Check: CheckRecipe, Err: err}
	}
	return err
}
