package remote

import (
	"context"
	"sync"
)

// A lazy is a value that is found out at the first use. Safe for concurrent use.
type lazy[T any] struct {
	busy chan struct{} // has room for the one caller that finds it out

	mu    sync.Mutex
	value T
	known bool
}

func newLazy[T any]() *lazy[T] { return &lazy[T]{busy: make(chan struct{}, 1)} }

// peek returns the value as far as it is known.
func (l *lazy[T]) peek() (T, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value, l.known
}

func (l *lazy[T]) set(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value, l.known = v, true
}

// get returns the value, and calls find where it is not known. One caller at a time does; the
// others wait until it is done or their context is. An error is not kept.
func (l *lazy[T]) get(ctx context.Context, find func() (T, error)) (v T, err error) {
	if v, ok := l.peek(); ok {
		return v, nil
	}
	select {
	case l.busy <- struct{}{}:
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
	defer func() { <-l.busy }()
	if v, ok := l.peek(); ok {
		return v, nil
	}
	if v, err = find(); err == nil {
		l.set(v)
	}
	return v, err
}
