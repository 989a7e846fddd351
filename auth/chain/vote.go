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
	seat int // the index of the source
	who  Source
	what T
	key  string // equal for equal answers
	err  error
}

// askAll sends a request to all sources at once. It returns when enough answers have the same
// key, or all have answered. The votes are in the order of the sources.
func askAll[T any](ctx context.Context, of []Source, enough int,
	question func(context.Context, Source) (T, string, error)) []vote[T] {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	answers := make(chan vote[T], len(of))
	for i, s := range of {
		wg.Go(func() {
			what, key, err := question(ctx, s)
			answers <- vote[T]{i, s, what, key, err}
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
	slices.SortFunc(votes, func(a, b vote[T]) int { return cmp.Compare(a.seat, b.seat) })
	return votes
}

// agreed returns the answer of enough votes, or an error with the answers of all.
func agreed[T any](q *Quorum, asked string, votes []vote[T]) (T, error) {
	var said, failed []string
	keys := make(map[string][]string)
	var errs []error
	for _, v := range votes {
		if v.err != nil {
			failed, errs = append(failed, nameOf(v.who)), append(errs, v.err)
			continue
		}
		if keys[v.key] = append(keys[v.key], nameOf(v.who)); len(keys[v.key]) >= q.opt.Agree {
			return v.what, nil
		}
	}
	var none T
	for key, who := range keys {
		said = append(said, fmt.Sprintf("%s: %s", strings.Join(who, " and "), key))
	}
	slices.Sort(said)
	if len(failed) > 0 {
		said = append(said, strings.Join(failed, " and ")+": no answer")
	}
	err := ErrUnavailable
	if len(keys) > 1 {
		err, errs = ErrSourcesDisagree, nil // failed requests are not the cause
	}
	return none, q.failed(asked, because(fmt.Errorf("%w: %s", err, strings.Join(said, "; ")), errs))
}

// because adds the errors of failed requests to an error.
func because(err error, causes []error) error {
	if len(causes) == 0 {
		return err
	}
	return fmt.Errorf("%w (%w)", err, several(causes))
}

// several are errors that print in one line.
type several []error

func (e several) Error() string {
	words := make([]string, len(e))
	for i, err := range e {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}

func (e several) Unwrap() []error { return e }
