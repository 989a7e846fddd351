package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/backoff"
	"github.com/dig-network/digstore/merkle"
)

// worthwhile is how many more bytes must have come for a broken download to count as getting on.
const worthwhile = 1 << 20

// openError is a module that could not even be opened.
type openError struct{ err error }

func (e *openError) Error() string { return e.err.Error() }
func (e *openError) Unwrap() error { return e.err }

// install gives the module of the last line to the Local. A download that breaks is taken up where it
// broke, when the Local has kept what came and the origin can go on from there, else from its start; so
// are parts that an earlier run left behind. A part that turns out not to belong to what follows costs one
// download from the start: the whole is verified in any case (remote/PROTOCOL.md 9.11).
func (v *visit) install(ctx context.Context, lines []module.Generation, head auth.SignedRoot, size int64,
	check func(*module.Module) error) error {
	held, err := v.installHeld(ctx, lines, head, check)
	if held || err != nil {
		return err
	}
	done, first, err := v.assemble(ctx, lines, head, size, check)
	if done || err != nil {
		return err
	}
	root := lines[len(lines)-1].Root
	var best int64
	for failures, fresh := 0, false; ; first = nil {
		t, resumed, err := v.open(ctx, root, size, fresh, first)
		if err != nil {
			return err
		}
		err = v.to.Install(ctx, lines, head, t, check)
		t.Close()
		if err == nil {
			v.report.Installed = append(v.report.Installed, lines[len(lines)-1])
			v.report.Bytes += t.done
			v.came = arrival{}
			return nil
		}
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("remote: fetch %s: %w", root, context.Cause(ctx))
		case t.broken != nil:
			// The transfer failed, not what it brought.
			if err = fmt.Errorf("remote: fetch %s: at byte %d: %w", root, t.done, t.broken); lasting(err) {
				return err
			}
			moved := t.done >= best+worthwhile
			if moved {
				best = t.done
			}
			if !v.again(ctx, err, &failures, moved) {
				return err
			}
		default:
			err = contentError(err)
			if !resumed || !errors.Is(err, ErrVerification) {
				return err
			}
			fresh = true
		}
	}
}

// installHeld installs a generation that is held already and comes again, further down the history.
func (v *visit) installHeld(ctx context.Context, lines []module.Generation, head auth.SignedRoot, check func(*module.Module) error) (bool, error) {
	line := lines[len(lines)-1]
	if _, ok, err := v.local.line(ctx, line.Root); !ok || err != nil {
		return false, err
	}
	r, err := v.to.Module(ctx, line.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("remote: look for local generation %s: %w", line.Root, err)
	}
	r.Close()
	if err := v.to.Install(ctx, lines, head, notFetched{}, check); err != nil {
		return false, contentError(err)
	}
	v.report.Installed = append(v.report.Installed, line)
	v.came = arrival{held: true}
	return true, nil
}

// notFetched is the module of a generation that is held.
type notFetched struct{}

func (notFetched) Read([]byte) (int, error) {
	return 0, errors.New("remote: the generation is held, and its module is not fetched")
}

// again rests before a transfer that broke with err is taken up once more, and reports whether it is to be. failures
// counts the attempts in a row that did not get on; moved says that the last one did.
func (v *visit) again(ctx context.Context, err error, failures *int, moved bool) bool {
	if *failures++; moved {
		*failures = 1
	}
	if *failures >= orDefault(v.Attempts, 4) {
		return false
	}
	wait := backoff.Wait(*failures)
	if v.OnRetry != nil {
		v.OnRetry(err, wait)
	}
	return backoff.Sleep(ctx, wait) == nil
}

// open asks the origin for the module, from where the Local left off unless fresh is set. opened is the module from
// its start, where it is open already.
func (v *visit) open(ctx context.Context, root merkle.Hash, size int64, fresh bool, opened io.ReadCloser) (t *transfer, resumed bool, err error) {
	var (
		resumer, keeps = v.to.(Resumer)
		ranger, ranges = v.from.(RangeOrigin)
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
		r, err = v.from.Module(ctx, root)
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
	t = &transfer{ReadCloser: r, root: root, done: start, limit: v.maxModule(), progress: v.Progress}
	if s, ok := r.(interface{ Size() int64 }); ok {
		t.total = max(0, s.Size())
	}
	if size > 0 {
		if t.total > 0 && t.total != size {
			r.Close()
			return nil, false, &VerificationError{Check: CheckSize, Want: strconv.FormatInt(size, 10), Got: strconv.FormatInt(t.total, 10)}
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

// transfer is a module on its way: it holds the origin to the announced length and to the limit, counts,
// and remembers whether it was the transfer that failed.
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
