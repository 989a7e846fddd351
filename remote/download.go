package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/backoff"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/multisource"
)

// minProgress is how many bytes an attempt must add to reset the count of failures.
const minProgress = 1 << 20

// openError is a module that could not even be opened.
type openError struct{ err error }

func (e *openError) Error() string { return e.err.Error() }
func (e *openError) Unwrap() error { return e.err }

// A delivery is a generation that is to be installed.
type delivery struct {
	lines []module.Generation // that are added to the history; the last is the generation
	head  auth.SignedRoot     // the signatures known for it
	size  int64               // of the module; 0: not known
	check func(*module.Module) error
}

func (w delivery) line() module.Generation { return w.lines[len(w.lines)-1] }

// An arrival is how a generation came.
type arrival struct {
	bytes  int64 // that came for it
	recipe bool  // as a recipe, not as a module
	parts  bool  // and ranges of the module, for what was not held
	held   bool  // not at all: it was here
}

// A downloader installs the generations of one sync in its Local.
type downloader struct {
	to       Local
	local    *localHistory // the history of to
	head     merkle.Hash
	from     Origin    // of modules; several itself, where that is not nil
	several  sourceSet // nil: there is one origin
	limit    sizeLimit
	attempts int
	progress func(root merkle.Hash, done, total int64) // may be nil, as onRetry
	onRetry  func(err error, wait time.Duration)
	// of generations that are fetched at a time: root to the chan that the one before closes
	turns sync.Map
}

// install fetches a generation and installs it: from one origin after another where there are
// several and what they sent is refused.
func (d *downloader) install(ctx context.Context, w delivery) (arrival, error) {
	if d.several == nil { // each of several origins has a budget of its own
		return d.attempt(withBudget(ctx), w)
	}
	root := w.line().Root
	for {
		came, err := d.attempt(ctx, w)
		if err == nil {
			return came, d.several.Settle(root, func() (io.ReadSeekCloser, error) {
				return d.to.Module(ctx, root)
			})
		}
		if !d.several.Retry(ctx, root, err) {
			return arrival{}, err
		}
		if r, ok := d.to.(Resumer); ok {
			if err := r.Discard(ctx, root); err != nil {
				return arrival{}, fmt.Errorf("remote: discard the part of %s: %w", root, err)
			}
		}
	}
}

// attempt gives the generation to the Local. A download that breaks is taken up where it broke,
// when the Local has kept what came and the origin can go on from there, else from its start; so
// are parts that an earlier run left behind. A part that turns out not to belong to what follows
// costs one download from the start: the whole is verified in any case (remote/PROTOCOL.md 9.11).
func (d *downloader) attempt(ctx context.Context, w delivery) (arrival, error) {
	held, err := d.installHeld(ctx, w)
	if held || err != nil {
		return arrival{held: held}, err
	}
	came, first, err := d.assemble(ctx, w)
	if came.recipe || err != nil {
		return came, err
	}
	return d.download(ctx, w, first)
}

// download installs the whole module. first is that from its start, where it is open already.
func (d *downloader) download(ctx context.Context, w delivery,
	first io.ReadCloser) (came arrival, err error) {
	root := w.line().Root
	var best int64
	tries := budgetOf(ctx)
	for fresh := false; ; first = nil {
		t, resumed, err := d.open(ctx, root, w.size, fresh, first)
		if err != nil {
			return came, err
		}
		err = d.to.Install(ctx, w.lines, w.head, t, w.check)
		t.Close()
		if err == nil {
			return arrival{bytes: t.done}, nil
		}
		switch {
		case ctx.Err() != nil:
			return came, fmt.Errorf("remote: fetch %s: %w", root, context.Cause(ctx))
		case t.broken != nil:
			// The transfer failed, not what it brought.
			if err = fmt.Errorf("remote: fetch %s: at byte %d: %w", root, t.done, t.broken); lasting(err) {
				return came, err
			}
			moved := t.done >= best+minProgress
			if moved {
				best = t.done
			}
			if !d.waitRetry(ctx, err, tries, moved) {
				return came, err
			}
		default:
			err = contentError(err)
			if !resumed || !errors.Is(err, ErrVerification) {
				return came, err
			}
			fresh = true
		}
	}
}

// installHeld installs a generation that is held already and comes again, further down the history.
func (d *downloader) installHeld(ctx context.Context, w delivery) (bool, error) {
	root := w.line().Root
	if _, ok, err := d.local.line(ctx, root); !ok || err != nil {
		return false, err
	}
	held, err := has(ctx, d.to, root)
	if err != nil || !held {
		return false, err
	}
	if err := d.to.Install(ctx, w.lines, w.head, notFetched{}, w.check); err != nil {
		return false, contentError(err)
	}
	return true, nil
}

