package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/node/economy"
)

// Mode is the purpose of a node.
type Mode string

// The modes.
const (
	Archive   Mode = "archive"   // store everything
	Cache     Mode = "cache"     // popular content, for a time
	Selective Mode = "selective" // what lists or a scorer choose
)

// Settings are a policy as an operator writes it. nil fields have the default of the mode. The JSON
// names are the keys of the dictionaries.
type Settings struct {
	Mode         Mode            `json:"mode"` // empty: Selective
	AcceptAll    *bool           `json:"accept_all"`
	TierFilter   *Tiers          `json:"tier_filter"`
	MinReward    *economy.Amount `json:"min_reward"` // DIG for each day
	MinProviders *int            `json:"min_providers"`
	TTLHours     *float64        `json:"ttl_hours"`   // 0: kept without an access
	MaxSizeGB    *float64        `json:"max_size_gb"` // of 10^9 bytes; 0: no quota
	Whitelist    []string        `json:"whitelist"`
	Blacklist    []string        `json:"blacklist"`
	AIFilter     *string         `json:"ai_filter"` // the name of a scorer; empty: none
	Compression  *string         `json:"compression"`
	CacheSize    *string         `json:"cache_size"`

	// Economic has further keys of the node's configuration.
	Economic Economic `json:"-"`
}

// Economic are the keys of the section economic that affect decisions.
type Economic struct {
	MinReward    *economy.Amount // used if Settings.MinReward is nil
	AcceptBribes *bool           // default: true
}

// Tiers is a filter of tiers. In JSON, null and an empty list are all tiers.
type Tiers struct{ economy.TierFilter }

// UnmarshalJSON reads a list of tiers, or null.
func (t *Tiers) UnmarshalJSON(text []byte) error {
	var list []uint16
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	t.TierFilter = nil
	for _, n := range list {
		if n > uint16(economy.MaxTier) {
			return fmt.Errorf("tier %d, expected 1 to %d", n, economy.MaxTier)
		}
		t.TierFilter = append(t.TierFilter, economy.Tier(n))
	}
	return nil
}

// MaxSettings is the length in bytes of the longest text that ParseSettings reads.
const MaxSettings = 1 << 20

// ErrSettings is wrapped by errors about settings.
var ErrSettings = errors.New("policy settings")

