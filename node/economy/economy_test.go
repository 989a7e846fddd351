package economy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dig-network/digstore/node/economy"
)

const dig = economy.DIG

func TestAmount(t *testing.T) {
	for text, want := range map[string]economy.Amount{
		"0": 0, "1000.5": 1000_500, "0.001": 1, "-0.5": -500, "12": 12_000, "0.100": 100,
		"9223372036854775.807": economy.MaxAmount,
	} {
		got, err := economy.ParseAmount(text)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "-", ".5", "1.", "01", "00.1", "1.0001", "+1", "1e3", " 1", "1 ", "0x1", "1.-1", "--1", "1.2.3", "9223372036854775.808", "null", `"1"`, "NaN",
	} {
		if got, err := economy.ParseAmount(text); !errors.Is(err, economy.ErrAmount) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	var v struct {
		Total economy.Amount `json:"total_dig"`
	}
	if err := json.Unmarshal([]byte(`{"total_dig": 1000.5}`), &v); err != nil || v.Total != 1000_500 {
		t.Errorf("%+v, %v", v, err)
	}
	if b, err := json.Marshal(v); err != nil || string(b) != `{"total_dig":1000.5}` {
		t.Errorf("%s, %v", b, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		a := economy.Amount(rapid.Int64Min(-math.MaxInt64).Draw(t, "a"))
		if got, err := economy.ParseAmount(a.String()); err != nil || got != a {
			t.Errorf("%d is %s, which is %d, %v", a, a, got, err)
		}
		b := economy.Amount(rapid.Int64Min(-math.MaxInt64).Draw(t, "b"))
		within := func(n *big.Int) economy.Amount {
			most := big.NewInt(math.MaxInt64)
			if n.CmpAbs(most) > 0 {
				most.Mul(most, big.NewInt(int64(n.Sign())))
				return economy.Amount(most.Int64())
			}
			return economy.Amount(n.Int64())
		}
		big1, big2 := big.NewInt(int64(a)), big.NewInt(int64(b))
		if got, want := a.Plus(b), within(new(big.Int).Add(big1, big2)); got != want {
			t.Errorf("%d + %d = %d, want %d", a, b, got, want)
		}
		if got, want := a.Minus(b), within(new(big.Int).Sub(big1, big2)); got != want {
			t.Errorf("%d - %d = %d, want %d", a, b, got, want)
		}
		f := rapid.Uint32().Draw(t, "f")
		want := new(big.Int).Mul(big1, big.NewInt(int64(f)))
		if got, want := a.Times(economy.Factor(f)), within(want.Quo(want, big.NewInt(1000))); got != want {
			t.Errorf("%d × %d/1000 = %d, want %d", a, f, got, want)
		}
	})
}

func TestTiers(t *testing.T) {
	for name, want := range map[string]economy.Tier{
		"": 0, ".dig": 0, "a": 1, "ab": 1, "abc": 1, "abc.dig": 1, "äöü": 1, "abcd": 2, "abcde": 3, "mydata": 4, "mydata.dig": 4,
		"abcdefg": 5, "abcdefgh": 6, "日本語日本語日本語": 6, "a-very-long-name": 6,
	} {
		if got := economy.TierOf(name); got != want {
			t.Errorf("%q: tier %d, want %d", name, got, want)
		}
	}
	at := time.Unix(1_700_000_000, 0)
	day := 24 * time.Hour
	handles := []economy.Handle{
		{Name: "abc", Registered: at.Add(-day), Expires: at},     // just expired
		{Name: "abcd", Registered: at.Add(day)},                  // not yet
		{Name: "mydata", Registered: at.Add(-day)},               // for ever
		{Name: "abcdefgh", Registered: at, Expires: at.Add(day)}, // just now
	}
	if got := economy.BestTier(handles, at); got != 4 {
		t.Errorf("tier %d, want 4", got)
	}
	if got := economy.BestTier(handles, at.Add(-time.Second)); got != 1 {
		t.Errorf("a second before: tier %d, want 1", got)
	}
	if got := economy.BestTier(handles, at.Add(day)); got != 2 {
		t.Errorf("a day later: tier %d, want 2", got)
	}
	if got := economy.BestTier(handles[:2], at); got != economy.NoTier {
		t.Errorf("none valid: tier %d", got)
	}
	for tier := range economy.MaxTier + 1 {
		if !economy.TierFilter(nil).Accepts(tier) {
			t.Errorf("no filter refuses tier %d", tier)
		}
		if got := (economy.TierFilter{0, 1, 2}).Accepts(tier); got != (tier == 1 || tier == 2) {
			t.Errorf("filter of 0, 1 and 2, tier %d: %v", tier, got)
		}
	}
}

func TestPlacement(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		place    economy.Place
		demotion time.Duration
		want     economy.Class
	}{
		{economy.Place{Tier: 1}, 0, economy.SSD},
		{economy.Place{Tier: 3, Age: 30*day - 1}, 0, economy.SSD},
		{economy.Place{Tier: 3, Age: 30 * day}, 0, economy.HDD},
		{economy.Place{Tier: 3, Age: 30 * day}, 60 * day, economy.SSD},
		{economy.Place{Tier: 4}, 0, economy.HDD},
		{economy.Place{Tier: 6}, 0, economy.HDD},
		{economy.Place{}, 0, economy.HDD},
		{economy.Place{Tier: 1, Superseded: true}, 0, economy.HDD},
		{economy.Place{Tier: 1, Backup: true}, 0, economy.HDD},
	} {
		if got := c.place.Class(c.demotion); got != c.want {
			t.Errorf("%+v: %v, want %v", c.place, got, c.want)
		}
	}
}

