package main

import (
	"context"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/client"
)

func (a *app) capsuleGetCommand() *cobra.Command {
	var n nodeFlags
	var roots rootFlags
	var file string
	cmd := &cobra.Command{
		Use:   "get NODE DATASTORE [INDEX]",
		Short: "Read a datastore, or one capsule of it, from a node",
		Long: `Get reads a datastore from the node at the URL NODE and writes its content: for a
generation of a store, its .dig file. With INDEX it writes one capsule only.
DATASTORE is an id, or a handle that the node resolves. The content goes to
standard output, or with -o to FILE, which must not exist yet.

Every byte is checked against the capsule root of the generation before it is
written. The root must be one that you name (--root, --manifest), or one that a
writer of the datastore has signed: the key whose hash is the id, a key that you
name (--writer), or one that may write by the chain (--chain). The newest signed
root is the node's word.`,
		Example: `  digstore capsule get http://127.0.0.1:8555 ID -o site.dig
  digstore capsule get https://node.example mydata.dig 0 --writer KEY -o capsule
  digstore capsule get https://node.example ID --root ROOT | sha256sum`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.json && file == "" {
				return usage("name a file with -o", "--json needs standard output for its object")
			}
			ctx, stop := a.within(cmd.Context(), hostFlags{timeout: n.timeout})
			defer stop()
			a.resume = "nothing was kept; run the same command again"
			t, err := a.rootTrust(&roots)
			if err != nil {
				return err
			}
			c, err := a.node(args[0], &n, t.options())
			if err != nil {
				return err
			}
			defer c.Close()
			g := &capsuleGet{app: a, c: c, trust: t, file: file}
			if g.store, err = a.datastore(ctx, c, args[1]); err != nil {
				return err
			}
			if len(args) == 3 {
				return g.one(ctx, args[2])
			}
			return g.all(ctx)
		},
	}
	n.register(cmd)
	roots.register(cmd)
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to `FILE`, which must not exist yet")
	return cmd
}

// capsuleGet reads content of one datastore.
type capsuleGet struct {
	app   *app
	c     *client.Client
	trust *rootTrust
	store auth.StoreID
	file  string // empty: standard output
}

// parseIndex parses the index of a capsule.
func parseIndex(text string) (uint32, error) {
	i, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, usage("give an index from 0 to 4294967295", "index %q: malformed", text)
	}
	return uint32(i), nil
}

// one writes one capsule.
func (g *capsuleGet) one(ctx context.Context, text string) error {
	index, err := parseIndex(text)
	if err != nil {
		return err
	}
	rc, err := g.c.Capsule(ctx, capsule.Ref{Store: g.store, Root: g.trust.root, Index: index})
	if err != nil {
		return err
	}
	defer rc.Close()
	return g.deliver(rc.Ref.Root, []capsule.Descriptor{rc.Descriptor},
		func(capsule.Descriptor) (io.ReadCloser, error) { return rc, nil })
}

// all writes all capsules.
func (g *capsuleGet) all(ctx context.Context) error {
	m, err := g.trust.manifestOf(ctx, g.c, g.store)
	if err != nil {
		return err
	}
	return g.deliver(m.Root, m.Capsules, func(d capsule.Descriptor) (io.ReadCloser, error) {
		return g.c.Open(ctx, d)
	})
}

// deliver writes capsules to the file or to standard output.
func (g *capsuleGet) deliver(root merkle.Hash, list []capsule.Descriptor,
	open func(capsule.Descriptor) (io.ReadCloser, error)) error {
	p := g.app.progress("reading")
	defer p.stop()
	out := new(shownWriter)
	for _, d := range list {
		out.total += int64(d.Size)
	}
	give := func(w io.Writer) (int64, error) {
		out.w, out.show = w, p.set
		for _, d := range list {
			rc, err := open(d)
			if err != nil {
				return out.n, err
			}
			_, err = io.Copy(out, rc)
			rc.Close()
			if err != nil {
				return out.n, err
			}
		}
		return out.n, nil
	}
	if g.file == "" {
		return g.toStdout(give)
	}
	n, err := createFile(g.file, give)
	if err != nil {
		return err
	}
	p.stop()
	return g.app.done(struct {
		Store    auth.StoreID `json:"datastore_id"`
		Root     merkle.Hash  `json:"merkle_root"`
		File     string       `json:"file"`
		Size     int64        `json:"size"`
		Capsules int          `json:"capsules"`
	}{g.store, root, g.file, n, len(list)}, "%s: %s of datastore %v, root %v", g.file, size(n),
		g.store, root)
}

// shownWriter shows how many bytes were written.
type shownWriter struct {
	w        io.Writer
	n, total int64
	show     func(done, total int64)
}

func (s *shownWriter) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.n += int64(n)
	s.show(s.n, s.total)
	return n, err
}

// toStdout writes all capsules to standard output. They are kept in a file until all of them are
// verified, since what was written cannot be taken back.
func (g *capsuleGet) toStdout(give func(io.Writer) (int64, error)) error {
	scratch, err := os.CreateTemp("", "digstore-*")
	if err != nil {
		return err
	}
	// An open file can be removed on Unix. Then nothing is left if the process is killed.
	if os.Remove(scratch.Name()) != nil {
		defer os.Remove(scratch.Name())
	}
	defer scratch.Close()
	if _, err := give(scratch); err != nil {
		return err
	}
	if _, err := scratch.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(g.app.out, scratch)
	return err
}
