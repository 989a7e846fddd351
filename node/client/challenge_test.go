package client_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/client"
)

var validatorKey = auth.NewNodeKey([32]byte{5})

// proving serves challenges about generations that are in a plot of the node.
func proving(t testing.TB, validators []auth.NodePublicKey, all ...capsuletest.Generation) string {
	t.Helper()
	var held []capsuletest.Holding
	for _, g := range all {
		h := capsuletest.Holding{Manifest: g.Manifest, Content: map[uint32][]byte{}}
		for i, b := range g.Content {
			h.Content[uint32(i)] = b
		}
		held = append(held, h)
	}
	plots, err := capsuletest.NewPlots(capsule.PlotIdentity{PublicKey: nodeKey.PublicKey()}, held...)
	if err != nil {
		t.Fatal(err)
	}
	return serveAPI(t, api.Options{Capsules: parts(held), Challenger: &capsule.Responder{
		Prover:     &capsule.Prover{Key: nodeKey, Plots: plots},
		Validators: validators,
		Held: func(_ context.Context, hash merkle.Hash) (bool, error) {
			return hash == merkle.Hash{0x77}, nil
		}}})
}

// A node answers every type of challenge, in the full form and in the minimal one.
func TestChallenge(t *testing.T) {
	g := capsuletest.Split(t, 1, 100_000, text(1, 250_000))
	base := proving(t, []auth.NodePublicKey{validatorKey.PublicKey()}, g)
	c := newClient(t, base, nil)
	o := &capsule.VerifyOptions{Refs: []capsule.Ref{g.Ref(1)}, Trust: pinned(g)}
	for kind := capsule.Full; kind <= capsule.PhysicalAccess; kind++ {
		ch, err := c.NewChallenge(t.Context(), client.Question{Type: kind,
			Capsule: g.Capsules[1].Hash, WorkBits: 4}, validatorKey)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Challenge(t.Context(), ch, auth.NodePublicKey{}, o)
		if err != nil {
			t.Fatalf("%v: %v", kind, err)
		}
		if a.Result.Plot.PublicKey != nodeKey.PublicKey() || a.Elapsed <= 0 || a.Result.Bound {
			t.Errorf("%v: %+v", kind, a.Result)
		}
		if kind != capsule.PlotOwnership && a.Result.Ref != g.Ref(1) {
			t.Errorf("%v: capsule %v, expected %v", kind, a.Result.Ref, g.Ref(1))
		}
		minimal := &capsule.Challenge{ID: rand.Text(), Type: kind, CapsuleHash: g.Capsules[1].Hash,
			Minimal: true}
		if kind == capsule.Full || kind == capsule.ComputationalWork {
			continue // 16 bits of work take a while
		}
		if err := minimal.Sign(t.Context(), validatorKey); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Challenge(t.Context(), minimal, validatorKey.PublicKey(), o); err != nil {
			t.Errorf("%v, minimal form: %v", kind, err)
		}
		_, err = c.Challenge(t.Context(), minimal, nodeKey.PublicKey(), o)
		if !errors.Is(err, capsule.ErrProof) {
			t.Errorf("%v, minimal form of another validator: %v, expected capsule.ErrProof", kind, err)
		}
	}
}

// TestChallengeRefused: a refusal matches the error of package capsule.
func TestChallengeRefused(t *testing.T) {
	g := capsuletest.Split(t, 1, 100_000, text(1, 250_000))
	c := newClient(t, proving(t, []auth.NodePublicKey{validatorKey.PublicKey()}, g), nil)
	tests := []struct {
		name   string
		change func(ch *capsule.Challenge)
		by     auth.NodeSigner
		want   error
	}{
		{"unknown validator", nil, nodeKey, capsule.ErrUnknownValidator},
		{"absent capsule", func(ch *capsule.Challenge) { ch.CapsuleHash[0] ^= 1 }, nil,
			fs.ErrNotExist},
		{"capsule in no plot", func(ch *capsule.Challenge) {
			ch.CapsuleHash = merkle.Hash{0x77}
		}, nil, capsule.ErrNotReady},
		{"another node", func(ch *capsule.Challenge) { ch.Node = validatorKey.PublicKey() }, nil,
			fs.ErrNotExist},
		{"another plot", func(ch *capsule.Challenge) { ch.PlotID[0] = 1 }, nil, fs.ErrNotExist},
		{"expired", func(ch *capsule.Challenge) {
			ch.IssuedAt -= 1000
			ch.ExpiresAt -= 1000
		}, nil, capsule.ErrExpired},
		{"too much work", func(ch *capsule.Challenge) { ch.WorkBits = 25 }, nil,
			capsule.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			by := tt.by
			if by == nil {
				by = validatorKey
			}
			ch, err := c.NewChallenge(t.Context(), client.Question{Type: capsule.DataInclusion,
				Capsule: g.Capsules[1].Hash}, by)
			if err != nil {
				t.Fatal(err)
			}
			if tt.change != nil {
				tt.change(ch)
				if err := ch.Sign(t.Context(), by); err != nil {
					t.Fatal(err)
				}
			}
			_, err = c.Challenge(t.Context(), ch, auth.NodePublicKey{}, nil)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, expected %v", err, tt.want)
			}
		})
	}
	forged, err := c.NewChallenge(t.Context(), client.Question{Type: capsule.DataInclusion,
		Capsule: g.Capsules[1].Hash}, validatorKey)
	if err != nil {
		t.Fatal(err)
	}
	forged.Signature[0] ^= 1
	if _, err := c.Challenge(t.Context(), forged, auth.NodePublicKey{}, nil); !errors.Is(err,
		auth.ErrSignature) {
		t.Errorf("forged signature: %v, expected auth.ErrSignature", err)
	}
}

