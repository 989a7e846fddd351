package metamorphic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A step is one command with what the model says of it.
type step struct {
	kind    string
	prepare func() error // what comes before the command; nil: nothing
	command command
	codes   []int               // exit codes to expect
	changes map[*replica]change // what it may change
	// done checks what holds after exit code 0 when nothing ran beside the step;
	// the changes are in the model by then. nil checks nothing.
	done func(o outcome) error
	// always runs after the step, however it ended. nil does nothing.
	always func() error
}

// ready runs what comes before the command.
func (s *step) ready() error {
	if s.prepare == nil {
		return nil
	}
	return s.prepare()
}

// serverOf returns a server that a step talks to, or nil.
func (w *world) serverOf(s *step) *server {
	for _, a := range s.command.args {
		for _, at := range []*server{w.host, w.mirror} {
			if strings.HasPrefix(a, at.url()) {
				return at
			}
		}
	}
	return nil
}

func (w *world) restart(ctx context.Context, rnd *rand.Rand) error {
	s := []*server{w.host, w.mirror}[rnd.IntN(2)]
	w.counts["restart"]++
	if err := s.stop(ctx); err != nil {
		return err
	}
	return s.begin()
}

// take runs a step to its end.
func (w *world) take(rnd *rand.Rand, s *step) error {
	w.counts[s.kind]++
	if err := s.ready(); err != nil {
		return err
	}
	out, err := w.p.run(s.command)
	if err != nil {
		return err
	}
	w.took[s.kind] = out.took
	if !slices.Contains(s.codes, out.code) {
		return fmt.Errorf("%s: expected exit code %v: %v", s.command.shell(), s.codes, out)
	}
	changes := s.changes
	if out.code != 0 {
		changes = unchanged(changes)
	}
	if err := w.observe(changes); err != nil {
		return fmt.Errorf("%s: %w", s.command.shell(), err)
	}
	if out.code == 0 && s.done != nil {
		if err := s.done(out); err != nil {
			return fmt.Errorf("%s: acknowledged, and %w", s.command.shell(), err)
		}
	}
	return w.after(rnd, s)
}

// takeKilled kills a step, or the server that it talks to, at a random time.
func (w *world) takeKilled(rnd *rand.Rand, s *step, at *server) error {
	w.counts[s.kind]++
	if err := s.ready(); err != nil {
		return err
	}
	within := max(w.took[s.kind], 20*time.Millisecond) * 5 / 4
	s.command.kill, s.command.stops = time.Duration(1+rnd.Int64N(int64(within))), at
	if at != nil {
		w.counts["kill server"]++
	} else {
		w.counts["kill"]++
	}
	out, err := w.p.run(s.command)
	if err != nil {
		return err
	}
	if at != nil {
		at.kill() // it may have been too late
		if err := at.begin(); err != nil {
			return err
		}
	}
	acknowledged := !out.killed && out.code == 0
	if !acknowledged && !out.killed && at == nil && !slices.Contains(s.codes, out.code) {
		return fmt.Errorf("%s: ended before it was killed, expected exit code %v: %v",
			s.command.shell(), s.codes, out)
	}
	for r := range s.changes {
		r.ahead = r.ahead || s.kind == "pull" && !acknowledged
	}
	if err := w.observe(s.changes); err != nil {
		return fmt.Errorf("%s: %w", s.command.shell(), err)
	}
	if acknowledged && s.done != nil {
		if err := s.done(out); err != nil {
			return fmt.Errorf("%s: acknowledged, and %w", s.command.shell(), err)
		}
	}
	return errorsIn(w.settle(s), w.after(rnd, s))
}

// unchanged forbids every change.
func unchanged(changes map[*replica]change) map[*replica]change {
	out := map[*replica]change{}
	for r := range changes {
		out[r] = change{}
	}
	return out
}

// observe takes over what the workspaces show.
func (w *world) observe(changes map[*replica]change) error {
	for _, r := range w.replicas { // in a fixed order
		if c, ok := changes[r]; ok {
			got, err := w.list(r)
			if err != nil {
				return err
			}
			if err := r.observe(got, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle empties the staging area after a step that may have been stopped while
// it staged.
func (w *world) settle(s *step) error {
	for r := range s.changes {
		if !r.publishes || s.kind != "commit" && s.kind != "add" {
			continue
		}
		if err := w.unstage(r); err != nil {
			return err
		}
	}
	return nil
}

// after checks deeply what a step touched.
func (w *world) after(rnd *rand.Rand, s *step) error {
	if s.always != nil {
		if err := s.always(); err != nil {
			return err
		}
	}
	for _, r := range w.replicas {
		if _, ok := s.changes[r]; ok {
			if err := w.check(rnd, r); err != nil {
				return fmt.Errorf("after %s: %w", s.command.shell(), err)
			}
		}
	}
	for _, at := range []*server{w.host, w.mirror} {
		if at != nil && at.cmd != nil {
			if err := at.check(); err != nil {
				return err
			}
		}
	}
	if name, err := w.p.leftover(); name != "" || err != nil {
		return fmt.Errorf("%s leaves the temporary file %s (%v)", s.command.shell(), name, err)
	}
	return nil
}

func errorsIn(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
