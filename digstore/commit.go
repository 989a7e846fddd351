package digstore

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/internal/sealer"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// GenerationResource is the name of the resource that a commit with Again adds. Its content is the
// number of the generation in decimal.
const GenerationResource = ".well-known/dig/generation"

// CommitOptions are settings of one commit. nil and the zero value mean the defaults.
type CommitOptions struct {
	// Message is stored in the metadata of the module. Empty: none.
	Message string
	// Again adds GenerationResource, so that content that was committed before gets a new root.
	Again bool
	// Rehash reads every file, also those that look unchanged.
	Rehash bool
	// SkipUnsafe leaves out resources whose names Checkout could not write as files;
	// CommitReport.Unsafe lists them. Without it such a name is an *UnsafeNamesError.
	SkipUnsafe bool
	// Module are options of the module, such as Padding and Template. The commit sets Metadata,
	// PublicManifest and Salt.
	Module *module.Options
	// Progress is called with bytes of content done and to be done, from one goroutine.
	Progress func(done, total int64)

	anyNames bool // for tests: accept every name, as other implementations do
}

// A CommitReport says what a commit did.
type CommitReport struct {
	Generation  *Generation
	ContentRoot string // the folder that was committed; "" when it was what was staged
	Files       int    // resources in the generation
	Changed     int    // resources that were read; the others were taken over by the stat index
	Bytes       int64  // plaintext of all resources
	// Listed says that the generation publishes the names of its resources; see Store.Listed.
	Listed bool
	// Skipped are files of the content root that were listed and then removed, or replaced by
	// something other than a regular file, before they were read. The generation lacks them.
	// Folders end in a slash. Sorted.
	Skipped []string
	// Unsafe are the resources that SkipUnsafe has left out, sorted by key.
	Unsafe []KeyNameError
	// Unread are .gitignore and .digignore files that are not regular files. They are ignored, as
	// by git.
	Unread []string
}

// Commit makes a generation of the staged resources or, if nothing is staged and the store has one,
// of its content root. signer is the publisher; nil means Signer.
//
// Content of the head is ErrUnchanged, content of an earlier generation a *RecurringRootError, and
// content over the limit a *TooLargeError. Nothing to commit is ErrNothingStaged. A resource that
// Checkout cannot write as a file is an *UnsafeNamesError. Each file is read as it was at one
// moment; a file that changes too often for that is a *ChangingError. After an error the store is
// unchanged, except that after a failure of the disk in the last step the generation may be there.
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

// mayWrite returns an error if the store is revoked, or if the key is neither that of the publisher
// nor adopted.
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

// checkSize returns a *TooLargeError for plaintext of more bytes than the store allows.
func (s *Store) checkSize(n int64) error {
	if n > s.set.maxSize {
		return &TooLargeError{n, s.set.maxSize}
	}
	return nil
}

// commit is a commit that is being made.
type commit struct {
	s       *Store
	o       *CommitOptions
	h       *history.History
	signer  auth.Signer
	started int64

	content string        // the content root, "" when committing what is staged
	jobs    []*sealer.Job // in the order of the key table
	todo    []*sealer.Job // those that have to be read
	// section 13 of the previous generation; nil: this one is not listed
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
