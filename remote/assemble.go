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

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

const (
	// maxNeighbours is how many generations on each side of the wanted one are considered as bases.
	maxNeighbours = 16
	// smallModule is the least size in bytes of a module for which a recipe is worth its second
	// request.
	smallModule = 2 * requestCost
)

// assemble installs a generation from its recipe and the missing chunks, if both sides support that
// and it costs less than the module. If came.recipe is false and err is nil, the caller downloads
// the whole module; opened, unless nil, is that module, sent in place of the recipe.
//
// A false recipe is an error, like a false module: assemble does not fall back to the whole module.
func (d *downloader) assemble(ctx context.Context,
	w delivery) (came arrival, opened io.ReadCloser, err error) {
	to, ok1 := d.to.(Assembler)
	from, ok2 := d.from.(RecipeOrigin)
	if !ok1 || !ok2 {
		return came, nil, nil
	}
	line := w.line()
	bases, err := d.bases(ctx, to, line)
	if err != nil || len(bases) == 0 {
		return came, nil, err
	}
	held, err := d.keptBytes(ctx, line.Root)
	if err != nil {
		return came, nil, err
	}
	if likely := cmp.Or(w.size, bases[0].Size()); likely-held < smallModule {
		return came, nil, nil
	}
	answer, err := from.OpenRecipe(ctx, line.Root, bases)
	switch {
	case errors.Is(err, ErrTooLarge): // the recipe is too large; the module has its own limit
		return came, nil, nil
	case err != nil:
		return came, nil, &openError{fmt.Errorf("remote: fetch %s: %w", line.Root, err)}
	case answer.Recipe == nil && held > 0: // the rest of the module costs less
		return came, nil, answer.Module.Close()
	case answer.Recipe == nil:
		return came, answer.Module, nil
	}
	r := answer.Recipe
	if r.Size() > d.limit.bytes {
		return came, nil, fmt.Errorf("remote: fetch %s: %w", line.Root, d.limit.exceeded(r.Size()))
	}
	if w.size > 0 && r.Size() != w.size {
		return came, nil, &VerificationError{Check: CheckSize, Want: strconv.FormatInt(w.size, 10),
			Got: strconv.FormatInt(r.Size(), 10)}
	}
	if err := d.waitTurn(ctx, line.Root); err != nil {
		return came, nil, err
	}
	a := &assembly{from: from, recipe: r, offsets: r.Offsets(), done: answer.Size,
		progress: d.progress}
	came, err = d.assembleFrom(ctx, w, to, a, bases[0].Root(), r.Size()-held)
	return came, nil, err
}

// assembleFrom installs a generation whose recipe was received. It returns a zero arrival and no
// error if the chunks would cost most bytes or more.
func (d *downloader) assembleFrom(ctx context.Context, w delivery, to Assembler, a *assembly,
	base merkle.Hash, most int64) (came arrival, err error) {
	root := w.line().Root
	tries := budgetOf(ctx)
	for {
		got := a.done
		if err := a.find(ctx, to); err != nil {
			return came, err
		}
		if a.cost() >= most {
			return came, nil
		}
		err := to.Assemble(ctx, w.lines, w.head,
			module.Assembly{Recipe: a.recipe, Base: base, Fetch: func(put func(int, []byte) error) error {
				return a.fetch(ctx, put)
			}}, w.check)
		switch {
		case err == nil:
			return arrival{bytes: a.done, recipe: true, parts: a.parts}, nil
		case ctx.Err() != nil:
			return came, fmt.Errorf("remote: fetch %s: %w", root, context.Cause(ctx))
		case errors.Is(a.broken, errors.ErrUnsupported):
			return came, nil
		case a.broken == nil && !errors.Is(err, fs.ErrNotExist):
			// ErrNotExist is retried: garbage collection may have deleted chunks or the base.
			return came, contentError(err)
		}
		if a.broken != nil {
			if err = fmt.Errorf("remote: fetch chunks of %s: %w", root, a.broken); lasting(err) {
				return came, err
			}
		}
		moved := a.done >= got+minProgress
		if isRetried(a.broken) && !moved || !d.waitRetry(ctx, err, tries, moved) {
			return came, err
		}
	}
}

