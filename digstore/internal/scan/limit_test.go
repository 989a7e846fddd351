package scan_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/digstore/internal/scan"
)

// TestIgnoreLimit: an ignore file that is too long is an error, on the disk and in a file system;
// none of its lines is used.
func TestIgnoreLimit(t *testing.T) {
	dir := t.TempDir()
	text := bytes.Repeat([]byte("a\n"), 2<<20+1)
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if tree, err := scan.Walk(t.Context(), dir, nil); err == nil {
		t.Errorf("the folder was listed: %v", tree.Files)
	}
	if tree, err := scan.FS(t.Context(), os.DirFS(dir), ".", nil); err == nil {
		t.Errorf("the file system was listed: %v", tree.Files)
	}
}
