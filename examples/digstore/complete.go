package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
)

// Completions look at what is here: stores, roots, keys. They write nothing
// and say nothing when something is missing.

const noFiles = cobra.ShellCompDirectiveNoFileComp

func (a *app) completeStores(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if a.enter() != nil {
		return nil, noFiles
	}
	ws, err := a.workspace()
	if err != nil {
		return nil, noFiles
	}
	defer ws.Close()
	for s, err := range ws.All() {
		if err != nil {
			break
		}
		names = append(names, fmt.Sprintf("%s\t%s", printable(s.Name()), s.ID()))
	}
	return names, noFiles
}

// completeWith offers what list finds in the store.
func (a *app) completeWith(list func(*digstore.Store) []string) []string {
	var found []string
	if a.enter() == nil {
		_ = a.withStore(func(s *digstore.Store) error {
			found = slices.DeleteFunc(list(s), unfit)
			return nil
		})
	}
	return found
}

// unfit reports whether a completion would do more to a terminal than show
// itself. A tab may stand before what describes it.
func unfit(completion string) bool {
	word, about, _ := strings.Cut(completion, "\t")
	return hasHidden(word) || hasHidden(about)
}

// completeRoots offers roots with number and message; a folder may follow.
func (a *app) completeRoots(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.completeWith(func(s *digstore.Store) (found []string) {
		entries, err := s.HistoryTail(cmd.Context(), 50)
		if err != nil {
			return nil
		}
		for _, e := range slices.Backward(entries) {
			found = append(found, fmt.Sprintf("%s\tgeneration %d %s", e.Root, e.Number, printable(firstLine(e.Message))))
		}
		return found
	}), cobra.ShellCompDirectiveDefault
}

func (a *app) completeKeys(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return a.completeWith(func(s *digstore.Store) []string {
		g, err := s.Latest()
		if err != nil {
			return nil
		}
		names, _, _ := g.Names()
		return names
	}), noFiles
}

func (a *app) completeStaged(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return a.completeWith(func(s *digstore.Store) (found []string) {
		staged, _ := s.Staged()
		for _, f := range staged {
			found = append(found, f.Name)
		}
		return found
	}), noFiles
}

func (a *app) completeRemotes(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return a.completeWith(func(s *digstore.Store) []string {
		remotes, _ := s.Remotes()
		return slices.Sorted(maps.Keys(remotes))
	}), noFiles
}
