package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dig-network/digstore/examples/dig-node/internal/config"
)

// What is wrong is refused with its key, its line and, for a key, the nearest one.
func TestRefuse(t *testing.T) {
	id := strings.Repeat("00", 32) // a point of small order
	for _, test := range []struct{ text, want string }{
		{"storage:\n  max_plot: 3", "storage.max_plot: unknown key; did you mean storage.max_plots, node.yaml:2"},
		{"storage:\n  max_peers: 3", "storage.max_peers: unknown key; did you mean network.max_peers, node.yaml:2"},
		{"storag:\n  max_plots: 3", "storag: unknown key; did you mean storage, node.yaml:1"},
		{"max_plots: 3", "max_plots: unknown key; did you mean storage.max_plots, node.yaml:1"},
		{"rate_limits: {api_requests: {per_minut: 3}}", "did you mean rate_limits.api_requests.per_minute"},
		{"zzzzzzzzzz: 1", "zzzzzzzzzz: unknown key, node.yaml:1"},
		{"node: {<<: {mode: cache}}", "node.<<: unknown key"},
		{"storage: {max_plots: 1, max_plots: 2}", "given twice"},
		{"storage: {max_plots: 1}\nstorage: {max_plots: 2}", "storage: given twice, node.yaml:2"},
		{"storage: 3", "storage: expected the keys of the section"},
		{"[1, 2]", "expected sections"},
		{"a: b: c", "mapping values are not allowed"},
		{"a: 1\n---\nb: 2", "expected one document, found more"},
		{"node: {mode: &x cache}\nstorage: {compression: *x}", "aliases are not supported"},
		{"storage: {max_plots: many}", `storage.max_plots: expected a whole number (got "many"), node.yaml:1`},
		{"storage: {max_plots: [1]}", "expected one value (got a list)"},
		{"storage: {max_plots: -1}", "storage.max_plots: expected 0 to 1000000 (got -1), node.yaml:1"},
		{"storage: {max_plots: 99999999999999999999}", "expected a whole number"},
		{"storage: {compression: gzip}", `storage.compression: expected none, lz4, zstd (got "gzip")`},
		{"storage: {plots_dir: []}", "expected a folder"},
		{"storage: {plots_dir: {path: x}}", "expected a folder, or a list of them (got a mapping)"},
		{"storage: {plots_dir: [{path: x, class: nvme}, y]}", "expected ssd or hdd"},
		{"storage: {plots_dir: [{pfad: x}]}", "unknown key; expected path, class"},
		{"storage: {plots_dir: [{path: x, path: y}]}", "given twice"},
		{"storage: {plots_dir: [x, ./x]}", "storage.plots_dir[1]: given twice"},
		{"storage: {plots_dir: ['']}", "expected the path of a folder"},
		{"storage: {plots_dir: /p, cache_dir: /p/c}", "expected a folder outside of storage.plots_dir"},
		{"storage: {capacity_bytes: 101%}", "expected a size such as 10GiB, or a percentage"},
		{"storage: {capacity_bytes: 0}", "storage.capacity_bytes"},
		{"storage: {scrub_interval: 1}", "expected a time such as 20s or 24h"},
		{"storage: {scrub_interval: 1s}", "expected at least 1m"},
		{"storage: {scrub_interval: -1h}", "expected a time"},
		{"storage: {auto_plot: maybe}", "expected true, false or auto"},
		{"storage: {keep_packs: 1}", "expected true or false"},
		{"storage: {auto_plot_bytes: 10%}", "expected a number of bytes"},
		{"cache: {memory_bytes: lots}", "expected auto, a number of bytes"},
		{"node: {mode: full}", `node.mode: expected archive, cache, selective (got "full")`},
		{"node: {id: dig1xyz}", "expected dig1 and 16 hex digits"},
		{"network: {listen_address: node.example:8444}", "network.listen_address: expected IP:PORT"},
		{"network: {api_address: '0.0.0.0'}", "network.api_address: expected IP:PORT"},
		{"network: {api_address: '0.0.0.0:65536'}", "network.api_address: expected IP:PORT"},
		{"network: {bootstrap_nodes: x}", "expected a list"},
		{"network: {bootstrap_nodes: [good.example:1, bad]}", "network.bootstrap_nodes[1]: expected HOST:PORT"},
		{"network: {static_peers: ['me@h.example:1']}", "network.static_peers[0]: expected HOST:PORT"},
		{"network: {static_peers: ['" + id + "@h.example:1']}", "network.static_peers[0]: expected HOST:PORT"},
		{"network: {gun_p2p_peers: ['ftp://x']}", "network.gun_p2p_peers[0]: expected a URL"},
		{"network: {trusted_proxies: [10.0.0.0/33]}", "network.trusted_proxies[0]: expected a network"},
		{"network: {cors_admin_origins: ['https://x.example/a']}", "expected an origin"},
		{"network: {external_address: here}", "network.external_address: expected HOST:PORT"},
		{"network: {tls: {cert_file: c.pem}}", "network.tls: expected both"},
		{"network: {network_id: ''}", "network.network_id: expected 1 to 64 bytes"},
		{"network: {max_upload_bps: -1}", "expected a whole number from 0"},
		{"validation: {min_uptime: .nan}", "expected a number"},
		{"validation: {min_uptime: 1.5}", "expected 0 to 1"},
		{"validation: {stake_amount: -1}", "validation.stake_amount: expected 0 to"},
		{"validation: {stake_amount: 0.0001}", "at most three decimals"},
		{"validation: {trusted_validators: [" + id + "]}", "point of small order"},
		{"validation: {work_bits: 25}", "expected at most max_work_bits, 24"},
		{"economic: {tier_preference: [1, 7]}", "economic.tier_preference: expected 1 to 6 (got 7)"},
		{"economic: {tier_preference: [1, 1]}", "tier 1 is given twice"},
		{"economic: {min_reward: -1}", "economic.min_reward: expected 0 to"},
		{"policy: {whitelist: ['[']}", "policy.whitelist[0]: pattern"},
		{"policy:\n  tier_filter: [9]", "policy.tier_filter"},
		{"policy: {tier_filter: [1, 1]}", "policy.tier_filter: found tier 1"},
		{"policy: {accept_all: 3}", "policy.accept_all"},
		{"policy: {min_reward: [[1]]}", "expected a list of words or numbers"},
		{"policy: {min_reward: 0x10}", "expected a decimal number"},
		{"policy: {whitelist: {a: b}}", "expected a value or a list"},
		{"policy: {cache_size: big}", "policy.cache_size: found"},
		{"policy: {scorers: {x: {kind: http, url: 'http://far.example'}}}", "policy.scorers.x.url"},
		{"policy: {scorers: {x: {kind: exec, argv: [sh]}}}", "policy.scorers.x.argv"},
		{"policy: {scorers: {x: {kind: magic}}}", "expected http or exec"},
		{"policy: {scorers: {x: {kind: exec, argv: [/bin/sh], threshold: 2}}}", "threshold: expected 0 to 1"},
		{"policy: {scorers: {x: {kind: exec, argv: [/bin/sh], on_error: ignore}}}", "on_error: expected"},
		{"policy: {scorers: {x: {kind: exec}, x: {kind: exec}}}", "given twice"},
		{"policy: {scorers: [x]}", "expected a mapping"},
		{"policy: {review_interval: 1s}", "expected at least 1m"},
		{"monitoring: {metrics_port: 65536}", "monitoring.metrics_port: expected 0 to 65535"},
		{"monitoring: {metrics_address: all}", "expected an IP address"},
		{"monitoring: {log_level: loud}", "expected debug, info, warn, error"},
		{"auth: {credentials: [{username: a}]}", "expected password_hash or token_sha256"},
		{"auth: {credentials: [{username: a, password_hash: abc}]}", "auth.credentials[0].password_hash: not a password hash"},
		{"auth: {credentials: [{token_sha256: abc}]}", "expected 64 hex digits"},
		{"auth: {credentials: [{token: abc}]}", "unknown key; expected username, password_hash"},
		{"auth: {credentials: [{token_sha256: " + id + ", stores: ['[']}]}", "auth.credentials[0].stores"},
		{"auth: {credentials: [anna]}", "expected a mapping"},
		{"auth: {credentials: [{username: a, token_sha256: " + id + "}, {username: a, token_sha256: " + id + "}]}", "given twice"},
		{"auth: {api_keys: ['']}", "auth.api_keys[0].key: expected 1 to 128 bytes"},
		{"auth: {api_keys: [{key: k, multiplier: -1}]}", "expected 0 to 1000000"},
		{"auth: {admins: [{username: 'a:b', password_hash: x}]}", "auth.admins[0].username"},
		{"auth: {admins: [{username: a, password_hash: x}]}", "auth.admins[0].password_hash"},
		{"chain: {source: rpc, url: 'http://far.example'}", "chain.url: expected an https URL"},
		{"chain: {source: rpc}", "chain.url: expected an https URL"},
		{"chain: {source: magic}", "chain.source: expected rpc, full_node"},
		{"shutdown: {grace: 6m}", "shutdown.grace: expected 0 to 300 (got 360)"},
		{"{mode: cache, min_provider: 3}", "min_provider: unknown key in a dictionary of a mode"},
		{"{mode: cache, mode: archive}", "mode: given twice"},
	} {
		c, err := config.Parse("node.yaml", []byte(test.text))
		if !config.IsProblems(err) || !strings.Contains(err.Error(), test.want) || c != nil {
			t.Errorf("%s\ngot  %v\nwant %s", test.text, err, test.want)
		}
	}
}

