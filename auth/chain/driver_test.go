package chain_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/vectors"
)

// TestDriver is a differential test with the reference: @dignetwork/datalayer-driver makes random
// sequences of operations, and each state is compared with the state read from its spends. It
// runs with DIG_TEST=real and needs npm; testdata/driver/run.sh installs the driver in the
// user's cache directory.
func TestDriver(t *testing.T) {
	vectors.NeedReal(t)
	const sequences, seed = 600, 1
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "digstore-test", "datalayer-driver")
	ops, done := map[string]int{}, 0
	err = readScenarios(t.Context(), func(ctx context.Context) *exec.Cmd {
		script := filepath.Join("testdata", "driver", "run.sh")
		return exec.CommandContext(ctx, script, dir, strconv.Itoa(sequences), strconv.Itoa(seed))
	}, func(sc *scenario) bool {
		for _, st := range sc.Steps {
			ops[st.Op]++
		}
		done++
		return t.Run(sc.Name, sc.check)
	})
	if err != nil && !t.Failed() {
		t.Fatalf("the driver, after %d sequences: %v", done, err)
	}
	if done != sequences && !t.Failed() {
		t.Errorf("%d sequences, want %d", done, sequences)
	}
	t.Logf("%d sequences of @dignetwork/datalayer-driver 0.1.29, seed %d: %v", done, seed, ops)
}

// readScenarios runs a command and calls check with each scenario that it prints, until check
// returns false. Then it kills the command before it waits for it, since the command may be
// blocked on a full pipe.
func readScenarios(ctx context.Context, command func(context.Context) *exec.Cmd,
	check func(*scenario) bool) error {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	cmd := command(ctx)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	decode := json.NewDecoder(out)
	decode.DisallowUnknownFields()
	for decode.More() {
		var sc scenario
		if err = decode.Decode(&sc); err != nil || !check(&sc) {
			kill()
			break
		}
	}
	return errors.Join(err, cmd.Wait())
}

// TestDriverIsKilled: a program that keeps printing is killed when a scenario fails or is
// malformed.
func TestDriverIsKilled(t *testing.T) {
	if _, err := exec.LookPath("yes"); err != nil {
		t.Skip("no program that prints without end: ", err)
	}
	for _, line := range []string{"{}", "nonsense"} {
		done := make(chan error, 1)
		go func() {
			done <- readScenarios(t.Context(), func(ctx context.Context) *exec.Cmd {
				return exec.CommandContext(ctx, "yes", line)
			}, func(*scenario) bool { return false })
		}()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%q: the program ended well", line)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%q: it waits for the program", line)
		}
	}
}
