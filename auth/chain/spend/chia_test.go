package spend_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/spend"
	"github.com/dig-network/digstore/internal/vectors"
)

// A chia is Chia's own consensus, the Python package chia_rs.
type chia struct {
	t       *testing.T
	in      io.Writer
	answers *bufio.Scanner
}

// startChia installs it below the user's cache directory, the first time, and starts it.
func startChia(t *testing.T) *chia {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join("testdata", "chia", "run.sh"),
		filepath.Join(cache, "digstore-test", "chia_rs"), spend.Testnet11().Challenge.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	answers := bufio.NewScanner(out)
	answers.Buffer(nil, 1<<20)
	return &chia{t, in, answers}
}

// ask returns the answer about a bundle: "= fee cost coins", or "! reason".
func (c *chia) ask(kind string, b *chain.Bundle) string {
	c.t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c.in, "%s %s\n", kind, text); err != nil {
		c.t.Fatal(err)
	}
	if !c.answers.Scan() {
		c.t.Fatalf("no answer: %v", c.answers.Err())
	}
	return c.answers.Text()
}

// TestChia is a differential test against Chia's own consensus: it accepts the bundles that are
// built here, with their signatures, and every change of them that Run accepts. It runs with
// DIG_TEST=real and needs python3.
func TestChia(t *testing.T) {
	vectors.NeedReal(t)
	c := startChia(t)
	w := newWorld(t)
	drafts, plans := goodDrafts(t)
	for i, d := range drafts {
		b, p := w.confirm(t, d), plans[i]
		var fee, cost, made uint64
		answer := c.ask("s", b)
		_, err := fmt.Sscanf(answer, "= %d %d %d", &fee, &cost, &made)
		if err != nil || fee != p.Fee || made != uint64(len(p.Made)) || cost > p.Cost {
			t.Errorf("bundle %d: %s; want fee %d, cost at most %d, %d coins", i, answer, p.Fee, p.Cost,
				len(p.Made))
		}
		b.Signature = spend.NoSignature()
		if answer := c.ask("s", b); !strings.HasPrefix(answer, "!") {
			t.Errorf("bundle %d without signature: %s", i, answer)
		}
	}
	const rounds, seed = 100_000, 2
	r := rand.New(rand.NewPCG(seed, 0))
	count := map[string]int{}
	for range rounds {
		if t.Failed() {
			break
		}
		i := r.IntN(len(drafts))
		in := make([]byte, 4+r.IntN(20))
		for k := range in {
			in[k] = byte(r.Uint32())
		}
		spends := mutate(plans[i].Spends, in)
		effects, err := spend.Run(t.Context(), spend.Testnet11(), spends)
		answer := c.ask("c", &chain.Bundle{Spends: spends, Signature: spend.NoSignature()})
		accepted := strings.HasPrefix(answer, "=")
		switch {
		case err == nil && !accepted:
			t.Errorf("Run accepts %v of bundle %d, and Chia: %s", in, i, answer)
		case err == nil:
			count["accepted"]++
			var fee uint64
			if _, err := fmt.Sscanf(answer, "= %d", &fee); err != nil || fee != effects.Fee {
				t.Errorf("fee %d, want %s", effects.Fee, answer)
			}
		case accepted:
			_, why, _ := strings.Cut(err.Error(), "invalid bundle: ")
			count["refused here only: "+why[:min(len(why), 8)]]++
		default:
			count["refused"]++
		}
	}
	t.Logf("chia_rs 0.53.0, seed %d: %v", seed, count)
}
