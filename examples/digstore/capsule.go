package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/client"
)

func (a *app) capsuleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "capsule",
		Short: "Read datastores from nodes, push them, and challenge nodes to prove them",
		Long: `A node keeps generations as datastores: in capsules, slices of 16 MiB, which it
serves over HTTP and proves to validators. Everything that a node sends is checked
against a root that you name, or that a writer of the datastore has signed.`,
		Example: `  digstore capsule get http://127.0.0.1:8555 ID -o site.dig
  digstore capsule push http://127.0.0.1:8555 --token-file token.txt
  digstore capsule challenge https://node.example ID
  digstore capsule status https://node.example`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.capsuleGetCommand(), a.capsulePushCommand(), a.capsuleChallengeCommand(),
		a.capsuleStatusCommand())
	return cmd
}

// nodeFlags are the flags of every command that connects to a node.
type nodeFlags struct {
	ca      string
	timeout time.Duration
	minRate amount
}

func (n *nodeFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&n.ca, "ca", "",
		"also trust the certificate authorities in this PEM `FILE`")
	flags.DurationVar(&n.timeout, "timeout", 0,
		"stop after this `TIME`, such as 90s or 10m (default: no limit)")
	flags.Var(&n.minRate, "min-rate",
		"stop if the node sends fewer bytes a second, a `SIZE` such as 500 or 20k (default: 1KiB)")
	_ = cmd.MarkFlagFilename("ca")
}

// node returns a client of the node at a URL. It sends nothing.
func (a *app) node(base string, n *nodeFlags, o *client.Options) (*client.Client, error) {
	o.UserAgent, o.OnRetry = userAgent(), a.noteRetry
	o.AllowPrivate = true // the user named the node
	o.MinRate = int64(n.minRate)
	if n.ca != "" {
		var err error
		if o.TLS, err = trustCA(n.ca); err != nil {
			return nil, err
		}
	}
	return client.New(base, o)
}

// rootFlags say which roots of a datastore to trust.
type rootFlags struct {
	root     string
	writers  []string
	manifest string
	chain    chainFlags
}

func (r *rootFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&r.root, "root", "",
		"read this capsule `ROOT`, which you know from another source (default: the node's head)")
	flags.StringArrayVar(&r.writers, "writer", nil,
		"trust roots that this `KEY` has signed; may be repeated (default: the key whose hash is the "+
			"datastore's id)")
	flags.StringVar(&r.manifest, "manifest", "",
		"trust the root of the manifest in `FILE`, which you have from another source")
	r.chain.register(cmd)
	flags.Lookup("chain").Usage = "trust roots that a key has signed which may write by this chain " +
		"`SOURCE`: a URL, full-node, full-node=URL, or none; may be repeated, then the sources must agree"
	cmd.MarkFlagsMutuallyExclusive("root", "manifest")
	_ = cmd.MarkFlagFilename("manifest")
}

// rootTrust is what the flags say. root is zero when the node's head is asked for.
type rootTrust struct {
	root    merkle.Hash
	known   *capsule.Manifest // of --manifest; nil: none
	writers func(context.Context, auth.StoreID, auth.PublicKey) error
}

// rootTrust returns what the flags say.
func (a *app) rootTrust(r *rootFlags) (*rootTrust, error) {
	t := new(rootTrust)
	var err error
	if r.root != "" {
		if t.root, err = merkle.ParseHash(strings.TrimPrefix(r.root, "0x")); err != nil {
			return nil, usage("a capsule root is 64 hex digits", "--root: %w", err)
		}
	}
	if r.manifest != "" {
		if t.known, err = readManifest(r.manifest); err != nil {
			return nil, err
		}
		t.root = t.known.Root
	}
	var keys []auth.PublicKey
	for _, text := range r.writers {
		key, err := auth.ParsePublicKey(text)
		if err != nil {
			return nil, usage("a public key is 96 hex digits", "--writer: %w", err)
		}
		keys = append(keys, key)
	}
	onChain, err := a.resolver(&r.chain)
	if err != nil {
		return nil, err
	}
	t.writers = writersOf(client.Keys(keys...), onChain)
	return t, nil
}

