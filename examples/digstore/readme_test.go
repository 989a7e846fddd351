package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/server"
)

// publish is the README's recipe "Publish from Go".
func publish(ctx context.Context, dir, addr string) error {
	ws, err := digstore.Init(dir, nil)
	if err != nil {
		return err
	}
	store, err := ws.Create(ctx, auth.StoreID{}, &digstore.StoreOptions{Name: "site"})
	if err != nil {
		return err
	}
	if err := store.StageFS(ctx, os.DirFS("site")); err != nil {
		return err
	}
	if _, err := store.Commit(ctx, nil, &digstore.CommitOptions{Message: "first"}); err != nil {
		return err
	}
	srv := server.NewHTTPServer(server.New(ws, nil), nil)
	srv.Addr = addr
	return srv.ListenAndServe()
}

// cloneSite is the README's recipe "Clone from Go and serve it as a web site".
func cloneSite(ctx context.Context, ws *digstore.Workspace, id string, key auth.PublicKey,
	addr string) error {
	u, err := remote.ParseURL("dig://example.org/" + id)
	if err != nil {
		return err
	}
	origin, err := remote.NewClient(u, nil)
	if err != nil {
		return err
	}
	store, err := ws.Create(ctx, u.Store, nil)
	if err != nil {
		return err
	}
	if _, err := remote.Clone(ctx, store, origin, remote.Trust{Publisher: key}); err != nil {
		return err
	}
	site, err := store.Latest()
	if err != nil {
		return err
	}
	return http.ListenAndServe(addr, http.FileServerFS(site))
}

// The README's Go is the bodies above, and its command lines parse.
func TestREADME(t *testing.T) {
	_, _ = publish, cloneSite // compiled, not run: they listen for ever
	b, err := os.ReadFile(filepath.Join(sourceDir(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	code := strings.ReplaceAll(string(self), "\n\t", "\n")
	blocks, lines := 0, 0
	for i, block := range strings.Split(string(b), "```") {
		if i%2 == 0 {
			continue
		}
		kind, text, _ := strings.Cut(block, "\n")
		switch kind {
		case "go":
			blocks++
			if !strings.Contains(code, text) {
				t.Errorf("this Go of the README is not compiled here:\n%s", text)
			}
		case "sh":
			for line := range strings.Lines(text) {
				if fields := strings.Fields(strings.ReplaceAll(line, `"`, "")); fields[0] == "digstore" {
					lines++
					checkLine(t, fields[1:])
				}
			}
		}
	}
	if blocks != 2 || lines < 8 {
		t.Errorf("%d blocks of Go and %d command lines found in the README", blocks, lines)
	}
}

// checkLine parses a command line without running it.
func checkLine(t *testing.T, args []string) {
	t.Helper()
	for i, arg := range args {
		if arg == "#" {
			args = args[:i]
			break
		}
	}
	root := newApp(nil, io.Discard, io.Discard).rootCommand()
	cmd, rest, err := root.Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("digstore %s: %v", strings.Join(args, " "), err)
	}
}

// Every command says what it does, at length, and shows how.
func TestHelp(t *testing.T) {
	root := newApp(nil, io.Discard, io.Discard).rootCommand()
	seen := 0
	for _, cmd := range append(root.Commands(), root) {
		for _, c := range append(cmd.Commands(), cmd) {
			seen++
			if c.Short == "" || c.Long == "" || c.Example == "" {
				t.Errorf("%s lacks help: short %t, long %t, examples %t",
					c.CommandPath(), c.Short != "", c.Long != "", c.Example != "")
			}
			for line := range strings.Lines(c.Example) {
				if !strings.HasPrefix(line, "  ") || len(line) > 100 {
					t.Errorf("%s: example %q", c.CommandPath(), line)
				}
			}
		}
	}
	if missing := missingCommands(root); len(missing) > 0 {
		t.Errorf("commands without a group: %v", missing)
	}
	if seen < 30 {
		t.Errorf("only %d commands", seen)
	}
}

// missingCommands returns the commands that the list of the help text does not show under a
// title.
func missingCommands(root *cobra.Command) (names []string) {
	for _, cmd := range root.Commands() {
		if cmd.GroupID == "" || !root.ContainsGroup(cmd.GroupID) {
			names = append(names, cmd.Name())
		}
	}
	return names
}
