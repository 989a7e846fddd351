package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"sync"
	"time"
)

// Job states.
const (
	jobQueued    = "queued"
	jobRunning   = "running"
	jobDone      = "done"
	jobFailed    = "failed"
	jobCancelled = "cancelled"
)

// job is work that continues after its request.
type job struct {
	ID       string   `json:"id"`
	State    string   `json:"state"`
	Progress float64  `json:"progress"` // 0 to 1
	Result   any      `json:"result,omitempty"`
	Error    *problem `json:"error,omitempty"`

	ended time.Time
	done  chan struct{}
	err   error
}

// Limits of jobs.
const (
	maxJobs  = 64 // running or waiting
	keepJobs = 24 * time.Hour
	maxKept  = 1024
)

// jobs runs work. Jobs of one kind run one after the other.
type jobs struct {
	now    func() time.Time
	ctx    context.Context
	cancel context.CancelFunc
	slots  map[string]chan struct{} // by kind, under mu
	wg     sync.WaitGroup

	mu   sync.Mutex
	list []*job // in the order of their start
}

func newJobs(now func() time.Time) *jobs {
	ctx, cancel := context.WithCancel(context.Background())
	return &jobs{now: now, ctx: ctx, cancel: cancel, slots: map[string]chan struct{}{}}
}

// work is the function of a job. It calls progress with fractions from 0 to 1.
type work func(ctx context.Context, progress func(float64)) (any, error)

// start starts a job. absent is the code for fs.ErrNotExist of the job.
func (j *jobs) start(kind string, absent Code, do work) (*job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ctx.Err() != nil {
		return nil, &Error{Code: Draining}
	}
	j.forget()
	active := 0
	for _, b := range j.list {
		if b.ended.IsZero() {
			active++
		}
	}
	if active >= maxJobs || len(j.list) >= maxKept {
		return nil, &Error{Code: Busy, RetryAfter: 10 * time.Second}
	}
	var id [16]byte
	rand.Read(id[:])
	b := &job{ID: hex.EncodeToString(id[:]), State: jobQueued, done: make(chan struct{})}
	j.list = append(j.list, b)
	slot := j.slots[kind]
	if slot == nil {
		slot = make(chan struct{}, 1)
		j.slots[kind] = slot
	}
	j.wg.Go(func() { j.run(slot, b, absent, do) })
	return b, nil
}

func (j *jobs) run(slot chan struct{}, b *job, absent Code, do work) {
	defer close(b.done)
	select {
	case slot <- struct{}{}:
		defer func() { <-slot }()
	case <-j.ctx.Done():
		j.finish(b, absent, nil, j.ctx.Err())
		return
	}
	j.mu.Lock()
	b.State = jobRunning
	j.mu.Unlock()
	result, err := do(j.ctx, func(share float64) {
		j.mu.Lock()
		defer j.mu.Unlock()
		b.Progress = max(b.Progress, min(share, 1))
	})
	j.finish(b, absent, result, err)
}

func (j *jobs) finish(b *job, absent Code, result any, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b.ended = j.now()
	b.err = err
	switch {
	case err == nil:
		b.State, b.Progress, b.Result = jobDone, 1, result
	case errors.Is(err, context.Canceled):
		b.State = jobCancelled
	default:
		e := asError(err, absent)
		row := codeRows[e.Code]
		b.State = jobFailed
		b.Error = &problem{Type: "about:blank", Title: row.Title, Status: row.Status,
			Code: row.Code, Detail: printable(e.Detail)}
	}
}

// forget drops the jobs that ended long ago. The caller holds mu.
func (j *jobs) forget() {
	old := j.now().Add(-keepJobs)
	kept := j.list[:0]
	for _, b := range j.list {
		if b.ended.IsZero() || b.ended.After(old) {
			kept = append(kept, b)
		}
	}
	clear(j.list[len(kept):])
	j.list = kept
	for i := 0; len(j.list) >= maxKept && i < len(j.list); { // drop the oldest that have ended
		if j.list[i].ended.IsZero() {
			i++
			continue
		}
		j.list = append(j.list[:i], j.list[i+1:]...)
	}
}

// get returns a copy of a job.
func (j *jobs) get(id string) (job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.forget()
	for _, b := range j.list {
		if b.ID == id {
			return *b, nil
		}
	}
	return job{}, &Error{Code: JobNotFound, Err: fs.ErrNotExist}
}

func (j *jobs) running() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, b := range j.list {
		if b.ended.IsZero() {
			n++
		}
	}
	return n
}

func (j *jobs) close() {
	j.mu.Lock()
	j.cancel()
	j.mu.Unlock()
	j.wg.Wait()
}
