package digstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/digstore/internal/scan"
	"github.com/dig-network/digstore/digstore/internal/sealer"
)

// gather finds what is to be committed, and what of it need not be read. The recipe of the head and
// the stat index are read while the content root is listed.
func (c *commit) gather(ctx context.Context) error {
	f, recs, err := c.s.staging.Open()
	if err != nil {
		return err
	}
	if f != nil {
		c.closers = append(c.closers, func() { _ = f.Close() })
	}
	if len(recs) == 0 {
		if c.content, err = c.s.contentRoot(); err != nil {
			return err
		}
	}
	var before *known
	tree := &scan.Tree{}
	var g errgroup.Group
	g.Go(func() error {
		if err := c.s.mayWrite(c.signer.PublicKey()); err != nil {
			return err
		}
		var err error
		if c.old, err = oldManifests(c.s, c.h); err != nil {
			return err
		}
		if c.content == "" {
			return nil
		}
		abs, err := filepath.Abs(c.content)
		if err != nil {
			return err
		}
		before = openKnown(c.s, abs, c.h, c.o.Rehash)
		return nil
	})
	if c.content != "" {
		tree, err = c.s.w.scan(ctx, c.content)
	}
	if err := errors.Join(g.Wait(), err); err != nil {
		return err
	}
	c.skipped, c.unread = tree.Gone, tree.Unread
	switch {
	case len(recs) > 0:
		for _, r := range recs {
			c.add(&sealer.Job{Input: sealer.Section(r.Name, f, r.Off, r.Size)})
		}
	case c.content == "":
		return fmt.Errorf("%w, and the store has no content root", ErrNothingStaged)
	case len(tree.Files) == 0:
		return fmt.Errorf("%w: no files in %s", ErrNothingStaged, c.content)
	default:
		c.addFiles(tree.Files, before)
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	if c.o.Again {
		number := []byte(strconv.FormatUint(c.h.Len(), 10))
		again := &sealer.Job{Input: sealer.Section(GenerationResource, bytes.NewReader(number), 0,
			int64(len(number)))}
		c.remove(func(name string) bool { return name == GenerationResource })
		c.add(again)
	}
	return c.s.checkSize(c.bytes)
}

// addFiles adds the files of the content root. The entry of a file that looks as it did when a
// generation was made of it is copied from the recipe of that generation.
func (c *commit) addFiles(files []scan.Found, before *known) {
	next := before.cursor()
	jobs := make([]sealer.Job, len(files))
	for i, f := range files {
		j := &jobs[i]
		j.Input, j.Stat, j.Bytes = sealer.File(c.content, f), f.Stat, f.Stat.Size
		if e, ok := next(f); ok && c.takeOver(j) {
			j.Entry = e
		}
		c.add(j)
	}
}

func (c *commit) add(j *sealer.Job) {
	c.jobs = append(c.jobs, j)
	c.bytes += j.Size
	if !j.Read && j.Entry.Chunks == nil {
		c.todo = append(c.todo, j)
	}
}

// checkNames returns an error for names that cannot be checked out, or removes them from the
// commit.
func (c *commit) checkNames() error {
	if c.o.anyNames {
		return nil
	}
	names := make([]string, len(c.jobs))
	for i, j := range c.jobs {
		names[i] = j.Name
	}
	slices.Sort(names)
	refused := checkNames(names)
	if len(refused) == 0 {
		return nil
	}
	if !c.o.SkipUnsafe {
		return &UnsafeNamesError{refused}
	}
	drop := make(map[string]bool, len(refused))
	for _, r := range refused {
		drop[r.Key] = true
	}
	c.remove(func(name string) bool { return drop[name] })
	c.unsafe = refused
	if len(c.jobs) == 0 {
		return fmt.Errorf("%w: all names are unsafe: %w", ErrNothingStaged,
			&UnsafeNamesError{refused})
	}
	return nil
}

// remove removes resources from the commit.
func (c *commit) remove(drop func(name string) bool) {
	c.jobs = slices.DeleteFunc(c.jobs, func(j *sealer.Job) bool {
		if drop(j.Name) {
			c.bytes -= j.Size
			return true
		}
		return false
	})
	c.todo = slices.DeleteFunc(c.todo, func(j *sealer.Job) bool { return drop(j.Name) })
}

// takeOver reports whether an unchanged resource of a listed store need not be read: only if its
// hash is known too.
func (c *commit) takeOver(j *sealer.Job) bool {
	if c.old == nil {
		return true
	}
	e, ok := c.old.at[j.Name]
	if ok {
		j.Plain = e.SHA256Latest
	}
	return ok
}
