package policy

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/dig-network/digstore/node/economy"
)

// Features are the inputs of a scorer about a candidate, without content. The JSON form is that of
// requests to external scorers: amounts are numbers of DIG, ages are seconds.
type Features struct {
	Store       string          `json:"store_id"` // 64 hexadecimal digits
	Handle      string          `json:"handle,omitempty"`
	Tier        economy.Tier    `json:"tier"`
	Capsules    uint64          `json:"capsule_count"`
	Size        uint64          `json:"total_size"`
	Providers   int             `json:"providers"`
	Reward      *economy.Amount `json:"expected_reward,omitempty"` // for each day; nil: not known
	Bribe       economy.Amount  `json:"bribe_reward"`              // for each day
	MinReward   economy.Amount  `json:"min_reward"`                // minimum of the node
	AgeSeconds  int64           `json:"age_seconds"`
	Requests24h uint64          `json:"requests_24h"`
}

// Score is a rating from 0 to 1, and the name of the model that gave it.
type Score struct {
	Value float64
	Model string
}

// Scorer rates candidates. Implementations are safe for concurrent use and have a timeout.
type Scorer interface {
	Score(ctx context.Context, f Features) (Score, error)
}

// OnError is the action of a decision if its scorer fails.
type OnError string

// The actions.
const (
	UseHeuristic OnError = "heuristic" // rate with Heuristic; the default
	Reject       OnError = "reject"
	Accept       OnError = "accept"
)

// Filter is a scorer with its settings.
type Filter struct {
	Scorer    Scorer
	Threshold float64 // minimum accepted rating; 0: DefaultThreshold
	OnError   OnError // empty: UseHeuristic
}

// DefaultThreshold is the default of Filter.Threshold.
const DefaultThreshold = 0.5

// Heuristic is the built-in scorer:
//
//	0.35 r + 0.25 t + 0.20 s + 0.10 p + 0.10 a
//	r = min(1, reward / (10 × max(least reward, 0.01 DIG)))
//	t = (7 - tier) / 6, and 0 for tier 0
//	s = 1 / (1 + providers / 5)
//	p = min(1, requests in 24 hours / 100)
//	a = 1 / (1 + age in days / 30)
type Heuristic struct{}

// HeuristicModel is the name of Heuristic as a scorer and as a model.
const HeuristicModel = "heuristic-v1"

// Score implements Scorer. It does not fail.
func (Heuristic) Score(_ context.Context, f Features) (Score, error) {
	var r, t float64
	if f.Reward != nil && *f.Reward > 0 {
		r = min(1, float64(*f.Reward)/(10*float64(max(f.MinReward, economy.DIG/100))))
	}
	if f.Tier != economy.NoTier && f.Tier <= economy.MaxTier {
		t = float64(economy.MaxTier+1-f.Tier) / 6
	}
	s := 1 / (1 + float64(max(0, f.Providers))/5)
	p := min(1, float64(f.Requests24h)/100)
	days := float64(max(0, f.AgeSeconds)) / (24 * 60 * 60)
	a := 1 / (1 + days/30)
	return Score{0.35*r + 0.25*t + 0.20*s + 0.10*p + 0.10*a, HeuristicModel}, nil
}

// Check returns nil if the value is from 0 to 1.
func (s Score) Check() error {
	if math.IsNaN(s.Value) || s.Value < 0 || s.Value > 1 {
		return fmt.Errorf("score %v, expected 0 to 1", s.Value)
	}
	return nil
}

// features returns the inputs of a scorer about c.
func (p *rules) features(c Candidate) Features {
	return Features{
		Store: fmt.Sprintf("%x", c.Store[:]), Handle: c.Handle, Tier: c.Tier, Capsules: c.Capsules,
		Size: c.Size, Providers: c.providers(), Reward: c.Reward, Bribe: p.bribe(c),
		MinReward: p.config.MinReward, AgeSeconds: int64(c.Age / time.Second),
		Requests24h: c.Requests24h,
	}
}
