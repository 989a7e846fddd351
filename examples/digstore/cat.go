package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
)

func (a *app) catCommand() *cobra.Command {
	var f catFlags
	cmd := &cobra.Command{
		Use:   "cat KEY|URN",
		Short: "Write one resource to standard output",
		Long: `Cat opens one resource, checks it chunk by chunk, and writes it out. It is
named by its key in the active store, or by a URN, which may name a generation.
A URN without a resource means index.html.

With --from URL it is read straight from a host, without a clone: only that
resource travels, with the proof that it belongs to the root. The root stands in
the URN or in --root; without either it is the host's head, which its publisher
has signed. Several --from are tried in turn. --anonymous reads over JSON-RPC,
where nothing names you, and needs a root.`,
		Example: `  digstore cat index.html
  digstore cat urn:dig:chia:ID/img/logo.png -o logo.png
  digstore cat index.html --root 3
  digstore cat urn:dig:chia:ID:ROOT/index.html --from dig://example.org`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeKeys,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.from) > 0 {
				return a.catFrom(cmd.Context(), args[0], f)
			}
			for _, name := range []string{"anonymous", "publisher", "salt"} {
				if cmd.Flags().Changed(name) {
					return usage("add --from URL, or leave it out", "--%s is for reading at a host", name)
				}
			}
			return a.cat(cmd.Context(), args[0], f.root, f.file)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.root, "root", "", "the `ROOT` to read from: a root, its first digits, or a number (default: the head)")
	flags.StringVarP(&f.file, "output", "o", "", "write to `FILE`, which must not exist yet")
	flags.StringArrayVar(&f.from, "from", nil, "read at the host of this `URL`; may be repeated")
	flags.StringVar(&f.publisher, "publisher", "", "with --from: the publisher `KEY` that you know from elsewhere")
	flags.StringVar(&f.salt, "salt", "", "with --from: a `FILE` with the salt of a private store")
	flags.BoolVar(&f.anonymous, "anonymous", false, "with --from: read over JSON-RPC, without an identity")
	f.host.register(cmd)
	f.chain.register(cmd)
	_ = cmd.RegisterFlagCompletionFunc("root", a.completeRoots)
	_ = cmd.MarkFlagFilename("salt")
	return cmd
}

func (a *app) cat(ctx context.Context, what, root, file string) error {
	var address *urn.URN
	if strings.HasPrefix(what, "urn:") {
		u, err := parseURN(what, root != "")
		if err != nil {
			return err
		}
		if !u.Root.IsZero() {
			root = u.Root.String()
		}
		a.store, address = u.Store.String(), &u
	}
	return a.withStore(func(s *digstore.Store) error {
		g, err := a.generation(ctx, s, root)
		if err != nil {
			return err
		}
		open, key := func() (*module.Plain, error) { return g.Resource(what) }, what
		if address != nil {
			open, key = func() (*module.Plain, error) { return g.OpenURN(*address) }, address.Name()
		}
		content, err := open()
		if err != nil {
			return err
		}
		return a.write(content, key, content.Size(), file)
	})
}

// parseURN reads a URN, which may not name a root when --root does.
func parseURN(text string, rooted bool) (urn.URN, error) {
	u, err := urn.Parse(text)
	if err != nil {
		return u, usage("a URN is urn:dig:chia:ID[:ROOT]/KEY", "%w", err)
	}
	if rooted && !u.Root.IsZero() {
		return u, usage("leave --root out", "the URN names its root")
	}
	return u, nil
}

// write gives the content of a resource to a file or to standard output.
func (a *app) write(r io.Reader, key string, n int64, file string) error {
	if file == "" && a.json {
		return a.writeBase64(r, key, n)
	}
	return a.deliver(key, file, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
}

// deliver has a resource written to a file or to standard output.
func (a *app) deliver(key, file string, give func(io.Writer) error) error {
	if file == "" && a.json {
		var content bytes.Buffer
		if err := give(&content); err != nil {
			return err
		}
		return a.writeBase64(&content, key, int64(content.Len()))
	}
	if file == "" {
		return give(a.out)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	out := &counter{w: f}
	err = give(out)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(file)
		return fmt.Errorf("write %s: %w", file, err)
	}
	return a.done(map[string]any{"key": key, "size": out.n, "file": file}, "%s: %s", file, size(out.n))
}

// writeBase64 writes the object of cat --json without holding the content in
// memory.
func (a *app) writeBase64(r io.Reader, key string, n int64) error {
	name, err := json.Marshal(key)
	if err != nil {
		return err
	}
	a.answered = true
	fmt.Fprintf(a.out, `{"key":%s,"size":%d,"content_base64":"`, escapeJSON(name), n)
	enc := base64.NewEncoder(base64.StdEncoding, a.out)
	if _, err := io.Copy(enc, r); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	_, err = io.WriteString(a.out, "\"}\n")
	return err
}
