// Package scripttest has commands for the scenarios of the programs under examples.
package scripttest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// A Script is a running scenario. *testscript.TestScript is one.
type Script interface {
	Check(err error)
	Exec(command string, args ...string) error
	Fatalf(format string, args ...any)
	MkAbs(file string) string
	ReadFile(file string) string
}

// Exits is the command exits CODE COMMAND...: it runs a command that must end with that exit code.
// The last line of an error must say what to do, unless it is printed as JSON.
func Exits(ts Script, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	stderr := strings.TrimRight(ts.ReadFile("stderr"), "\n")
	if json := strings.HasPrefix(ts.ReadFile("stdout"), "{"); got != 0 && !json {
		lines := strings.Split(stderr, "\n")
		if last := lines[len(lines)-1]; len(lines) < 2 || !strings.HasPrefix(last, "  ") {
			ts.Fatalf("an error without a line that says what to do:\n%s", stderr)
		}
	}
}

// Mode is the command mode PERM FILE...: it checks permissions, in octal; not on Windows.
func Mode(ts Script, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode PERM FILE...")
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := info.Mode().Perm(); got != fs.FileMode(want) && runtime.GOOS != "windows" {
			ts.Fatalf("%s has mode %04o, want %04o", name, got, want)
		}
	}
}
