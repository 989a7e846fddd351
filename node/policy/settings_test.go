package policy_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/policy"
)

// The dictionaries as node operators find them in the documentation of the network.
const (
	archiveText = `{
"mode": "archive",
"accept_all": True,
"tier_filter": None,
"min_reward": 0,
"compression": "zstd",
"cache_size": "10%"
}`
	cacheText = `{
"mode": "cache",
"accept_all": False,
"tier_filter": [1, 2, 3],
"min_providers": 5,
"ttl_hours": 168,
"cache_size": "50%"
}`
	selectiveText = `{
"mode": "selective",
"whitelist": ["handle1", "handle2"],
"blacklist": ["spam*"],
"min_reward": 0.1,
"max_size_gb": 100,
"ai_filter": "content_value_model_v2"
}`
)

func TestParseSettings(t *testing.T) {
	for _, c := range []struct {
		text     string
		settings policy.Settings
		config   policy.Config
	}{
		{archiveText, policy.ArchiveSettings(), policy.Config{Mode: policy.Archive, AcceptAll: true,
			Compression: "zstd", CacheSize: policy.CacheSize{Percent: 10}, AcceptBribes: true}},
		{cacheText, policy.CacheSettings(), policy.Config{Mode: policy.Cache,
			Tiers: economy.TierFilter{1, 2, 3}, MinProviders: 5, TTL: 168 * time.Hour,
			CacheSize: policy.CacheSize{Percent: 50}, AcceptBribes: true}},
		{selectiveText, policy.SelectiveSettings(), policy.Config{Mode: policy.Selective,
			Whitelist: []string{"handle1", "handle2"}, Blacklist: []string{"spam*"}, MinReward: 100,
			MaxSize: 100e9, Filter: "content_value_model_v2",
			CacheSize: policy.CacheSize{Percent: 20}, AcceptBribes: true}},
		{"{}", policy.Settings{}, policy.Config{Mode: policy.Selective,
			CacheSize: policy.CacheSize{Percent: 20}, AcceptBribes: true}},
		{`{"mode":"cache"}`, policy.Settings{Mode: policy.Cache}, policy.Config{Mode: policy.Cache,
			Tiers: economy.TierFilter{1, 2, 3}, MinProviders: 5, TTL: 168 * time.Hour,
			CacheSize: policy.CacheSize{Percent: 50}, AcceptBribes: true}},
	} {
		s, err := policy.ParseSettings([]byte(c.text))
		if err != nil || !reflect.DeepEqual(s, c.settings) {
			t.Errorf("%s: %+v, %v, expected %+v", c.text, s, err, c.settings)
		}
		got, err := s.Resolve()
		if err != nil || !reflect.DeepEqual(got, c.config) {
			t.Errorf("%s: %+v, %v, expected %+v", c.text, got, err, c.config)
		}
	}
	s, err := policy.ParseSettings([]byte(
		`{"mode":"cache","tier_filter":null,"whitelist":["None\"","True"]}`))
	if err != nil || s.Whitelist[0] != `None"` || s.Whitelist[1] != "True" {
		t.Errorf("words in strings: %+v, %v", s, err)
	}
	if c, err := s.Resolve(); err != nil || c.Tiers != nil {
		t.Errorf("no filter in cache mode: %+v, %v", c, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "a list": "[]", "null": "null", "a key that is not known": `{"acept_all": true}`,
		"another case": `{"Mode": "cache"}`, "twice": `{"mode":"cache","mode":"archive"}`,
		"surplus": `{} {}`, "tier text": `{"tier_filter": "AQID"}`, "tier 300": `{"tier_filter": [300]}`,
		"reward text": `{"min_reward": "1"}`, "four decimals": `{"min_reward": 0.0001}`,
		"open string": `{"mode": "`, "true list": `{"whitelist": True}`,
		"too long": `{"mode": "` + strings.Repeat("x", policy.MaxSettings) + `"}`,
	} {
		if s, err := policy.ParseSettings([]byte(text)); !errors.Is(err, policy.ErrSettings) {
			t.Errorf("%s: %+v, %v, expected ErrSettings", name, s, err)
		}
	}
}

func TestResolve(t *testing.T) {
	least, none := economy.Amount(10), economy.Amount(0)
	no := false
	s := policy.Settings{Economic: policy.Economic{MinReward: &least, AcceptBribes: &no}}
	if c, err := s.Resolve(); err != nil || c.MinReward != 10 || c.AcceptBribes {
		t.Errorf("economic: %+v, %v", c, err)
	}
	s.MinReward = &none
	if c, err := s.Resolve(); err != nil || c.MinReward != 0 {
		t.Errorf("the mode's own: %+v, %v", c, err)
	}
	for key, text := range map[string]string{
		"mode": `{"mode":"hoard"}`, "min_reward": `{"min_reward":-1}`,
		"min_providers": `{"min_providers":33}`, "tier_filter": `{"tier_filter":[1,1]}`,
		"ttl_hours": `{"ttl_hours":-1}`, "max_size_gb": `{"max_size_gb":1e300}`,
		"whitelist[1]": `{"whitelist":["a","[a"]}`, "blacklist[0]": `{"blacklist":[""]}`,
		"compression": `{"compression":"gzip"}`, "cache_size": `{"cache_size":"101%"}`,
	} {
		s, err := policy.ParseSettings([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		_, err = s.Resolve()
		if !errors.Is(err, policy.ErrSettings) || !strings.Contains(err.Error(), ": "+key+": ") {
			t.Errorf("%s: %v, expected an error that names %s", text, err, key)
		}
	}
	_, err := policy.Settings{Mode: "x", Whitelist: []string{"["}}.Resolve()
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("two faults: %v, expected both", err)
	}
}

func TestParseCacheSize(t *testing.T) {
	for text, want := range map[string]policy.CacheSize{
		"10%": {Percent: 10}, "0%": {}, "12.5%": {Percent: 12.5}, "100%": {Percent: 100},
		"10GB": {Bytes: 10e9}, "512MiB": {Bytes: 512 << 20}, "1.5 KiB": {Bytes: 1536}, "7B": {Bytes: 7},
		"2TB": {Bytes: 2e12},
	} {
		if got, err := policy.ParseCacheSize(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, expected %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", "10", "-1%", "101%", "1e2%", "NaN%", "10 gb", "GB",
		"1.2.3GB", "99999999999TB", "0x10B", "+1GB"} {
		if got, err := policy.ParseCacheSize(text); err == nil {
			t.Errorf("%q: %+v, expected an error", text, got)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	for _, text := range []string{archiveText, cacheText, selectiveText, "{}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := policy.ParseSettings(text)
		if err != nil {
			if !errors.Is(err, policy.ErrSettings) {
				t.Fatal(err)
			}
			return
		}
		c, err := s.Resolve()
		if err == nil {
			_, err = policy.New(c, nil)
		}
		if err != nil && !errors.Is(err, policy.ErrSettings) {
			t.Fatal(err)
		}
	})
}
