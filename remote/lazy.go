package remote

import (
	"context"
	"sync"
)

// A lazy is a value that is computed at the first use. It is safe for concurrent use.
type lazy[T any] struct {
	busy chan struct{} // a semaphore: one caller at a time runs find

	mu    sync.Mutex
	value T
	known bool
}

func newLazy[T any]() *lazy[T] { return &lazy[T]{busy: make(chan struct{}, 1)} }

// peek returns the value and whether it is known.
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

// get returns the value, and calls find if it is unknown. One caller at a time calls find; the
// others wait for it or for the end of their context. An error is not kept.
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