func TestRewards(t *testing.T) {
	r := economy.DefaultRates()
	for _, c := range []struct {
		tier            economy.Tier
		size, providers uint64
		share, expected economy.Amount
	}{
		{1, 256 << 10, 0, 5 * dig, 5 * dig},
		{1, 256 << 10, 1, 5 * dig, 5 * dig / 2},
		{2, 256<<10 + 1, 2, 4 * 1200 / 2, 4 * 1200 / 3},
		{3, 1<<20 + 1, 1, 4500, 2250},
		{4, 16 << 20, 4, 1000, 800},
		{5, 100<<20 + 1, 1, 4500, 2250},
		{6, 0, 3, 333, 250},
		{0, 1, 1, 0, 0},
		{9, 1, 1, 0, 0},
		{1, 1, math.MaxUint64, 0, 0},
	} {
		if got := r.Share(c.tier, c.size, c.providers); got != c.share {
			t.Errorf("share of tier %d, %d bytes, %d providers: %v, want %v", c.tier, c.size, c.providers, got, c.share)
		}
		if got := r.Expected(c.tier, c.size, c.providers); got != c.expected {
			t.Errorf("expected of tier %d, %d bytes, %d providers: %v, want %v", c.tier, c.size, c.providers, got, c.expected)
		}
	}
	if r.Epoch() != 37_800*18_750*time.Millisecond || r.EpochOf(37_799) != 0 || r.EpochOf(37_800) != 1 {
		t.Errorf("epoch %v", r.Epoch())
	}
	r.EpochBlocks = math.MaxUint64
	if r.Epoch() != math.MaxInt64 {
		t.Errorf("endless epoch %v", r.Epoch())
	}
	if (economy.Rates{}).EpochOf(7) != 7 {
		t.Error("epochs of no length")
	}
	for _, c := range []struct {
		rewards        economy.Amount
		weight, total  uint64
		epoch, elapsed time.Duration
		want           economy.Amount
	}{
		{1000 * dig, 1, 10, 100 * time.Second, time.Second, dig},
		{1000 * dig, 20, 10, 100 * time.Second, time.Second, 10 * dig}, // no more than all
		{1000 * dig, 1, 0, 100 * time.Second, time.Second, 0},
		{1000 * dig, 1, 10, 0, time.Second, 0},
		{1000 * dig, 1, 10, time.Second, -time.Second, 0},
	} {
		if got := economy.ChainReward(c.rewards, c.weight, c.total, c.epoch, c.elapsed); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestProfit(t *testing.T) {
	c := economy.Costs{Storage: 100, Bandwidth: 20, Compute: 3, Stake: 7}
	if got := economy.Profit(200, 50, c); got != 120 {
		t.Errorf("profit %d, want 120", got)
	}
	if got := economy.Profit(0, 0, c); got != -130 {
		t.Errorf("profit %d, want -130", got)
	}
	if economy.Keep(100, 100) || !economy.Keep(101, 100) {
		t.Error("kept at the least reward, or not above it")
	}
	if economy.PreferBribe(30, 10, 20) || !economy.PreferBribe(31, 10, 20) {
		t.Error("bribe preferred at what it costs, or not above it")
	}
	s := economy.RewardState{Accrued: 5 * dig, MinPayout: 5 * dig}
	if s.Payable() != 5*dig {
		t.Errorf("payable %v", s.Payable())
	}
	if s.MinPayout++; s.Payable() != 0 {
		t.Errorf("payable %v below the least payout", s.Payable())
	}
}

func TestWeight(t *testing.T) {
	all := economy.Validator{1, 1, 1, 1, 1, 1}
	for _, c := range []struct {
		v    economy.Validator
		want float64
	}{
		{all, 1}, {economy.Validator{}, 0}, {economy.Validator{Confidence: 1}, 0.4}, {economy.Validator{Response: 1}, 0.125},
		{economy.Validator{Availability: 1}, 0.125}, {economy.Validator{Value: 1}, 0.2}, {economy.Validator{Diversity: 1}, 0.1},
		{economy.Validator{Reliability: 1}, 0.05},
	} {
		if got, err := c.v.Weight(); err != nil || math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%+v: %v, %v, want %v", c.v, got, err, c.want)
		}
	}
	for _, bad := range []float64{-0.01, 1.01, math.NaN(), math.Inf(1)} {
		for i := range 6 {
			v := all
			*[]*float64{&v.Confidence, &v.Response, &v.Availability, &v.Value, &v.Diversity, &v.Reliability}[i] = bad
			if w, err := v.Weight(); err == nil {
				t.Errorf("%+v: %v", v, w)
			}
		}
	}
}

func TestBribes(t *testing.T) {
	b := economy.Bribe{
		RewardPerTB: 100 * dig, MinConsolidation: 0.5, Regions: []string{"EU", "us"}, MaxLatency: 100 * time.Millisecond, MinUptime: 0.99,
	}
	u := economy.Usage{Held: 5, Total: 10, Bytes: 2e12, Latency: 100 * time.Millisecond, Uptime: 0.99, Region: "eu"}
	if got := b.Reward(u); b.Eligible(u) != nil || got != 200*dig {
		t.Errorf("reward %v, %v", got, b.Eligible(u))
	}
	for name, change := range map[string]func(*economy.Usage){
		"too little":           func(u *economy.Usage) { u.Held = 4 },
		"nothing":              func(u *economy.Usage) { u.Held, u.Total = 0, 0 },
		"another region":       func(u *economy.Usage) { u.Region = "asia" },
		"no region":            func(u *economy.Usage) { u.Region = "" },
		"slow":                 func(u *economy.Usage) { u.Latency++ },
		"latency not measured": func(u *economy.Usage) { u.Latency = 0 },
		"down":                 func(u *economy.Usage) { u.Uptime = 0.98 },
		"uptime is no number":  func(u *economy.Usage) { u.Uptime = math.NaN() },
	} {
		bad := u
		change(&bad)
		if b.Eligible(bad) == nil || b.Reward(bad) != 0 {
			t.Errorf("%s: eligible, %v", name, b.Reward(bad))
		}
	}
	if open := (economy.Bribe{RewardPerTB: dig}); open.Reward(economy.Usage{Held: 1, Total: 100, Bytes: 1e9}) != 1 {
		t.Error("a bribe without conditions")
	}
	if got := economy.Total([]economy.Bribe{b, b, {RewardPerTB: -5}}, u); got != 400*dig {
		t.Errorf("total %v", got)
	}
	if _, ok := (economy.Usage{}).PassRate(); ok {
		t.Error("a pass rate of no challenges")
	}
	if rate, ok := (economy.Usage{Passed: 3, Failed: 1}).PassRate(); !ok || rate != 0.75 {
		t.Errorf("pass rate %v", rate)
	}
	coins := []economy.PlotCoin{{Capsule: economy.ID{1}, Owner: [48]byte{1}}, {Capsule: economy.ID{1}, Owner: [48]byte{1}}, {Capsule: economy.ID{1}}, {Capsule: economy.ID{2}}}
	if n := economy.Providers(coins, economy.ID{1}); n != 2 {
		t.Errorf("%d providers, want 2", n)
	}
}

func TestStanding(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	hour := time.Hour
	var s economy.Standing
	s = s.After(economy.Pass, at)
	s = s.After(economy.Late, at)
	if !s.Retry || s.Withdrawn || s.Passes != 1 {
		t.Errorf("late: %+v", s)
	}
	if late := s.After(economy.Late, at); late.Retry || late.Withdrawn {
		t.Errorf("late with the retry: %+v", late)
	}
	for _, c := range []struct {
		hours     []int
		withdrawn bool
	}{
		{[]int{0, 1}, false}, {[]int{0, 1, 23}, true}, {[]int{0, 1, 24}, false}, {[]int{0, 24, 48, 72}, false}, {[]int{0, 30, 31, 32}, true}, {[]int{0, 1, 2, 100}, true},
	} {
		s := economy.Standing{Passes: 5}
		for _, h := range c.hours {
			s = s.After(economy.Wrong, at.Add(time.Duration(h)*hour))
		}
		if s.Withdrawn != c.withdrawn {
			t.Errorf("wrong at hours %v: %+v", c.hours, s)
		}
		if v := s.Verified(); v.Withdrawn || v.Passes != 5 || v.After(economy.Wrong, at).Withdrawn {
			t.Errorf("verified: %+v", v)
		}
	}
}

func ExampleTierOf() {
	fmt.Println(economy.TierOf("mydata.dig"), economy.TierOf("abc"))
	// Output: 4 1
}

func ExampleRates_Expected() {
	r := economy.DefaultRates()
	fmt.Println(r.Expected(economy.TierOf("mydata"), 16<<20, 3), "DIG for each epoch")
	// Output: 1 DIG for each epoch
}

func ExampleBribe_Reward() {
	b := economy.Bribe{RewardPerTB: 50 * economy.DIG, MinConsolidation: 0.8}
	fmt.Println(b.Reward(economy.Usage{Held: 9, Total: 10, Bytes: 150e9}))
	fmt.Println(b.Eligible(economy.Usage{Held: 1, Total: 10}))
	// Output:
	// 7.5
	// bribe: 1 of 10 capsules are held, expected a share of at least 0.8
}
