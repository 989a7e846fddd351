package diskfs

import (
	"errors"
	"io"
	"io/fs"
	"sync"
)

// ErrKilled is returned by every call on a Process that was killed.
var ErrKilled = errors.New("process killed")

// Process is a disk as one of several processes sees it. Changes of others are visible at once.
// The end of the process closes its files and releases its locks; its writes stay. NewProcess
// returns one. Two of them on one Crash simulate two processes.
type Process struct {
	FS
	mu    sync.Mutex
	calls int
	stop  int // the process is killed at this call; 0: never
	dead  bool
	held  map[io.Closer]bool
}

// NewProcess returns fsys as a new process sees it.
func NewProcess(fsys FS) *Process {
	p := &Process{held: map[io.Closer]bool{}}
	p.FS = Before(&tracking{fsys, p}, p.step)
	return p
}

// Calls returns the number of calls so far.
func (p *Process) Calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// KillAfter kills the process at the n-th call from now, counted from 1: that call and all
// later ones do nothing (a write may do half) and return ErrKilled. n <= 0 never kills it.
func (p *Process) KillAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop = 0; n > 0 {
		p.stop = p.calls + n
	}
}

// Kill ends the process now.
func (p *Process) Kill() {
	p.mu.Lock()
	p.dead = true
	held := p.held
	p.held = map[io.Closer]bool{}
	p.mu.Unlock()
	for c := range held {
		_ = c.Close()
	}
}

// step is called before every call. A write that ends the process is let write its half first:
// see trackedFile.
func (p *Process) step(op, name string) error {
	p.mu.Lock()
	p.calls++
	p.dead = p.dead || p.stop > 0 && p.calls >= p.stop
	dead := p.dead
	p.mu.Unlock()
	if !dead {
		return nil
	}
	if op != "write" {
		p.Kill()
	}
	return &fs.PathError{Op: op, Path: name, Err: ErrKilled}
}

// hold registers c, which the end of the process closes. After the end c is closed at once.
func (p *Process) hold(c io.Closer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		_ = c.Close()
		return ErrKilled
	}
	p.held[c] = true
	return nil
}

// release unregisters c and reports whether the process has not closed it.
func (p *Process) release(c io.Closer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := p.held[c]
	delete(p.held, c)
	return mine
}

// tracking registers the open files of a process.
type tracking struct {
	FS
	p *Process
}

func (t *tracking) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := t.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	if err := t.p.hold(f); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &trackedFile{f, t.p}, nil
}

func (t *tracking) TryLock(name string) (io.Closer, error) {
	l, err := t.FS.TryLock(name)
	if err != nil {
		return nil, err
	}
	if err := t.p.hold(l); err != nil {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return &trackedLock{l, t.p}, nil
}

type trackedFile struct {
	File
	p *Process
}

func (f *trackedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.p.endDead()
	return n, err
}

func (f *trackedFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	f.p.endDead()
	return n, err
}

func (f *trackedFile) Close() error {
	if !f.p.release(f.File) {
		return fs.ErrClosed
	}
	return f.File.Close()
}

// endDead ends a process whose last call was a write.
func (p *Process) endDead() {
	p.mu.Lock()
	dead := p.dead
	p.mu.Unlock()
	if dead {
		p.Kill()
	}
}

type trackedLock struct {
	io.Closer
	p *Process
}

func (l *trackedLock) Close() error {
	if !l.p.release(l.Closer) {
		return nil
	}
	return l.Closer.Close()
}
