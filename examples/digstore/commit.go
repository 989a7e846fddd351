package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

func (a *app) commitCommand() *cobra.Command {
	var o digstore.CommitOptions
	cmd := &cobra.Command{
		Use:   "commit",
		Short: "Make a new generation of what is staged, or of the content root",
		Long: `Commit seals the staged files, signs their root with the publisher key and
appends a generation to the store's history. When nothing is staged and the
store has a content root, it takes the content root as it is.

Links and other things that are no regular files are left out, and so is what
.gitignore or .digignore names. Each file is taken as it was at one moment: one
that keeps changing while it is read stops the commit, one that vanishes is
left out and named. Files that look as they did at the last commit,
by size, times and inode, are not read again; --rehash reads them all.

A name that cannot be written as a file everywhere is refused, such as .git/x, q
beside q/r, or one that turns the direction of writing; --skip-unsafe leaves
such files out and lists them. The folders .git, .hg, .svn and .dig are always
left out.

A generation whose content was there before is refused, since nobody could tell
it from a replay; --again adds a small resource that makes it a new one.`,
		Example: `  digstore commit -m "new prices"
  digstore add --all && digstore commit -m "all of it"
  digstore commit --again -m "back to the old prices"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(func(s *digstore.Store) error { return a.commit(cmd.Context(), s, o) })
		},
	}
	cmd.Flags().StringVarP(&o.Message, "message", "m", "", "what has changed; everyone who clones can read it")
	cmd.Flags().BoolVar(&o.Again, "again", false, "commit content that an earlier generation already had")
	cmd.Flags().BoolVar(&o.SkipUnsafe, "skip-unsafe", false, "leave out files whose names a checkout refuses")
	cmd.Flags().BoolVar(&o.Rehash, "rehash", false, "read every file, whatever its times say")
	return cmd
}

func (a *app) commit(ctx context.Context, s *digstore.Store, o digstore.CommitOptions) error {
	a.resume = "nothing was committed; run the same command again"
	staged, err := s.Staged()
	if err != nil {
		return err
	}
	if len(staged) == 0 && s.ContentRoot() != "" {
		if err := a.agree(s); err != nil {
			return err
		}
		a.note("nothing is staged: taking the whole of %s", s.ContentRoot())
	}
	p := a.progress("committing")
	defer p.stop()
	o.Progress = p.set
	r, err := s.Commit(ctx, nil, &o)
	if errors.Is(err, auth.ErrForbidden) {
		return &hinted{err, "where the chain lets this key write: digstore key export FILE, then digstore key import --writer FILE"}
	}
	if err != nil {
		return err
	}
	p.stop()
	a.warnSkipped("committed", r.Skipped)
	a.listUnsafe(r.Unsafe)
	a.warnUnread(r.Unread)
	a.warnLarge(r.Generation.Module().Size())
	if r.Listed {
		a.note("the store is listed: everybody can see the names of its files")
	}
	info := r.Generation.Info()
	return a.done(struct {
		Store      string       `json:"store"`
		Generation uint64       `json:"generation"`
		Root       merkle.Hash  `json:"root"`
		Files      int          `json:"files"`
		Bytes      int64        `json:"bytes"`
		Changed    int          `json:"changed"`
		Listed     bool         `json:"listed,omitempty"`
		From       string       `json:"content_root,omitempty"`
		Message    string       `json:"message,omitempty"`
		Skipped    []string     `json:"skipped,omitempty"`
		Unsafe     []unsafeName `json:"unsafe,omitempty"`
	}{s.Name(), info.Number, info.Root, r.Files, r.Bytes, r.Changed, r.Listed, r.ContentRoot, o.Message, r.Skipped, unsafeNames(r.Unsafe)},
		"generation %d: %s, %s\nroot %s", info.Number, plural(r.Files, "file", "files"), size(r.Bytes), info.Root)
}

// warnLarge warns of a module that is longer than what others take by default.
func (a *app) warnLarge(n int64) {
	if n > remote.DefaultMaxModule {
		a.warn("the module of this generation has %s: clients and hosts take at most %s unless they are told --max-module", size(n), size(remote.DefaultMaxModule))
	}
}

// unsafeName is a resource that was left out because of its name.
type unsafeName struct {
	Key string `json:"key"`
	Why string `json:"why"`
}

func unsafeNames(list []digstore.KeyNameError) (out []unsafeName) {
	for _, e := range list {
		out = append(out, unsafeName{e.Key, e.Why})
	}
	return out
}

// listUnsafe says which resources were left out.
func (a *app) listUnsafe(list []digstore.KeyNameError) {
	for i := range list {
		a.warn("left out: %v", &list[i])
	}
}

// warnSkipped names files that were found and were gone when they were to be read.
func (a *app) warnSkipped(act string, names []string) {
	for _, name := range names {
		a.warn("%s vanished and was not %s", printable(name), act)
	}
}

// warnUnread names ignore files that do not count.
func (a *app) warnUnread(names []string) {
	for _, name := range names {
		a.warn("%s is no regular file, so nothing is left out by it", printable(name))
	}
}

// firstLine shortens a message for a list.
func firstLine(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more {
		line += " …"
	}
	return line
}
