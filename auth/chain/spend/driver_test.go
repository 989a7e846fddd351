package spend_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/spend"
	"github.com/dig-network/digstore/internal/vectors"
)

// TestDriver is a differential test against the reference itself: random sequences of operations
// by @dignetwork/datalayer-driver, whose spends and signatures are the same here, byte for byte. It
// runs with DIG_TEST=real and needs npm; testdata/driver/run.sh installs the driver below the
// user's cache directory.
func TestDriver(t *testing.T) {
	vectors.NeedReal(t)
	const sequences, seed = 1000, 1
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join("testdata", "driver", "run.sh"),
		filepath.Join(cache, "digstore-test", "datalayer-driver"), strconv.Itoa(sequences),
		strconv.Itoa(seed))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for decode := json.NewDecoder(out); decode.More() && !t.Failed(); {
		var c spendCase
		if err := decode.Decode(&c); err != nil {
			t.Fatal(err)
		}
		count[c.Op]++
		t.Run(c.Name, c.checkDriver)
	}
	if t.Failed() {
		cmd.Process.Kill()
	}
	if err := cmd.Wait(); err != nil && !t.Failed() {
		t.Fatal(err)
	}
	if count["mint"] != sequences && !t.Failed() {
		t.Errorf("%d sequences, want %d", count["mint"], sequences)
	}
	t.Logf("@dignetwork/datalayer-driver 0.1.29, seed %d: %v", seed, count)
}

// checkDriver compares an operation, or a selection of coins.
func (c *spendCase) checkDriver(t *testing.T) {
	if c.Op == "select" {
		var coins []chain.Coin
		for _, in := range c.Given.Coins {
			coins = append(coins, in.Coin)
		}
		got, err := spend.SelectKnapsack(coins, c.Args.Amount)
		if err != nil || !slices.Equal(got, c.Expect.Chosen) {
			t.Errorf("coins %v, %v; want %v", got, err, c.Expect.Chosen)
		}
		return
	}
	d := spend.NewDraft(network(t, c.Network))
	store, err := c.build(t, d)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(c.Expect.Spends, d.Spends()); d != "" {
		t.Fatalf("spends (-want +got)\n%s", d)
	}
	if len(c.Given.Along) == 0 {
		if _, err := d.Plan(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
	effects, err := spend.Run(t.Context(), network(t, c.Network),
		slices.Concat(c.Given.Along, d.Spends()))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := spend.Sign(effects.Messages, c.signer(t))
	if err != nil || sum != c.Expect.Signature {
		t.Errorf("signature %v, %v; want %v", sum, err, c.Expect.Signature)
	}
	if (store == nil) != (c.Expect.Store == nil) {
		t.Fatalf("store %v, want %v", store, c.Expect.Store)
	}
	if store == nil {
		return
	}
	want := c.Expect.Store.store()
	if d := gocmp.Diff(want.State(), store.State()); d != "" || store.Lineage != want.Lineage {
		t.Errorf("store after (-want +got)\n%s\nlineage %v, want %v", d, store.Lineage, want.Lineage)
	}
}
