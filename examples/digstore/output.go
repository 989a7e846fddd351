package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/dig-network/digstore/internal/oneline"
	"golang.org/x/term"
)

// The rules of output: results go to stdout, and notes, warnings, errors and progress
// to stderr. With --json stdout gets exactly one object, also for an error, and stderr
// gets one object per line. --quiet drops notes and progress.
//
// Names, messages and texts of hosts are untrusted. They are escaped before they
// reach a terminal: use oneline.Name for a name or another value, and
// oneline.Message for a sentence. As a second barrier, answer, done, note, warn and
// the JSON objects escape what was not.

// stdout is standard output. It keeps its first error, so that a command fails if its
// result was not written.
type stdout struct {
	io.Writer
	err error
}

func (s *stdout) Write(b []byte) (int, error) {
	n, err := s.Writer.Write(b)
	if err != nil {
		err = &outputError{err}
	}
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// outputError says that standard output could not be written.
type outputError struct{ err error }

func (e *outputError) Error() string { return fmt.Sprintf("write standard output: %v", e.err) }
func (e *outputError) Unwrap() error { return e.err }

// closedPipe reports whether the reader of standard output closed its pipe, as head
// does.
func closedPipe(err error) bool {
	var out *outputError
	if !errors.As(err, &out) {
		return false
	}
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || brokenPipe(err)
}

// answer prints a result: v with --json, or else the output of text.
func (a *app) answer(v any, text func(w io.Writer)) error {
	if a.json {
		return a.object(v)
	}
	w := &screen{w: a.out}
	text(w)
	return w.flush()
}

// done prints that a command has succeeded. --quiet drops the text.
func (a *app) done(v any, format string, args ...any) error {
	if a.quiet && !a.json {
		return nil
	}
	return a.answer(v, func(w io.Writer) { fmt.Fprintf(w, format+"\n", plainArgs(args)...) })
}

func (a *app) object(v any) error {
	if a.answered {
		return nil
	}
	a.answered = true
	return writeLine(a.out, v)
}

// note prints a note to stderr.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		a.tell("note", "", fmt.Sprintf(format, plainArgs(args)...))
	}
}

// warn prints a warning to stderr, also with --quiet.
func (a *app) warn(format string, args ...any) {
	a.tell("warning", yellow, fmt.Sprintf(format, plainArgs(args)...))
}

// plainArgs makes the strings among the arguments of a format printable.
func plainArgs(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		if s, ok := arg.(string); ok && oneline.HasHidden(s) {
			arg = oneline.Name(s)
		}
		out[i] = arg
	}
	return out
}

func (a *app) tell(kind, color, msg string) {
	a.errMu.Lock()
	defer a.errMu.Unlock()
	if a.json {
		_ = writeLine(a.err, map[string]string{kind: msg}) // an error of stderr cannot be reported
		return
	}
	w := a.err
	if a.above != nil {
		w = a.above
	}
	if kind == "note" {
		fmt.Fprintln(w, oneline.Message(msg))
		return
	}
	fmt.Fprintf(w, "%s %s\n", a.paint(a.err, color, kind+":"), oneline.Message(msg))
}

// writeLine writes v as one line of JSON without hidden characters.
func writeLine(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeJSON(b.Bytes()))
	return err
}

// escapeJSON escapes hidden characters, which occur only inside strings.
func escapeJSON(b []byte) []byte {
	if !oneline.HasHidden(strings.TrimSuffix(string(b), "\n")) {
		return b
	}
	var out []byte
	for _, r := range string(b) {
		switch {
		case r == '\n' || r == utf8.RuneError || !oneline.Hidden(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// screen writes text and escapes hidden characters, except line ends, tabs and the
// colours of paint. It buffers the text and keeps the first error.
type screen struct {
	w   io.Writer
	buf bytes.Buffer
	err error
}

func (s *screen) Write(b []byte) (int, error) {
	s.buf.Write(b)
	if s.buf.Len() > 64<<10 {
		end := bytes.LastIndexByte(s.buf.Bytes(), '\n') + 1
		s.send(s.buf.Next(end))
	}
	return len(b), s.err
}

func (s *screen) send(b []byte) {
	if s.err == nil && len(b) > 0 {
		_, s.err = s.w.Write(escapeText(b))
	}
}

func (s *screen) flush() error {
	s.send(s.buf.Next(s.buf.Len()))
	return s.err
}

func escapeText(b []byte) []byte {
	text := string(b)
	var out []byte
	for len(text) > 0 {
		_, n := utf8.DecodeRuneInString(text)
		switch color := colourLen(text); {
		case color > 0:
			n = color
			out = append(out, text[:n]...)
		case text[0] == '\n' || text[0] == '\t':
			out = append(out, text[0])
		default:
			out = oneline.AppendChar(out, text[:n])
		}
		text = text[n:]
	}
	return out
}

// colourLen returns the length of the escape sequence of paint at the start of text,
// or 0.
func colourLen(text string) int {
	for _, color := range []string{red, green, yellow, "0"} {
		if s := "\x1b[" + color + "m"; strings.HasPrefix(text, s) {
			return len(s)
		}
	}
	return 0
}

// The colours that are used.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint colours s if w is a terminal and colours are not disabled.
func (a *app) paint(w io.Writer, color, s string) string {
	disabled := a.noColor || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	if color == "" || disabled || !isTerminal(w) {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	switch s := stream.(type) {
	case *screen:
		return isTerminal(s.w)
	case *stdout:
		return isTerminal(s.Writer)
	case *os.File:
		return term.IsTerminal(int(s.Fd()))
	}
	return false
}

// table writes rows in aligned columns.
func table(w io.Writer, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, oneline.Name(cell))
		}
		fmt.Fprintln(tw)
	}
	_ = tw.Flush() // the writer keeps the error
}

// size formats a number of bytes for text output.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, suffix := float64(n)/unit, 0
	for value >= unit && suffix < 3 {
		value /= unit
		suffix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[suffix])
}

// plural formats a count with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
