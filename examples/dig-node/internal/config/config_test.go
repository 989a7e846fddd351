package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/node/policy"
)

func load(t *testing.T, s config.Sources) *config.Config {
	t.Helper()
	c, err := config.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("node.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return c
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// The file of the design loads unchanged, with a warning about its placeholder.
func TestDesignFile(t *testing.T) {
	c := load(t, config.Sources{File: "testdata/node.yaml"})
	same(t, c.Warnings,
		[]string{`node.id: "dig1abc...xyz" is a placeholder and is ignored; the id follows from the key`})
	same(t, c.Node.ID, "")
	same(t, c.Storage.PlotsDir, config.Dirs{{Path: "/plots"}})
	same(t, c.Network.Bootstrap,
		[]string{"dig1.bootstrap.dig.net:8444", "dig2.bootstrap.dig.net:8444"})
	same(t, c.Validation.Stake.String(), "1000")
	same(t, c.Monitoring.LogFile, "/var/log/dig-node.log")
	s, err := c.Settings()
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	same(t, p.MinReward.String(), "0.01")
}

// The dictionaries of the modes load unchanged, and are what package policy has for them.
func TestModeDictionaries(t *testing.T) {
	for name, want := range map[string]policy.Settings{"archive": policy.ArchiveSettings(),
		"cache": policy.CacheSettings(), "selective": policy.SelectiveSettings()} {
		t.Run(name, func(t *testing.T) {
			c := load(t, config.Sources{File: filepath.Join("testdata", name+".yaml")})
			s, err := c.Settings()
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Resolve()
			if err != nil {
				t.Fatal(err)
			}
			wanted, err := want.Resolve()
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, wanted)
			var warnings []string
			if name == "selective" {
				warnings = []string{`policy.ai_filter: no scorer "content_value_model_v2" is configured; ` +
					`heuristic-v1 rates instead`}
			}
			same(t, c.Warnings, warnings)
		})
	}
}

// Everything has a default, and nothing is taken that the owner did not name.
func TestDefaults(t *testing.T) {
	c := parse(t, "")
	s, err := c.Settings()
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Resolve()
	if err != nil || p.Mode != policy.Selective || len(p.Whitelist) > 0 || p.Filter != "" {
		t.Errorf("policy %+v, %v", p, err)
	}
	same(t, c.Network.API, "0.0.0.0:8555")
	same(t, time.Duration(c.Shutdown.Grace), 20*time.Second)
	same(t, c.RateLimits.CapsuleRetrieval.PerMinute, 100)
	same(t, c.Storage.Capacity.Of(1000), uint64(900))
	same(t, c.Storage.AutoPlot.Or(true), true)
}

// A file with every key, as config init writes it, is the same as no file.
func TestExample(t *testing.T) {
	text := config.Example()
	ignore := cmpopts.IgnoreUnexported(config.Config{})
	if diff := cmp.Diff(parse(t, ""), parse(t, text), ignore, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	for _, key := range config.Keys() {
		name := key[strings.LastIndexByte(key, '.')+1:]
		if !strings.Contains(text, name+":") {
			t.Errorf("%s is not in the example", key)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 100 {
			t.Errorf("line of %d bytes: %s", len(line), line)
		}
	}
	// Each line that is commented out is a key.
	open := strings.NewReplacer("#id:", "id: dig100112233445566ff", "#data_dir:", "data_dir: /d",
		"#min_reward:", "min_reward: 1.5", "#ai_filter:", "ai_filter: heuristic-v1").Replace(text)
	c := parse(t, open)
	same(t, c.Economic.MinReward.String(), "1.5")
	same(t, c.Node.DataDir, "/d")
}

func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "my.yaml")
	text := "storage:\n  max_plots: 2\n" +
		"  plots_dir: [{path: a, class: ssd}, {path: /b, class: hdd}]\n" +
		"network:\n  max_peers: 2\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"DIG_NODE_STORAGE_MAX_PLOTS=3", "DIG_NODE_NETWORK_MAX_PEERS=3",
		"DIG_NODE_NETWORK_BOOTSTRAP_NODES=a.example:1, b.example:2", "DIG_NODE_PORT=tcp://1.2.3.4:5",
		"DIG_NODE_CONFIG=" + file, "DIG_NODE_POLICY_TIER_FILTER=[1, 2]", "OTHER=1", "ODD",
		"DIG_NODE_NODE_MODE=",
		"DIG_NODE_ECONOMIC_TIER_PREFERENCE=3,1", "DIG_NODE_SHUTDOWN_GRACE=1m"}
	c := load(t, config.Sources{File: file, Env: env, Flags: []config.Flag{
		{"--max-plots", "storage.max_plots", "4"}, {"--cache", "storage.cache_dir", "rel"}}})
	same(t, c.Storage.MaxPlots, 4)
	same(t, c.Origin("storage.max_plots").String(), "--max-plots")
	same(t, c.Network.MaxPeers, 3)
	same(t, c.Origin("network.max_peers").String(), "DIG_NODE_NETWORK_MAX_PEERS")
	same(t, c.Network.Bootstrap, []string{"a.example:1", "b.example:2"})
	same(t, c.Economic.TierPreference, []int{3, 1})
	same(t, string(c.Policy.TierFilter), "[1,2]")
	same(t, c.Origin("storage.plots_dir").String(), "my.yaml:3")
	same(t, c.Origin("node.mode").String(), "default")
	same(t, c.Warnings, []string{"the variable DIG_NODE_PORT stands for no key"})
	// Paths of the file are relative to its folder, those of flags to the current one.
	if runtime.GOOS != "windows" {
		same(t, c.Storage.PlotsDir, config.Dirs{{filepath.Join(filepath.Dir(file), "a"), "ssd"},
			{"/b", "hdd"}})
	}
	same(t, c.Storage.CacheDir, "rel")
}

