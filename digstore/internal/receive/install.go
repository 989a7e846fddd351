package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/storedir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// lastSecond is the end of the year 9999 in Unix seconds: time.Time cannot encode later times in
// JSON.
const lastSecond = 253402300799

// A Pull describes a generation that is pulled, without its content.
type Pull struct {
	// Lines are the lines of the history that lead to the generation.
	Lines []module.Generation
	// Head has the signatures that are known.
	Head auth.SignedRoot
	// Check is called before the generation becomes visible. It may be nil.
	Check func(*module.Module) error
}

// Install receives a module that is pulled. See digstore.Store.Install.
func Install(ctx context.Context, d *storedir.Dir, p Pull, r io.Reader) error {
	root, done, err := begin(ctx, d, &p)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if done {
		return nil
	}
	in, err := incoming.Open(ctx, d.FS, d.Partial(root), d.Packs)
	if err != nil {
		return fmt.Errorf("install %s: %w", root, err)
	}
	defer in.Close()
	recipe, err := in.Accept(ctx, module.ID{Store: d.Store, Root: root}, r, p.Check)
	if err != nil {
		return fmt.Errorf("install %s: %w", root, err)
	}
	if err := finish(ctx, d, in, recipe, p); err != nil {
		return fmt.Errorf("install %s: %w", root, err)
	}
	return nil
}

// Assemble receives a generation that is pulled as a recipe and chunks. See
// digstore.Store.Assemble.
func Assemble(ctx context.Context, d *storedir.Dir, p Pull, a module.Assembly) error {
	root, done, err := begin(ctx, d, &p)
	if err != nil {
		return fmt.Errorf("assemble: %w", err)
	}
	if done {
		return nil
	}
	parts := &incoming.Parts{Recipe: a.Recipe, Fetch: a.Fetch, Resumable: true}
	if !a.Base.IsZero() {
		if parts.Base, err = Confirmed(d, a.Base); err != nil {
			return fmt.Errorf("assemble %s: %w", root, err)
		}
	}
	parts.To, err = incoming.OpenChunks(ctx, d.FS, d.PartialChunks(root), d.Packs, a.Recipe)
	if err != nil {
		return fmt.Errorf("assemble %s: %w", root, err)
	}
	defer parts.To.Close()
	id := module.ID{Store: d.Store, Root: root}
	if err := parts.Accept(ctx, id, p.Check); err != nil {
		return fmt.Errorf("assemble %s: %w", root, err)
	}
	if err := finish(ctx, d, parts.To, a.Recipe, p); err != nil {
		return fmt.Errorf("assemble %s: %w", root, err)
	}
	return nil
}

// begin returns the root of the pulled generation. If the generation is held, begin appends its
// lines and done is true.
func begin(ctx context.Context, d *storedir.Dir, p *Pull) (root merkle.Hash, done bool, err error) {
	if len(p.Lines) == 0 {
		return root, false, errors.New("no history lines")
	}
	root = p.Lines[len(p.Lines)-1].Root
	if p.Head.Root.IsZero() {
		p.Head.Root = root
	}
	if p.Head.Root != root {
		return root, false, fmt.Errorf("signatures: expected root %s, found %s", root, p.Head.Root)
	}
	h, err := d.Log.Current()
	if err != nil {
		return root, false, err
	}
	line, ok, err := h.Find(root)
	if err != nil {
		return root, false, err
	}
	held := false
	if ok {
		held, err = d.Recipes.Has(root)
		if err == nil && held && p.Lines[0].Number < h.Len() {
			err = fs.ErrExist
		}
		if err != nil {
			return root, false, fmt.Errorf("%s: %w", root, err)
		}
	}
	if err := d.Sweep(ctx); err != nil {
		return root, false, err
	}
	if held {
		err = addLines(ctx, d, line, *p)
	}
	return root, held, err
}

