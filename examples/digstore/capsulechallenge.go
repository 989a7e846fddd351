package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/client"
)

// challengeFlags are the flags of capsule challenge.
type challengeFlags struct {
	node     nodeFlags
	roots    rootFlags
	kind     string
	samples  uint16
	workBits uint8
	nodeKey  string
	plot     string
	keyFile  string
}

func (a *app) capsuleChallengeCommand() *cobra.Command {
	var f challengeFlags
	cmd := &cobra.Command{
		Use:   "challenge NODE DATASTORE [INDEX]",
		Short: "Let a node prove that it can read a capsule",
		Long: `Challenge asks the node at the URL NODE for a proof about one capsule of a
datastore, by INDEX or at random, and checks the answer. The challenge is signed
with your node key, which the node may have to know as that of a validator.

An answer shows that the owner of a plot could read the capsule at that time. It
does not show that it keeps a copy of its own. The roots to trust are those of
"capsule get".`,
		Example: `  digstore capsule challenge http://127.0.0.1:8555 ID
  digstore capsule challenge https://node.example ID 3 --type full --work-bits 12`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := a.within(cmd.Context(), hostFlags{timeout: f.node.timeout})
			defer stop()
			t, err := a.rootTrust(&f.roots)
			if err != nil {
				return err
			}
			c, err := a.node(args[0], &f.node, t.options())
			if err != nil {
				return err
			}
			defer c.Close()
			store, err := a.datastore(ctx, c, args[1])
			if err != nil {
				return err
			}
			m, err := t.manifestOf(ctx, c, store)
			if err != nil {
				return err
			}
			index := rand.N(uint32(len(m.Capsules)))
			if len(args) == 3 {
				if index, err = parseIndex(args[2]); err != nil {
					return err
				}
			}
			return a.capsuleChallenge(ctx, c, m, index, &f)
		},
	}
	f.node.register(cmd)
	f.roots.register(cmd)
	f.register(cmd)
	return cmd
}

func (f *challengeFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.kind, "type", "physical_access",
		"the proofs to ask for: "+strings.Join(challengeTypes(), ", "))
	flags.Uint16Var(&f.samples, "samples", capsule.DefaultSamples,
		"how many chunks (`N`) to read, from 1 to 256")
	flags.Uint8Var(&f.workBits, "work-bits", capsule.MinimalWorkBits,
		"difficulty of a proof of work, in leading zero `BITS`")
	flags.StringVar(&f.nodeKey, "node-key", "",
		"the public `KEY` of the node that must answer (default: any)")
	flags.StringVar(&f.plot, "plot", "", "the `ID` of the plot to read (default: any of the node)")
	flags.StringVar(&f.keyFile, "key", "",
		"the `FILE` with the validator's key (default: your node key, made if missing)")
	_ = cmd.MarkFlagFilename("key")
	_ = cmd.RegisterFlagCompletionFunc("type",
		cobra.FixedCompletions(challengeTypes(), noFiles))
}

// challengeTypes returns the names of all types of challenges.
func challengeTypes() (names []string) {
	for t := capsule.Full; t <= capsule.PhysicalAccess; t++ {
		names = append(names, t.String())
	}
	return names
}

// question returns what the flags ask for.
func (f *challengeFlags) question() (client.Question, error) {
	q := client.Question{Samples: f.samples, WorkBits: f.workBits}
	found := false
	for t := capsule.Full; t <= capsule.PhysicalAccess; t++ {
		if t.String() == f.kind {
			q.Type, found = t, true
		}
	}
	if !found {
		return q, usage("use one of "+strings.Join(challengeTypes(), ", "),
			"--type %q: no such challenge", f.kind)
	}
	if f.samples < 1 || f.samples > capsule.MaxSamples {
		return q, usage(fmt.Sprintf("give a number from 1 to %d", capsule.MaxSamples),
			"--samples %d: out of range", f.samples)
	}
	if f.workBits < 1 || f.workBits > capsule.MaxWorkBits {
		return q, usage(fmt.Sprintf("give a number from 1 to %d", capsule.MaxWorkBits),
			"--work-bits %d: out of range", f.workBits)
	}
	var err error
	if f.nodeKey != "" {
		if q.Node, err = auth.ParseNodePublicKey(f.nodeKey); err != nil {
			return q, usage("a node key is 64 hex digits", "--node-key: %w", err)
		}
	}
	if f.plot != "" {
		if q.Plot, err = merkle.ParseHash(strings.TrimPrefix(f.plot, "0x")); err != nil {
			return q, usage("a plot id is 64 hex digits", "--plot: %w", err)
		}
	}
	return q, nil
}

func (a *app) capsuleChallenge(ctx context.Context, c *client.Client, m *capsule.Manifest,
	index uint32, f *challengeFlags) error {
	if uint64(index) >= uint64(len(m.Capsules)) {
		return usage(fmt.Sprintf("give an index from 0 to %d", len(m.Capsules)-1),
			"datastore %v has no capsule %d", m.Store, index)
	}
	q, err := f.question()
	if err != nil {
		return err
	}
	key, err := a.nodeKey(f.keyFile)
	if err != nil {
		return err
	}
	q.Capsule = m.Capsules[index].Hash
	ch, err := c.NewChallenge(ctx, q, key)
	if err != nil {
		return err
	}
	got, err := c.Challenge(ctx, ch, key.PublicKey(),
		&capsule.VerifyOptions{Refs: refsOf([]*capsule.Manifest{m}, q.Capsule)})
	if err != nil {
		return err
	}
	if got.Late {
		a.warn("the answer took %v, more than the %v that reading the capsule takes",
			got.Elapsed.Round(time.Millisecond), client.Deadline(ch))
	}
	return a.challengeAnswered(m, index, ch, got)
}

func (a *app) challengeAnswered(m *capsule.Manifest, index uint32, ch *capsule.Challenge,
	got *client.Answer) error {
	plot := got.Result.Plot
	v := struct {
		Store      auth.StoreID       `json:"datastore_id"`
		Root       merkle.Hash        `json:"merkle_root"`
		Index      uint32             `json:"index"`
		Type       string             `json:"challenge_type"`
		ID         string             `json:"challenge_id"`
		PlotID     merkle.Hash        `json:"plot_id"`
		NodeID     auth.NodeID        `json:"node_id"`
		Key        auth.NodePublicKey `json:"public_key"`
		Elapsed    int64              `json:"elapsed_ms"`
		Generation int64              `json:"generation_time_ms"`
		Deadline   int64              `json:"deadline_ms"`
		Late       bool               `json:"late"`
		Bound      bool               `json:"bound"`
		Unbound    string             `json:"unbound,omitempty"`
	}{m.Store, m.Root, index, ch.Type.String(), ch.ID, plot.ID(), plot.PublicKey.ID(),
		plot.PublicKey, got.Elapsed.Milliseconds(), got.Generation.Milliseconds(),
		client.Deadline(ch).Milliseconds(), got.Late, got.Result.Bound, got.Result.Unbound}
	bound := "bound to an announced plot"
	if !v.Bound {
		bound = "unbound: " + v.Unbound
	}
	return a.answer(v, func(w io.Writer) {
		fmt.Fprintf(w, "the proof holds: %s of capsule %d, datastore %v\n", v.Type, index, m.Store)
		table(w, [][]string{{"plot", v.PlotID.String()},
			{"node", fmt.Sprintf("%s (%s)", v.NodeID, v.Key)},
			{"time", fmt.Sprintf("%d ms, of which the node says %d ms", v.Elapsed, v.Generation)},
			{"result", bound}})
	})
}
