package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) verifyCommand() *cobra.Command {
	var deep, all bool
	cmd := &cobra.Command{
		Use:   "verify [ROOT]",
		Short: "Check a generation against its root and signature",
		Long: `Verify computes the root of a generation from its leaves, and checks the
publisher's signature of the root. With --deep it also reads and hashes every
chunk. ROOT is a root, its first 8 or more digits, or the number of a generation
(default: the head). --all checks every generation whose content is here.`,
		Example: `  digstore verify --deep
  digstore verify 0
  digstore verify --all --deep`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRoots,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return usage("usage: "+cmd.UseLine(), "verify: give a root or --all, not both")
			}
			return a.withStore(func(s *digstore.Store) error {
				return a.verify(cmd.Context(), s, optional(args), deep, all)
			})
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "read and hash every chunk")
	cmd.Flags().BoolVar(&all, "all", false, "check every generation whose content is here")
	return cmd
}

// verified is the result for one generation.
type verified struct {
	Generation uint64      `json:"generation"`
	Root       merkle.Hash `json:"root"`
	Signed     bool        `json:"signed"`
	Resources  int         `json:"resources"`
	Bytes      int64       `json:"bytes"`
	Revoked    string      `json:"revoked,omitempty"`
}

func (a *app) verify(ctx context.Context, s *digstore.Store, which string, deep, all bool) error {
	a.resume = "nothing was changed; run the same command again"
	lines, err := a.toVerify(ctx, s, which, all)
	if err != nil {
		return err
	}
	revoked, err := revocations(ctx, s)
	if err != nil {
		return err
	}
	proven, err := s.Proven(ctx)
	if err != nil {
		return err
	}
	if !proven {
		a.note("the history of store %s has no proofs, so damage of it cannot be detected; "+
			"make them with: digstore adopt", s.Name())
	}
	p := a.progress("verifying")
	defer p.stop()
	how := "leaves and root"
	if deep {
		how = "every chunk"
	}
	results := make([]verified, 0, len(lines))
	var text []string
	var damaged damages
	for _, line := range lines {
		r, err := s.Verify(ctx, line.Root, &digstore.VerifyOptions{Deep: deep, Progress: p.set})
		if all && errors.Is(err, fs.ErrNotExist) && !errors.Is(err, digstore.ErrCorrupt) {
			continue // not held
		}
		if err != nil && all && ctx.Err() == nil {
			damaged = append(damaged, damagedGeneration{line.Number, err})
			continue
		}
		if err != nil {
			return &hinted{err, damagedHint}
		}
		why := revoked.of(line.Root)
		results = append(results,
			verified{line.Number, line.Root, r.Signed, r.Resources, r.Bytes, why})
		signed := "signed by its publisher"
		if !r.Signed {
			signed = "no signature is known"
		}
		if why != "" {
			signed += ", revoked: " + why
		}
		text = append(text, fmt.Sprintf("generation %d is whole: %s checked, %s, %s",
			line.Number, how, size(r.Bytes), signed))
	}
	p.stop()
	if len(damaged) > 0 {
		if !a.json && !a.quiet {
			w := &screen{w: a.out}
			printLines(w, text)
			if err := w.flush(); err != nil {
				return err
			}
		}
		return &hinted{damaged.of(len(results) + len(damaged)), damagedHint}
	}
	if err := s.CheckNames(); err != nil {
		return &hinted{err,
			"the content is undamaged, but a file with names is damaged: remove that file, " +
				"then commit, or give the names again with checkout --names"}
	}
	if a.quiet && !a.json {
		return nil
	}
	return a.answer(struct {
		Store   string       `json:"store"`
		StoreID auth.StoreID `json:"store_id"`
		Deep    bool         `json:"deep"`
		Proven  bool         `json:"history_proven"`
		Good    []verified   `json:"verified"`
	}{s.Name(), s.ID(), deep, proven, results}, func(w io.Writer) { printLines(w, text) })
}

func printLines(w io.Writer, lines []string) {
	for _, line := range lines {
		fmt.Fprintln(w, oneline.Name(line))
	}
}

const damagedHint = "what is kept here is damaged: clone the store again, or pull it from " +
	"another host"

// damages are the generations of a store that verification found damaged.
type damages []damagedGeneration

type damagedGeneration struct {
	number uint64
	err    error
}

// of returns one error for all of them. total is the number of verified generations.
func (d damages) of(total int) error {
	if len(d) == 1 {
		return fmt.Errorf("1 of %d generations is damaged: generation %d: %w", total, d[0].number,
			d[0].err)
	}
	also := make([]string, 0, len(d)-1)
	for _, one := range d[1:] {
		also = append(also, strconv.FormatUint(one.number, 10))
	}
	return fmt.Errorf("%d of %d generations are damaged, also %s; the first, generation %d: %w",
		len(d), total, strings.Join(also, ", "), d[0].number, d[0].err)
}

// toVerify returns the generations to verify.
func (a *app) toVerify(ctx context.Context, s *digstore.Store, which string,
	all bool) ([]module.Generation, error) {
	if all {
		return s.Generations(ctx)
	}
	g, err := a.findGeneration(ctx, s, which)
	if err != nil {
		return nil, err
	}
	return []module.Generation{g.Info()}, nil
}
