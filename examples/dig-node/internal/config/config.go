package config

import (
	"github.com/dig-network/digstore/node/policy"
)

// A Config has the value of every setting. Load makes one.
type Config struct {
	Node        Node        `yaml:"node"`
	Storage     Storage     `yaml:"storage"`
	Cache       Cache       `yaml:"cache"`
	Network     Network     `yaml:"network"`
	Validation  Validation  `yaml:"validation"`
	Economic    Economic    `yaml:"economic"`
	Policy      Policy      `yaml:"policy"`
	Monitoring  Monitoring  `yaml:"monitoring"`
	Auth        Auth        `yaml:"auth"`
	RateLimits  RateLimits  `yaml:"rate_limits"`
	Replication Replication `yaml:"replication"`
	Chain       Chain       `yaml:"chain"`
	Access      File        `yaml:"access"`
	Handles     File        `yaml:"handles"`
	Rewards     File        `yaml:"rewards"`
	Bribes      File        `yaml:"bribes"`
	Gun         Gun         `yaml:"gun"`
	Shutdown    Shutdown    `yaml:"shutdown"`

	// File is the file that was read; empty: none.
	File string `yaml:"-"`
	// Warnings are for the operator. They do not prevent a start.
	Warnings []string `yaml:"-"`

	origins map[string]Origin // by key; a key that is absent has its default
}

// Node is what the node is.
type Node struct {
	ID      string `yaml:"id"`
	Mode    string `yaml:"mode"`
	DataDir string `yaml:"data_dir"`
}

// Storage is where and how capsules are kept.
type Storage struct {
	PlotsDir        Dirs     `yaml:"plots_dir"`
	CacheDir        string   `yaml:"cache_dir"`
	MaxPlots        int      `yaml:"max_plots"`
	Compression     string   `yaml:"compression"`
	Capacity        Share    `yaml:"capacity_bytes"`
	KeepGenerations int      `yaml:"keep_generations"`
	ScrubInterval   Duration `yaml:"scrub_interval"`
	PlotWorkers     int      `yaml:"plot_workers"`
	Difficulty      int      `yaml:"difficulty"`
	AutoPlot        Switch   `yaml:"auto_plot"`
	AutoPlotBytes   Size     `yaml:"auto_plot_bytes"`
	AutoPlotAge     Duration `yaml:"auto_plot_age"`
	KeepPacks       bool     `yaml:"keep_packs"`
}

// Cache is the cache in front of the storage.
type Cache struct {
	Memory    Limit  `yaml:"memory_bytes"`
	L1        Limit  `yaml:"l1_bytes"`
	L2        Limit  `yaml:"l2_bytes"`
	L2Backing string `yaml:"l2_backing"`
	Prefetch  int    `yaml:"prefetch"`
	Policy    string `yaml:"policy"`
}

// Network is the listeners, and the peers.
type Network struct {
	Listen           string   `yaml:"listen_address"`
	API              string   `yaml:"api_address"`
	Bootstrap        []string `yaml:"bootstrap_nodes"`
	MaxPeers         int      `yaml:"max_peers"`
	GunPeers         []string `yaml:"gun_p2p_peers"`
	External         string   `yaml:"external_address"`
	TLS              TLS      `yaml:"tls"`
	TrustedProxies   []string `yaml:"trusted_proxies"`
	CORSAdminOrigins []string `yaml:"cors_admin_origins"`
	AdminRemote      bool     `yaml:"admin_remote"`
	FetchOnMiss      Switch   `yaml:"fetch_on_miss"`
	MaxUploadBPS     uint64   `yaml:"max_upload_bps"`
	ID               string   `yaml:"network_id"`
	StaticPeers      []string `yaml:"static_peers"`
}

// TLS is the certificate of the API listener.
type TLS struct {
	Cert string `yaml:"cert_file"`
	Key  string `yaml:"key_file"`
}

// Validation is how challenges are answered.
type Validation struct {
	Stake             Amount   `yaml:"stake_amount"`
	MinUptime         float64  `yaml:"min_uptime"`
	TrustedValidators []string `yaml:"trusted_validators"`
	MaxConcurrent     int      `yaml:"max_concurrent"`
	WorkBits          int      `yaml:"work_bits"`
	MaxWorkBits       int      `yaml:"max_work_bits"`
	MinimalForm       bool     `yaml:"minimal_form"`
}

// Economic is how the node values what it stores. MinReward is nil unless it is set: the mode has a
// value of its own.
type Economic struct {
	TierPreference []int   `yaml:"tier_preference"`
	MinReward      *Amount `yaml:"min_reward"`
	AcceptBribes   bool    `yaml:"accept_bribes"`
}

