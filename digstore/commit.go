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

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/internal/scan"
	"github.com/dig-network/digstore/digstore/internal/statindex"
	"github.com/dig-network/digstore/digstore/internal/storedir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// GenerationResource is the resource that a commit with Again adds: the number of the generation in
// decimal.
const GenerationResource = ".well-known/dig/generation"

// CommitOptions are settings of one commit. nil and the zero value mean the defaults.
type CommitOptions struct {
	// Message is kept in the module's metadata. Empty: none.
	Message string
	// Again adds GenerationResource, so that content that was there before gets a root of its own.
	Again bool
	// Rehash reads every file, whatever the stat index says.
	Rehash bool
	// SkipUnsafe leaves out what cannot become files when the generation is checked out, and
	// CommitReport.Unsafe lists it. Without it, such a name is an *UnsafeNamesError.
	SkipUnsafe bool
	// Module says how the module is made: Padding, Template and the like. Its Metadata, PublicManifest
	// and Salt are set by the commit.
	Module *module.Options
	// Progress is called with bytes of content done and to be done, from one goroutine.
	Progress func(done, total int64)

	anyNames bool // for tests of what others commit: no name is refused
}

// A CommitReport says what a commit did.
type CommitReport struct {
	Generation  *Generation
	ContentRoot string // the folder that was committed; "" when it was what was staged
	Files       int    // resources in the generation
	Changed     int    // resources that were read; the others were taken over by the stat index
	Bytes       int64  // plaintext of all resources
	// Listed says that the generation carries the names of its resources, for everybody to see; see
	// Store.Listed.
	Listed bool
	// Skipped are files of the content root that were listed and were removed, or replaced by
	// something that is no regular file, before they were read. The generation lacks them. Folders end
	// in a slash. Sorted.
	Skipped []string
	// Unsafe is what SkipUnsafe has left out, sorted by key.
	Unsafe []KeyNameError
	// Unread are .gitignore and .digignore files that are links, pipes or the like. As in git they do
	// not count.
	Unread []string
}

// Commit makes a generation of what is staged or, when nothing is and the store has one, of its
// content root. signer is the publisher; nil means the key that the store keeps (Signer).
//
// Content that is the head's is ErrUnchanged, an earlier generation's a *RecurringRootError;
// content over the cap is a *TooLargeError; nothing to commit is ErrNothingStaged; a resource that
// Checkout cannot write as a file is an *UnsafeNamesError. Each file is taken as it was at one
// moment: one that does not hold still long enough to be read is a *ChangingError. Until Commit
// returns without an error the store is what it was, but that a failure of the disk in the very
// last step may leave the generation there.
func (s *Store) Commit(ctx context.Context, signer auth.Signer,
	o *CommitOptions) (*CommitReport, error) {
	if o == nil {
		o = &CommitOptions{}
	}
	if signer == nil {
		key, err := s.Signer()
		if err != nil {
			return nil, fmt.Errorf("commit: %w", err)
		}
		signer = key
	}
	l, h, err := s.dir.LockHead(ctx)
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	defer l.Close()
	c := &commit{s: s, o: o, h: h, signer: signer, started: s.index.Clock()}
	defer c.close()
	if err := c.gather(ctx); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	if err := c.seal(ctx); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return c.publish(ctx)
}

// mayWrite refuses a key that is neither the one that signs this store nor adopted, and a revoked
// store.
func (s *Store) mayWrite(key auth.PublicKey) error {
	want, err := s.publisher()
	if err != nil {
		return err
	}
	adopted, err := s.keys.AdoptedID()
	if err != nil {
		return err
	}
	if !want.IsZero() && want != key && adopted != key {
		return fmt.Errorf("store %s is signed by another key (%08x, not %08x): %w", s.name,
			want.Fingerprint(), key.Fingerprint(), auth.ErrForbidden)
	}
	return s.checkRevoked(merkle.Hash{})
}

// commit is one commit on its way.
type commit struct {
	s       *Store
	o       *CommitOptions
	h       *history.History
	signer  auth.Signer
	started int64

	content string // the content root, "" when committing what is staged
	jobs    []*job // in the order of the key table
	todo    []*job // those that have to be read
	// what the previous generation's section 13 says; nil: this one is not listed
	old     *manifests
	unsafe  []KeyNameError // names that SkipUnsafe has left out
	bytes   int64
	skipped []string // files that were listed and are gone
	unread  []string // ignore files that are no regular files
	pack    *packdir.Writer
	closers []func()
}

func (c *commit) close() {
	for _, f := range c.closers {
		f()
	}
	if c.pack != nil {
		c.pack.Abandon()
	}
}