// addLines appends lines of which the last one is of a held generation.
func addLines(ctx context.Context, d *storedir.Dir, line module.Generation, p Pull) error {
	root := line.Root
	g, err := d.Open(line)
	if err != nil {
		return err
	}
	if p.Check != nil {
		if err := p.Check(g.Module); err != nil {
			return fmt.Errorf("%s: %w", root, err)
		}
	}
	l, h, err := d.LockHead(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	if there, err := d.Recipes.Has(root); err != nil {
		return fmt.Errorf("%s: %w", root, err)
	} else if !there {
		return fmt.Errorf("%s: dropped by a gc: %w", root, fs.ErrNotExist)
	}
	lines, err := newLines(d, h, p.Lines)
	if err != nil {
		return err
	}
	if err := d.Signatures.Write(p.Head); err != nil {
		return err
	}
	return d.Log.Extend(h, lines)
}

// finish publishes what was received and checked.
func finish(ctx context.Context, d *storedir.Dir, in *incoming.Transfer, recipe *module.Recipe,
	p Pull) error {
	l, h, err := d.LockSwept(ctx) // the generation may be the head that is missing
	if err != nil {
		return err
	}
	defer l.Close()
	lines, err := newLines(d, h, p.Lines)
	if err != nil {
		return err
	}
	if len(lines) > 0 {
		if err := d.CheckHead(h); err != nil {
			return err
		}
	}
	if err := d.LearnListed(in, recipe); err != nil {
		return err
	}
	return d.PublishReceived(ctx, h, in,
		&storedir.Publication{Recipe: recipe, Head: p.Head, Lines: lines})
}

// newLines returns the lines that the history lacks: all of them if they follow the history, and
// none if lines is the existing line of a generation that is not held.
func newLines(d *storedir.Dir, h *history.History,
	lines []module.Generation) ([]module.Generation, error) {
	if first := lines[0]; len(lines) == 1 && first.Number < h.Len() {
		have, err := h.Line(first.Number)
		if err != nil {
			return nil, err
		}
		if have.Root != first.Root {
			return nil, fmt.Errorf("history line %d: expected root %s, found %s: %w", first.Number,
				have.Root, first.Root, module.ErrNotHead)
		}
		there, err := d.Recipes.Has(first.Root)
		if err != nil {
			return nil, err
		}
		if there {
			return nil, fmt.Errorf("generation %d: %w", have.Number, fs.ErrExist)
		}
		return nil, nil
	}
	for i, g := range lines {
		if seconds := g.Time.Unix(); seconds < 0 || seconds > lastSecond {
			return nil, fmt.Errorf("time of history line %d: expected 1970 to 9999, found %d seconds: %w",
				g.Number, seconds, module.ErrFormat)
		}
		if g.Number != h.Len()+uint64(i) {
			return nil, fmt.Errorf("history line: expected number %d, found %d: %w", h.Len()+uint64(i),
				g.Number, module.ErrNotHead)
		}
	}
	return lines, nil
}

// An Imported generation has been read from a module and verified.
type Imported struct {
	Transfer *incoming.Transfer
	Recipe   *module.Recipe
	// Signed has the signatures that are known, and the root.
	Signed auth.SignedRoot
	// Pin pins the key in the module as that of the publisher.
	Pin bool
}

// Import publishes a generation: as the newest one, or for its existing line in the history. It
// returns the line.
func Import(ctx context.Context, d *storedir.Dir, i *Imported) (module.Generation, error) {
	recipe := i.Recipe
	l, h, err := d.LockSwept(ctx) // the generation may be the head that is missing
	if err != nil {
		return module.Generation{}, err
	}
	defer l.Close()
	line, ok, err := h.Find(recipe.Root())
	if err == nil && !ok {
		line = d.NextLine(h, recipe.Root())
		err = d.CheckHead(h)
	}
	if err != nil {
		return line, err
	}
	lines, err := newLines(d, h, []module.Generation{line})
	if err != nil {
		return line, err
	}
	if err := d.LearnListed(i.Transfer, recipe); err != nil {
		return line, err
	}
	p := &storedir.Publication{Recipe: recipe, Head: i.Signed, Lines: lines}
	if err := d.PublishReceived(ctx, h, i.Transfer, p); err != nil {
		return line, err
	}
	if !i.Pin || recipe.PublicKey().IsZero() {
		return line, nil
	}
	return line, d.Pins.Write(module.Pins{Publisher: recipe.PublicKey()})
}

// Missing returns the indexes in the pool of r of the chunks that are neither in the store nor left
// by an interrupted Assemble. See digstore.Store.MissingChunks.
func Missing(ctx context.Context, d *storedir.Dir, r *module.Recipe) ([]int, error) {
	if err := d.Sweep(ctx); err != nil {
		return nil, err
	}
	arrived, err := incoming.Arrived(d.FS, d.PartialChunks(r.Root()), r)
	if err != nil {
		return nil, err
	}
	here := make(map[merkle.Hash]bool, len(arrived))
	for _, e := range arrived {
		here[e.ID] = true
	}
	var missing []int
	for i, c := range r.Pool() {
		if here[c.ID] {
			continue
		}
		had, err := d.Packs.Holds(c)
		if err != nil {
			return nil, err
		}
		if here[c.ID] = true; !had { // report it once
			missing = append(missing, i)
		}
	}
	return missing, nil
}

// Discard removes what an interrupted Install or Assemble of a root has left.
func Discard(ctx context.Context, d *storedir.Dir, root merkle.Hash) error {
	for _, dir := range []string{d.Partial(root), d.PartialChunks(root)} {
		if err := incoming.Clear(ctx, d.FS, dir); err != nil {
			return err
		}
	}
	return nil
}
