package node_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/prove"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// open lets everyone use the admin routes.
func open(h http.Handler) http.Handler { return h }

// A node proves what its plots hold, and says why it does not prove the rest.
func TestChallenge(t *testing.T) {
	st := storage.NewMemory(nil)
	plotted := capsuletest.Split(t, 1, 20_000, content(t, 5))
	loose := capsuletest.Of(t, 2, []byte("in no plot"))
	fill(t, st, plotted, storage.Meta{})
	fill(t, st, loose, storage.Meta{})
	validator, stranger := auth.NewNodeKey([32]byte{50}), auth.NewNodeKey([32]byte{51})
	n := start(t, node.Config{Storage: st, Limits: unlimited, Admin: open,
		Validators: []auth.NodePublicKey{validator.PublicKey()},
		Tiers:      tier.Settings{Difficulty: -1, PlotInterval: -1},
		Volumes:    []tier.Volume{{Path: t.TempDir(), Class: economy.SSD}}}, "")
	made := do(t, "POST", n.url+"/plot/create", body{"datastore_id": plotted.Store.String(),
		"capsule_indices": []int{0, 1}}.text(t))
	var info struct {
		ID    string `json:"plot_id"`
		Count int    `json:"capsule_count"`
	}
	if err := json.Unmarshal(made.body, &info); err != nil || info.Count != 2 {
		t.Fatalf("status %d: %s", made.StatusCode, made.body)
	}
	for want, b := range map[string]body{
		"already_exists": {"datastore_id": plotted.Store.String(), "capsule_indices": []int{1, 0}},
		"capsule_not_found": {"datastore_id": plotted.Store.String(),
			"capsule_indices": []int{9999}},
		"datastore_not_found": {"datastore_id": strings.Repeat("ff", 32)},
		"invalid_argument":    {"datastore_id": plotted.Store.String(), "compression": "rar"},
		"invalid_hex":         {"datastore_id": "x"},
	} {
		if code := do(t, "POST", n.url+"/plot/create", b.text(t)).code(t); code != want {
			t.Errorf("plot of %v: %q, expected %q", b, code, want)
		}
	}
	if got := do(t, "HEAD", fmt.Sprintf("%s/capsule/%v/0", n.url, plotted.Store), nil).Header.Get(
		"X-Plot-ID"); got != info.ID {
		t.Errorf("X-Plot-ID %q, expected %q", got, info.ID)
	}

	now := uint64(time.Now().Unix())
	full := func(id string, change func(*capsule.Challenge)) *capsule.Challenge {
		c := &capsule.Challenge{ID: id, Type: capsule.Full, CapsuleHash: plotted.Capsules[0].Hash,
			Entropy: merkle.Sum([]byte(id)), IssuedAt: now, ExpiresAt: now + 60, Samples: 4}
		if change != nil {
			change(c)
		}
		return c
	}
	nothing := func(*capsule.Challenge) {}
	tests := []struct {
		name   string
		c      *capsule.Challenge
		by     *auth.NodeKey
		after  func(*capsule.Challenge) // the signature
		status int
		code   string
	}{
		{"all proofs", full("a", nil), validator, nothing, 200, ""},
		{"the same again", full("a", nil), validator, nothing, 200, ""},
		{"its id for another", full("a", func(c *capsule.Challenge) { c.Samples = 5 }), validator,
			nothing, 409, "challenge_reused"},
		{"minimal form", &capsule.Challenge{ID: "m", Type: capsule.PhysicalAccess,
			CapsuleHash: plotted.Capsules[1].Hash, Minimal: true}, validator, nothing, 200, ""},
		{"minimal form of another key", &capsule.Challenge{ID: "m2", Type: capsule.PhysicalAccess,
			CapsuleHash: plotted.Capsules[1].Hash, Minimal: true}, stranger, nothing, 401,
			"bad_signature"},
		{"unknown validator", full("b", nil), stranger, nothing, 403, "unknown_validator"},
		{"changed after it was signed", full("c", nil), validator,
			func(c *capsule.Challenge) { c.Samples++ }, 401, "bad_signature"},
		{"expired", full("d", func(c *capsule.Challenge) { c.IssuedAt, c.ExpiresAt = 1000, 1100 }),
			validator, nothing, 410, "expired"},
		{"too much work", full("e", func(c *capsule.Challenge) { c.WorkBits = 40 }), validator,
			nothing, 422, "unsupported_challenge"},
		{"not held", full("f", func(c *capsule.Challenge) { c.CapsuleHash = merkle.Hash{1} }),
			validator, nothing, 404, "capsule_not_found"},
		{"another node", full("g", func(c *capsule.Challenge) { c.Node = stranger.PublicKey() }),
			validator, nothing, 404, "capsule_not_found"},
		{"in no plot", full("h", func(c *capsule.Challenge) { c.CapsuleHash = loose.Capsules[0].Hash }),
			validator, nothing, 503, "not_ready"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.c.Sign(t.Context(), tt.by); err != nil {
				t.Skipf("cannot be signed: %v", err)
			}
			tt.after(tt.c)
			text, err := json.Marshal(tt.c)
			if err != nil {
				t.Fatal(err)
			}
			got := do(t, "POST", n.url+"/validation/challenge", text)
			if got.StatusCode != tt.status {
				t.Fatalf("status %d, expected %d: %s", got.StatusCode, tt.status, got.body)
			}
			if tt.status != 200 {
				if code := got.code(t); code != tt.code {
					t.Errorf("code %q, expected %q", code, tt.code)
				}
				return
			}
			checkBundle(t, got, tt.c, plotted, validator.PublicKey())
		})
	}
	for _, text := range []string{"", "{}", "[]", `{"challenge_id":"a"}`} {
		if code := do(t, "POST", n.url+"/validation/challenge", []byte(text)).code(t); code !=
			"invalid_json" {
			t.Errorf("%q: %q", text, code)
		}
	}
	st1, err := n.Status(t.Context())
	if err != nil || st1.Network.Validations24h == 0 || st1.Plots.Count != 1 {
		t.Errorf("status %+v, %v", st1, err)
	}
	if m := st1.Metrics; len(m) != 14 || m["request_latency"] == nil ||
		m["proof_generation_time"] == nil || m["validation_success_rate"] == nil ||
		m["cpu_usage"] != nil {
		t.Errorf("metrics %v", m)
	}
}

