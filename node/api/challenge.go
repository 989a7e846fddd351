package api

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
)

// maxChallenge is the limit of the body of a challenge in bytes.
const maxChallenge = 64 << 10

// challengeTime is how long a challenge without its own times may take.
const challengeTime = 60 * time.Second

// challenge answers POST /validation/challenge. A configured validator has its own bucket, which is
// charged if its signature is valid. All other challenges are charged to the address.
func (s *Server) challenge(w *answer, c *call) error {
	if err := jsonBody(c.Header); err != nil {
		return err
	}
	text, err := io.ReadAll(&bodyReader{r: c.Body, left: maxChallenge})
	if err != nil {
		return bodyError(err)
	}
	ch, err := capsule.ParseChallenge(text)
	key := addressKey(c.addr)
	if err == nil {
		key = s.challenger(ch, key)
	}
	charged := s.table[bucketChallenges].take(key, 1, s.opt.Now())
	charged.headers(w.Header())
	if !charged.ok {
		return charged.error(bucketChallenges)
	}
	if err != nil {
		e := asError(err, Internal)
		e.Detail = err.Error()
		return e
	}
	leave, err := enter(c, s.proofs, 0)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(c.Context(), challengeTime)
	defer cancel()
	begin := time.Now()
	bundle, err := s.opt.Challenger.Answer(ctx, ch)
	if err != nil {
		return challengeError(err)
	}
	raw, err := bundle.MarshalBinary()
	if err != nil {
		return fmt.Errorf("proof bundle: %w", err)
	}
	return s.sendJSON(w, c, http.StatusOK, map[string]any{"proof": "0x" + hex.EncodeToString(raw),
		"generation_time_ms": time.Since(begin).Milliseconds(), "plot_id": hex32(bundle.PlotID)})
}

// challenger returns the key of the bucket of a challenge: that of a configured validator if the
// signature is valid, and other otherwise.
func (s *Server) challenger(ch *capsule.Challenge, other callerKey) callerKey {
	for _, v := range s.opt.Validators {
		if !ch.Minimal && v != ch.Validator {
			continue
		}
		if ch.Verify(v) == nil {
			return callerKey{'v', string(v[:])}
		}
	}
	return other
}

// challengeError returns the refusal of a challenge.
func challengeError(err error) error {
	switch {
	case errors.Is(err, auth.ErrSignature), errors.Is(err, capsule.ErrKey):
		return &Error{Code: BadSignature, Status: http.StatusUnauthorized, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: Busy, RetryAfter: time.Second, Err: err}
	}
	return err
}
