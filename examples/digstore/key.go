package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/regular"
)

func (a *app) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Show, export or import the publisher key of a store",
		Long: `The publisher key signs the generations of a store. Anyone who has the key can
publish as the owner of the store. It is kept in the store's folder; a clone does
not have it.

A private store also has a secret salt. Anyone who has the salt and a URN can
read the resource. Export and import handle the salt with --salt.`,
		Example: `  digstore key show
  digstore key export backup.key
  digstore key export --salt readers.salt`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.keyShowCommand(), a.keyExportCommand(), a.keyImportCommand())
	return cmd
}

func (a *app) keyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Print the public key of the publisher",
		Long:    `Show prints the public part of the publisher key, never the secret.`,
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
	}
}

func (a *app) keyExportCommand() *cobra.Command {
	var salt bool
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the secret key to a new file",
		Long: `Export writes the secret key as 64 hex digits to FILE, which must not exist yet
and gets mode 0600. Anyone who has this file can publish as you. Keep a copy on
another machine: without the key the store can no longer be changed.

With --salt it writes the secret salt of a private store instead. Give the salt
to the readers of the store; it does not let them publish.`,
		Example: `  digstore key export /media/stick/site.key
  digstore key export --salt readers.salt`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.withStore(func(s *digstore.Store) error {
				if salt {
					return a.exportSalt(s, args[0])
				}
				return a.exportKey(s, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&salt, "salt", false, "export the secret salt of a private store instead")
	return cmd
}

func (a *app) keyImportCommand() *cobra.Command {
	var salt, writer bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import a publisher key, so that this clone can commit",
		Long: `Import reads a key from FILE: the output of export, or the 32 bytes of a
signing_key.bin. "-" is standard input. The key must be the one that signed the
head of the store.

With --writer it accepts any key. Use it for a key that the chain authorizes to
write to the store, or for the owner's key when a writer signed the head. The
generations that it signs are accepted by hosts and clones that check the chain
(serve --authority, pull --chain).

With --salt it imports the secret salt that export --salt wrote, so that this
clone of a private store can be read.`,
		Example: `  digstore key import site.key
  printenv DEPLOY_KEY | digstore key import -
  digstore key import --writer mine.key
  digstore key import --salt readers.salt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(func(s *digstore.Store) error {
				if salt {
					return a.importSalt(cmd.Context(), s, args[0])
				}
				return a.importKey(cmd.Context(), s, args[0], writer)
			})
		},
	}
	cmd.Flags().BoolVar(&salt, "salt", false, "import the secret salt of a private store instead")
	cmd.Flags().BoolVar(&writer, "writer", false,
		"accept a key that did not sign the head, such as a writer's on the chain")
	cmd.MarkFlagsMutuallyExclusive("salt", "writer")
	return cmd
}

func (a *app) exportKey(s *digstore.Store, path string) error {
	key, err := s.Signer()
	if err != nil {
		return err
	}
	seed := key.Seed()
	if err := writeSecret(path, hex.EncodeToString(seed[:])); err != nil {
		return err
	}
	return a.done(map[string]any{"file": path, "public_key": key.PublicKey()},
		"secret key written to %s: keep it safe", path)
}

func (a *app) exportSalt(s *digstore.Store, path string) error {
	salt := s.Salt()
	if salt == nil {
		return usage("only a private store has a salt; a clone has it after key import --salt",
			"store %s has no secret salt here", s.Name())
	}
	if err := writeSecret(path, salt.Hex()); err != nil {
		return err
	}
	return a.done(map[string]any{"file": path, "store": s.Name()},
		"secret salt written to %s: anyone who has it can read the store", path)
}

// writeSecret writes a line to a new file with mode 0600.
func writeSecret(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
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
	return nil
}

func (a *app) importKey(ctx context.Context, s *digstore.Store, path string, writer bool) error {
	key, err := readKey(path, a.input)
	if err != nil {
		return err
	}
	if writer {
		err = s.AdoptKey(ctx, key)
	} else {
		err = s.ImportKey(ctx, key)
	}
	switch {
	case errors.Is(err, auth.ErrForbidden):
		return &hinted{err,
			"if the chain authorizes this key to write, use: digstore key import --writer"}
	case errors.Is(err, fs.ErrExist):
		return &hinted{err, "a store has one key: use another clone for this key"}
	case err != nil:
		return err
	}
	return a.done(map[string]any{"store": s.Name(), "public_key": key.PublicKey(), "writer": writer},
		"store %s can commit now, with key %s", s.Name(), key.PublicKey())
}

func (a *app) importSalt(ctx context.Context, s *digstore.Store, path string) error {
	b, err := readSecret(path, a.input)
	if err != nil {
		return err
	}
	salt, err := urn.ParseSalt(string(bytes.TrimSpace(b)))
	if err != nil {
		return usage("give a file that digstore key export --salt wrote", "%s: %w", path, err)
	}
	if err := s.ImportSalt(ctx, salt); err != nil {
		return err
	}
	return a.done(map[string]any{"store": s.Name()},
		"salt imported: store %s can be read now if this is its salt", s.Name())
}

// readSecret reads a small file, or standard input if path is "-".
func readSecret(path string, in io.Reader) ([]byte, error) {
	if path != "-" {
		f, err := regular.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, 1024))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// readKey reads a seed, raw or in hex. Its errors do not contain what was read.
func readKey(path string, in io.Reader) (*auth.Key, error) {
	b, err := readSecret(path, in)
	if err != nil {
		return nil, err
	}
	if len(b) == auth.SeedSize {
		return auth.NewKey([auth.SeedSize]byte(b)), nil
	}
	key, err := auth.ParseKey(string(bytes.TrimSpace(b)))
	if err != nil {
		return nil, usage("give a file that digstore key export wrote, or a signing_key.bin", "%s: %w",
			path, err)
	}
	return key, nil
}
