package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The variables that a script's commands are told by what to verify: every
// workspace below the first folder but those in the second list. The third is
// set in the process that does it.
const (
	rereadVar  = "DIG_TEST_REREAD"
	damagedVar = "DIG_TEST_DAMAGED"
	verifyVar  = "DIG_TEST_VERIFY"
)

// changing are the commands that change a store, here or at a host.
var changing = []string{"add", "clone", "commit", "gc", "import", "init", "promote", "pull", "push",
	"revoke", "unstage"}

// program is the digstore of the tests. In scripts a command that changes a
// store and succeeds ends only when a new process has verified everything that
// the workspaces of the script hold; damage is exit code 99.
func program() {
	root := os.Getenv(rereadVar)
	if root != "" && os.Getenv(verifyVar) != "" {
		if err := verifyAll(root); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if root == "" || !slices.Contains(changing, commandIn(os.Args[1:])) {
		main()
	}
	limitMemory()
	code := newApp(os.Stdin, os.Stdout, os.Stderr).run(os.Args[1:])
	if code == 0 {
		if err := reread(root); err != nil {
			fmt.Fprintln(os.Stderr, "reread:", err)
			code = 99
		}
	}
	os.Exit(code)
}

// commandIn returns the name of the command in arguments.
func commandIn(args []string) string {
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains([]string{"-C", "--directory", "--store"}, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return ""
}

// reread verifies every store below root, in a new process.
func reread(root string) error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), verifyVar+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// verifyAll verifies every store below root.
func verifyAll(root string) error {
	damaged := filepath.SplitList(os.Getenv(damagedVar))
	for i, dir := range damaged {
		damaged[i] = filepath.Clean(dir) // scripts write slashes
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if slices.Contains(damaged, path) {
			return filepath.SkipDir
		}
		if filepath.Base(path) != ".dig" {
			return nil
		}
		stores, err := os.ReadDir(filepath.Join(path, "stores"))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		for _, s := range stores {
			if _, err := os.Stat(filepath.Join(path, "stores", s.Name(), "config.toml")); err != nil {
				continue // not a store
			}
			args := []string{"-C", filepath.Dir(path), "--store", s.Name(), "verify", "--all", "--deep"}
			if code := newApp(os.Stdin, os.Stdout, os.Stderr).run(args); code != 0 {
				return fmt.Errorf("%v: exit code %d", args, code)
			}
		}
		return filepath.SkipDir
	})
}
