package digstore

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/scan"
	"github.com/dig-network/digstore/digstore/internal/sealer"
	"github.com/dig-network/digstore/digstore/internal/statindex"
	"github.com/dig-network/digstore/digstore/internal/storedir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// seal reads and seals what has to be read, into the pack.
func (c *commit) seal(ctx context.Context) error {
	s := c.s
	pack, err := s.dir.CreatePack()
	if err != nil {
		return err
	}
	c.pack = pack
	var total, done int64
	for _, j := range c.todo {
		total += j.Size
	}
	p := &sealer.Sealer{Store: s.set.id, Salt: s.salts.current(), Workers: s.w.workers,
		HashPlain: c.old != nil, CheckSize: s.checkSize, Keep: c.keep}
	if c.o.Progress != nil {
		c.o.Progress(0, total)
		p.Progress = func(n int64) {
			done += n
			total = max(total, done) // a file has grown, or was read twice
			c.o.Progress(done, total)
		}
	}
	if err := p.Run(ctx, c.todo); err != nil {
		return err
	}
	if err := c.sift(); err != nil {
		return err
	}
	c.bytes = 0
	for _, j := range c.jobs {
		c.bytes += j.Bytes
	}
	return s.checkSize(c.bytes)
}

// sift removes the files that are gone.
func (c *commit) sift() error {
	var changed []string
	var jobs []*sealer.Job
	for _, j := range c.jobs {
		switch j.Outcome {
		case sealer.Settled:
			jobs = append(jobs, j)
		case sealer.Changing:
			changed = append(changed, j.Name)
		case sealer.Gone:
			c.skipped = append(c.skipped, j.Name)
		}
	}
	sortNames(c.skipped)
	if len(changed) > 0 {
		return &ChangingError{changed}
	}
	if len(jobs) == 0 {
		return fmt.Errorf("%w: all files in %s were removed", ErrNothingStaged, c.content)
	}
	c.jobs = jobs
	return nil
}

// keep adds frames to the pack, without the chunks that the store has already.
func (c *commit) keep(chunks []module.Chunk, frames []byte) error {
	from, off, first := 0, 0, 0 // the run of new chunks chunks[first:i] begins at frames[from]
	flush := func(i int) error {
		if first == i {
			return nil
		}
		return c.pack.AddFrames(frames[from:off], chunks[first:i])
	}
	for i, ch := range chunks {
		had := c.pack.Has(ch.ID)
		if !had {
			var err error
			if had, err = c.s.dir.Packs.Has(ch.ID); err != nil {
				return err
			}
		}
		if !had { // the same chunk twice in one run
			for _, o := range chunks[first:i] {
				had = had || o.ID == ch.ID
			}
		}
		if had {
			if err := flush(i); err != nil {
				return err
			}
			first, from = i+1, off+4+int(ch.Len)
		}
		off += 4 + int(ch.Len)
	}
	return flush(len(chunks))
}

// publish composes the module, signs its root and makes the generation visible.
func (c *commit) publish(ctx context.Context) (*CommitReport, error) {
	s := c.s
	entries := make([]module.Entry, len(c.jobs))
	names := make([]string, len(c.jobs))
	for i, j := range c.jobs {
		entries[i], names[i] = j.Entry, j.Name
	}
	mo := module.Options{}
	if c.o.Module != nil {
		mo = *c.o.Module
	}
	mo.Metadata, mo.PublicManifest = nil, nil
	if c.o.Message != "" {
		mo.Metadata = &module.Metadata{SchemaVersion: 1}
		mo.Metadata.SetMessage(c.o.Message)
	}
	number := c.h.Len()
	if c.old != nil {
		mo.PublicManifest = c.old.next(c.jobs, rootOf(entries), number)
	}
	recipe, err := module.Compose(s.set.id, c.signer.PublicKey(), entries, &mo)
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	root := recipe.Root()
	if g, ok, err := c.h.Find(root); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	} else if ok {
		head, _ := c.h.Head()
		if g.Number == head.Number {
			c.noteFiles(root) // the next commit need not read these files
		}
		return nil, &RecurringRootError{Earlier: g, Head: head.Number}
	}
	if err := s.checkRevoked(root); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	signed, err := auth.SignRoot(ctx, s.set.id, root, c.signer)
	if err != nil {
		return nil, fmt.Errorf("commit: sign root: %w", err)
	}
	line := s.dir.NextLine(c.h, root)
	noted := make(chan struct{})
	go func() { // an index of a root that is not in the history is ignored
		defer close(noted)
		c.noteFiles(root)
	}()
	err = s.dir.Publish(ctx, c.h, &storedir.Publication{Recipe: recipe, Names: names, Learned: names,
		Pack: c.pack, Head: signed, Lines: []module.Generation{line}})
	<-noted
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	if c.content == "" {
		_ = c.s.staging.Clear() // after an error the next commit returns ErrUnchanged
	}
	g, err := s.open(line)
	if err != nil {
		return nil, fmt.Errorf("commit: read back: %w", err)
	}
	return &CommitReport{Generation: g, ContentRoot: c.content, Files: len(c.jobs),
		Changed: c.read(), Bytes: c.bytes, Listed: c.old != nil, Skipped: c.skipped, Unread: c.unread,
		Unsafe: c.unsafe}, nil
}

// read returns the number of resources that were read.
func (c *commit) read() (n int) {
	for _, j := range c.todo {
		if j.Outcome == sealer.Settled {
			n++
		}
	}
	return n
}

// noteFiles writes the stat index.
func (c *commit) noteFiles(root merkle.Hash) {
	if c.content == "" {
		return
	}
	abs, err := filepath.Abs(c.content)
	if err != nil {
		return
	}
	x := &statindex.Index{Root: root, Time: c.started, Content: abs}
	for _, j := range c.jobs {
		if j.Name != GenerationResource || !c.o.Again {
			x.Files = append(x.Files, scan.Found{Name: j.Name, Stat: j.Stat})
		}
	}
	c.s.index.Write(x)
}

// rootOf computes the root of a generation (module/FORMAT.md 2.4): leaves in the order of their
// keys.
func rootOf(entries []module.Entry) merkle.Hash {
	order := make([]*module.Entry, len(entries))
	for i := range entries {
		order[i] = &entries[i]
	}
	sortEntries(order)
	leaves := make([]merkle.Hash, len(order))
	for i, e := range order {
		leaves[i] = e.Leaf
	}
	return merkle.Root(leaves)
}

// sortEntries sorts by key.
func sortEntries(list []*module.Entry) {
	slices.SortFunc(list, func(a, b *module.Entry) int { return bytes.Compare(a.Key[:], b.Key[:]) })
}