// Policy is what the node takes and keeps. Settings returns it as package policy has it.
type Policy struct {
	AcceptAll      JSON              `yaml:"accept_all"`
	TierFilter     JSON              `yaml:"tier_filter"`
	MinReward      JSON              `yaml:"min_reward"`
	MinProviders   JSON              `yaml:"min_providers"`
	TTLHours       JSON              `yaml:"ttl_hours"`
	MaxSizeGB      JSON              `yaml:"max_size_gb"`
	Whitelist      JSON              `yaml:"whitelist"`
	Blacklist      JSON              `yaml:"blacklist"`
	AIFilter       JSON              `yaml:"ai_filter"`
	Compression    JSON              `yaml:"compression"`
	CacheSize      JSON              `yaml:"cache_size"`
	Scorers        map[string]Scorer `yaml:"scorers"`
	ReviewInterval Duration          `yaml:"review_interval"`
}

// Scorer is a scorer that policy.ai_filter can name.
type Scorer struct {
	Kind      string         `yaml:"kind"` // http or exec
	URL       string         `yaml:"url"`
	Argv      []string       `yaml:"argv"`
	Threshold float64        `yaml:"threshold"`
	OnError   policy.OnError `yaml:"on_error"`
	CacheTTL  Duration       `yaml:"cache_ttl"`
}

// Monitoring is metrics and logs.
type Monitoring struct {
	MetricsPort    int    `yaml:"metrics_port"`
	MetricsAddress string `yaml:"metrics_address"`
	LogLevel       string `yaml:"log_level"`
	LogFile        string `yaml:"log_file"`
	LogMaxBytes    Size   `yaml:"log_max_bytes"`
	LogKeep        int    `yaml:"log_keep"`
	SeedNames      bool   `yaml:"seed_names"`
}

// Auth has the credentials for pushes and for administration.
type Auth struct {
	Credentials []Credential `yaml:"credentials"`
	APIKeys     []APIKey     `yaml:"api_keys"`
	Admins      []Admin      `yaml:"admins"`
}

// Credential is one that may push stores that the node does not track. PasswordHash is what
// dig-node hash-password prints, Token the SHA-256 of a token that dig-node token makes.
type Credential struct {
	Username     string   `yaml:"username"`
	PasswordHash Secret   `yaml:"password_hash"`
	Password     Secret   `yaml:"-"` // of the environment, in place of PasswordHash
	Token        Secret   `yaml:"token_sha256"`
	MaxBytes     Size     `yaml:"max_bytes"` // 0: no limit of its own
	Stores       []string `yaml:"stores"`    // patterns of ids; empty: every store
}

// APIKey is a key with rate limits of its own.
type APIKey struct {
	Key        Secret  `yaml:"key"`
	Multiplier float64 `yaml:"multiplier"` // of the limit for api_requests; 0: 1
}

// Admin is a person who signs in to the dashboard.
type Admin struct {
	Username     string `yaml:"username"`
	PasswordHash Secret `yaml:"password_hash"`
}

// RateLimits are the limits of requests.
type RateLimits struct {
	CapsuleRetrieval    Bucket `yaml:"capsule_retrieval"`
	ValidationChallenge Bucket `yaml:"validation_challenge"`
	P2PMessages         Bucket `yaml:"p2p_messages"`
	APIRequests         Bucket `yaml:"api_requests"`
}

// Bucket is one limit.
type Bucket struct {
	PerMinute int `yaml:"per_minute"` // 0: no limit
	Burst     int `yaml:"burst"`      // 0: PerMinute
}

// Replication is how many copies the node wants to exist.
type Replication struct {
	TargetProviders int `yaml:"target_providers"`
}

// Chain is where write access and roots are looked up.
type Chain struct {
	Source  string `yaml:"source"`
	URL     string `yaml:"url"`
	Cert    string `yaml:"cert"`
	Network string `yaml:"network"`
}

// File is a source that is read from a file.
type File struct {
	File string `yaml:"file"`
}

// Gun is the metadata network.
type Gun struct {
	Namespace      string `yaml:"namespace"`
	SEA            bool   `yaml:"sea"`
	MaxFrame       Size   `yaml:"max_frame"`
	ShareMetrics   bool   `yaml:"share_metrics"`
	ShareEconomics bool   `yaml:"share_economics"`
	ShareGeo       bool   `yaml:"share_geo"`
	LegacyRegistry bool   `yaml:"legacy_registry"`
}

// Shutdown is how long the end takes.
type Shutdown struct {
	Delay Duration `yaml:"delay"`
	Grace Duration `yaml:"grace"`
}