// keptBytes returns how many leading bytes of the module are kept and can be resumed.
func (d *downloader) keptBytes(ctx context.Context, root merkle.Hash) (int64, error) {
	resumer, ok := d.to.(Resumer)
	if !ok {
		return 0, nil
	}
	if _, ok := d.from.(RangeOrigin); !ok {
		return 0, nil
	}
	held, err := resumer.Held(ctx, root)
	if err != nil {
		return 0, fmt.Errorf("remote: look for a part of %s: %w", root, err)
	}
	return held, nil
}

// bases returns at most two recipes of held generations that are likely to share chunks with the
// wanted one, most similar first: its neighbours in the history, then the head.
func (d *downloader) bases(ctx context.Context, to Assembler,
	line module.Generation) ([]*module.Recipe, error) {
	lines, err := d.local.tail(ctx, maxNeighbours)
	if err == nil && len(lines) > 0 && line.Number <= lines[len(lines)-1].Number {
		lines, err = d.local.lines(ctx)
	}
	if err != nil {
		return nil, err
	}
	at, _ := slices.BinarySearchFunc(lines, line.Number, func(g module.Generation, n uint64) int {
		return cmp.Compare(g.Number, n)
	})
	var roots []merkle.Hash
	for d := range maxNeighbours {
		if i := at - 1 - d; i >= 0 {
			roots = append(roots, lines[i].Root)
		}
		if i := at + d; i < len(lines) {
			roots = append(roots, lines[i].Root)
		}
	}
	roots = append(roots, d.head)
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

// An assembly is a generation that is received as chunks.
type assembly struct {
	from     RangeOrigin
	recipe   *module.Recipe
	offsets  []int64 // of the chunks in the module
	missing  []int   // indexes of the missing chunks, in the order of the module
	wanted   []Span  // the byte ranges of missing
	parts    bool    // at least one chunk was received
	done     int64   // bytes received, including the recipe
	total    int64   // the value of done at the end
	broken   error   // why the transfer failed
	progress func(root merkle.Hash, done, total int64)
}

// find sets missing, wanted and total from what to lacks.
func (a *assembly) find(ctx context.Context, to Assembler) (err error) {
	if a.missing, err = to.MissingChunks(ctx, a.recipe); err != nil {
		return chunkError(fmt.Errorf("remote: look for chunks of %s: %w", a.recipe.Root(), err))
	}
	a.missing = slices.Clone(a.missing)
	slices.SortFunc(a.missing, func(i, j int) int { return cmp.Compare(a.offsets[i], a.offsets[j]) })
	a.wanted, a.broken, a.total = a.wanted[:0], nil, a.done
	for _, i := range a.missing {
		c := a.recipe.Pool()[i]
		if a.offsets[i] < 0 {
			return &VerificationError{Check: CheckRecipe, Want: "chunks of the module",
				Got: c.ID.String() + ", which stands nowhere in it"}
		}
		a.wanted = append(a.wanted, Span{Offset: a.offsets[i], Length: int64(c.Len)})
		a.total += int64(c.Len)
	}
	return nil
}

// cost estimates the cost of fetching the wanted chunks, in bytes.
func (a *assembly) cost() int64 {
	bytes, ranges, end := int64(0), int64(0), int64(-partCost)
	for _, w := range a.wanted {
		if gap := w.Offset - end; gap <= partCost && ranges > 0 {
			bytes += gap
		} else {
			ranges++
		}
		bytes += w.Length
		end = w.End()
	}
	return bytes + ranges*partCost + (ranges+maxRanges-1)/maxRanges*requestCost
}

// fetch reads the missing chunks from the origin and passes them to put.
func (a *assembly) fetch(ctx context.Context, put func(int, []byte) error) error {
	a.report()
	var buf []byte
	var refused error
	for from := 0; from < len(a.wanted); from += maxSpans {
		to := min(from+maxSpans, len(a.wanted))
		err := a.from.Spans(ctx, a.recipe.Root(), a.wanted[from:to], func(n int, body io.Reader) error {
			i := a.missing[from+n]
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
				a.broken = nil // the transfer did not fail
			}
			return err
		}
	}
	return nil
}

func (a *assembly) report() {
	if a.progress != nil {
		a.progress(a.recipe.Root(), a.done, max(a.total, a.done))
	}
}

// chunkError turns module.ErrVerify, a chunk that differs from the recipe, into a CheckRecipe
// error.
func chunkError(err error) error {
	var done *VerificationError
	if errors.Is(err, module.ErrVerify) && !errors.As(err, &done) {
		return &VerificationError{Check: CheckRecipe, Err: err}
	}
	return err
}
