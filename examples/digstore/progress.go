package main

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progressInterval is how often a progress line is written with --json.
const progressInterval = time.Second

// progress shows the progress of one command: a bar on a terminal, JSON lines with
// --json, nothing otherwise. Its methods may be called from any goroutine.
type progress struct {
	app         *app
	label       atomic.Pointer[string]
	done, total atomic.Int64
	bars        *mpb.Progress
	bar         *mpb.Bar
	quit        chan struct{}
	wg          sync.WaitGroup
	once        sync.Once
}

// progress starts to show progress. The caller calls stop before it prints a result.
func (a *app) progress(label string) *progress {
	p := &progress{app: a, quit: make(chan struct{})}
	p.stage(label)
	switch {
	case a.json && !a.quiet:
		p.wg.Go(p.lines)
	case !a.quiet && isTerminal(a.err):
		p.bars = mpb.New(mpb.WithOutput(a.err), mpb.WithRefreshRate(120*time.Millisecond))
		p.bar = p.bars.AddBar(0,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return *p.label.Load() + " " })),
			mpb.AppendDecorators(
				decor.Any(func(decor.Statistics) string { return p.figures() }),
				decor.Elapsed(decor.ET_STYLE_MMSS, decor.WC{W: 6})))
		a.showAbove(p.bars)
	}
	return p
}

// stage sets the label.
func (p *progress) stage(label string) { p.label.Store(&label) }

// set sets the progress. A total of 0 means unknown.
func (p *progress) set(done, total int64) {
	p.done.Store(done)
	p.total.Store(total)
	if p.bar != nil {
		p.bar.SetTotal(total, false)
		p.bar.SetCurrent(done)
	}
}

// stop removes the bar. It may be called more than once.
func (p *progress) stop() {
	p.once.Do(func() {
		close(p.quit)
		p.wg.Wait()
		if p.bars != nil {
			p.app.showAbove(nil)
			p.bar.Abort(true)
			p.bars.Wait()
		}
	})
}

// showAbove sets the writer of notes and warnings while there is a bar; nil means no bar.
func (a *app) showAbove(w io.Writer) {
	a.errMu.Lock()
	defer a.errMu.Unlock()
	a.above = w
}

func (p *progress) figures() string {
	done, total := p.done.Load(), p.total.Load()
	switch {
	case total > 0:
		return size(done) + " of " + size(total)
	case done > 0:
		return size(done)
	}
	return ""
}

// lines writes {"progress":…,"done":…,"total":…} at every interval.
func (p *progress) lines() {
	type line struct {
		Progress string `json:"progress"`
		Done     int64  `json:"done"`
		Total    int64  `json:"total,omitempty"`
	}
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		p.app.errMu.Lock()
		writeLine(p.app.err, line{*p.label.Load(), p.done.Load(), p.total.Load()})
		p.app.errMu.Unlock()
		select {
		case <-tick.C:
		case <-p.quit:
			return
		}
	}
}
