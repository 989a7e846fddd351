// Digstore publishes folders as verified stores, serves them, and clones,
// pulls and pushes them over the dig:// remote.
//
// The program is a reader of the library: a command parses its flags, calls
// one or two functions of digstore or remote, and prints what came back. Each
// command has a file of its own; exit.go turns errors into exit codes, and
// says what to do about them.
package main

import (
	"errors"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"
)

func main() {
	limitMemory()
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	code := a.run(os.Args[1:])
	if err := os.Stdout.Close(); err != nil && code == 0 && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, syscall.EBADF) {
		a.out.err = &outputError{err} // what a file server took for the time being
		code = a.fail(a.out.err)
	}
	os.Exit(code)
}

// limitMemory keeps the program small: it may take some memory before it
// collects at all, and collects eagerly well under the 64 MiB that a command
// may use in all. GOGC and GOMEMLIMIT win where they are set.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(40 << 20)
	}
}