// gather finds out what there is to commit, and what of it is known already. The head's recipe and
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
			c.add(&job{input: sectionInput(r.Name, f, r.Off, r.Size)})
		}
	case c.content == "":
		return fmt.Errorf("%w, and the store has no content root", ErrNothingStaged)
	case len(tree.Files) == 0:
		return fmt.Errorf("%w: there is no file in %s", ErrNothingStaged, c.content)
	default:
		c.addFiles(tree.Files, before)
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	if c.o.Again {
		number := []byte(strconv.FormatUint(c.h.Len(), 10))
		again := &job{input: sectionInput(GenerationResource, bytes.NewReader(number), 0,
			int64(len(number)))}
		c.remove(func(name string) bool { return name == GenerationResource })
		c.add(again)
	}
	if c.bytes > c.s.set.maxSize {
		return &TooLargeError{c.bytes, c.s.set.maxSize}
	}
	return nil
}

// addFiles takes the files of the content root. What looks as it did when a generation was made of
// it is taken from that one's recipe.
func (c *commit) addFiles(files []scan.Found, before *known) {
	next := before.cursor()
	jobs := make([]job, len(files))
	for i, f := range files {
		j := &jobs[i]
		j.input, j.stat, j.bytes = fileInput(c.content, f), f.Stat, f.Stat.Size
		if e, ok := next(f); ok && c.takeOver(j) {
			j.entry = e
		}
		c.add(j)
	}
}

func (c *commit) add(j *job) {
	c.jobs = append(c.jobs, j)
	c.bytes += j.size
	if !j.fresh && j.entry.Chunks == nil {
		c.todo = append(c.todo, j)
	}
}

// checkNames refuses or leaves out what could not be checked out.
func (c *commit) checkNames() error {
	if c.o.anyNames {
		return nil
	}
	names := make([]string, len(c.jobs))
	for i, j := range c.jobs {
		names[i] = j.name
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
		return fmt.Errorf("%w: every name was left out (%w)", ErrNothingStaged,
			&UnsafeNamesError{refused})
	}
	return nil
}

// remove takes resources out of the commit.
func (c *commit) remove(drop func(name string) bool) {
	c.jobs = slices.DeleteFunc(c.jobs, func(j *job) bool {
		if drop(j.name) {
			c.bytes -= j.size
			return true
		}
		return false
	})
	c.todo = slices.DeleteFunc(c.todo, func(j *job) bool { return drop(j.name) })
}

// takeOver reports whether an unchanged resource of a listed store need not be read: its hash must
// be known too.
func (c *commit) takeOver(j *job) bool {
	if c.old == nil {
		return true
	}
	e, ok := c.old.at[j.name]
	if ok {
		j.plain = e.SHA256Latest
	}
	return ok
}

// seal brings what has to be read into the pack.
func (c *commit) seal(ctx context.Context) error {
	s := c.s
	pack, err := s.dir.CreatePack()
	if err != nil {
		return err
	}
	c.pack = pack
	var total, done int64
	for _, j := range c.todo {
		total += j.size
	}
	p := &pipeline{s: s, salt: s.salts.current(), workers: s.w.workers, plain: c.old != nil,
		most: s.set.maxSize, keep: c.keep}
	if c.o.Progress != nil {
		c.o.Progress(0, total)
		p.step = func(n int64) {
			done += n
			total = max(total, done) // a file has grown, or was read twice
			c.o.Progress(done, total)
		}
	}
	if err := p.run(ctx, c.todo); err != nil {
		return err
	}
	if err := c.sift(); err != nil {
		return err
	}
	c.bytes = 0
	for _, j := range c.jobs {
		c.bytes += j.bytes
	}
	if c.bytes > s.set.maxSize {
		return &TooLargeError{c.bytes, s.set.maxSize}
	}
	return nil
}

// sift leaves out the files that are gone.
func (c *commit) sift() error {
	var changed []string
	var jobs []*job
	for _, j := range c.jobs {
		switch j.outcome {
		case settled:
			jobs = append(jobs, j)
		case changing:
			changed = append(changed, j.name)
		case gone:
			c.skipped = append(c.skipped, j.name)
		}
	}
	sortNames(c.skipped)
	if len(changed) > 0 {
		return &ChangingError{changed}
	}
	if len(jobs) == 0 {
		return fmt.Errorf("%w: every file in %s is gone", ErrNothingStaged, c.content)
	}
	c.jobs = jobs
	return nil
}

// keep puts frames into the pack, without the chunks that the store has already.
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
		entries[i], names[i] = j.entry, j.name
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
			c.noteFiles(root) // what was read because it was new need not be read again
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
	go func() { // an index of a root that does not come into the history does not count
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
		_ = c.s.staging.Clear() // else the next commit finds its root to be the head's, and says so
	}
	g, err := s.open(line)
	if err != nil {
		return nil, fmt.Errorf("commit: read back: %w", err)
	}
	return &CommitReport{Generation: g, ContentRoot: c.content, Files: len(c.jobs),
		Changed: c.read(), Bytes: c.bytes, Listed: c.old != nil, Skipped: c.skipped, Unread: c.unread,
		Unsafe: c.unsafe}, nil
}

// read counts the resources that were read.
func (c *commit) read() (n int) {
	for _, j := range c.todo {
		if j.outcome == settled {
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
		if j.name != GenerationResource || !c.o.Again {
			x.Files = append(x.Files, scan.Found{Name: j.name, Stat: j.stat})
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
