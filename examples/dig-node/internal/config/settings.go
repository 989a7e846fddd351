package config

// A setting is one row of the table. Its type is that of the field of Config with its key.
type setting struct {
	key    string
	def    string // as in YAML; empty: the zero value, which the text explains
	live   bool   // a reload applies it
	about  string
	oneOf  []string // of text
	bounds *bounds  // of numbers
}

// bounds are the least and the greatest number that is accepted.
type bounds struct{ least, most float64 }

func from(least, most float64) *bounds { return &bounds{least, most} }

const anyNumber = 1 << 52

// settings has every key, in the order of a file.
var settings = []setting{
	{key: "node.id", about: "id of the node; checked against the key in data_dir. Leave it out"},
	{key: "node.mode", def: "selective", about: "archive: store everything. cache: popular content, for a time.\nselective: what lists or a scorer choose, and what the owner pushes",
		oneOf: []string{"archive", "cache", "selective"}},
	{key: "node.data_dir", about: "folder of the key, the token and the index; empty: the state\nfolder of the user"},

	{key: "storage.plots_dir", def: "./plots", about: "a folder, or a list of {path: FOLDER, class: ssd|hdd}"},
	{key: "storage.cache_dir", about: "folder of the cache on disk; empty: the cache is in memory"},
	{key: "storage.max_plots", def: "100", about: "number of plots; 0: none is created", bounds: from(0, 1e6)},
	{key: "storage.compression", def: "zstd", about: "of new plots", oneOf: []string{"none", "lz4", "zstd"}},
	{key: "storage.capacity_bytes", def: "90%", about: "bytes, or a share of the file system"},
	{key: "storage.keep_generations", def: "1", about: "generations of a store that are kept", bounds: from(1, 1e6)},
	{key: "storage.scrub_interval", def: "720h", about: "time in which everything is verified once"},
	{key: "storage.plot_workers", def: "1", about: "plots that are written at the same time", bounds: from(1, 64)},
	{key: "storage.difficulty", def: "12", about: "bits of the work in the tables of a plot; 0: none", bounds: from(0, 40)},
	{key: "storage.auto_plot", def: "auto", about: "plot what is in no plot; auto: not in cache mode"},
	{key: "storage.auto_plot_bytes", def: "4GiB", about: "plot when this much is in no plot"},
	{key: "storage.auto_plot_age", def: "24h", about: "plot when something is in no plot for so long"},
	{key: "storage.keep_packs", def: "true", about: "keep modules in packs after they are plotted"},

	{key: "cache.memory_bytes", def: "auto", about: "memory for the caches; auto: by the memory of the machine"},
	{key: "cache.l1_bytes", def: "auto", about: "cache in memory; auto: a tenth of memory_bytes; 0: none"},
	{key: "cache.l2_bytes", def: "auto", about: "cache on disk or in memory; auto: policy.cache_size; 0: none"},
	{key: "cache.l2_backing", def: "auto", about: "auto: disk if storage.cache_dir is set", oneOf: []string{"auto", "disk", "memory"}},
	{key: "cache.prefetch", def: "2", about: "capsules that are read ahead of a reader; 0: none", bounds: from(0, 64)},
	{key: "cache.policy", def: "lfu", about: "what leaves L2 first: the least frequently or the least recently used", oneOf: []string{"lfu", "lru"}},

	{key: "network.listen_address", def: "0.0.0.0:8444", about: "address for peers; empty: no peers"},
	{key: "network.api_address", def: "0.0.0.0:8555", about: "address of the HTTP API; empty: none"},
	{key: "network.bootstrap_nodes", def: "[]", about: "HOST:PORT, NODE_ID@HOST:PORT or PUBLIC_KEY@HOST:PORT"},
	{key: "network.max_peers", def: "200", about: "", bounds: from(0, 10000)},
	{key: "network.gun_p2p_peers", def: "[]", about: "URLs of gun relays: http, https, ws or wss"},
	{key: "network.external_address", about: "HOST:PORT at which peers reach this node; empty: what peers report"},
	{key: "network.tls.cert_file", about: "certificate of the API listener; empty: plain HTTP"},
	{key: "network.tls.key_file"},
	{key: "network.trusted_proxies", def: "[]", about: "networks (CIDR) whose X-Forwarded-For counts"},
	{key: "network.cors_admin_origins", def: "[]", about: "origins of pages that may call admin routes"},
	{key: "network.admin_remote", def: "false", about: "admin routes also from public addresses"},
	{key: "network.fetch_on_miss", def: "auto", about: "ask peers for capsules that are not here; auto: in cache mode"},
	{key: "network.max_upload_bps", def: "0", about: "bytes a second to all clients; 0: no limit"},
	{key: "network.network_id", def: "mainnet"},
	{key: "network.static_peers", def: "[]", about: "peers that are always connected"},

	{key: "validation.stake_amount", def: "0", about: "DIG; announced and reported. This program moves no funds", bounds: from(0, anyNumber)},
	{key: "validation.min_uptime", def: "0.95", about: "share of the time; a warning when the own uptime is below it", bounds: from(0, 1)},
	{key: "validation.trusted_validators", def: "[]", about: "public keys (64 hex digits); empty: every validator, with limits"},
	{key: "validation.max_concurrent", def: "0", about: "challenges at the same time; 0: the number of CPUs", bounds: from(0, 4096)},
	{key: "validation.work_bits", def: "16", about: "work that an unknown validator may ask for", bounds: from(0, 64)},
	{key: "validation.max_work_bits", def: "24", about: "work that a trusted validator may ask for", bounds: from(0, 64)},
	{key: "validation.minimal_form", def: "true", about: "accept the short challenge from trusted validators"},

	{key: "economic.tier_preference", def: "[1, 2, 3]", about: "tiers that are fetched first", bounds: from(1, 6)},
	{key: "economic.min_reward", live: true, about: "DIG a day for a store; not set: that of the mode", bounds: from(0, anyNumber)},
	{key: "economic.accept_bribes", def: "true", live: true},

	{key: "policy.accept_all", live: true, about: "Policy keys that are not set have the value of the mode"},
	{key: "policy.tier_filter", live: true, about: "tiers that are accepted; null or []: all"},
	{key: "policy.min_reward", live: true, about: "DIG a day for a store"},
	{key: "policy.min_providers", live: true, about: "accept what this many others hold"},
	{key: "policy.ttl_hours", live: true, about: "drop after so long without a read; 0: keep"},
	{key: "policy.max_size_gb", live: true, about: "of all stores together, in 10^9 bytes; 0: no limit"},
	{key: "policy.whitelist", live: true, about: "patterns of handles and store ids"},
	{key: "policy.blacklist", live: true},
	{key: "policy.ai_filter", live: true, about: "name of a scorer"},
	{key: "policy.compression", live: true, about: "of new plots"},
	{key: "policy.cache_size", live: true, about: "size of the L2 cache: a size, or a share of the storage"},
	{key: "policy.scorers", live: true, about: "NAME: {kind: http, url: URL} or {kind: exec, argv: [PROGRAM]},\nwith threshold, on_error (heuristic, reject, accept) and cache_ttl"},
	{key: "policy.review_interval", def: "6h", about: "how often stored content is decided again"},

	{key: "monitoring.metrics_port", def: "9090", about: "of /metrics, /health and /ready; 0: off", bounds: from(0, 65535)},
	{key: "monitoring.metrics_address", def: "127.0.0.1", about: "IP address of that port"},
	{key: "monitoring.log_level", def: "info", live: true, oneOf: []string{"debug", "info", "warn", "error"}},
	{key: "monitoring.log_file", about: "empty: standard error"},
	{key: "monitoring.log_max_bytes", def: "100MiB", about: "size at which a log file is rotated; 0: never"},
	{key: "monitoring.log_keep", def: "5", about: "rotated files that are kept", bounds: from(0, 1000)},
	{key: "monitoring.seed_names", def: "false", about: "also export metrics without prefix, in ms, % and MB/s"},

	{key: "auth.credentials", def: "[]", live: true, about: "who may push stores that are not here yet: {username, password_hash}\nor {token_sha256}, with max_bytes and stores (patterns).\ndig-node hash-password and dig-node token make them"},
	{key: "auth.api_keys", def: "[]", about: "{key, multiplier}: callers with a rate limit of their own"},
	{key: "auth.admins", def: "[]", live: true, about: "{username, password_hash}: who may sign in to the dashboard"},

	{key: "rate_limits.capsule_retrieval.per_minute", def: "100", live: true, about: "for each address; 0: no limit. burst 0: as per_minute", bounds: from(0, 1e9)},
	{key: "rate_limits.capsule_retrieval.burst", def: "0", live: true, bounds: from(0, 1e9)},
	{key: "rate_limits.validation_challenge.per_minute", def: "10", live: true, about: "for each validator", bounds: from(0, 1e9)},
	{key: "rate_limits.validation_challenge.burst", def: "0", live: true, bounds: from(0, 1e9)},
	{key: "rate_limits.p2p_messages.per_minute", def: "1000", live: true, about: "for each peer", bounds: from(0, 1e9)},
	{key: "rate_limits.p2p_messages.burst", def: "0", live: true, bounds: from(0, 1e9)},
	{key: "rate_limits.api_requests.per_minute", def: "60", live: true, about: "for each key, or else address", bounds: from(0, 1e9)},
	{key: "rate_limits.api_requests.burst", def: "0", live: true, bounds: from(0, 1e9)},

	{key: "replication.target_providers", def: "3", about: "copies of a store that should exist", bounds: from(0, 20)},

	{key: "chain.source", about: "where write access is looked up: rpc (url), full_node (url, cert);\nempty: no chain", oneOf: []string{"", "rpc", "full_node"}},
	{key: "chain.url"},
	{key: "chain.cert", about: "folder of a full node's certificates"},
	{key: "chain.network", def: "mainnet"},

	{key: "access.file", about: "JSON or JSON lines: who may write which store"},
	{key: "handles.file", about: "JSON or JSON lines: names of stores"},
	{key: "rewards.file", about: "JSON or JSON lines: a ledger of rewards, which is followed"},
	{key: "bribes.file", about: "JSON or JSON lines: offers for stores"},

	{key: "gun.namespace", def: "dig/v1"},
	{key: "gun.sea", def: "true", about: "sign records so that gun checks them too"},
	{key: "gun.max_frame", def: "4MiB"},
	{key: "gun.share_metrics", def: "false", about: "publish popularity of stores"},
	{key: "gun.share_economics", def: "false"},
	{key: "gun.share_geo", def: "false", about: "publish the continents of readers"},
	{key: "gun.legacy_registry", def: "false"},

	{key: "shutdown.delay", def: "0s", about: "time for load balancers before listeners close", bounds: from(0, 300)},
	{key: "shutdown.grace", def: "20s", about: "time for requests under way", bounds: from(0, 300)},
}

// sections say what a section is for, in a file.
var sections = map[string]string{
	"gun":   "metadata network",
	"chain": "the Chia blockchain",
}

// find returns the row of a key.
func find(key string) (setting, bool) {
	for _, s := range settings {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}
