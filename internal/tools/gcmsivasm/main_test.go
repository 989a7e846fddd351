package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestUpToDate checks that the assembly in the repository is what this program
// writes.
func TestUpToDate(t *testing.T) {
	for name, want := range files() {
		got, err := os.ReadFile(filepath.Join("..", "..", "gcmsiv", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("internal/gcmsiv/%s differs: run go generate ./internal/gcmsiv", name)
		}
	}
}
