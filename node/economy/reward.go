package economy

import (
	"fmt"
	"math"
	"time"
)

// Rates are the configured parameters of rewards.
type Rates struct {
	Base        Amount              // reward of a capsule of tier factor and size factor 1, for each epoch
	Tiers       [MaxTier + 1]Factor // by tier
	Costs       [MaxTier + 1]Amount // of registering a handle, by tier
	Sizes       []SizeFactor        // ascending by MaxSize
	Larger      Factor              // beyond the last of Sizes
	EpochBlocks uint64              // length of an epoch in blocks of the chain
	BlockTime   time.Duration       // mean time between two blocks
}

// SizeFactor is the factor of capsules of at most MaxSize bytes.
type SizeFactor struct {
	MaxSize uint64
	Factor  Factor
}

// DefaultRates returns the values that the public documents give as illustrations.
func DefaultRates() Rates {
	return Rates{
		Base:  DIG,
		Tiers: [...]Factor{0, 5000, 4000, 3000, 2000, 1500, 1000},
		Costs: [...]Amount{0, 5000 * DIG, 1000 * DIG, 200 * DIG, 40 * DIG, 8 * DIG, 1 * DIG},
		Sizes: []SizeFactor{
			{256 << 10, 1000}, {1 << 20, 1200}, {10 << 20, 1500}, {100 << 20, 2000},
		},
		Larger:      3000,
		EpochBlocks: 37_800,
		BlockTime:   18_750 * time.Millisecond,
	}
}

// Epoch returns the length of an epoch.
func (r Rates) Epoch() time.Duration {
	if r.BlockTime > 0 && r.EpochBlocks > uint64(math.MaxInt64/r.BlockTime) {
		return math.MaxInt64
	}
	return time.Duration(r.EpochBlocks) * r.BlockTime
}

// EpochOf returns the number of the epoch of a block height, from 0.
func (r Rates) EpochOf(height uint64) uint64 { return height / max(1, r.EpochBlocks) }

// SizeFactor returns the factor of a capsule of so many bytes.
func (r Rates) SizeFactor(size uint64) Factor {
	for _, s := range r.Sizes {
		if size <= s.MaxSize {
			return s.Factor
		}
	}
	return r.Larger
}

// Share returns the reward of one capsule for an epoch among providers that already hold it,
// this node included.
func (r Rates) Share(t Tier, size, providers uint64) Amount {
	return r.reward(t, size, max(1, providers))
}

// Expected returns the reward of one capsule for an epoch if this node joins its providers.
func (r Rates) Expected(t Tier, size, providers uint64) Amount {
	if providers == math.MaxUint64 {
		return r.reward(t, size, providers)
	}
	return r.reward(t, size, providers+1)
}

func (r Rates) reward(t Tier, size, among uint64) Amount {
	if t > MaxTier {
		t = NoTier
	}
	factors := uint64(r.Tiers[t]) * uint64(r.SizeFactor(size)) // below 2^64
	const one = uint64(One) * uint64(One)
	if among > math.MaxUint64/one {
		return r.Base.scale(factors, one).scale(1, among)
	}
	return r.Base.scale(factors, one*among)
}

// ChainReward returns what a node of some weight earns in a time, from the rewards of an epoch.
// It is 0 when the weights or the epoch are.
func ChainReward(epochRewards Amount, weight, total uint64, epoch, elapsed time.Duration) Amount {
	if total == 0 || epoch <= 0 || elapsed <= 0 {
		return 0
	}
	return epochRewards.scale(min(weight, total), total).scale(uint64(elapsed), uint64(epoch))
}

// Costs are the costs of holding something for an epoch.
type Costs struct {
	Storage, Bandwidth, Compute Amount
	Stake                       Amount // what the stake would earn elsewhere
}

// Total returns the sum.
func (c Costs) Total() Amount {
	return c.Storage.Plus(c.Bandwidth).Plus(c.Compute).Plus(c.Stake)
}

// Profit returns the expected reward and the bribe less the costs. It is negative for a loss.
func Profit(expected, bribe Amount, c Costs) Amount { return expected.Plus(bribe).Minus(c.Total()) }

// Keep reports whether a profit is above the minimum reward of the node.
func Keep(profit, minReward Amount) bool { return profit > minReward }

// PreferBribe reports whether a bribe is worth more than spreading storage over more datastores:
// more than what the network pays for that plus the opportunity cost.
func PreferBribe(
	bribe, rewards, opportunity Amount,
) bool {
	return bribe > rewards.Plus(opportunity)
}

// Validator has the measures of a validator's weight, each from 0 to 1.
type Validator struct {
	Confidence   float64
	Response     float64
	Availability float64
	Value        float64 // value of what it validates
	Diversity    float64
	Reliability  float64 // over 30 days
}

// Weight returns the weight of a validator, from 0 to 1:
//
//	0.40 confidence + 0.25 (response + availability)/2 + 0.20 value + 0.10 diversity + 0.05 reliability
//
// A measure outside of 0 to 1, or NaN, is an error.
func (v Validator) Weight() (float64, error) {
	for _, m := range []struct {
		name  string
		value float64
	}{
		{"confidence", v.Confidence}, {"response", v.Response}, {"availability", v.Availability},
		{"value", v.Value}, {"diversity", v.Diversity}, {"reliability", v.Reliability},
	} {
		if !(m.value >= 0 && m.value <= 1) {
			return 0, fmt.Errorf("weight of a validator: %s is %v, expected 0 to 1", m.name,
				m.value)
		}
	}
	return 0.40*v.Confidence + 0.25*(v.Response+v.Availability)/2 + 0.20*v.Value + 0.10*v.Diversity + 0.05*v.Reliability, nil
}

// RewardState is the state of a node's rewards on the chain.
type RewardState struct {
	Epoch       uint64
	EpochEnd    time.Time
	Weight      uint64 // of the node
	TotalWeight uint64
	Cumulative  Amount // paid out to all, for each unit of weight, since the beginning
	Accrued     Amount // earned and not paid
	Paid        Amount
	MinPayout   Amount
}

// Payable returns what can be paid out now: everything that has accrued, once that is at least
// MinPayout.
func (s RewardState) Payable() Amount {
	if s.Accrued <= 0 || s.Accrued < s.MinPayout {
		return 0
	}
	return s.Accrued
}
