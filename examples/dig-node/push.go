package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/client"
)

// pushFlags are the flags of push: the content and the credential.
type pushFlags struct {
	store, to, user, passwordFile, tokenFile, key string
	generation                                    uint64
}

func (a *app) pushCommand() *cobra.Command {
	var f pushFlags
	cmd := &cobra.Command{
		Use:   "push FILE",
		Short: "Push the content of a file to a node, as capsules of a store",
		Long: `Push cuts a file into capsules and pushes them to the node that runs here, with its
token, or to another node, with a user name and a password or with a token for
pushes. With --key the push is signed by a writer of the store; without, the node
keeps it, but passes it on to nobody.`,
		Example: `  dig-node push site.dig --store STORE_ID
  dig-node push site.dig --store STORE_ID --to https://node.example --user anna`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.push(cmd.Context(), args[0], &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.store, "store", "", "the `ID` of the store (required)")
	flags.StringVar(&f.to, "to", "", "push to the node at `URL` (default: the node that runs here)")
	flags.StringVar(&f.user, "user", "", "sign in as `NAME`; the password is asked for")
	flags.StringVar(&f.passwordFile, "password-file", "", "read the password from `FILE`")
	flags.StringVar(&f.tokenFile, "token-file", "", "use the token in `FILE`")
	flags.StringVar(&f.key, "key", "", "sign with the publisher key in `FILE`")
	flags.Uint64Var(&f.generation, "generation", 1, "the number `N` of the generation that is signed")
	return cmd
}

func (a *app) push(ctx context.Context, name string, f *pushFlags) error {
	store, err := storeID(f.store)
	if err != nil {
		return err
	}
	c, err := a.pushClient(f)
	if err != nil {
		return err
	}
	defer c.Close()
	file, err := regular.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	m, err := capsule.Split(ctx, store, file, nil, nil)
	if err != nil {
		return err
	}
	if f.key != "" {
		key, err := auth.ReadKey(f.key)
		if err != nil {
			return err
		}
		s, err := capsule.SignRoot(ctx, m, f.generation, key)
		if err != nil {
			return err
		}
		if err := m.SetStatement(s); err != nil {
			return err
		}
	}
	res, err := c.Push(ctx, &client.Push{Manifest: m, Content: &fileSource{file, m}})
	if err != nil {
		return pushError(err)
	}
	v := map[string]any{"datastore_id": "0x" + store.String(), "merkle_root": "0x" + m.Root.String(),
		"capsule_count": len(m.Capsules), "sent_bytes": res.Sent}
	return a.answer(v, func(w io.Writer) {
		fmt.Fprintf(w, "pushed root %s, %s, %s sent\n", m.Root,
			plural(len(m.Capsules), "capsule", "capsules"), bytesText(res.Sent))
	})
}

// pushError adds what to do to an error of a push.
func pushError(err error) error {
	var declined *client.DeclinedError
	var status *client.StatusError
	switch {
	case errors.As(err, &declined):
		return &checkFailed{err.Error(), "dig-node policy explain STORE says what each rule finds"}
	case errors.As(err, &status):
		e := &refusal{Status: status.Status, Code: string(status.Code), Detail: status.Detail}
		return &hinted{e,
			"--user NAME or --token-file FILE signs in; --key FILE signs as a writer of the store"}
	}
	return err
}

// pushClient returns a client with the credential of the flags.
func (a *app) pushClient(f *pushFlags) (*client.Client, error) {
	o := &client.Options{User: f.user, AllowPrivate: true, UserAgent: "dig-node/" + agentVersion()}
	switch {
	case f.user != "" && f.tokenFile != "":
		return nil, usage("give one of them", "--user and --token-file")
	case f.user != "" && f.passwordFile != "":
		text, err := secretLine(f.passwordFile)
		if err != nil {
			return nil, err
		}
		o.Password = text
	case f.user != "":
		text, err := a.askPassword()
		if err != nil {
			return nil, err
		}
		o.Password = text
	case f.tokenFile != "":
		text, err := secretLine(f.tokenFile)
		if err != nil {
			return nil, err
		}
		o.Token = text
	}
	base := f.to
	if base == "" {
		c, err := a.loadQuietly()
		if err != nil {
			return nil, err
		}
		if base, err = localURL(c.Network.API, c.Network.TLS.Cert != ""); err != nil {
			return nil, err
		}
		if o.User == "" && o.Token == "" {
			r, err := a.remote(c)
			if err != nil {
				return nil, err
			}
			o.Token = r.token.Text()
		}
	}
	c, err := client.New(base, o)
	if err != nil {
		return nil, usage("as in --to https://node.example", "%w", err)
	}
	return c, nil
}

// agentVersion returns the version in the form of a User-Agent.
func agentVersion() string {
	return strings.Trim(buildVersion().Version, "()")
}

// secretLine reads the first line of a file.
func secretLine(name string) (string, error) {
	text, err := regular.ReadFile(name, 4096)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", usage("the secret is the first line", "%s is empty", name)
	}
	return line, nil
}

// fileSource is the content of a manifest that was made from a file.
type fileSource struct {
	file     *os.File
	manifest *capsule.Manifest
}

// Stat implements capsule.Source.
func (s *fileSource) Stat(_ context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	ours := ref.Root == s.manifest.Root || ref.Root == (merkle.Hash{})
	if !ours || int(ref.Index) >= len(s.manifest.Capsules) {
		return capsule.Descriptor{}, os.ErrNotExist
	}
	return s.manifest.Capsules[ref.Index], nil
}

// Open implements capsule.Source.
func (s *fileSource) Open(_ context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	at := int64(0)
	for _, one := range s.manifest.Capsules {
		if one.Hash == d.Hash {
			return io.NopCloser(io.NewSectionReader(s.file, at, int64(one.Size))), nil
		}
		at += int64(one.Size)
	}
	return nil, os.ErrNotExist
}