// checkBundle verifies the answer to a challenge.
func checkBundle(t *testing.T, a answer, c *capsule.Challenge, g capsuletest.Generation,
	validator auth.NodePublicKey) {
	t.Helper()
	var res struct{ Proof, PlotID string }
	if err := json.Unmarshal(a.body, &res); err != nil {
		t.Fatal(err)
	}
	rawProof, err := hex.DecodeString(strings.TrimPrefix(res.Proof, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	var refs []capsule.Ref
	for i, d := range g.Capsules {
		if d.Hash == c.CapsuleHash {
			refs = append(refs, g.Ref(uint32(i)))
		}
	}
	trust := capsule.PinnedRoots{g.Store: {g.Root: uint32(len(g.Capsules))}}
	_, err = capsule.VerifyBundle(t.Context(), rawProof, c.Complete(validator, nodeKey.PublicKey()),
		&capsule.VerifyOptions{Refs: refs, Trust: trust})
	if err != nil {
		t.Error(err)
	}
}

// Challenges of a validator count on its key, all others on their address.
func TestChallengeLimits(t *testing.T) {
	validator := auth.NewNodeKey([32]byte{50})
	limits := unlimited
	limits.Callers.Challenges = api.Bucket{PerMinute: 3}
	n := start(t, node.Config{Limits: limits, Now: func() time.Time {
		return time.Unix(1_800_000_000, 0)
	}, Validators: []auth.NodePublicKey{validator.PublicKey()},
		Volumes: []tier.Volume{{Path: t.TempDir(), Class: economy.SSD}}}, "")
	ask := func(by *auth.NodeKey, i int) string {
		c := &capsule.Challenge{ID: fmt.Sprint("c", i), Type: capsule.PlotOwnership,
			CapsuleHash: merkle.Hash{1}, Entropy: merkle.Hash{2}, IssuedAt: 1_800_000_000,
			ExpiresAt: 1_800_000_060, Samples: 1}
		if err := c.Sign(t.Context(), by); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return do(t, "POST", n.url+"/validation/challenge", text).code(t)
	}
	for i := range 5 {
		want := "unknown_validator"
		if i >= 3 {
			want = "rate_limited"
		}
		if got := ask(auth.NewNodeKey([32]byte{byte(i)}), i); got != want {
			t.Errorf("unknown key %d: %q, expected %q", i, got, want)
		}
	}
	for i := range 4 {
		want := "capsule_not_found"
		if i >= 3 {
			want = "rate_limited"
		}
		if got := ask(validator, i); got != want {
			t.Errorf("validator, challenge %d: %q, expected %q", i, got, want)
		}
	}
}

// Events are sent as they happen, and the stream ends with the node.
func TestEvents(t *testing.T) {
	limits := unlimited
	limits.MaxSubscribers = 1
	n := start(t, node.Config{Limits: limits, Admin: open, Credential: credentials}, "/p")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", n.url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("status %d, Content-Type %q", res.StatusCode, kind)
	}
	if code := do(t, "GET", n.url+"/events", nil).code(t); code != "busy" {
		t.Errorf("a second subscriber of one: %q", code)
	}
	lines := bufio.NewScanner(res.Body)
	next := func(name string) map[string]any {
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			var e map[string]any
			if !ok || json.Unmarshal([]byte(data), &e) != nil || e["event"] != name {
				continue
			}
			return e
		}
		t.Fatalf("the stream ended before %s: %v", name, lines.Err())
		return nil
	}
	g := capsuletest.Of(t, 1, []byte("x"))
	// The subscription begins right after the headers: push until it shows.
	go func() {
		for i := byte(1); ctx.Err() == nil; i++ {
			n.Track(ctx, auth.StoreID{0xee, i}, "")
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	next("store_tracked")
	post(t, n.url, pushOf(g, true), "owner", nil).result(t)
	e := next("head_advanced")
	details := e["details"].(map[string]any)
	if details["datastore_id"] != "0x"+g.Store.String() || e["component"] != "storage" ||
		e["level"] != "INFO" || e["node_id"] != string(nodeKey.ID()) {
		t.Errorf("event %v", e)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if lines.Err() != nil {
		t.Errorf("the stream broke off: %v", lines.Err())
	}
}

// endless is a worker that finds nothing until its context ends.
type endless struct{ started chan bool }

func (endless) Name() string { return "endless" }

func (e endless) Search(ctx context.Context, _ capsule.WorkInput, _ int) (uint64, error) {
	e.started <- true
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

// One challenge is answered, four wait, and one more is refused as busy.
func TestManyChallenges(t *testing.T) {
	st := storage.NewMemory(nil)
	g := capsuletest.Split(t, 1, 20_000, content(t, 5))
	fill(t, st, g, storage.Meta{})
	validator := auth.NewNodeKey([32]byte{50})
	limits := unlimited
	limits.MaxChallenges = 1
	w := endless{make(chan bool)}
	n := start(t, node.Config{Storage: st, Limits: limits, Admin: open, Worker: w,
		Validators: []auth.NodePublicKey{validator.PublicKey()},
		Tiers:      tier.Settings{Difficulty: -1, PlotInterval: -1},
		Volumes:    []tier.Volume{{Path: t.TempDir(), Class: economy.SSD}}}, "")
	do(t, "POST", n.url+"/plot/create", body{"datastore_id": g.Store.String()}.text(t))
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 6)
	for i := range 6 {
		go func() {
			_, err := n.Answer(ctx, signedChallenge(t, validator, g, byte(i)))
			errs <- err
		}()
	}
	<-w.started
	var busy *api.Error
	if err := <-errs; !errors.As(err, &busy) || busy.Code != api.Busy ||
		!errors.Is(err, prove.ErrBusy) {
		t.Errorf("got %v, expected prove.ErrBusy as the code busy", err)
	}
	text, err := json.Marshal(signedChallenge(t, validator, g, 6))
	if err != nil {
		t.Fatal(err)
	}
	if code := do(t, "POST", n.url+"/validation/challenge", text).code(t); code != "busy" {
		t.Errorf("over HTTP: code %q, expected busy", code)
	}
	cancel()
	for range 5 {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, expected context.Canceled", err)
		}
	}
}

// failing is a worker that always fails.
type failing struct{}

func (failing) Name() string { return "failing" }

func (failing) Search(context.Context, capsule.WorkInput, int) (uint64, error) {
	return 0, errors.New("no device")
}

// A worker that fails is replaced by the CPU, for plots and for challenges.
func TestWorkerFails(t *testing.T) {
	st := storage.NewMemory(nil)
	g := capsuletest.Split(t, 1, 20_000, content(t, 5))
	fill(t, st, g, storage.Meta{})
	validator := auth.NewNodeKey([32]byte{50})
	n := start(t, node.Config{Storage: st, Limits: unlimited, Admin: open, Worker: failing{},
		Validators: []auth.NodePublicKey{validator.PublicKey()},
		Tiers:      tier.Settings{Difficulty: 1, PlotInterval: -1},
		Volumes:    []tier.Volume{{Path: t.TempDir(), Class: economy.SSD}}}, "")
	made := do(t, "POST", n.url+"/plot/create", body{"datastore_id": g.Store.String()}.text(t))
	if made.StatusCode != http.StatusOK && made.StatusCode != http.StatusCreated {
		t.Fatalf("plot: status %d: %s", made.StatusCode, made.body)
	}
	c := signedChallenge(t, validator, g, 1)
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	checkBundle(t, do(t, "POST", n.url+"/validation/challenge", text), c, g, validator.PublicKey())
}

// signedChallenge returns a challenge for work on the first capsule of g.
func signedChallenge(t *testing.T, by *auth.NodeKey, g capsuletest.Generation, i byte,
) *capsule.Challenge {
	t.Helper()
	c := &capsule.Challenge{ID: fmt.Sprint("c", i), Type: capsule.ComputationalWork,
		CapsuleHash: g.Capsules[0].Hash, Entropy: merkle.Sum([]byte{i}), WorkBits: 1,
		IssuedAt: uint64(time.Now().Unix()), Samples: 1}
	c.ExpiresAt = c.IssuedAt + 60
	if err := c.Sign(t.Context(), by); err != nil {
		t.Fatal(err)
	}
	return c
}
