// Digstore publishes folders as verified stores, serves them, and clones,
// pulls and pushes them over the dig:// protocol.
//
// A command parses its flags, calls the library and prints the result. Each
// command has its own file. File exit.go maps errors to exit codes and hints,
// and file output.go has the rules of output.
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
	err := os.Stdout.Close()
	if errors.Is(err, fs.ErrInvalid) || errors.Is(err, syscall.EBADF) {
		err = nil // the program was started without a standard output
	}
	if err != nil && code == 0 {
		a.out.err = &outputError{err} // a network file system reports a write error at close
		code = a.fail(a.out.err)
	}
	os.Exit(code)
}

// limitMemory sets a soft limit of 40 MiB, so that a command stays below 64 MiB
// in all, and lets a small heap grow before the first collection. It changes
// nothing where GOGC or GOMEMLIMIT are set.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(40 << 20)
	}
}