// TestChallengeLies: answers that do not prove the challenge are detected.
func TestChallengeLies(t *testing.T) {
	g := capsuletest.Split(t, 1, 100_000, text(1, 250_000))
	victim := capsuletest.Split(t, 2, 100_000, text(2, 250_000))
	base := proving(t, nil, g)
	known := []capsule.Ref{g.Ref(1)}
	proof := func(change func(raw []byte) []byte) lie {
		return member(func(m map[string]any) {
			raw, err := hex.DecodeString(strings.TrimPrefix(m["proof"].(string), "0x"))
			if err != nil {
				t.Error(err)
			}
			m["proof"] = "0x" + hex.EncodeToString(change(raw))
		})
	}
	tests := []struct {
		name string
		tell lie
		o    capsule.VerifyOptions
		want error
	}{
		{"honest", nil, capsule.VerifyOptions{Refs: known}, nil},
		{"not among the places", nil, capsule.VerifyOptions{Refs: []capsule.Ref{victim.Ref(1)}},
			capsule.ErrProof},
		{"no places", nil, capsule.VerifyOptions{}, capsule.ErrProof},
		{"untrusted root", nil, capsule.VerifyOptions{Refs: known,
			Trust: capsule.PinnedRoots{}}, capsule.ErrProof},
		{"signature", proof(func(b []byte) []byte { return flip(b, len(b)-1) }),
			capsule.VerifyOptions{Refs: known}, capsule.ErrProof},
		{"digest", proof(func(b []byte) []byte { return flip(b, 10) }),
			capsule.VerifyOptions{Refs: known}, capsule.ErrProof},
		{"cut", proof(func(b []byte) []byte { return b[:len(b)-1] }),
			capsule.VerifyOptions{Refs: known}, capsule.ErrProof},
		{"long", proof(func(b []byte) []byte { return append(b, 0) }),
			capsule.VerifyOptions{Refs: known}, capsule.ErrProof},
		{"not hexadecimal", member(set("proof", "0xzz")), capsule.VerifyOptions{Refs: known},
			client.ErrProtocol},
		{"no proof", member(func(m map[string]any) { delete(m, "proof") }),
			capsule.VerifyOptions{Refs: known}, capsule.ErrProof},
		{"another plot", member(set("plot_id", "0x"+strings.Repeat("ab", 32))),
			capsule.VerifyOptions{Refs: known}, client.ErrProtocol},
		{"negative time", member(set("generation_time_ms", -1)), capsule.VerifyOptions{Refs: known},
			client.ErrProtocol},
		{"endless", func(_ testing.TB, r *http.Response) {
			r.Body, r.ContentLength = endless{}, -1
			r.Header.Del("Content-Length")
		}, capsule.VerifyOptions{Refs: known}, client.ErrProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, _ := lying(t, base, tt.tell)
			c := newClient(t, url, nil)
			ch, err := c.NewChallenge(t.Context(), client.Question{Type: capsule.PhysicalAccess,
				Capsule: g.Capsules[1].Hash}, validatorKey)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Challenge(soon(t), ch, auth.NodePublicKey{}, &tt.o); !errors.Is(err,
				tt.want) {
				t.Errorf("%v, expected %v", err, tt.want)
			}
		})
	}
}

// TestChallengeOnce: a challenge is not retried, even if the node sends Retry-After.
func TestChallengeOnce(t *testing.T) {
	url, n := refusing(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	c := newClient(t, url, nil)
	ch, err := c.NewChallenge(t.Context(), client.Question{Capsule: merkle.Hash{1}}, validatorKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Challenge(t.Context(), ch, auth.NodePublicKey{}, nil); !errors.Is(err,
		client.ErrBusy) || n.Load() != 1 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

func TestDeadline(t *testing.T) {
	for _, tt := range []struct {
		c    capsule.Challenge
		want time.Duration
	}{
		{capsule.Challenge{Type: capsule.PlotOwnership, Samples: 20, WorkBits: 16},
			500 * time.Millisecond},
		{capsule.Challenge{Type: capsule.PhysicalAccess, Samples: 20, WorkBits: 16},
			1100 * time.Millisecond},
		{capsule.Challenge{Type: capsule.ComputationalWork, Samples: 20, WorkBits: 20},
			3855 * time.Millisecond},
		{capsule.Challenge{Type: capsule.Full, Samples: 20, WorkBits: 0}, 1100 * time.Millisecond},
	} {
		if got := client.Deadline(&tt.c); got.Round(time.Millisecond) != tt.want {
			t.Errorf("%v: %v, expected %v", tt.c.Type, got, tt.want)
		}
	}
}
