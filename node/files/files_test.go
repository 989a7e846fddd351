package files_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/files"
)

// A source is what all sources have in common.
type source interface {
	Refresh() error
	Run(ctx context.Context) error
}

var kinds = map[string]func(path string, o *files.Options) (source, error){
	"access":  func(p string, o *files.Options) (source, error) { return opened(files.OpenAccess(p, o)) },
	"handles": func(p string, o *files.Options) (source, error) { return opened(files.OpenHandles(p, o)) },
	"rewards": func(p string, o *files.Options) (source, error) { return opened(files.OpenRewards(p, o)) },
	"bribes":  func(p string, o *files.Options) (source, error) { return opened(files.OpenBribes(p, o)) },
}

func opened[T source](s T, err error) (source, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source.json")
	replace(t, path, text)
	return path
}

// replace writes a version of a file as editors do, by a rename.
func replace(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func key(seed byte) auth.PublicKey { return auth.NewKey([auth.SeedSize]byte{seed}).PublicKey() }

func store(seed byte) auth.StoreID { return auth.StoreID{31: seed} }

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAccess(t *testing.T) {
	a, err := files.OpenAccess(write(t, fmt.Sprintf(`[
		{"datastore_id": "0x%v", "owner": "%v", "writers": ["%v"]},
		{"datastore_id": "%v", "owner": "%v"}]`,
		store(1), key(1), key(2), store(2), key(3))), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		store auth.StoreID
		key   auth.PublicKey
		want  error
	}{
		{store(1), key(1), nil}, {store(1), key(2), nil}, {store(1), key(3), auth.ErrForbidden},
		{store(2), key(3), nil}, {store(2), key(1), auth.ErrForbidden},
		{store(3), key(1), fs.ErrNotExist}, {store(1), auth.PublicKey{}, auth.ErrForbidden},
	} {
		if err := a.MayWrite(t.Context(), test.store, test.key); !errors.Is(err, test.want) {
			t.Errorf("%v, %v: got %v, want %v", test.store, test.key, err, test.want)
		}
	}
	if owner, err := a.Owner(t.Context(), store(1)); err != nil || owner != key(1) {
		t.Errorf("owner %v, %v", owner, err)
	}
	if _, err := a.Owner(t.Context(), store(3)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("owner of an unknown datastore: %v", err)
	}
}

func TestHandles(t *testing.T) {
	now := time.Unix(2000, 0)
	h, err := files.OpenHandles(write(t, fmt.Sprintf(`
{"handle": "mydata", "datastore_id": "0x%v", "registration_time": 1000, "metadata": {"a": [1]}}
{"handle": "my.dig", "datastore_id": "%v", "tier": 2, "registration_time": 1000, "expires_at": 2001}
{"handle": "old", "datastore_id": "%v", "expires_at": 2000, "metadata": null}
{"handle": "new", "datastore_id": "%v", "registration_time": 2001}`,
		store(1), store(1), store(1), store(2))), &files.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Resolve(t.Context(), "mydata")
	if err != nil {
		t.Fatal(err)
	}
	same(t, got.Tier, 4)
	same(t, got.Store, store(1))
	same(t, string(got.Metadata), `{"a": [1]}`)
	same(t, got.Registered.Unix(), int64(1000))
	for _, name := range []string{"none", "old", "new", ""} {
		if h, err := h.Resolve(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: got %v, %v", name, h, err)
		}
	}
	best := func(s auth.StoreID) string {
		name, tier := h.Best(s)
		return fmt.Sprint(name, " ", tier)
	}
	same(t, best(store(1)), "my 2")
	same(t, best(store(2)), " 0")
	now = now.Add(time.Second)
	same(t, best(store(1)), "mydata 4")
	same(t, best(store(2)), "new 1")
}

func TestRewards(t *testing.T) {
	const day = 24 * 3600
	now := time.Unix(100*day, 0)
	path := write(t, fmt.Sprintf(`
{"time": %d, "kind": "reward", "amount": 1.5, "datastore_id": "%v", "note": "epoch 1"}
{"time": %d, "kind": "reward", "amount": 2}
{"time": %d, "kind": "bribe", "amount": 0.25}
{"kind": "pending", "amount": 7}
{"kind": "pending", "amount": 3}
{"kind": "expected", "amount": 1, "datastore_id": "%v"}
{"kind": "expected", "amount": 0.5, "datastore_id": "%v"}
`, 98*day, store(1), 100*day-7200, 100*day-3600, store(1), store(1)))
	r, err := files.OpenRewards(path, &files.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	totals, err := r.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, totals, node.Earnings{Total: 3500, Bribes: 250, Pending: 3000})
	same(t, r.LastDay(), economy.Amount(2250))
	reward, known := r.Expected(store(1))
	if !known || reward != 500 {
		t.Errorf("expected %v, %v", reward, known)
	}
	if _, known := r.Expected(store(2)); known {
		t.Error("a reward that is not known is known")
	}
	// The ledger grows.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, `{"kind": "reward", "amount": 1}`)
	if err := errors.Join(f.Close(), r.Refresh()); err != nil {
		t.Fatal(err)
	}
	if totals, _ := r.Totals(t.Context()); totals.Total != 4500 {
		t.Errorf("after an entry more: %v", totals)
	}
}

func TestBribes(t *testing.T) {
	b, err := files.OpenBribes(write(t, fmt.Sprintf(`{"datastore_id": "%v", "distributor": "xch1abc",
		"reward_per_tb": 10, "balances": {"XCH": 1}, "min_consolidation": 0.5, "regions": ["eu"],
		"max_latency_ms": 100.5, "min_uptime": 0.9, "distributed": 1, "last_distribution": 1000}`,
		store(1))), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Offers(t.Context(), store(1))
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, []economy.Bribe{{Datastore: economy.ID(store(1)), Address: "xch1abc",
		Balances: map[string]economy.Amount{"XCH": 1000}, RewardPerTB: 10000, MinConsolidation: 0.5,
		Regions: []string{"eu"}, MaxLatency: 100500 * time.Microsecond, MinUptime: 0.9, Distributed: 1000,
		LastDistribution: time.Unix(1000, 0)}})
	if got, err := b.Offers(t.Context(), store(2)); err != nil || got != nil {
		t.Errorf("offers for another datastore: %v, %v", got, err)
	}
}

// TestRefuse: malformed content is refused with its line.
func TestRefuse(t *testing.T) {
	id, owner := store(1).String(), key(1).String()
	entry := map[string]string{
		"access":  fmt.Sprintf(`{"datastore_id": "%s", "owner": "%s"}`, id, owner),
		"handles": fmt.Sprintf(`{"handle": "abc", "datastore_id": "%s"}`, id),
		"rewards": `{"kind": "reward", "amount": 1}`,
		"bribes":  fmt.Sprintf(`{"datastore_id": "%s", "distributor": "d"}`, id),
	}
	for kind, open := range kinds {
		good := entry[kind]
		for _, text := range []string{"", "\n \n", "[]", " [ ] ", good, "[" + good + "]\n",
			good + "\n\n"} {
			if _, err := open(write(t, text), nil); err != nil {
				t.Errorf("%s: %s: %v", kind, text, err)
			}
		}
		for _, test := range []struct{ text, want string }{
			{good + "\n{", "line 2: the object does not end"},
			{"[" + good, "line 1: the list does not end"},
			{"[" + good + ",", "the list does not end"},
			{"[" + good + ",]", "expected an object, found ']'"},
			{"[" + good + "] x", "text after the list"},
			{"[" + good + " " + good + "]", "expected , or ] found '{'"},
			{"\n\n3", "line 3: expected an object, found '3'"},
			{good + "\n[]", "line 2: expected an object, found '['"},
			{"{\n\n}\n{,}", "line 1: "}, // a member is missing
			{good + "\n" + strings.Replace(good, "{", `{"more": 1, `, 1), `line 2: json: unknown field "more"`},
			{strings.Replace(good, "{", `{"kind": "x", "kind": "y", `, 1), "duplicate name"},
			{strings.Repeat("[", 100), "expected an object"},
			{`{"datastore_id": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", "line 1: "},
			{`{"datastore_id": "` + strings.Repeat("a", files.MaxEntry) + `"}`, "object of more than 65536 bytes"},
			{`{"datastore_id": "` + id[2:] + `"}`, "line 1: "},
		} {
			s, err := open(write(t, test.text), nil)
			if !errors.Is(err, files.ErrFile) || !strings.Contains(err.Error(), test.want) || s != nil {
				t.Errorf("%s: %.200s\ngot  %v\nwant %s", kind, test.text, err, test.want)
			}
		}
	}
}

// Each member is checked.
func TestRefuseMembers(t *testing.T) {
	id, owner := store(1).String(), key(1).String()
	zero := strings.Repeat("0", 96)
	withID := func(rest string) string { return fmt.Sprintf(`{"datastore_id": "%s", %s}`, id, rest) }
	for _, test := range []struct{ kind, text, want string }{
		{"access", fmt.Sprintf(`{"owner": "%s"}`, owner), "datastore_id is missing"},
		{"access", withID(`"writers": []`), "owner is missing"},
		{"access", withID(`"owner": "` + zero + `"`), "owner is missing"},
		{"access", withID(fmt.Sprintf(`"owner": "%s", "writers": ["%s"]`, owner, zero)), "public key"},
		{"access", strings.Repeat(withID(`"owner": "`+owner+`"`)+"\n", 2), "line 2: datastore " + id + " is given twice"},
		{"handles", `{"handle": "abc"}`, "datastore_id is missing"},
		{"handles", withID(`"handle": "A"`), "handle: found"},
		{"handles", withID(`"handle": ""`), "handle: found"},
		{"handles", withID(`"handle": "-a"`), "handle: found"},
		{"handles", withID(`"handle": "a", "tier": 7`), "tier: found 7"},
		{"handles", withID(`"handle": "a", "tier": -1`), "tier: found -1"},
		{"handles", withID(`"handle": "a", "metadata": [1]`), "metadata: expected an object"},
		{"handles", withID(`"handle": "a", "metadata": {"a": "` + strings.Repeat("x", 16<<10) + `"}`), "metadata: expected"},
		{"handles", withID(`"handle": "a", "registration_time": -1`), "registration_time: found -1"},
		{"handles", withID(`"handle": "a", "expires_at": 253402300800`), "expires_at: found"},
		{"handles", withID(`"handle": "a"`) + withID(`"handle": "a.dig"`), "is given twice"},
		{"rewards", `{"kind": "reward"}`, "amount is missing"},
		{"rewards", `{"kind": "reward", "amount": -1}`, "amount: found -1"},
		{"rewards", `{"kind": "reward", "amount": 1.0001}`, "not an amount"},
		{"rewards", `{"kind": "gift", "amount": 1}`, `kind: found "gift"`},
		{"rewards", `{"kind": "expected", "amount": 1}`, "datastore_id is missing"},
		{"rewards", `{"kind": "reward", "amount": 1, "time": -1}`, "time: found -1"},
		{"bribes", `{"distributor": "d"}`, "datastore_id is missing"},
		{"bribes", withID(`"distributor": ""`), "distributor: 0 bytes"},
		{"bribes", withID(`"distributor": "d", "reward_per_tb": -1`), "expected at least 0"},
		{"bribes", withID(`"distributor": "d", "distributed": -1`), "expected at least 0"},
		{"bribes", withID(`"distributor": "d", "min_consolidation": 1.1`), "min_consolidation"},
		{"bribes", withID(`"distributor": "d", "min_uptime": -0.1`), "min_uptime"},
		{"bribes", withID(`"distributor": "d", "max_latency_ms": 1e300`), "max_latency_ms"},
		{"bribes", withID(`"distributor": "d", "last_distribution": -1`), "last_distribution"},
		{"bribes", withID(`"distributor": "d", "regions": [` + strings.Repeat(`"a",`, 100) + `"a"]`), "101 regions"},
		{"bribes", strings.Repeat(withID(`"distributor": "d"`), 101), "more than 100 offers"},
	} {
		_, err := kinds[test.kind](write(t, test.text), nil)
		if !errors.Is(err, files.ErrFile) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %.200s\ngot  %v\nwant %s", test.kind, test.text, err, test.want)
		}
	}
}

// records collects log lines.
type records struct {
	slog.Handler
	mu    sync.Mutex
	lines []string
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) Handle(_ context.Context, rec slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, rec.Message)
	return nil
}

// TestReload: a new version is used. A malformed or missing one is not, and is reported once.
func TestReload(t *testing.T) {
	version := func(amount int) string {
		return fmt.Sprintf(`{"kind": "pending", "amount": %d}`, amount)
	}
	path := write(t, version(1))
	log := &records{}
	r, err := files.OpenRewards(path, &files.Options{Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	check := func(want int64) {
		t.Helper()
		if totals, err := r.Totals(t.Context()); err != nil || int64(totals.Pending)/1000 != want {
			t.Errorf("got %v, %v, want %d", totals, err, want)
		}
	}
	for i, step := range []struct {
		text string // empty: the file is removed
		want int64
		bad  bool
	}{
		{version(2), 2, false}, {version(3), 3, false}, {version(3), 3, false}, {"{", 3, true},
		{"{", 3, true}, {"", 3, true}, {version(4), 4, false},
	} {
		if step.text == "" {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		} else {
			replace(t, path, step.text)
		}
		for range 2 {
			if err := r.Refresh(); (err != nil) != step.bad {
				t.Errorf("step %d: %v", i, err)
			}
			check(step.want)
		}
	}
	same(t, log.lines, []string{"source_reloaded", "source_reloaded", "source_refused",
		"source_refused", "source_reloaded"})
}

// TestSameSize: versions of equal size in quick succession are distinguished.
func TestSameSize(t *testing.T) {
	path := write(t, `{"kind": "pending", "amount": 0}`)
	r, err := files.OpenRewards(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`{"kind": "pending", "amount": %d}`, i)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// A file system with coarse times.
		if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		if err := r.Refresh(); err != nil {
			t.Fatal(err)
		}
		if totals, _ := r.Totals(t.Context()); int(totals.Pending)/1000 != i {
			t.Errorf("version %d: got %v", i, totals.Pending)
		}
	}
}

// Run follows the file, while others read.
func TestRun(t *testing.T) {
	path := write(t, `{"kind": "pending", "amount": 1}`)
	r, err := files.OpenRewards(path, &files.Options{Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	replace(t, path, `{"kind": "pending", "amount": 2}`)
	deadline := time.Now().Add(time.Minute)
	for {
		totals, err := r.Totals(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if totals.Pending == 2000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new version is not read")
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
}

// Only regular files are read, and no more than the limits.
func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	for kind, open := range kinds {
		for _, path := range []string{dir, filepath.Join(dir, "none"), os.DevNull} {
			if s, err := open(path, nil); err == nil {
				t.Errorf("%s: %s is read: %v", kind, path, s)
			}
		}
	}
	path := filepath.Join(dir, "sparse")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(1<<40), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := files.OpenRewards(path, nil); !errors.Is(err, files.ErrFile) {
		t.Errorf("a file of zeros: %v", err)
	}
}

func FuzzFiles(f *testing.F) {
	f.Add("access", fmt.Sprintf(`{"datastore_id": "%v", "owner": "%v"}`, store(1), key(1)))
	f.Add("handles", fmt.Sprintf(`[{"handle": "a", "datastore_id": "%v"}]`, store(1)))
	f.Add("rewards", `{"kind": "reward", "amount": 1}`)
	f.Add("bribes", fmt.Sprintf(`{"datastore_id": "%v", "distributor": "\""}`, store(1)))
	path := filepath.Join(f.TempDir(), "source")
	f.Fuzz(func(t *testing.T, kind, text string) {
		open, ok := kinds[kind]
		if !ok {
			return
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := open(path, nil)
		if err != nil {
			if !errors.Is(err, files.ErrFile) {
				t.Error(err)
			}
			return
		}
		// One list, or one object after the other, are the same.
		trimmed := strings.TrimSpace(text)
		if inner, ok := strings.CutPrefix(trimmed, "["); ok && !strings.Contains(text, "},") {
			if err := os.WriteFile(path, []byte(strings.TrimSuffix(inner, "]")), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.Refresh(); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
}
