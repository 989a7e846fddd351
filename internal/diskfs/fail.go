package diskfs

import (
	"io/fs"
	"sync/atomic"
)

// FailOptions are settings of a Failing disk.
type FailOptions struct {
	// Always makes every call from the n-th on fail, as on a full or broken disk. Default:
	// only the n-th.
	Always bool
}

// Failing is an FS whose n-th call fails. Make one with Fail.
type Failing struct {
	FS
	n      int64
	err    error
	always bool
	calls  atomic.Int64
}

// Fail wraps fsys so that its n-th call, counted from 1 over all operations of the FS and of
// its files, fails with err. A failing write first writes half of its bytes; a failing Close
// closes. n = 0 fails nothing and only counts.
func Fail(fsys FS, n int, err error, o *FailOptions) *Failing {
	f := &Failing{n: int64(n), err: err}
	if o != nil {
		f.always = o.Always
	}
	f.FS = Before(fsys, f.step)
	return f
}

// Calls returns the number of calls so far.
func (f *Failing) Calls() int { return int(f.calls.Load()) }

// Failed reports whether the n-th call has come.
func (f *Failing) Failed() bool { return f.n > 0 && f.calls.Load() >= f.n }

func (f *Failing) step(op, name string) error {
	c := f.calls.Add(1)
	if f.n > 0 && (c == f.n || f.always && c > f.n) {
		return &fs.PathError{Op: op, Path: name, Err: f.err}
	}
	return nil
}
