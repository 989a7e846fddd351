package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
)

func (a *app) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Show, export or import the publisher key of a store",
		Long: `The publisher key signs the generations of a store: who has it can publish as
the store's owner. It is kept in the store's folder, and a clone has none.`,
		Example: `  digstore key show
  digstore key export backup.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "show",
			Short:   "Print the public half of the publisher key",
			Long:    `Show prints the public key. The secret is never printed.`,
			Example: "  digstore key show --json",
			Args:    cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				return a.withStore(func(s *digstore.Store) error {
					key, err := s.Signer()
					if err != nil {
						return err
					}
					pub := key.PublicKey()
					return a.answer(map[string]any{
						"public_key": pub, "fingerprint": fmt.Sprintf("%08x", pub.Fingerprint()),
						"proves_id": auth.StoreIDFromKey(pub) == s.ID(),
					}, func(w io.Writer) { fmt.Fprintln(w, pub) })
				})
			},
		},
		&cobra.Command{
			Use:   "export FILE",
			Short: "Write the secret key to a new file",
			Long: `Export writes the secret seed as 64 hex digits to FILE, which must not exist yet
and gets mode 0600. Whoever has this file can publish as you. Keep it away
from the machine: a lost key means that the store can no longer be changed.`,
			Example: "  digstore key export /media/stick/site.key",
			Args:    cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				return a.withStore(func(s *digstore.Store) error { return a.exportKey(s, args[0]) })
			},
		},
		&cobra.Command{
			Use:   "import FILE",
			Short: "Take a publisher key in, so that this store can commit",
			Long: `Import reads a key from FILE, as export wrote it or as the 32 raw bytes of a
signing_key.bin; "-" is standard input. The key must be the one that signed the
store's head.`,
			Example: `  digstore key import site.key
  printenv DEPLOY_KEY | digstore key import -`,
			Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				return a.withStore(func(s *digstore.Store) error { return a.importKey(s, args[0]) })
			},
		})
	return cmd
}

func (a *app) exportKey(s *digstore.Store, path string) error {
	key, err := s.Signer()
	if err != nil {
		return err
	}
	seed := key.Seed()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(hex.EncodeToString(seed[:]) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(path)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return a.done(map[string]any{"file": path, "public_key": key.PublicKey()}, "secret key written to %s: keep it safe", path)
}

func (a *app) importKey(s *digstore.Store, path string) error {
	key, err := readKey(path, a.in)
	if err != nil {
		return err
	}
	err = s.ImportKey(key)
	if errors.Is(err, auth.ErrForbidden) {
		return &hinted{err, "only the key that signed the store's head can sign what follows"}
	}
	if err != nil {
		return err
	}
	return a.done(map[string]any{"store": s.Name(), "public_key": key.PublicKey()}, "store %s can commit now, with key %s", s.Name(), key.PublicKey())
}

// readKey reads a seed, raw or in hex. Its errors never repeat what was read.
func readKey(path string, in io.Reader) (*auth.Key, error) {
	r := in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, 1024))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) == auth.SeedSize {
		return auth.NewKey([auth.SeedSize]byte(b)), nil
	}
	key, err := auth.ParseKey(string(bytes.TrimSpace(b)))
	if err != nil {
		return nil, usage("give a file that digstore key export wrote, or a signing_key.bin", "%s: %w", path, err)
	}
	return key, nil
}
