package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// built is the program digstore, which is built when a script needs it first.
var built struct {
	sync.Once
	path string
	err  error
}

// digstore ARG... runs the program digstore.
func runDigstore(ts *testscript.TestScript, neg bool, args []string) {
	built.Do(func() {
		dir, err := os.MkdirTemp("", "dig-node-test-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "digstore")
		cmd := exec.Command("go", "build", "-o", built.path, "../digstore")
		cmd.Stderr = os.Stderr
		built.err = cmd.Run()
	})
	ts.Check(built.err)
	err := ts.Exec(built.path, args...)
	if neg != (err != nil) {
		ts.Fatalf("digstore: %v, want an error: %v", err, neg)
	}
}