// ParseSettings reads a dictionary, from { to }, with the keys of Settings. It is JSON in which
// True, False and None may stand for true, false and null, as in Python. An unknown or duplicate
// key is an error.
func ParseSettings(text []byte) (Settings, error) {
	if len(text) > MaxSettings {
		return Settings{}, fmt.Errorf("%w: %d bytes, expected at most %d", ErrSettings, len(text),
			MaxSettings)
	}
	text = fromPython(text)
	if err := strictjson.Check(text); err != nil {
		return Settings{}, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil || keys == nil {
		return Settings{}, fmt.Errorf("%w: found no dictionary: %v", ErrSettings, err)
	}
	for key := range keys {
		if !slices.Contains(settingsKeys, key) {
			return Settings{}, fmt.Errorf("%w: key %.40q is not known, expected one of %s", ErrSettings,
				key, strings.Join(settingsKeys, ", "))
		}
	}
	// null means the default, except for the filter, where it means all tiers.
	filter, null := keys["tier_filter"], string(keys["tier_filter"]) == "null"
	var s Settings
	if err := json.Unmarshal(text, &s); err != nil {
		return Settings{}, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	if filter != nil && null {
		s.TierFilter = new(Tiers)
	}
	return s, nil
}

var settingsKeys = []string{"mode", "accept_all", "tier_filter", "min_reward", "min_providers",
	"ttl_hours", "max_size_gb", "whitelist", "blacklist", "ai_filter", "compression", "cache_size"}

// fromPython replaces the words True, False and None outside of strings.
func fromPython(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		c := text[i]
		if c == '"' {
			end := i + 1
			for end < len(text) && text[end] != '"' {
				if text[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(text))
			out = append(out, text[i:end]...)
			i = end
			continue
		}
		n := 0
		for i+n < len(text) && isLetter(text[i+n]) {
			n++
		}
		switch word := string(text[i : i+n]); word {
		case "":
			out = append(out, c)
			n = 1
		case "True", "False":
			out = append(out, strings.ToLower(word)...)
		case "None":
			out = append(out, "null"...)
		default:
			out = append(out, word...)
		}
		i += n
	}
	return out
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// Config is a policy with all its values.
type Config struct {
	Mode         Mode
	AcceptAll    bool
	Tiers        economy.TierFilter
	MinReward    economy.Amount // for each day
	MinProviders int
	TTL          time.Duration // 0: no end
	MaxSize      uint64        // bytes accepted under this policy; 0: no quota
	Whitelist    []string
	Blacklist    []string
	Filter       string // the name of a scorer; empty: none
	Compression  string // of new plots; empty: that of the storage
	CacheSize    CacheSize
	AcceptBribes bool
}

// CacheSize is the size of the L2 cache.
type CacheSize struct {
	Percent float64 // of the storage; used when Bytes is 0
	Bytes   uint64
}

// Resolve returns the configuration with all defaults. All errors are reported together; each names
// its key and matches ErrSettings.
func (s Settings) Resolve() (Config, error) {
	c := Config{Mode: s.Mode, AcceptBribes: true}
	if c.Mode == "" {
		c.Mode = Selective
	}
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: %s: %s", ErrSettings, key, fmt.Sprintf(format, args...)))
	}
	cacheSize := "20%"
	switch c.Mode {
	case Archive:
		c.AcceptAll, c.Compression, cacheSize = true, "zstd", "10%"
	case Cache:
		c.Tiers, c.MinProviders, c.TTL, cacheSize = economy.TierFilter{1, 2, 3}, 5, 168*time.Hour, "50%"
	case Selective:
	default:
		bad("mode", "found %.40q, expected archive, cache or selective", string(c.Mode))
	}
	set(&c.AcceptAll, s.AcceptAll)
	set(&c.AcceptBribes, s.Economic.AcceptBribes)
	set(&c.MinReward, s.Economic.MinReward)
	set(&c.MinReward, s.MinReward)
	set(&c.MinProviders, s.MinProviders)
	set(&c.Filter, s.AIFilter)
	set(&c.Compression, s.Compression)
	set(&cacheSize, s.CacheSize)
	if c.MinReward < 0 {
		bad("min_reward", "found %v, expected at least 0", c.MinReward)
	}
	if c.MinProviders < 0 || c.MinProviders > maxProviders {
		bad("min_providers", "found %d, expected 0 to %d", c.MinProviders, maxProviders)
	}
	if s.TierFilter != nil {
		c.Tiers = s.TierFilter.TierFilter
	}
	for i, t := range c.Tiers {
		if t == economy.NoTier || t > economy.MaxTier || slices.Contains(c.Tiers[:i], t) {
			bad("tier_filter", "found tier %d, expected each of 1 to %d at most once", t,
				economy.MaxTier)
		}
	}
	if s.TTLHours != nil {
		if !(*s.TTLHours >= 0 && *s.TTLHours <= maxTTLHours) {
			bad("ttl_hours", "found %v, expected 0 to %d", *s.TTLHours, maxTTLHours)
		}
		c.TTL = time.Duration(*s.TTLHours * float64(time.Hour))
	}
	if s.MaxSizeGB != nil {
		if !(*s.MaxSizeGB >= 0 && *s.MaxSizeGB <= maxSizeGB) {
			bad("max_size_gb", "found %v, expected 0 to %d", *s.MaxSizeGB, uint64(maxSizeGB))
		}
		c.MaxSize = uint64(*s.MaxSizeGB * 1e9)
	}
	for key, list := range map[string][]string{"whitelist": s.Whitelist, "blacklist": s.Blacklist} {
		for i, p := range list {
			if err := checkPattern(p); err != nil {
				bad(fmt.Sprintf("%s[%d]", key, i), "pattern %.80q: %v", p, err)
			}
		}
	}
	c.Whitelist, c.Blacklist = slices.Clone(s.Whitelist), slices.Clone(s.Blacklist)
	if !slices.Contains([]string{"", "none", "lz4", "zstd"}, c.Compression) {
		bad("compression", "found %.40q, expected none, lz4 or zstd", c.Compression)
	}
	var err error
	if c.CacheSize, err = ParseCacheSize(cacheSize); err != nil {
		bad("cache_size", "%v", err)
	}
	if len(errs) > 0 {
		return Config{}, errors.Join(errs...)
	}
	return c, nil
}

const (
	maxProviders = 32 // the number of providers is unverified, so it is capped
	maxTTLHours  = 24 * 366 * 100
	maxSizeGB    = 1e9
)

// set copies a value that is not nil.
func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// ParseCacheSize reads "<n>%" with n from 0 to 100, or a number of bytes with a unit: B, KB, MB,
// GB, TB in powers of 1000 or KiB, MiB, GiB, TiB in powers of 1024.
func ParseCacheSize(s string) (CacheSize, error) {
	bad := fmt.Errorf("found %.40q, expected a percentage such as 10%% or a size such as 10GB", s)
	if text, ok := strings.CutSuffix(s, "%"); ok {
		n, err := parseNumber(text)
		if err != nil || n > 100 {
			return CacheSize{}, bad
		}
		return CacheSize{Percent: n}, nil
	}
	at := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if at < 0 {
		return CacheSize{}, bad
	}
	unit, ok := units[strings.TrimSpace(s[at:])]
	n, err := parseNumber(s[:at])
	if !ok || err != nil || n*unit > math.MaxInt64 {
		return CacheSize{}, bad
	}
	return CacheSize{Bytes: uint64(n * unit)}, nil
}

var units = map[string]float64{"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

// parseNumber reads digits with at most one point between them.
func parseNumber(s string) (float64, error) {
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, 64)
}

// The settings of the example dictionaries. Those of Selective name two handles, a pattern and a
// scorer as examples; a node without configuration has empty lists and no scorer.

// ArchiveSettings returns the example of archive mode.
func ArchiveSettings() Settings {
	return Settings{Mode: Archive, AcceptAll: ptr(true), TierFilter: new(Tiers),
		MinReward: ptr(economy.Amount(0)), Compression: ptr("zstd"), CacheSize: ptr("10%")}
}

// CacheSettings returns the example of cache mode.
func CacheSettings() Settings {
	return Settings{Mode: Cache, AcceptAll: ptr(false),
		TierFilter: &Tiers{economy.TierFilter{1, 2, 3}}, MinProviders: ptr(5),
		TTLHours: ptr(168.0), CacheSize: ptr("50%")}
}

// SelectiveSettings returns the example of selective mode.
func SelectiveSettings() Settings {
	return Settings{Mode: Selective, Whitelist: []string{"handle1", "handle2"},
		Blacklist: []string{"spam*"}, MinReward: ptr(economy.DIG / 10), MaxSizeGB: ptr(100.0),
		AIFilter: ptr("content_value_model_v2")}
}

func ptr[T any](v T) *T { return &v }
