package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) urnCommand() *cobra.Command {
	var all, pin bool
	var root string
	cmd := &cobra.Command{
		Use:   "urn [KEY]",
		Short: "Print the address (URN) of a resource, or of the store",
		Long: `Urn prints the URN of the resource KEY, or without KEY the URN of the store. The
key that decrypts a resource is derived from its URN: anyone who has the URN of
a resource of a public store can read it, from any host.

--all prints a line "KEY<TAB>URN" for every resource; the URNs name the
generation. Readers pass this list to "digstore checkout --names". A key or URN
with invisible characters is quoted as in Go: "two\nlines".`,
		Example: `  digstore urn index.html
  digstore urn --pin index.html
  digstore urn --all > names.txt`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return usage("usage: "+cmd.UseLine(), "urn: give a key or --all, not both")
			}
			return a.withStore(func(s *digstore.Store) error {
				if all {
					return a.printURNs(cmd.Context(), s, root)
				}
				return a.printURN(cmd.Context(), s, args, root, pin)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print every resource of the generation")
	cmd.Flags().BoolVar(&pin, "pin", false, "name the generation in the URN")
	cmd.Flags().StringVar(&root, "root", "",
		"the generation: a `ROOT`, its first digits, or a number (default: the head)")
	_ = cmd.RegisterFlagCompletionFunc("root", a.completeRoots)
	return cmd
}

func (a *app) printURN(ctx context.Context, s *digstore.Store, args []string, root string,
	pin bool) error {
	u := urn.URN{Store: s.ID(), Whole: len(args) == 0, Resource: optional(args)}
	if pin || root != "" {
		g, err := a.generation(ctx, s, root)
		if err != nil {
			return err
		}
		u.Root = g.Info().Root
	}
	v := map[string]any{"urn": u.String()}
	if !u.Whole {
		v["key"], v["retrieval_key"] = u.Resource, u.RetrievalKey()
	}
	return a.answer(v, func(w io.Writer) { fmt.Fprintln(w, oneline.Name(u.String())) })
}

// nameField writes a name so that digstore.ParseNames reads it back.
func nameField(name string) string {
	if strings.HasPrefix(name, "urn:") || strings.HasPrefix(name, "{") ||
		strings.HasPrefix(name, "[") {
		return oneline.Quote(name)
	}
	return oneline.Name(name)
}

// printURNs prints the publisher's list of names, in the form of the
// reference's urns.txt and urns.json (digstore/LAYOUT.md 13.4).
func (a *app) printURNs(ctx context.Context, s *digstore.Store, root string) error {
	g, err := a.generation(ctx, s, root)
	if err != nil {
		return err
	}
	type resource struct {
		Key          string      `json:"key"`
		URN          string      `json:"urn"`
		RetrievalKey merkle.Hash `json:"retrieval_key"`
		Size         int64       `json:"size"`
	}
	names, unnamed, err := g.Names()
	if err != nil {
		return err
	}
	list := make([]resource, 0, len(names))
	for _, name := range names {
		content, err := g.Resource(name)
		if err != nil {
			return err
		}
		u := g.URN(name)
		list = append(list, resource{name, u.String(), u.RetrievalKey(), content.Size()})
	}
	if unnamed > 0 {
		a.warn("%s without a known name", plural(unnamed, "resource", "resources"))
	}
	return a.answer(map[string]any{
		"store_id": s.ID(), "store": s.Name(), "root": g.Info().Root, "generation": g.Info().Number, "resources": list,
	}, func(w io.Writer) {
		for _, r := range list {
			fmt.Fprintf(w, "%s\t%s\n", nameField(r.Key), oneline.Name(r.URN))
		}
	})
}
