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

// openError wraps the failure to open a module.
type openError struct{ err error }

func (e *openError) Error() string { return e.err.Error() }
func (e *openError) Unwrap() error { return e.err }

// A delivery is a generation to install.
type delivery struct {
	lines []module.Generation // to append to the history; the last is the generation
	head  auth.SignedRoot     // the known signatures
	size  int64               // of the module; 0: unknown
	check func(*module.Module) error
}

func (w delivery) line() module.Generation { return w.lines[len(w.lines)-1] }

// An arrival describes how a generation was received.
type arrival struct {
	bytes  int64 // received
	recipe bool  // received a recipe in place of the module
	parts  bool  // received ranges of the module, besides the recipe
	held   bool  // already held; nothing was received
}

// A downloader installs the generations of one sync in its Local.
type downloader struct {
	to       Local
	local    *localHistory // the history of to
	head     merkle.Hash
	from     Origin    // of modules; equal to several unless that is nil
	several  sourceSet // nil: there is one origin
	limit    sizeLimit
	attempts int
	progress func(root merkle.Hash, done, total int64) // may be nil, as onRetry
	onRetry  func(err error, wait time.Duration)
	// turns maps a root to the channel that is closed when the generation before it is installed. It
	// has only generations that are fetched concurrently.
	turns sync.Map
}

// install fetches a generation and installs it. With several origins it tries one after another
// while what they send is refused.
func (d *downloader) install(ctx context.Context, w delivery) (arrival, error) {
	if d.several == nil { // each of several origins has its own budget
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

// attempt installs the generation in the Local. It resumes a broken download, of this run or an
// earlier one, where the Local kept the bytes and the origin supports it, and otherwise starts
// over. If kept bytes and resumed bytes do not match, verification of the whole module fails, and
// attempt downloads it once more from the start (remote/PROTOCOL.md 9.11).
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

// download installs the whole module. first, unless nil, is the open module, at its start.
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
			// The transfer failed, not the check of its content.
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

// installHeld installs a generation that is already held and that new lines name again. It reports
// whether it did.
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

// has reports whether l holds a generation.
func has(ctx context.Context, l Local, root merkle.Hash) (bool, error) {
	held, err := l.Has(ctx, root)
	if err != nil {
		return false, fmt.Errorf("remote: look for local generation %s: %w", root, err)
	}
	return held, nil
}

// notFetched is the reader passed to Install for a held generation, which must not read it.
type notFetched struct{}

func (notFetched) Read([]byte) (int, error) {
	return 0, errors.New("remote: the generation is held, and its module is not fetched")
}

// waitRetry waits before the next attempt after err, and reports whether to make it. tries counts
// the consecutive attempts without progress; moved says that the last one made progress.
func (d *downloader) waitRetry(ctx context.Context, err error, tries *backoff.Counter,
	moved bool) bool {
	if moved {
		tries.Reset()
	}
	policy := backoff.Policy{Attempts: d.attempts, OnRetry: d.onRetry}
	return policy.Next(ctx, tries, err) == backoff.Continue
}

// open requests the module, from the offset that the Local holds, or from 0 if fresh is set.
// opened, unless nil, is the open module, at its start.
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

// transfer reads a module. It enforces the announced length and the limit, counts bytes, and
// records in broken whether the transfer itself failed.
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

// waitTurn waits until the generation before that of root is installed, when both are fetched
// concurrently. The two share many chunks, so the missing ones are determined after that.
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
