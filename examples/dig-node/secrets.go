package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dig-network/digstore/auth/password"
	"github.com/dig-network/digstore/examples/dig-node/internal/keyfile"
)

func (a *app) hashPasswordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hash-password",
		Short: "Hash a password for node.yaml",
		Long: `Hash-password asks for a password, or reads one line from a pipe, and prints its
hash for password_hash in auth.credentials and auth.admins. The password is not
shown and not kept.`,
		Example: `  dig-node hash-password
  dig-node hash-password < password.txt`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := a.readPassword(true)
			if err != nil {
				return err
			}
			h, err := password.New(text)
			if err != nil {
				return usage("choose another password", "%w", err)
			}
			return a.answer(map[string]string{"password_hash": h.Text()}, func(w io.Writer) {
				fmt.Fprintln(w, h.Text())
			})
		},
	}
}

// askPassword reads a password: once from a terminal, or one line of a pipe.
func (a *app) askPassword() (string, error) { return a.readPassword(false) }

// readPassword reads a password from a terminal, twice if it is a new one, or one line of a pipe.
func (a *app) readPassword(again bool) (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		text, err := io.ReadAll(io.LimitReader(a.in, password.MaxLength+3))
		line, rest, _ := strings.Cut(string(text), "\n")
		if rest != "" {
			return "", usage("the password is one line", "more than one line on standard input")
		}
		return strings.TrimSuffix(line, "\r"), err
	}
	var twice [2]string
	for i, prompt := range []string{"password: ", "again: "} {
		if i == 1 && !again {
			return twice[0], nil
		}
		fmt.Fprint(a.err, prompt)
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.err)
		if err != nil {
			return "", err
		}
		twice[i] = string(text)
	}
	if twice[0] != twice[1] {
		return "", usage("run the command again", "the two passwords differ")
	}
	return twice[0], nil
}

func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print the token that administers the node, or make one for pushes",
		Long: `Token prints the token that administers the node. Run makes it at its first start,
in the data folder. Whoever has it controls the node.`,
		Example: `  dig-node token
  dig-node token new`,
		Args: noSubcommand,
		RunE: func(*cobra.Command, []string) error { return a.printToken() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "new",
		Short: "Make a token for pushes",
		Long: `New makes a random token and prints it with its SHA-256. The token goes to the
publisher, who pushes with it; the SHA-256 goes into auth.credentials, as
token_sha256. The token is printed once and not kept.`,
		Example: "  dig-node token new",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			t := keyfile.NewToken()
			sum := fmt.Sprintf("%x", t.Sum())
			v := map[string]string{"token": t.Text(), "token_sha256": sum}
			return a.answer(v, func(w io.Writer) {
				fmt.Fprintf(w, "token         %s\ntoken_sha256  %s\n", t.Text(), sum)
			})
		},
	})
	return cmd
}

func (a *app) printToken() error {
	c, err := a.loadQuietly()
	if err != nil {
		return err
	}
	t, err := keyfile.ReadToken(c.Node.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return &hinted{err, "dig-node run makes it at its first start; --data DIR names another folder"}
	}
	if err != nil {
		return err
	}
	v := map[string]string{"token": t.Text(), "file": filepath.Join(c.Node.DataDir, keyfile.TokenName)}
	return a.answer(v, func(w io.Writer) { fmt.Fprintln(w, t.Text()) })
}
