package scorer

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/node/policy"
)

// Timeout is how long a scorer may take.
const Timeout = 2 * time.Second

// MaxAnswer is the limit of an answer in bytes.
const MaxAnswer = 4 << 10

// ErrScorer is wrapped by the errors of scorers.
var ErrScorer = errors.New("scorer")

// maxModel is the limit of the name of a model in bytes.
const maxModel = 128

func encode(f policy.Features) ([]byte, error) {
	b, err := json.Marshal(struct {
		Version  int             `json:"version"`
		Features policy.Features `json:"features"`
	}{1, f})
	if err != nil {
		return nil, fmt.Errorf("%w: encode features: %w", ErrScorer, err)
	}
	return b, nil
}

// decode reads an answer.
func decode(b []byte) (policy.Score, error) {
	if len(b) > MaxAnswer {
		return policy.Score{}, fmt.Errorf("%w: answer of more than %d bytes", ErrScorer, MaxAnswer)
	}
	var a struct {
		Score *float64 `json:"score"`
		Model string   `json:"model"`
	}
	if err := strictjson.Unmarshal(b, &a); err != nil {
		return policy.Score{}, fmt.Errorf("%w: answer: %w", ErrScorer, err)
	}
	if a.Score == nil || a.Model == "" || len(a.Model) > maxModel {
		return policy.Score{}, fmt.Errorf(
			"%w: answer: expected members score and model, of at most %d bytes", ErrScorer, maxModel)
	}
	s := policy.Score{Value: *a.Score, Model: a.Model}
	if err := s.Check(); err != nil {
		return policy.Score{}, fmt.Errorf("%w: answer: %w", ErrScorer, err)
	}
	return s, nil
}
