package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "What a commit would publish, compared with the head",
		Long: `Status shows what is staged and how the content root differs from the head.
Files that look as they did at the last commit, by size and times, are not read.`,
		Example: `  digstore status
  digstore --store site --json status`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(func(s *digstore.Store) error {
				if err := a.agree(s); err != nil {
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
	}{s.Name(), s.ID(), nonZero(head.Root), why, st.ContentRoot, staged, list(st.Added), list(st.Modified), list(st.Removed), st.Unchanged, unsafe}, func(w io.Writer) {
		fmt.Fprintf(w, "store %s  %s\n", printable(s.Name()), s.ID())
		if head.Root.IsZero() {
			fmt.Fprintln(w, "no generation yet")
		} else {
			fmt.Fprintf(w, "head  %s\n", head.Root)
		}
		if why != "" {
			fmt.Fprintf(w, "%s  %s\n", a.paint(w, red, "revoked"), why)
		}
		a.changes(w, "  ", []change{{"staged", green, staged}, {"added", green, st.Added}, {"modified", yellow, st.Modified}, {"removed", red, st.Removed}, {"unsafe", red, unsafe}})
		switch {
		case len(staged) > 0:
			fmt.Fprintln(w, "digstore commit -m MESSAGE publishes exactly what is staged")
		case !st.Clean():
			fmt.Fprintln(w, "digstore commit -m MESSAGE publishes the content root as it is")
		case st.ContentRoot != "":
			fmt.Fprintln(w, "nothing has changed")
		default:
			fmt.Fprintln(w, "nothing is staged; digstore add PATH... stages files")
		}
	})
}

// list is never null in JSON.
func list(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// change is a group of names that status and diff show under one mark.
type change struct {
	mark, color string
	names       []string
}

func (a *app) changes(w io.Writer, indent string, groups []change) {
	for _, group := range groups {
		mark := a.paint(w, group.color, fmt.Sprintf("%-9s", group.mark))
		for _, name := range group.names {
			fmt.Fprintf(w, "%s%s %s\n", indent, mark, printable(name))
		}
	}
}