// writersOf lets the keys write that named lets write, or else the chain. onChain may be nil.
func writersOf(named func(context.Context, auth.StoreID, auth.PublicKey) error,
	onChain *chain.Resolver) func(context.Context, auth.StoreID, auth.PublicKey) error {
	return func(ctx context.Context, store auth.StoreID, key auth.PublicKey) error {
		err := named(ctx, store, key)
		if err == nil || onChain == nil {
			return err
		}
		role, chainErr := onChain.CanWrite(ctx, store, key)
		if chainErr != nil {
			return chainErr
		}
		if role == chain.RoleNone {
			return err
		}
		return nil
	}
}

// options returns the options of a client that trusts the root that the user has named, or else
// the statements of the node.
func (t *rootTrust) options() *client.Options {
	if t.root.IsZero() {
		return &client.Options{Writers: t.writers}
	}
	return &client.Options{Trust: namedRoot{t.root}}
}

// namedRoot trusts a root that the user has named, for every datastore: the user has named that
// too.
type namedRoot struct{ root merkle.Hash }

// Trusted implements capsule.RootTrust.
func (n namedRoot) Trusted(_ context.Context, store auth.StoreID, root merkle.Hash) (uint32,
	error) {
	if root != n.root {
		return 0, fmt.Errorf("%w: root %v of datastore %v: expected %v", capsule.ErrUntrusted, root,
			store, n.root)
	}
	return 0, nil
}

// datastore returns the id that text is, or the one that the node has for a handle.
func (a *app) datastore(ctx context.Context, c *client.Client, text string) (auth.StoreID,
	error) {
	id, err := auth.ParseStoreID(strings.TrimPrefix(text, "0x"))
	if err == nil {
		return id, nil
	}
	if len(text) > 63 {
		return id, usage("an id is 64 hex digits", "datastore: %w", err)
	}
	h, err := c.Resolve(ctx, text)
	if errors.Is(err, errors.ErrUnsupported) || err == nil && h.Store.IsZero() {
		return id, usage("name the datastore by its id", "the node does not know handles")
	}
	if err != nil {
		return id, err
	}
	a.note("the node says that %s is datastore %v", h.Name, h.Store)
	return h.Store, nil
}

// manifestOf returns the manifest of the generation that is asked for: of --manifest or of the
// node, under a root that is trusted.
func (t *rootTrust) manifestOf(ctx context.Context, c *client.Client, store auth.StoreID) (
	*capsule.Manifest, error) {
	if t.known == nil {
		return c.Manifest(ctx, store, t.root)
	}
	switch {
	case t.known.Store != store:
		return nil, usage("name the manifest of this datastore", "--manifest is of datastore %v, "+
			"not of %v", t.known.Store, store)
	case !t.known.Complete():
		return nil, usage("name a manifest with all chunk roots", "--manifest has none")
	}
	return t.known, nil
}

// loopbackOnly is the hint for credentials that would be sent over plain HTTP.
const loopbackOnly = "use https://; a credential is sent over plain HTTP to this machine only"

// nodeStatus matches a refusal of a node with one of the HTTP statuses.
func nodeStatus(codes ...int) func(error) bool {
	return func(err error) bool {
		var s *client.StatusError
		if !errors.As(err, &s) {
			return false
		}
		for _, code := range codes {
			if s.Status == code {
				return true
			}
		}
		return false
	}
}

// nodeRefused matches a refusal of a node for a reason.
func nodeRefused(target error) func(error) bool {
	return func(err error) bool {
		var s *client.StatusError
		return errors.As(err, &s) && s.Is(target)
	}
}

// secretFile returns the first line of a file or, without a file, a variable of the environment.
func secretFile(file, variable string) (string, error) {
	if file == "" {
		return os.Getenv(variable), nil
	}
	return readToken(file)
}