func TestUserOfEnvironment(t *testing.T) {
	for _, test := range []struct {
		env      []string
		want     int
		problem  string
		warnings int
	}{
		{env: []string{"DIG_USERNAME=anna", "DIG_PASSWORD=geheim"}, want: 1},
		{env: []string{"DIG_USERNAME=anna", "DIG_PASSWORD=CHANGEME"}, warnings: 1},
		{env: []string{"DIG_USERNAME=CHANGEME", "DIG_PASSWORD=CHANGEME"}, warnings: 1},
		{env: []string{"DIG_USERNAME=anna"}, problem: "expected both"},
		{env: []string{"DIG_PASSWORD=geheim"}, problem: "expected both"},
	} {
		c, err := config.Load(config.Sources{Env: test.env})
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) ||
				strings.Contains(err.Error(), "geheim") {
				t.Errorf("%v: got %v", test.env, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Auth.Credentials) != test.want || len(c.Warnings) != test.warnings {
			t.Errorf("%v: %v, %v", test.env, c.Auth.Credentials, c.Warnings)
		}
		if test.want > 0 {
			same(t, string(c.Auth.Credentials[0].Password), "geheim")
		}
		if text := fmt.Sprintf("%v %+v %#v", c, *c, c.Auth); strings.Contains(text, "geheim") {
			t.Error("the password is printed")
		}
	}
}

