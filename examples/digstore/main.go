// Digstore publishes folders as verified stores, serves them, and clones,
// pulls and pushes them over the dig:// remote.
//
// The program is a reader of the library: a command parses its flags, calls
// one or two functions of digstore or remote, and prints what came back. Each
// command has a file of its own; exit.go turns errors into exit codes, and
// says what to do about them.
package main

import (
	"os"
	"runtime/debug"
)

func main() {
	limitMemory()
	os.Exit(newApp(os.Stdin, os.Stdout, os.Stderr).run(os.Args[1:]))
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