// All problems are reported together, in the order of the file.
func TestAllProblems(t *testing.T) {
	text := "storage:\n  max_plots: x\n  max_plot: 1\nnode:\n  mode: y\n"
	_, err := config.Parse("node.yaml", []byte(text))
	lines := strings.Split(err.Error(), "\n")
	places := make([]string, len(lines))
	for i, line := range lines {
		places[i] = line[strings.LastIndexByte(line, ':')+1:]
	}
	if !slices.Equal(places, []string{"2", "3", "5"}) {
		t.Error(err)
	}
}

// The environment and flags name their variable and flag.
func TestRefuseOutside(t *testing.T) {
	_, err := config.Load(config.Sources{Env: []string{"DIG_NODE_STORAGE_MAX_PLOTS=x"},
		Flags: []config.Flag{{Name: "--mode", Key: "node.mode", Value: "y"}}})
	for _, want := range []string{"storage.max_plots: expected a whole number (got \"x\"), " +
		"DIG_NODE_STORAGE_MAX_PLOTS", `node.mode: expected archive, cache, selective (got "y"), --mode`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A placeholder disables its credential and is a warning.
func TestPlaceholders(t *testing.T) {
	c := parse(t, "auth: {credentials: [{username: CHANGEME, password_hash: CHANGEME}]}")
	if len(c.Auth.Credentials) != 0 || len(c.Warnings) != 1 {
		t.Errorf("got %v, %v", c.Auth.Credentials, c.Warnings)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", config.Example(), "{mode: cache, tier_filter: None}",
		"a: &a [*a]", "storage: {plots_dir: [{path: x}]}", "policy: {scorers: {x: {kind: exec}}}",
		"auth: {credentials: [{}]}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse("node.yaml", []byte(text))
		if err == nil {
			if _, err := config.Parse("node.yaml", []byte(c.Text())); err != nil && len(c.Secrets()) == 0 {
				t.Errorf("what is shown is refused: %v\n%s", err, c.Text())
			}
		}
	})
}
