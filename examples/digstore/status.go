package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what a commit would change",
		Long: `Status lists the staged files, and how the files of the content root differ from
the head. Files with the same size and times as at the last commit are not read.`,
		Example: `  digstore status
  digstore --store site --json status`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(func(s *digstore.Store) error {
				if err := a.confirmContentRoot(s); err != nil {
					return err
				}
				st, err := s.Status(cmd.Context())
				if err != nil {
					return err
				}
				return a.printStatus(cmd.Context(), s, st)
			})
		},
	}
}

func (a *app) printStatus(ctx context.Context, s *digstore.Store, st *digstore.Status) error {
	a.warnUnread(st.Unread)
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	revoked, err := revocations(ctx, s)
	if err != nil {
		return err
	}
	why := revoked.of(head.Root)
	staged := make([]string, len(st.Staged))
	for i, f := range st.Staged {
		staged[i] = f.Name
	}
	unsafe := make([]string, len(st.Unsafe))
	for i, u := range st.Unsafe {
		unsafe[i] = u.Key
	}
	return a.answer(struct {
		Store       string       `json:"store"`
		StoreID     auth.StoreID `json:"store_id"`
		Root        *merkle.Hash `json:"root,omitempty"`
		Revoked     string       `json:"revoked,omitempty"`
		ContentRoot string       `json:"content_root,omitempty"`
		Staged      []string     `json:"staged"`
		Added       []string     `json:"added"`
		Modified    []string     `json:"modified"`
		Removed     []string     `json:"removed"`
		Unchanged   int          `json:"unchanged"`
		Unsafe      []string     `json:"unsafe,omitempty"` // a commit refuses these names
	}{
		s.Name(), s.ID(), nonZero(head.Root), why, st.ContentRoot, staged,
		list(st.Added), list(st.Modified), list(st.Removed), st.Unchanged, unsafe,
	}, func(w io.Writer) {
		fmt.Fprintf(w, "store %s  %s\n", oneline.Name(s.Name()), s.ID())
		if head.Root.IsZero() {
			fmt.Fprintln(w, "no generation yet")
		} else {
			fmt.Fprintf(w, "head  %s\n", head.Root)
		}
		if why != "" {
			fmt.Fprintf(w, "%s  %s\n", a.paint(w, red, "revoked"), why)
		}
		a.changes(w, "  ", []change{
			{"staged", green, staged}, {"added", green, st.Added}, {"modified", yellow, st.Modified},
			{"removed", red, st.Removed}, {"unsafe", red, unsafe},
		})
		switch {
		case len(staged) > 0:
			fmt.Fprintln(w, "digstore commit -m MESSAGE commits the staged files only")
		case !st.Clean():
			fmt.Fprintln(w, "digstore commit -m MESSAGE commits the content root")
		case st.ContentRoot != "":
			fmt.Fprintln(w, "nothing has changed")
		default:
			fmt.Fprintln(w, "nothing is staged; digstore add PATH... stages files")
		}
	})
}

// list returns names, which are [] and not null in JSON if there are none.
func list(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// change is a group of names that status and diff print with the same mark.
type change struct {
	mark, color string
	names       []string
}

func (a *app) changes(w io.Writer, indent string, groups []change) {
	for _, group := range groups {
		mark := a.paint(w, group.color, fmt.Sprintf("%-9s", group.mark))
		for _, name := range group.names {
			fmt.Fprintf(w, "%s%s %s\n", indent, mark, oneline.Name(name))
		}
	}
}
