package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/client"
)

// pushFlags are the flags of capsule push.
type pushFlags struct {
	node         nodeFlags
	root, handle string
	token        string // file
	user         string
	password     string // file
}

func (a *app) capsulePushCommand() *cobra.Command {
	var f pushFlags
	cmd := &cobra.Command{
		Use:   "push NODE",
		Short: "Push a generation to a node, as a datastore",
		Long: `Push sends the head of the store, or --root, to the node at the URL NODE: its
module, cut into capsules. Only capsules that the node does not have are sent.
The capsule root is signed with the publisher key, so the node and its readers
know who wrote it; without the key it is sent unsigned.

A node that does not know the datastore asks for a credential: a token
(--token-file FILE, or the variable DIG_PUSH_TOKEN), or a user name and a password
(--user NAME with --password-file FILE, the variables DIG_USERNAME and
DIG_PASSWORD, or a question on the terminal).`,
		Example: `  digstore capsule push http://127.0.0.1:8555 --token-file token.txt
  digstore capsule push https://node.example --user ann`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := a.within(cmd.Context(), hostFlags{timeout: f.node.timeout})
			defer stop()
			o, err := a.credentials(&f)
			if err != nil {
				return err
			}
			c, err := a.node(args[0], &f.node, o)
			if err != nil {
				return err
			}
			defer c.Close()
			return a.withStore(func(s *digstore.Store) error {
				return a.capsulePush(ctx, c, s, &f)
			})
		},
	}
	f.node.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.root, "root", "",
		"the generation: a `ROOT`, its first digits, or a number (default: the head)")
	flags.StringVar(&f.token, "token-file", "",
		"a `FILE` with the token of the node (default: $DIG_PUSH_TOKEN)")
	flags.StringVar(&f.user, "user", "", "the user `NAME` at the node (default: $DIG_USERNAME)")
	flags.StringVar(&f.password, "password-file", "",
		"a `FILE` with the password (default: $DIG_PASSWORD, or a question)")
	flags.StringVar(&f.handle, "handle", "", "the registered `NAME` of the datastore")
	cmd.MarkFlagsMutuallyExclusive("token-file", "user")
	_ = cmd.MarkFlagFilename("token-file")
	_ = cmd.MarkFlagFilename("password-file")
	_ = cmd.RegisterFlagCompletionFunc("root", a.completeRoots)
	return cmd
}

// credentials returns client options with the credentials from the flags, the environment or the
// user.
func (a *app) credentials(f *pushFlags) (*client.Options, error) {
	_, key, err := identity()
	if err != nil {
		return nil, err
	}
	o := &client.Options{Identity: key, Uploads: 2}
	user := f.user
	if user == "" && f.token == "" {
		user = os.Getenv("DIG_USERNAME")
	}
	if user == "" {
		if f.password != "" {
			return nil, usage("add --user NAME", "--password-file needs a user name")
		}
		o.Token, err = secretFile(f.token, "DIG_PUSH_TOKEN")
		return o, err
	}
	if strings.Contains(user, ":") {
		return nil, usage("choose another user name at the node", "user name %q has a colon", user)
	}
	o.User = user
	if o.Password, err = secretFile(f.password, "DIG_PASSWORD"); err == nil && o.Password == "" {
		o.Password, err = a.askPassword(user)
	}
	return o, err
}

// askPassword asks for a password on the terminal, without showing it.
func (a *app) askPassword(user string) (string, error) {
	in, ok := a.in.(*os.File)
	if !ok || a.json || !isTerminal(a.in) {
		return "", usage("give it with --password-file FILE",
			"user %s has no password, and there is no terminal to ask on", user)
	}
	a.errMu.Lock()
	defer a.errMu.Unlock()
	fmt.Fprintf(a.err, "Password of %q: ", user)
	text, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(a.err)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(text), nil
}

func (a *app) capsulePush(ctx context.Context, c *client.Client, s *digstore.Store,
	f *pushFlags) error {
	g, err := a.generation(ctx, s, f.root)
	if err != nil {
		return err
	}
	p := a.progress("hashing")
	defer p.stop()
	m, src, err := splitModule(ctx, s, g, p)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := a.signManifest(ctx, s, m); err != nil {
		return err
	}
	a.resume = "the node has either the old head or the new one; run the same command again"
	p.stage("uploading")
	res, err := c.Push(ctx, &client.Push{Manifest: m, Content: src, Handle: f.handle,
		Progress: p.set})
	if err != nil {
		return err
	}
	p.stop()
	return a.capsulePushed(c, m, res)
}

// signManifest signs the capsule root with the publisher key, if it is here.
func (a *app) signManifest(ctx context.Context, s *digstore.Store, m *capsule.Manifest) error {
	key, err := s.Signer()
	if errors.Is(err, digstore.ErrNoKey) {
		a.warn("the publisher key is not here: the push is not signed, and readers cannot check " +
			"the root by a key")
		return nil
	}
	if err != nil {
		return err
	}
	statement, err := capsule.SignRoot(ctx, m, m.Generation, key)
	if err != nil {
		return err
	}
	return m.SetStatement(statement)
}

func (a *app) capsulePushed(c *client.Client, m *capsule.Manifest, r *client.PushResult) error {
	v := struct {
		Store    auth.StoreID `json:"datastore_id"`
		Root     merkle.Hash  `json:"merkle_root"`
		Node     string       `json:"node"`
		Capsules int          `json:"capsules"`
		Bytes    int64        `json:"bytes"`
		Sent     int64        `json:"bytes_sent"`
		Signed   bool         `json:"signed"`
		Stored   *time.Time   `json:"storage_estimate"`
		Retain   *time.Time   `json:"retain_until"`
		Peers    []string     `json:"propagation_peers"`
	}{m.Store, m.Root, c.URL(), len(m.Capsules), int64(m.Size()), r.Sent, !m.Signature.IsZero(),
		orNil(r.Stored), orNil(r.Retain), append([]string{}, r.Peers...)}
	return a.done(v, "pushed datastore %v to %s: %s, %s sent of %s\nroot %v", m.Store, c.URL(),
		plural(len(m.Capsules), "capsule", "capsules"), size(r.Sent), size(int64(m.Size())), m.Root)
}

// orNil returns a pointer to a time, and nil for the zero time.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
