package chain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A vote is the answer of one source.
type vote[T any] struct {
	index  int // of the source
	source Source
	answer T
	key    string // equal for equal answers
	err    error
}

// askAll sends a request to all sources concurrently. It returns when enough answers have the
// same key, or when all sources have answered. The votes are in the order of the sources.
func askAll[T any](ctx context.Context, of []Source, enough int,
	question func(context.Context, Source) (T, string, error)) []vote[T] {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	answers := make(chan vote[T], len(of))
	for i, s := range of {
		wg.Go(func() {
			answer, key, err := question(ctx, s)
			answers <- vote[T]{i, s, answer, key, err}
		})
	}
	var votes []vote[T]
	same := make(map[string]int)
	for range of {
		v := <-answers
		votes = append(votes, v)
		if v.err == nil {
			if same[v.key]++; same[v.key] >= enough {
				break
			}
		}
	}
	slices.SortFunc(votes, func(a, b vote[T]) int { return cmp.Compare(a.index, b.index) })
	return votes
}

// agreed returns the answer that at least q.opt.Agree votes have. Otherwise the error is
// [ErrSourcesDisagree] or [ErrUnavailable] and lists all answers.
func agreed[T any](q *Quorum, asked string, votes []vote[T]) (T, error) {
	var answers, failed []string
	keys := make(map[string][]string)
	var errs []error
	for _, v := range votes {
		if v.err != nil {
			failed, errs = append(failed, nameOf(v.source)), append(errs, v.err)
			continue
		}
		if keys[v.key] = append(keys[v.key], nameOf(v.source)); len(keys[v.key]) >= q.opt.Agree {
			return v.answer, nil
		}
	}
	var none T
	for key, names := range keys {
		answers = append(answers, fmt.Sprintf("%s: %s", strings.Join(names, " and "), key))
	}
	slices.Sort(answers)
	if len(failed) > 0 {
		answers = append(answers, strings.Join(failed, " and ")+": no answer")
	}
	err := ErrUnavailable
	if len(keys) > 1 {
		err, errs = ErrSourcesDisagree, nil // failed requests are not the cause
	}
	err = fmt.Errorf("%w: %s", err, strings.Join(answers, "; "))
	return none, q.failed(asked, withCauses(err, errs))
}

// withCauses adds the errors of failed requests to an error.
func withCauses(err error, causes []error) error {
	if len(causes) == 0 {
		return err
	}
	return fmt.Errorf("%w (%w)", err, oneLineErrors(causes))
}

// oneLineErrors is like the result of errors.Join, but prints the errors in one line.
type oneLineErrors []error

func (e oneLineErrors) Error() string {
	words := make([]string, len(e))
	for i, err := range e {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}

func (e oneLineErrors) Unwrap() []error { return e }
