package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/bandwidth"
	"github.com/dig-network/digstore/remote/server"
	"github.com/dig-network/digstore/remote/server/rpc"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	bind          string
	cert, key     string
	anonymous     bool
	noRPC         bool
	allow         []string
	allowAny      bool
	pushTokenFile string
	identities    []string
	writers       []string
	proxies       []string
	allowHosts    []string
	requests      float64
	maxModule     amount
	quota         amount
	maxStores     int
	totalQuota    amount
	totalStores   int
	chain         chainFlags
	authority     string
	rate          amount
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Let others clone, pull and push",
		Long: `Serve answers the dig:// remote for every store of the workspace, or for the one
that --store names, until it is stopped. What other processes commit shows
without a restart. Port 0 takes a free port and prints it.

Every push of a store that is here is taken on its publisher's signature. The
first push of a store that is not here needs --allow ID, which may name the key
too, or --allow-any, or the token of --push-token-file.

Web pages and readers without an identity are answered over JSON-RPC (dig.*) at
POST /. --allow-identity KEY, which digstore identity prints, lets only those in
that are named, and leaves JSON-RPC out.

--authority says whose signature counts for an update: store-key, the key that
the store is held under, as without it; on-chain-key, any key that may write by
the chain; both; or tip, whoever brings the root that the chain has. What the
chain has not settled yet waits as pending. With --chain, --allow-any takes a
store only at the root that the chain has.

Without --tls-cert it speaks plain HTTP; dig:// and https:// then need a proxy
with TLS in front, except on loopback. On connections to a loopback address it
answers requests for loopback names only, so that no web page can use it; where
a proxy passes on another name, --allow-host names that one.

With --allow-any one identity may bring 16 stores and 1 GiB, and all of them
together 1000 and 16 GiB, as --max-stores, --quota, --total-max-stores and
--total-quota say.

GET /healthz says that it runs, GET /readyz how many stores are served. A damaged
store is named in the log and set aside; the others are served. Its requests are
answered by 503 until it is repaired.`,
		Example: `  digstore serve
  digstore serve --bind 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem
  digstore serve --bind 127.0.0.1:0 --allow ID
  digstore serve --limit-rate 2MB --requests 20`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.bind, "bind", "127.0.0.1:8443", "`HOST:PORT` to listen on")
	flags.StringVar(&f.cert, "tls-cert", "", "certificate `FILE` (PEM)")
	flags.StringVar(&f.key, "tls-key", "", "private key `FILE` of the certificate (PEM)")
	flags.BoolVar(&f.anonymous, "anonymous", false, "let everybody read without a signed request")
	flags.StringArrayVar(&f.allow, "allow", nil, "take a first push of store `ID[=PUBKEY]`; may be repeated")
	flags.BoolVar(&f.allowAny, "allow-any", false, "take a first push of any store")
	flags.StringVar(&f.pushTokenFile, "push-token-file", "", "a `FILE` with the token that lets its bearer make a first push")
	flags.BoolVar(&f.noRPC, "no-rpc", false, "leave JSON-RPC out")
	flags.StringArrayVar(&f.identities, "allow-identity", nil, "let the identity `KEY` in, and nobody who is not named; may be repeated")
	flags.StringArrayVar(&f.writers, "writer-identity", nil, "let the identity KEY make an older root of store ID its head again, as `ID=KEY`; may be repeated")
	flags.StringArrayVar(&f.proxies, "trusted-proxy", nil, "believe what the proxies of this `NETWORK` say of their peers, as 10.0.0.0/8; may be repeated")
	flags.StringArrayVar(&f.allowHosts, "allow-host", nil, "answer requests for this `HOST` on loopback too, as those of a proxy; may be repeated")
	flags.Float64Var(&f.requests, "requests", 50, "at most `N` requests a second of one address, and of one identity")
	flags.Var(&f.maxModule, "max-module", "the largest module that a push may bring, a `SIZE` as 500MB (default: 1GiB)")
	f.quota, f.totalQuota = 1<<30, 16<<30
	flags.Var(&f.quota, "quota", "with --allow-any: at most this `SIZE` on the disk for the stores that one identity has brought")
	flags.IntVar(&f.maxStores, "max-stores", 16, "with --allow-any: at most `N` stores that one identity has brought")
	flags.Var(&f.totalQuota, "total-quota", "with --allow-any: at most this `SIZE` for all stores that pushes have brought")
	flags.IntVar(&f.totalStores, "total-max-stores", 1000, "with --allow-any: at most `N` stores that pushes have brought")
	flags.Var(&f.rate, "limit-rate", "at most this `RATE` each way, in bytes a second, as 500k or 2MB")
	f.chain.register(cmd)
	flags.StringVar(&f.authority, "authority", "", "whose signature counts: `WHO` is store-key, on-chain-key, both or tip")
	_ = cmd.RegisterFlagCompletionFunc("authority", cobra.FixedCompletions(
		[]cobra.Completion{"store-key", "on-chain-key", "both", "tip"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagsMutuallyExclusive("anonymous", "allow-identity")
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	cmd.MarkFlagsMutuallyExclusive("allow", "allow-any")
	for _, name := range []string{"tls-cert", "tls-key", "push-token-file"} {
		_ = cmd.MarkFlagFilename(name)
	}
	return cmd
}

func (a *app) serve(ctx context.Context, f serveFlags) error {
	o, err := a.serverOptions(f)
	if err != nil {
		return err
	}
	if a.store != "" {
		if f.allowAny || f.pushTokenFile != "" {
			return usage("leave --store out, or name what is let in with --allow ID", "--store serves one store, --allow-any and --push-token-file let in any")
		}
		if list, ok := o.Policy.(server.AllowList); ok {
			o.Only = slices.Collect(maps.Keys(list))
		}
	}
	takes := f.allowAny || len(f.allow) > 0 || f.pushTokenFile != ""
	open := a.workspaceHere
	if takes {
		open = a.findOrInit
	}
	ws, err := open()
	if err != nil {
		return err
	}
	defer ws.Close()
	if a.store != "" {
		s, err := a.pick(ws)
		if err != nil {
			return err
		}
		o.Only = append(o.Only, s.ID())
	}
	o.DecoySecret = a.decoySecret(ws)
	nonces, err := a.nonces(ws)
	if err != nil {
		return err
	}
	if nonces != nil {
		defer nonces.Close()
		o.Guard = &request.Guard{Nonces: nonces}
	}
	srv := server.New(ws, o)
	handler, err := f.handler(srv, o)
	if err != nil {
		return err
	}
	served, damaged, err := headsOf(ctx, srv, o.Logger)
	if err != nil {
		return err
	}
	if len(served) == 0 && damaged != nil && !takes {
		return damaged
	}
	if len(served) == 0 && !takes {
		return &hinted{fmt.Errorf("nothing to serve, no store has a generation: %w", fs.ErrNotExist),
			"commit first, or let others push with --allow ID or --allow-any"}
	}
	certificate, err := f.certificate()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", f.bind)
	if err != nil {
		return &hinted{err, "choose another address with --bind HOST:PORT"}
	}
	defer listener.Close()
	if mark := a.markServing(ws, listener.Addr()); mark != nil {
		defer mark.Close()
	}
	if err := a.banner(f, ws.Dir(), listener.Addr(), served); err != nil {
		return err
	}
	if f.rate > 0 {
		listener = bandwidth.New(int64(f.rate), int64(f.rate)).Listener(listener)
	}
	return a.listen(ctx, listener, certificate, handler)
}

// certificate reads what --tls-cert and --tls-key name; nil without them.
func (f serveFlags) certificate() (*tls.Certificate, error) {
	if f.cert == "" {
		return nil, nil
	}
	cert, err := regular.ReadFile(f.cert, maxSmallFile)
	if err != nil {
		return nil, &hinted{fmt.Errorf("--tls-cert: %w", err), "name a file with CERTIFICATE blocks"}
	}
	key, err := regular.ReadFile(f.key, maxSmallFile)
	if err != nil {
		return nil, &hinted{fmt.Errorf("--tls-key: %w", err), "name a file with a PRIVATE KEY block"}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, &hinted{fmt.Errorf("--tls-cert %s, --tls-key %s: %w", f.cert, f.key, err), "give a certificate in PEM and the key that belongs to it"}
	}
	return &pair, nil
}

// handler is the server, with its health and JSON-RPC beside it. It is no
// ServeMux, which would redirect.
func (f serveFlags) handler(srv *server.Server, o *server.Options) (http.Handler, error) {
	var rest http.Handler = srv
	if !f.noRPC && len(f.identities) == 0 {
		rest = rpc.NewHandler(srv.Contents(), &rpc.Options{
			PerIP: o.Limits.PerIP, TrustedProxies: o.TrustedProxies, Version: buildVersion().Version, Logger: o.Logger,
		})
	}
	health := server.Paced(server.Health(srv), 0)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/stores/"):
			srv.ServeHTTP(w, r)
		case r.URL.Path == "/healthz", r.URL.Path == "/readyz":
			health.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
	host, _, err := net.SplitHostPort(f.bind)
	if err != nil {
		return nil, usage("give HOST:PORT", "--bind: %w", err)
	}
	hosts := f.allowHosts
	if host != "" {
		hosts = append(hosts, host)
	}
	return server.CheckHost(h, hosts), nil
}

// headsOf lists the stores that have a generation. Those that are damaged are
// logged and left out; damaged is what is wrong with the last of them.
func headsOf(ctx context.Context, srv *server.Server, log *slog.Logger) (list []module.ID, damaged, err error) {
	for id, err := range srv.Serving(ctx) {
		switch {
		case err == nil && !id.Root.IsZero():
			list = append(list, id)
		case err != nil && id.Store.IsZero():
			return nil, nil, err
		case err != nil:
			if !errors.Is(err, module.ErrDamaged) { // that the server has logged
				log.ErrorContext(ctx, "store cannot be read and is not served", "store", id.Store, "err", err)
			}
			damaged = err
		}
	}
	return list, damaged, nil
}

// banner prints the address and the stores that are served.
func (a *app) banner(f serveFlags, dir string, addr net.Addr, served []module.ID) error {
	type store struct {
		StoreID auth.StoreID `json:"store_id"`
		Root    merkle.Hash  `json:"root"`
	}
	v := struct {
		Serving   bool    `json:"serving"`
		Workspace string  `json:"workspace"`
		Bind      string  `json:"bind"`
		URL       string  `json:"url"`
		Auth      string  `json:"auth"`
		Stores    []store `json:"stores"`
		*store            // the single members, when there is one
	}{Serving: true, Workspace: dir, Bind: addr.String(), URL: "http://" + addr.String(), Auth: "required", Stores: []store{}}
	if f.cert != "" {
		v.URL = "https://" + addr.String()
	}
	if f.anonymous {
		v.Auth = "anonymous"
	}
	for _, id := range served {
		v.Stores = append(v.Stores, store{id.Store, id.Root})
	}
	if len(v.Stores) == 1 {
		v.store = &v.Stores[0]
	}
	if ip, ok := addr.(*net.TCPAddr); f.cert == "" && (!ok || !ip.IP.IsLoopback()) {
		a.warn("serving plain HTTP: dig:// needs TLS, by --tls-cert and --tls-key or by a proxy in front")
	}
	return a.answer(v, func(w io.Writer) {
		fmt.Fprintf(w, "serving on %s\n", v.URL)
		for _, s := range v.Stores {
			fmt.Fprintf(w, "%s/stores/%s\n", v.URL, s.StoreID)
		}
	})
}

// listen serves until ctx ends, then gives running requests some seconds.
func (a *app) listen(ctx context.Context, l net.Listener, certificate *tls.Certificate, h http.Handler) error {
	config := new(tls.Config)
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	srv := server.NewHTTPServer(h, config)
	srv.ErrorLog = log.New(&httpLog{slog.New(slog.NewTextHandler(&lockedWriter{a}, nil))}, "", 0)
	failed := make(chan error, 1)
	go func() {
		if certificate != nil {
			failed <- srv.ServeTLS(l, "", "")
		} else {
			failed <- srv.Serve(l)
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(last); errors.Is(err, context.DeadlineExceeded) {
		srv.Close() // uploads that are cut off here leave the old state
	}
	<-failed
	a.note("stopped")
	return nil
}

// httpLog passes on what an http.Server logs: a panic of a handler as an error,
// and the rest as a warning. Handshakes that fail are anybody's doing, and many.
type httpLog struct{ to *slog.Logger }

func (l *httpLog) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	switch {
	case strings.Contains(text, "TLS handshake error"):
		l.to.Debug(text)
	case strings.Contains(text, "panic serving"):
		l.to.Error(text)
	default:
		l.to.Warn(text)
	}
	return len(b), nil
}

// lockedWriter lets a logger share stderr.
type lockedWriter struct{ a *app }

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.a.errMu.Lock()
	defer w.a.errMu.Unlock()
	if w.a.json {
		writeLine(w.a.err, map[string]string{"log": strings.TrimSpace(string(b))})
		return len(b), nil
	}
	_, err := w.a.err.Write(escapeText(b))
	return len(b), err
}
