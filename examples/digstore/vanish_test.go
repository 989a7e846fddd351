package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestCommitBesideChanges commits a folder in which another program removes
// and makes files, and appends to a large one, all the time. Every commit
// succeeds, and what it left out is named.
func TestCommitBesideChanges(t *testing.T) {
	d := newDesk(t)
	d.publish(".")
	name := func(i int) string { return fmt.Sprintf("site/cache/%03d", i) }
	for i := range 300 {
		d.write(name(i), pattern(name(i), 2000))
	}
	d.write("site/log", pattern("log", 2_000_000))
	log, err := os.OpenFile(filepath.Join(d.dir, "site/log"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// Windows refuses to remove or replace a file while a commit reads it.
	insist := func(do func() error) error {
		err := do()
		for runtime.GOOS == "windows" && err != nil {
			time.Sleep(time.Millisecond)
			err = do()
		}
		return err
	}
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			file := filepath.Join(d.dir, name(i%300))
			err = insist(func() error { return os.Remove(file) })
			if i%10 == 0 {
				_, werr := log.WriteString("a line of the log\n")
				err = errors.Join(err, werr)
			}
			err = errors.Join(err, os.WriteFile(file+".part", []byte(fmt.Sprint(i)), 0o666),
				insist(func() error { return os.Rename(file+".part", file) }))
		}
		done <- err
	}()
	var skipped []string
	for i := 0; len(skipped) == 0 && i < 60; i++ {
		var stdout, stderr strings.Builder
		cmd := d.command(".", "commit", "--json")
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("commit %d: %v\n%s%s", i, err, stdout.String(), stderr.String())
		}
		var v struct{ Skipped []string }
		if err := json.Unmarshal([]byte(stdout.String()), &v); err != nil {
			t.Fatal(err)
		}
		skipped = v.Skipped
		for _, name := range skipped {
			if !strings.Contains(stderr.String(), name+" was removed") {
				t.Errorf("%s was left out without a warning:\n%s", name, stderr.String())
			}
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(skipped) == 0 {
		t.Error("no file vanished in 60 commits")
	}
	d.must(".", "verify", "--all", "--deep")
}