// Secrets do not appear in what is shown.
func TestShow(t *testing.T) {
	hash := "pbkdf2-sha256$210000$AAECAwQFBgcICQoLDA0ODw==$" +
		"gxlf+Rr9C5tHYNeBy6tVTQi7bKgI2CUjXCDI6UrbXGg="
	token := strings.Repeat("ab", 32)
	c := parse(t, `
auth:
  credentials:
    - {username: anna, password_hash: "`+hash+`", stores: ["ab*"]}
    - {token_sha256: `+token+`}
  api_keys: [apikey1, {key: apikey2, multiplier: 3}]
  admins: [{username: root, password_hash: "`+hash+`"}]
network:
  gun_p2p_peers: ["wss://user:secretpass@gun.example/gun"]
chain: {source: rpc, url: "https://u:secretpass@rpc.example"}
policy: {whitelist: ["a*"], tier_filter: null}
`)
	values, err := json.Marshal(c.Values())
	if err != nil {
		t.Fatal(err)
	}
	text := c.Text()
	for _, secret := range []string{hash, token, "apikey1", "apikey2", "secretpass"} {
		for _, out := range []string{text, string(values), fmt.Sprintf("%+v", c.Auth)} {
			if strings.Contains(out, secret) {
				t.Errorf("%q is in\n%s", secret, out)
			}
		}
	}
	same(t, c.Secrets(), []string{token, "apikey1", "apikey2", hash})
	for _, want := range []string{"max_plots: 100  # default\n", "(hidden)", `"username":"anna"`,
		`whitelist: ["a*"]  # node.yaml:`, "tier_filter: null", "#blacklist:  # that of the mode\n",
		"capsule_retrieval:\n    per_minute: 100"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	again := parse(t, parse(t, "storage: {max_plots: 7}\npolicy: {cache_size: 5%}").Text())
	same(t, again.Storage.MaxPlots, 7)
	same(t, string(again.Policy.CacheSize), `"5%"`)
}

func TestChanges(t *testing.T) {
	before := parse(t, "")
	live, restart := config.Changes(before, parse(t, "monitoring: {log_level: debug}\n"+
		"network: {max_peers: 3}\npolicy: {whitelist: [a]}\nauth: {api_keys: [k]}"))
	same(t, live, []string{"policy.whitelist", "monitoring.log_level"})
	same(t, restart, []string{"network.max_peers", "auth.api_keys"})
	after := parse(t, "network: {max_peers: 3}\nmonitoring: {log_level: debug}").Keep(before, restart)
	live, restart = config.Changes(before, after)
	same(t, live, []string{"monitoring.log_level"})
	same(t, restart, []string(nil))
	live, restart = config.Changes(before, parse(t, config.Example()))
	if live != nil || restart != nil {
		t.Errorf("the defaults differ from the defaults: %v, %v", live, restart)
	}
}

func TestCheckPaths(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.ToSlash(filepath.Join(dir, name)) }
	good := parse(t, fmt.Sprintf("node: {data_dir: %q}\nstorage: {plots_dir: %q, cache_dir: %q}\n"+
		"monitoring: {log_file: %q}\nhandles: {file: %q}",
		in("new/deep"), in("p"), in("c"), in("log"), file))
	if p := good.CheckPaths(); p != nil {
		t.Error(p)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the check left %v, %v", entries, err)
	}
	bad := parse(t, fmt.Sprintf("node: {data_dir: %q}\nstorage: {plots_dir: %q, cache_dir: %q}\n"+
		"monitoring: {log_file: %q}\nhandles: {file: %q}\nbribes: {file: %q}",
		in("file/x"), in("file/z"), in("file"), in("none/log"), in("none"), dir))
	var keys []string
	for _, p := range bad.CheckPaths() {
		keys = append(keys, p.Key)
	}
	same(t, keys, []string{"node.data_dir", "storage.plots_dir", "storage.cache_dir",
		"monitoring.log_file", "handles.file", "bribes.file"})
	if os.Geteuid() > 0 {
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(dir, 0o700)
		if p := good.CheckPaths(); len(p) != 4 {
			t.Errorf("in a folder that is not writable: %v", p)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long.yaml")
	if err := os.WriteFile(long, slices.Repeat([]byte("# comment\n"), 1<<17), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, filepath.Join(dir, "none.yaml"), long} {
		if c, err := config.Load(config.Sources{File: name}); err == nil || config.IsProblems(err) {
			t.Errorf("%s: got %v, %v", name, c, err)
		}
	}
}
