package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
)

// maxProofFile is the length in bytes of the longest challenge or answer that
// is read: a bundle of 4 MiB in hexadecimal digits, with room for the rest.
const maxProofFile = 9 << 20

func (a *app) plotProveCommand() *cobra.Command {
	var challenge, keyFile string
	cmd := &cobra.Command{
		Use:   "prove DIR",
		Short: "Answer the challenge of a validator",
		Long: `Prove answers a challenge (the JSON body of POST /validation/challenge) from the
plots in DIR, and prints the answer as JSON. The node key must own the plots.`,
		Example: `  digstore plot prove /plots --challenge challenge.json >answer.json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.plotProve(cmd.Context(), args[0], challenge, keyFile)
		},
	}
	cmd.Flags().StringVar(&challenge, "challenge", "", "a `FILE` with the challenge, as JSON")
	cmd.Flags().StringVar(&keyFile, "key", "", "the `FILE` with the node key (default: your node key)")
	_ = cmd.MarkFlagRequired("challenge")
	return cmd
}

// proofAnswer is the answer of POST /validation/challenge.
type proofAnswer struct {
	Proof  string `json:"proof"` // "0x" and the bundle in hexadecimal digits
	Time   int64  `json:"generation_time_ms"`
	PlotID string `json:"plot_id"` // "0x" and 64 hexadecimal digits
}

func (a *app) plotProve(ctx context.Context, dir, challenge, keyFile string) error {
	c, err := readChallenge(challenge)
	if err != nil {
		return err
	}
	key, err := a.nodeKey(keyFile)
	if err != nil {
		return err
	}
	set, err := openPlots(ctx, dir)
	if err != nil {
		return err
	}
	defer set.Close()
	began := time.Now()
	b, err := (&capsule.Prover{Key: key, Plots: set}).Prove(ctx, c)
	if err != nil {
		return err
	}
	raw, err := b.MarshalBinary()
	if err != nil {
		return err
	}
	return a.object(proofAnswer{"0x" + hex.EncodeToString(raw), time.Since(began).Milliseconds(),
		"0x" + b.PlotID.String()})
}

func readChallenge(name string) (*capsule.Challenge, error) {
	text, err := regular.ReadFile(name, maxProofFile)
	if err != nil {
		return nil, err
	}
	c, err := capsule.ParseChallenge(text)
	if err != nil {
		return nil, fmt.Errorf("read challenge %s: %w", name, err)
	}
	return c, nil
}

func (a *app) plotCheckProofCommand() *cobra.Command {
	var challenge string
	var manifests []string
	cmd := &cobra.Command{
		Use:   "check-proof ANSWER",
		Short: "Check the answer to a challenge",
		Long: `Check-proof checks an answer, as "plot prove" prints it, against the challenge
and the manifests of the datastores. Get the manifests from a source that you
trust, not from the node that gives the proof.`,
		Example: `  digstore plot check-proof answer.json --challenge challenge.json --manifest m.json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.plotCheckProof(cmd.Context(), args[0], challenge, manifests)
		},
	}
	cmd.Flags().StringVar(&challenge, "challenge", "", "a `FILE` with the challenge, as JSON")
	cmd.Flags().StringArrayVar(&manifests, "manifest", nil,
		"a `FILE` with a manifest that you trust, as JSON; may be repeated")
	_ = cmd.MarkFlagRequired("challenge")
	return cmd
}

func (a *app) plotCheckProof(ctx context.Context, answer, challenge string,
	manifests []string) error {
	c, err := readChallenge(challenge)
	if err != nil {
		return err
	}
	text, err := regular.ReadFile(answer, maxProofFile)
	if err != nil {
		return err
	}
	var body proofAnswer
	if err := json.Unmarshal(text, &body); err != nil {
		return fmt.Errorf("read answer %s: %w", answer, err)
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(body.Proof, "0x"))
	if err != nil {
		return fmt.Errorf("read answer %s: proof: %w", answer, err)
	}
	list, err := readManifests(manifests)
	if err != nil {
		return err
	}
	result, err := capsule.VerifyBundle(ctx, raw, c,
		&capsule.VerifyOptions{Refs: refsOf(list, c.CapsuleHash)})
	if err != nil {
		return err
	}
	bound := "bound to an announced plot"
	if !result.Bound {
		bound = "unbound: " + result.Unbound
	}
	return a.done(struct {
		PlotID  merkle.Hash `json:"plot_id"`
		Capsule string      `json:"capsule"`
		Bound   bool        `json:"bound"`
		Unbound string      `json:"unbound,omitempty"`
	}{result.Plot.ID(), result.Ref.String(), result.Bound, result.Unbound},
		"the proof holds: capsule %v in plot %s (%s)", result.Ref, result.Plot.ID(), bound)
}

// refsOf returns the places of the capsules with a hash in manifests.
func refsOf(list []*capsule.Manifest, h merkle.Hash) (refs []capsule.Ref) {
	for _, m := range list {
		for _, d := range m.Capsules {
			if d.Hash == h {
				refs = append(refs, m.Ref(d.Index))
			}
		}
	}
	return refs
}
