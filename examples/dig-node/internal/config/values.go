package config

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/policy"
)

// A scalar is a type of settings that is written as one word.
type scalar interface {
	parse(text string) error
	String() string
}

var errWord = errors.New("")

// expected returns the error of a value that is not of its type.
func expected(what string) error { return fmt.Errorf("expected %s%w", what, errWord) }

// Size is a number of bytes. As text it may have a unit: KB to TB or KiB to TiB.
type Size uint64

func (s *Size) parse(text string) error {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		size, err := policy.ParseCacheSize(text)
		if err != nil || strings.HasSuffix(text, "%") {
			return expected("a number of bytes, or a size such as 10GiB")
		}
		n = size.Bytes
	}
	*s = Size(n)
	return nil
}

// String returns the size in the largest unit that divides it.
func (s Size) String() string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		shift := 40 - 10*i
		if s != 0 && s%(1<<shift) == 0 {
			return fmt.Sprintf("%d%s", s>>shift, unit)
		}
	}
	return strconv.FormatUint(uint64(s), 10)
}

// Limit is a Size that may be left to the program: auto.
type Limit struct {
	Set   bool // false: auto
	Bytes uint64
}

func (l *Limit) parse(text string) error {
	if text == "auto" {
		*l = Limit{}
		return nil
	}
	var s Size
	if s.parse(text) != nil {
		return expected("auto, a number of bytes, or a size such as 10GiB")
	}
	*l = Limit{Set: true, Bytes: uint64(s)}
	return nil
}

func (l Limit) String() string {
	if !l.Set {
		return "auto"
	}
	return Size(l.Bytes).String()
}

// Share is a size, or a percentage of what is there.
type Share struct{ policy.CacheSize }

func (s *Share) parse(text string) error {
	if n, err := strconv.ParseUint(text, 10, 63); err == nil && n > 0 {
		s.CacheSize = policy.CacheSize{Bytes: n}
		return nil
	}
	size, err := policy.ParseCacheSize(text)
	if err != nil || size == (policy.CacheSize{}) {
		return expected("a size such as 10GiB, or a percentage such as 90%")
	}
	s.CacheSize = size
	return nil
}

func (s Share) String() string {
	if s.Bytes == 0 {
		return strconv.FormatFloat(s.Percent, 'f', -1, 64) + "%"
	}
	return Size(s.Bytes).String()
}

// Of returns the size, where all is there.
func (s Share) Of(all uint64) uint64 {
	if s.Bytes != 0 {
		return s.Bytes
	}
	return uint64(float64(all) * s.Percent / 100)
}

// Duration is a time span, as in 20s or 720h.
type Duration time.Duration

func (d *Duration) parse(text string) error {
	n, err := time.ParseDuration(text)
	if err != nil || n < 0 {
		return expected("a time such as 20s or 24h")
	}
	*d = Duration(n)
	return nil
}

// String returns the time without units that are zero.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Switch is on, off or left to the mode.
type Switch string

// The values of a Switch.
const (
	Auto Switch = "auto"
	On   Switch = "true"
	Off  Switch = "false"
)

func (s *Switch) parse(text string) error {
	switch v := Switch(strings.ToLower(text)); v {
	case Auto, On, Off:
		*s = v
		return nil
	}
	return expected("true, false or auto")
}

func (s Switch) String() string { return string(s) }

// Or returns whether s is on; auto is what the mode has.
func (s Switch) Or(auto bool) bool {
	if s == Auto {
		return auto
	}
	return s == On
}

// Amount is a number of DIG.
type Amount economy.Amount

func (a *Amount) parse(text string) error {
	n, err := economy.ParseAmount(text)
	if err != nil {
		return expected("a number of DIG with at most three decimals")
	}
	*a = Amount(n)
	return nil
}

func (a Amount) String() string { return economy.Amount(a).String() }

// Secret is text that is never printed. Its methods for printing return a mask.
type Secret string

const mask = "(hidden)"

func (s *Secret) parse(text string) error {
	*s = Secret(text)
	return nil
}

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString returns what String returns.
func (s Secret) GoString() string { return s.String() }

// MarshalText returns what String returns.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Format writes String for every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// Equal compares a secret with a text in constant time. An empty secret equals nothing.
func Equal(s Secret, text string) bool {
	a, b := sha256.Sum256([]byte(s)), sha256.Sum256([]byte(text))
	return s != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// JSON is a value as JSON text; empty: not set.
type JSON string

// Dirs are folders of plots.
type Dirs []Dir

// Dir is a folder of plots on one kind of disk.
type Dir struct {
	Path  string `yaml:"path"`
	Class string `yaml:"class"` // ssd or hdd; empty: both
}

// Settings returns the policy.
func (c *Config) Settings() (policy.Settings, error) {
	values := map[string]json.RawMessage{"mode": json.RawMessage(strconv.Quote(c.Node.Mode))}
	for _, key := range policyKeys() {
		if text := key.value(c); text != "" {
			values[key.name] = json.RawMessage(text)
		}
	}
	text, err := json.Marshal(values)
	if err != nil {
		return policy.Settings{}, err
	}
	s, err := policy.ParseSettings(text)
	if err != nil {
		return policy.Settings{}, err
	}
	s.Economic.AcceptBribes = &c.Economic.AcceptBribes
	if c.Economic.MinReward != nil {
		least := economy.Amount(*c.Economic.MinReward)
		s.Economic.MinReward = &least
	}
	return s, nil
}

// A policyKey is a key of section policy that package policy reads.
type policyKey struct {
	name  string
	value func(*Config) JSON
}

func policyKeys() []policyKey {
	return []policyKey{
		{"accept_all", func(c *Config) JSON { return c.Policy.AcceptAll }},
		{"tier_filter", func(c *Config) JSON { return c.Policy.TierFilter }},
		{"min_reward", func(c *Config) JSON { return c.Policy.MinReward }},
		{"min_providers", func(c *Config) JSON { return c.Policy.MinProviders }},
		{"ttl_hours", func(c *Config) JSON { return c.Policy.TTLHours }},
		{"max_size_gb", func(c *Config) JSON { return c.Policy.MaxSizeGB }},
		{"whitelist", func(c *Config) JSON { return c.Policy.Whitelist }},
		{"blacklist", func(c *Config) JSON { return c.Policy.Blacklist }},
		{"ai_filter", func(c *Config) JSON { return c.Policy.AIFilter }},
		{"compression", func(c *Config) JSON { return c.Policy.Compression }},
		{"cache_size", func(c *Config) JSON { return c.Policy.CacheSize }},
	}
}