// has reports whether a generation is held.
func has(ctx context.Context, l Local, root merkle.Hash) (bool, error) {
	held, err := l.Has(ctx, root)
	if err != nil {
		return false, fmt.Errorf("remote: look for local generation %s: %w", root, err)
	}
	return held, nil
}

// notFetched is the module of a generation that is held.
type notFetched struct{}

func (notFetched) Read([]byte) (int, error) {
	return 0, errors.New("remote: the generation is held, and its module is not fetched")
}

// waitRetry reports whether a transfer that broke with err is continued, and waits before. tries
// counts the attempts in a row that made no progress; moved says that the last one did.
func (d *downloader) waitRetry(ctx context.Context, err error, tries *backoff.Counter,
	moved bool) bool {
	if moved {
		tries.Reset()
	}
	policy := backoff.Policy{Attempts: d.attempts, OnRetry: d.onRetry}
	return policy.Next(ctx, tries, err) == backoff.Continue
}

// open asks the origin for the module, from where the Local left off unless fresh is set. opened is
// the module from its start, where it is open already.
func (d *downloader) open(ctx context.Context, root merkle.Hash, size int64, fresh bool,
	opened io.ReadCloser) (t *transfer, resumed bool, err error) {
	var (
		resumer, keeps = d.to.(Resumer)
		ranger, ranges = d.from.(RangeOrigin)
		offset, start  int64
		r              io.ReadCloser
	)
	if keeps {
		if offset, err = resumer.Held(ctx, root); err != nil {
			err = fmt.Errorf("remote: look for a part of %s: %w", root, err)
		}
	}
	if err != nil {
		if opened != nil {
			opened.Close()
		}
		return nil, false, err
	}
	switch {
	case opened != nil:
		r = opened
	case offset > 0 && ranges && !fresh:
		r, start, err = ranger.ModuleFrom(ctx, root, offset)
	default:
		r, err = d.from.Module(ctx, root)
	}
	if err != nil {
		return nil, false, &openError{fmt.Errorf("remote: fetch %s: %w", root, err)}
	}
	if start != offset {
		if err := resumer.Discard(ctx, root); err != nil {
			r.Close()
			return nil, false, fmt.Errorf("remote: discard the part of %s: %w", root, err)
		}
	}
	t = &transfer{ReadCloser: r, root: root, done: start, limit: d.limit, progress: d.progress}
	t.total = multisource.SizeOf(r)
	if size > 0 {
		if t.total > 0 && t.total != size {
			r.Close()
			return nil, false, &VerificationError{Check: CheckSize, Want: strconv.FormatInt(size, 10),
				Got: strconv.FormatInt(t.total, 10)}
		}
		t.total = size
	}
	if t.total > t.limit.bytes {
		r.Close()
		return nil, false, fmt.Errorf("remote: fetch %s: %w", root, t.limit.exceeded(t.total))
	}
	t.report()
	return t, start > 0, nil
}

// transfer is a module on its way: it holds the origin to the announced length and to the limit,
// counts, and remembers whether it was the transfer that failed.
type transfer struct {
	io.ReadCloser
	root        merkle.Hash
	done, total int64 // total 0: not announced
	limit       sizeLimit
	broken      error
	progress    func(root merkle.Hash, done, total int64)
}

func (t *transfer) Read(p []byte) (int, error) {
	if t.broken != nil {
		return 0, t.broken
	}
	most := t.limit.bytes
	if t.total > 0 {
		most = t.total
	}
	if left := most - t.done; int64(len(p)) > left+1 {
		p = p[:left+1]
	}
	n, err := t.ReadCloser.Read(p)
	t.done += int64(n)
	switch {
	case t.done > most && t.total > 0:
		err = &VerificationError{Check: CheckSize, Want: strconv.FormatInt(most, 10), Got: "more"}
		n, t.broken = n-1, err
	case t.done > most:
		err = t.limit.exceeded(-1)
		n, t.broken = n-1, err
	case err == io.EOF && t.done < t.total:
		err = io.ErrUnexpectedEOF
		t.broken = err
	case err != nil && err != io.EOF:
		t.broken = err
	}
	if n > 0 {
		t.report()
	}
	return n, err
}

func (t *transfer) report() {
	if t.progress != nil {
		t.progress(t.root, t.done, t.total)
	}
}

// waitTurn waits until the generation before that of root is installed, when both are fetched at a
// time. What is not held is best asked for after it: the two have much in common.
func (d *downloader) waitTurn(ctx context.Context, root merkle.Hash) error {
	before, ok := d.turns.Load(root)
	if !ok {
		return nil
	}
	select {
	case <-before.(chan struct{}):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
