package main

import (
	"bytes"
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/conform"
)

// conformFlags are the flags of conform without those of every host command.
type conformFlags struct {
	write     bool
	keyFile   string
	tokenFile string
	anonymous bool
	only      []string
	junit     string
}

func (a *app) conformCommand() *cobra.Command {
	var host hostFlags
	var f conformFlags
	cmd := &cobra.Command{
		Use:   "conform URL",
		Short: "Check a host against the protocol",
		Long: `Conform sends about 300 requests to a host that serves a store, and compares the
answers with the dig:// protocol. It prints one line for each check: pass, fail
(a requirement is not met), warn (a recommendation or an extension) or skip, with
the section of remote/PROTOCOL.md, and what was expected and found. It fails if
any requirement is not met.

Conform changes nothing at the host. With --write it also makes a new store,
pushes to it and revokes it; the host must accept first pushes. With --key FILE
the key of that store is kept in FILE, the next run uses the same store, and it
is not revoked. With --write, URL need not name a store.`,
		Example: `  digstore conform dig://node.example.org/ID
  digstore conform http://127.0.0.1:8443/stores/ID --junit report.xml
  digstore conform http://127.0.0.1:8443 --write --key test.key
  digstore conform https://node.example.org/stores/ID --only 'auth/*' --only 'module/*'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !f.write && (f.keyFile != "" || f.tokenFile != "") {
				return usage("add --write", "--key and --token-file need --write")
			}
			ctx, cancel := a.within(cmd.Context(), host)
			defer cancel()
			return a.conform(ctx, args[0], host, f)
		},
	}
	host.register(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.write, "write", false, "also test pushes, to a store made for the test")
	flags.StringVar(&f.keyFile, "key", "",
		"with --write: the `FILE` of the test store's key, made if missing")
	flags.StringVar(&f.tokenFile, "token-file", "",
		"a `FILE` with the token for a first push (default: $DIG_PUSH_TOKEN)")
	flags.BoolVar(&f.anonymous, "anonymous", false, "expect that the host answers unsigned reads")
	flags.StringArrayVar(&f.only, "only", nil,
		"make only the checks whose names match `PATTERN`; may be repeated")
	flags.StringVar(&f.junit, "junit", "", "also write the report to `FILE`, as JUnit XML")
	for _, name := range []string{"key", "token-file", "junit"} {
		_ = cmd.MarkFlagFilename(name)
	}
	return cmd
}

func (a *app) conform(ctx context.Context, where string, host hostFlags, f conformFlags) error {
	u, err := remote.ParseURL(where)
	if err == nil {
		u, err = host.nearest(ctx, u)
	}
	if err != nil {
		return err
	}
	if u.Store.IsZero() && !f.write {
		return usage("add the id of a store that the host serves, or --write", "%s does not name a store",
			where)
	}
	o, err := a.clientOptions(host)
	if err != nil {
		return err
	}
	transport, err := remote.NewTransport(o)
	if err != nil {
		return err
	}
	if t, ok := transport.(interface{ CloseIdleConnections() }); ok {
		defer t.CloseIdleConnections()
	}
	a.resume = "nothing at the host was changed; run the same command again"
	opt := &conform.Options{
		Identity: o.Identity, Transport: transport, UserAgent: o.UserAgent,
		Anonymous: f.anonymous, Only: f.only,
	}
	if f.write {
		a.resume = "the test store remains at the host; run the same command again"
		if opt.Write, err = f.writes(); err != nil {
			return err
		}
	}
	p := a.progress("checking")
	defer p.stop()
	opt.Progress = func(done, total int, _ conform.Result) { p.set(int64(done), int64(total)) }
	report, err := conform.Run(ctx, u, opt)
	if err != nil {
		return err
	}
	p.stop()
	if f.junit != "" {
		var xml bytes.Buffer
		if err := report.WriteJUnit(&xml); err != nil {
			return err
		}
		if err := os.WriteFile(f.junit, xml.Bytes(), 0o666); err != nil {
			return err
		}
	}
	// a.answer returns the error of the writer.
	err = a.answer(report, func(w io.Writer) { _ = report.WriteTable(w) })
	if err != nil {
		return err
	}
	return report.Err()
}

// writes returns the settings of the test store.
func (f conformFlags) writes() (*conform.Write, error) {
	token, err := pushToken(f.tokenFile)
	if err != nil {
		return nil, err
	}
	w := &conform.Write{Token: token, RevokeStore: f.keyFile == ""}
	if f.keyFile != "" {
		key, err := auth.LoadKey(f.keyFile)
		if err != nil {
			return nil, err
		}
		w.Key = key
	}
	return w, nil
}
