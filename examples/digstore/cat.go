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
		Long: `Cat writes one resource, after each of its chunks was checked. The resource is
named by its key in the active store, or by a URN, which can name a generation.
A URN without a resource means index.html.

With --from URL it reads the resource from a host, without a clone. Only that
resource is downloaded, with a proof that it belongs to the root. The root is
the one in the URN or in --root, or else the signed head of the host. Several
--from are tried in order. --anonymous uses JSON-RPC, which needs no identity;
the root must be given then.`,
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
					return usage("add --from URL, or leave it out", "--%s is only for --from", name)
				}
			}
			return a.cat(cmd.Context(), args[0], f.root, f.file)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.root, "root", "",
		"the generation to read: a `ROOT`, its first digits, or a number (default: the head)")
	flags.StringVarP(&f.file, "output", "o", "", "write to `FILE`, which must not exist yet")
	flags.StringArrayVar(&f.from, "from", nil, "read from the host at this `URL`; may be repeated")
	flags.StringVar(&f.publisher, "publisher", "", "with --from: the publisher `KEY` to expect")
	flags.StringVar(&f.salt, "salt", "", "with --from: a `FILE` with the salt of a private store")
	flags.BoolVar(&f.anonymous, "anonymous", false,
		"with --from: read over JSON-RPC, without an identity")
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

// parseURN parses a URN. If --root was given, the URN must not name a root.
func parseURN(text string, rooted bool) (urn.URN, error) {
	u, err := urn.Parse(text)
	if err != nil {
		return u, usage("a URN is urn:dig:chia:ID[:ROOT]/KEY", "%w", err)
	}
	if rooted && !u.Root.IsZero() {
		return u, usage("leave --root out", "both the URN and --root name a root")
	}
	return u, nil
}

// write writes the content of a resource to a file or to standard output.
func (a *app) write(r io.Reader, key string, n int64, file string) error {
	if file == "" && a.json {
		return a.writeBase64(r, key, n)
	}
	return a.writeContent(key, file, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
}

// writeContent calls write with a file or standard output.
func (a *app) writeContent(key, file string, write func(io.Writer) error) error {
	if file == "" && a.json {
		var content bytes.Buffer
		if err := write(&content); err != nil {
			return err
		}
		return a.writeBase64(&content, key, int64(content.Len()))
	}
	if file == "" {
		return write(a.out)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	out := &counter{w: f}
	err = write(out)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(file)
		return fmt.Errorf("write %s: %w", file, err)
	}
	return a.done(map[string]any{"key": key, "size": out.n, "file": file}, "%s: %s", file, size(out.n))
}

// writeBase64 writes the JSON object of cat, without the content in memory.
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
