package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

func (a *app) commitCommand() *cobra.Command {
	var o digstore.CommitOptions
	cmd := &cobra.Command{
		Use:   "commit",
		Short: "Make a generation of the staged files, or of the content root",
		Long: `Commit encrypts the staged files, signs their root with the publisher key and
adds a generation to the history of the store. When nothing is staged and the
store has a content root, commit takes all files of the content root.

Links and special files are left out, and so are the files that .gitignore or
.digignore excludes, and the folders .git, .hg, .svn and .dig. If a file keeps
changing while it is read, the commit stops. A file that is removed meanwhile is
left out and named. Files with the same size, times and inode as at the last
commit are not read again, unless --rehash is given.

Commit refuses a name that some system cannot write as a file, such as .git/x, or
q and q/r together, or a name that changes the direction of text. --skip-unsafe
leaves such files out and lists them.

Content that an earlier generation already had gives the same root, which looks
like a replay of the old generation, so commit refuses it. --again adds a small
resource that makes the root a new one.`,
		Example: `  digstore commit -m "new prices"
  digstore add --all && digstore commit -m "all of it"
  digstore commit --again -m "back to the old prices"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(func(s *digstore.Store) error { return a.commit(cmd.Context(), s, o) })
		},
	}
	cmd.Flags().StringVarP(&o.Message, "message", "m", "",
		"a `TEXT` that describes the change; readers of the store can see it")
	cmd.Flags().BoolVar(&o.Again, "again", false,
		"make a new generation of content that an earlier one had")
	cmd.Flags().BoolVar(&o.SkipUnsafe, "skip-unsafe", false,
		"leave out files whose names a checkout refuses")
	cmd.Flags().BoolVar(&o.Rehash, "rehash", false,
		"read every file, even if its size and times are unchanged")
	return cmd
}

func (a *app) commit(ctx context.Context, s *digstore.Store, o digstore.CommitOptions) error {
	a.resume = "nothing was committed; run the same command again"
	staged, err := s.Staged()
	if err != nil {
		return err
	}
	if len(staged) == 0 && s.ContentRoot() != "" {
		if err := a.confirmContentRoot(s); err != nil {
			return err
		}
		a.note("nothing is staged: taking the whole of %s", s.ContentRoot())
	}
	p := a.progress("committing")
	defer p.stop()
	o.Progress = p.set
	r, err := s.Commit(ctx, nil, &o)
	if errors.Is(err, auth.ErrForbidden) {
		return &hinted{err,
			"if the chain authorizes this key: digstore key export FILE, then digstore key import " +
				"--writer FILE"}
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
		a.note("the store is listed: anyone can read the names of its files")
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
	}{
		s.Name(), info.Number, info.Root, r.Files, r.Bytes, r.Changed, r.Listed, r.ContentRoot,
		o.Message, r.Skipped, unsafeNames(r.Unsafe),
	}, "generation %d: %s, %s\nroot %s", info.Number, plural(r.Files, "file", "files"),
		size(r.Bytes), info.Root)
}

// warnLarge warns of a module that is longer than the default limit of clients and hosts.
func (a *app) warnLarge(n int64) {
	if n > remote.DefaultMaxModule {
		a.warn("the module of this generation has %s: clients and hosts accept at most %s "+
			"unless --max-module allows more", size(n), size(remote.DefaultMaxModule))
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

// listUnsafe warns of resources that were left out because of their names.
func (a *app) listUnsafe(list []digstore.KeyNameError) {
	for i := range list {
		a.warn("left out: %v", &list[i])
	}
}

// warnSkipped warns of files that were removed before they could be read.
func (a *app) warnSkipped(act string, names []string) {
	for _, name := range names {
		a.warn("%s was removed meanwhile and was not %s", oneline.Name(name), act)
	}
}

// warnUnread warns of ignore files that were not read.
func (a *app) warnUnread(names []string) {
	for _, name := range names {
		a.warn("%s is not a regular file: its patterns are not used", oneline.Name(name))
	}
}

// firstLine returns the first line of a message, with an ellipsis if there are more.
func firstLine(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more {
		line += " …"
	}
	return line
}
