package files

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/internal/strictjson"
)

// Limits of a file.
const (
	MaxFile    = 256 << 20 // bytes
	MaxEntry   = 64 << 10  // bytes of one object
	MaxEntries = 1_000_000
)

// ErrFile is wrapped by errors about the content of a file.
var ErrFile = errors.New("malformed file")

// Options are settings of the Open functions. nil and the zero value mean the defaults.
type Options struct {
	Interval time.Duration // between two checks of the file. Default 2 s
	Logger   *slog.Logger  // default: discarded
	Now      func() time.Time
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Interval <= 0 {
		c.Interval = 2 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// A table is the parsed content of a file. Its method add adds one entry.
type table interface {
	add(entry []byte) error
}

// A follower has the newest valid version of a file.
type follower[T table] struct {
	path  string
	fresh func() T
	opt   Options

	refresh sync.Mutex // held while the file is read
	seen    stamp      // stamp of the version that was read last, valid or not
	err     error      // error of that version

	mu      sync.RWMutex
	current T
}

// A stamp tells versions of a file apart. Two versions within the resolution of the times of a file
// system can have the same times, so a stamp of a file that has just been written proves nothing.
type stamp struct {
	info fs.FileInfo
	sum  [sha256.Size]byte
	old  bool // the file had not changed for a while when it was read
}

// settled is how long a file must be unchanged before its stamp identifies the version.
const settled = 3 * time.Second

func open[T table](path string, fresh func() T, o *Options) (*follower[T], error) {
	f := &follower[T]{path: path, fresh: fresh, opt: o.withDefaults()}
	if _, err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// get returns the newest valid version, which does not change.
func (f *follower[T]) get() T {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.current
}

// Run reads the file again whenever it has changed, until ctx ends. It logs each new version and
// each error. Reading takes at most a twentieth of the time, so a large file that changes all the
// time is read less often. Run returns ctx's error.
func (f *follower[T]) Run(ctx context.Context) error {
	wait := f.opt.Interval
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		start := time.Now()
		_ = f.Refresh() // Refresh logs the error
		wait = max(f.opt.Interval, 20*time.Since(start))
	}
}

// Refresh reads the file again if it has changed. After an error the previous version stays in use.
// The error names the file, and the line if the content is malformed.
func (f *follower[T]) Refresh() error {
	f.refresh.Lock()
	defer f.refresh.Unlock()
	if info, err := os.Stat(f.path); err == nil && f.seen.covers(info) {
		return f.err
	}
	before := f.err
	changed, err := f.read()
	f.err = err
	log := f.opt.Logger.With("component", "config", "file", filepath.Base(f.path))
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		log.Error("source_refused", "error", err)
	case err == nil && changed:
		log.Info("source_reloaded")
	}
	return err
}

// covers reports whether a file is the version that was read.
func (s stamp) covers(info fs.FileInfo) bool {
	return s.info != nil && s.old && os.SameFile(s.info, info) && s.info.Size() == info.Size() &&
		s.info.ModTime().Equal(info.ModTime())
}

// read reads the file. changed says whether the content differs from that of the last version.
func (f *follower[T]) read() (changed bool, err error) {
	file, err := regular.Open(f.path)
	if err != nil {
		f.seen = stamp{}
		return false, fmt.Errorf("read source: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, fmt.Errorf("read source: %w", err)
	}
	hash := sha256.New()
	next := f.fresh()
	err = parse(io.TeeReader(file, hash), next)
	if err != nil {
		err = fmt.Errorf("read source %s: %w", f.path, err)
	}
	sum := [sha256.Size]byte(hash.Sum(nil))
	changed = err != nil || sum != f.seen.sum
	f.seen = stamp{info: info, sum: sum, old: f.opt.Now().Sub(info.ModTime()) > settled}
	if err != nil {
		return true, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current = next
	return changed, nil
}

// parse reads the entries of a file. An error about the content wraps ErrFile and names its line.
func parse(r io.Reader, to table) error {
	p := &parser{r: bufio.NewReaderSize(r, 64<<10), line: 1}
	for n := 0; ; n++ {
		entry, err := p.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && n == MaxEntries {
			err = fmt.Errorf("more than %d entries", MaxEntries)
		}
		if err == nil {
			err = to.add(entry)
		}
		if err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrFile, p.start, err)
		}
	}
}

// A parser splits a file into objects. It checks only brackets and strings; the decoder checks the
// objects.
type parser struct {
	r     *bufio.Reader
	read  int64 // bytes
	line  int   // of the next byte
	start int   // line of the entry
	list  bool  // the file is one list
	first bool  // an entry was read
	ended bool  // the list has ended
	entry bytes.Buffer
}

func (p *parser) byte() (byte, error) {
	c, err := p.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if p.read++; p.read > MaxFile {
		return 0, fmt.Errorf("more than %d bytes", MaxFile)
	}
	if c == '\n' {
		p.line++
	}
	return c, nil
}

// skip returns the next byte that is not white space.
func (p *parser) skip() (byte, error) {
	for {
		c, err := p.byte()
		p.start = p.line
		if err != nil || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, err
		}
	}
}

// next returns the next object. It is valid until the next call.
func (p *parser) next() ([]byte, error) {
	c, err := p.skip()
	if err == nil && c == '[' && !p.first && !p.list {
		p.list = true
		c, err = p.skip()
		if err == nil && c != ']' {
			p.first = true
			return p.object(c)
		}
	}
	switch {
	case errors.Is(err, io.EOF) && p.list && !p.ended:
		return nil, errors.New("the list does not end")
	case err != nil:
		return nil, err
	case p.ended:
		return nil, errors.New("text after the list")
	case p.list && c == ']':
		p.ended = true
		return p.next()
	case p.list && c != ',':
		return nil, fmt.Errorf("expected , or ] found %q", c)
	case p.list:
		if c, err = p.skip(); err != nil {
			return nil, errors.New("the list does not end")
		}
	}
	p.first = true
	return p.object(c)
}

// object reads an object, whose first byte is c.
func (p *parser) object(c byte) ([]byte, error) {
	if c != '{' {
		return nil, fmt.Errorf("expected an object, found %q", c)
	}
	p.entry.Reset()
	depth, text, escaped := 0, false, false
	for {
		p.entry.WriteByte(c)
		switch {
		case escaped:
			escaped = false
		case text && c == '\\':
			escaped = true
		case c == '"':
			text = !text
		case !text && (c == '{' || c == '['):
			depth++
		case !text && (c == '}' || c == ']'):
			depth--
		}
		if depth == 0 {
			return p.entry.Bytes(), nil
		}
		if p.entry.Len() >= MaxEntry {
			return nil, fmt.Errorf("object of more than %d bytes", MaxEntry)
		}
		var err error
		if c, err = p.byte(); errors.Is(err, io.EOF) {
			return nil, errors.New("the object does not end")
		} else if err != nil {
			return nil, err
		}
	}
}

// decode decodes an entry. Unknown members are errors.
func decode(entry []byte, v any) error {
	if err := strictjson.Check(entry); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(entry))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}
