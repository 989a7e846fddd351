package chain_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/dig-network/digstore/internal/vectors"
)

// TestDriver is a differential test against the reference itself: random sequences of operations that
// @dignetwork/datalayer-driver does, each state compared with the one that is read from its spends. It runs
// with DIG_TEST=real and needs npm; testdata/driver/run.sh installs the driver below the user's cache directory.
func TestDriver(t *testing.T) {
	vectors.NeedReal(t)
	const sequences, seed = 600, 1
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "digstore-test", "datalayer-driver")
	cmd := exec.CommandContext(t.Context(), filepath.Join("testdata", "driver", "run.sh"), dir, strconv.Itoa(sequences), strconv.Itoa(seed))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ops := map[string]int{}
	decode := json.NewDecoder(out)
	decode.DisallowUnknownFields()
	done := 0
	for decode.More() && !t.Failed() {
		var sc scenario
		if err := decode.Decode(&sc); err != nil {
			t.Fatalf("sequence %d: %v", done, err)
		}
		t.Run(sc.Name, sc.check)
		for _, st := range sc.Steps {
			ops[st.Op]++
		}
		done++
	}
	if err := cmd.Wait(); err != nil && !t.Failed() {
		t.Fatalf("the driver, after %d sequences: %v", done, err)
	}
	if done != sequences && !t.Failed() {
		t.Errorf("%d sequences, want %d", done, sequences)
	}
	t.Logf("%d sequences of @dignetwork/datalayer-driver 0.1.29, seed %d: %v", done, seed, ops)
}
