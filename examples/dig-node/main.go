// Dig-node runs a node: it hosts stores, keeps their capsules in plots, and proves to validators
// that it has them.
//
// A command parses its flags, calls the library and prints the result. Each command has its own
// file. File exit.go maps errors to exit codes and hints. Package internal/config has the
// configuration.
package main

import "os"

func main() {
	os.Exit(newApp(os.Stdin, os.Stdout, os.Stderr, os.Environ()).run(os.Args[1:]))
}
