package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
)

// readAll reads every file below dir, one after the other.
func readAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		_, err = os.ReadFile(path)
		return err
	})
}

// fetch gets a URL, hashes the bytes once, writes them to a file and syncs it:
// what any program has to do that stores what it downloads.
func fetch(url, name string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.CopyBuffer(io.MultiWriter(f, sum), struct{ io.Reader }{resp.Body},
		make([]byte, 256<<10)); err != nil {
		return err
	}
	fmt.Printf("%x\n", sum.Sum(nil))
	return f.Sync()
}
