package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"golang.org/x/term"
)

// The rules of output: what was asked for goes to stdout, everything about
// the run to stderr. With --json stdout gets exactly one object, of an error
// too, and stderr one object a line. --quiet drops what is only about the
// run; warnings and errors stay.

// answer prints what was asked for: v with --json, else what text writes.
func (a *app) answer(v any, text func(w io.Writer)) error {
	if a.json {
		return a.object(v)
	}
	text(a.out)
	return nil
}

// done reports an act that was done; --quiet leaves it out.
func (a *app) done(v any, format string, args ...any) error {
	if a.json {
		return a.object(v)
	}
	if !a.quiet {
		fmt.Fprintf(a.out, format+"\n", args...)
	}
	return nil
}

func (a *app) object(v any) error {
	if a.answered {
		return nil
	}
	a.answered = true
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// note tells something about the run on stderr.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		a.tell("note", "", fmt.Sprintf(format, args...))
	}
}

// warn tells something that needs attention on stderr, also with --quiet.
func (a *app) warn(format string, args ...any) {
	a.tell("warning", yellow, fmt.Sprintf(format, args...))
}

func (a *app) tell(kind, color, msg string) {
	a.errMu.Lock()
	defer a.errMu.Unlock()
	if a.json {
		writeLine(a.err, map[string]string{kind: msg})
		return
	}
	w := a.err
	if a.above != nil {
		w = a.above
	}
	if kind == "note" {
		fmt.Fprintln(w, oneLine(msg))
		return
	}
	fmt.Fprintf(w, "%s %s\n", a.paint(a.err, color, kind+":"), oneLine(msg))
}

func writeLine(w io.Writer, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // stderr: nowhere to report to
}

// The colours that are used.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint colours s when w is a terminal that may be coloured.
func (a *app) paint(w io.Writer, color, s string) string {
	if color == "" || a.noColor || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !isTerminal(w) {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// table writes rows in aligned columns.
func table(w io.Writer, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, printable(cell))
		}
		fmt.Fprintln(tw)
	}
	_ = tw.Flush() // an error of stdout shows at exit
}

// printable quotes what could move a terminal's cursor: names come from
// strangers.
func printable(s string) string {
	for _, r := range s {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\ufffd' || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}

// size writes a number of bytes for people.
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

// plural writes a count with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
