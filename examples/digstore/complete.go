package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/oneline"
)

// Completions offer the names of local stores, roots and keys. They write nothing, and
// offer nothing on an error.

const noFiles = cobra.ShellCompDirectiveNoFileComp

func (a *app) completeStores(*cobra.Command, []string, string) ([]string,
	cobra.ShellCompDirective) {
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
		names = append(names, fmt.Sprintf("%s\t%s", oneline.Name(s.Name()), s.ID()))
	}
	return names, noFiles
}

// completeWith offers the names that list returns for the store.
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

// unfit reports whether a completion has hidden characters. One tab may separate the
// description.
func unfit(completion string) bool {
	word, about, _ := strings.Cut(completion, "\t")
	return oneline.HasHidden(word) || oneline.HasHidden(about)
}

// completeRoots offers roots, with number and message, and file names.
func (a *app) completeRoots(cmd *cobra.Command, _ []string,
	_ string) ([]string, cobra.ShellCompDirective) {
	return a.completeWith(func(s *digstore.Store) (found []string) {
		entries, err := s.HistoryTail(cmd.Context(), 50)
		if err != nil {
			return nil
		}
		for _, e := range slices.Backward(entries) {
			about := fmt.Sprintf("generation %d %s", e.Number, oneline.Name(firstLine(e.Message)))
			found = append(found, e.Root.String()+"\t"+about)
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

func (a *app) completeStaged(*cobra.Command, []string, string) ([]string,
	cobra.ShellCompDirective) {
	return a.completeWith(func(s *digstore.Store) (found []string) {
		staged, _ := s.Staged()
		for _, f := range staged {
			found = append(found, f.Name)
		}
		return found
	}), noFiles
}

func (a *app) completeRemotes(*cobra.Command, []string, string) ([]string,
	cobra.ShellCompDirective) {
	return a.completeWith(func(s *digstore.Store) []string {
		remotes, _ := s.Remotes()
		return slices.Sorted(maps.Keys(remotes))
	}), noFiles
}
