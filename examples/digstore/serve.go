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
	"github.com/dig-network/digstore/digstore"
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
		Short: "Serve stores to clients that clone, pull and push",
		Long: `Serve answers the dig:// protocol for every store of the workspace, or for the
store that --store names, until it is stopped. It serves the commits of other
processes without a restart. With port 0 it uses a free port and prints it.

Pushes. Serve accepts a push to a store that is here if its publisher signed it.
The first push of a new store needs --allow ID (or ID=PUBKEY), --allow-any, or
the token of --push-token-file. With --allow-any, --quota and --max-stores limit
what one identity may push, and --total-quota and --total-max-stores what all
identities may push together.

Readers. JSON-RPC (dig.*) at POST / serves web pages and readers without an
identity. With --allow-identity KEY only the named identities are served, and
there is no JSON-RPC. Digstore identity prints a KEY.

Authority. --authority selects the signature that an update needs: store-key
(default), the key of the store; on-chain-key, any key that may write according
to the chain; both; or tip, any signature if the root is the one on the chain.
An update that the chain has not settled is kept pending. With --chain,
--allow-any accepts a new store only at the root that the chain names.

Network. Without --tls-cert it serves plain HTTP; then dig:// and https:// need a
proxy with TLS in front, except on loopback. On a loopback address it answers
requests for loopback host names only, so that web pages cannot use it; if a
proxy sends another host name, allow it with --allow-host.

Health. GET /healthz reports that the server runs, GET /readyz how many stores
are served. A damaged store is logged, and its requests get status 503 until it
is repaired; the other stores are served.`,
		Example: `  digstore serve
  digstore serve --bind 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem
  digstore serve --bind 127.0.0.1:0 --allow ID
  digstore serve --limit-rate 2MB --requests 20`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), f) },
	}
	f.register(cmd)
	return cmd
}

func (f *serveFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.bind, "bind", "127.0.0.1:8443", "`HOST:PORT` to listen on")
	flags.StringVar(&f.cert, "tls-cert", "", "certificate `FILE` (PEM)")
	flags.StringVar(&f.key, "tls-key", "", "private key `FILE` of the certificate (PEM)")
	flags.BoolVar(&f.anonymous, "anonymous", false, "answer unsigned read requests")
	flags.StringArrayVar(&f.allow, "allow", nil,
		"accept the first push of store `ID[=PUBKEY]`; may be repeated")
	flags.BoolVar(&f.allowAny, "allow-any", false, "accept the first push of any store")
	flags.StringVar(&f.pushTokenFile, "push-token-file", "",
		"a `FILE` with a token; a client that sends it may make first pushes")
	flags.BoolVar(&f.noRPC, "no-rpc", false, "do not serve JSON-RPC")
	flags.StringArrayVar(&f.identities, "allow-identity", nil,
		"serve only the identity `KEY`; may be repeated")
	flags.StringArrayVar(&f.writers, "writer-identity", nil,
		"let identity KEY make an older root of store ID the head again, as `ID=KEY`; may be repeated")
	flags.StringArrayVar(&f.proxies, "trusted-proxy", nil,
		"trust proxies in `NETWORK`, such as 10.0.0.0/8, to report client addresses; may be repeated")
	flags.StringArrayVar(&f.allowHosts, "allow-host", nil,
		"on loopback, also answer requests for this `HOST` name; may be repeated")
	flags.Float64Var(&f.requests, "requests", 50,
		"at most `N` requests a second from one address, and from one identity")
	flags.Var(&f.maxModule, "max-module",
		"the largest module in a push, a `SIZE` such as 500MB (default: 1GiB)")
	f.quota, f.totalQuota = 1<<30, 16<<30
	flags.Var(&f.quota, "quota",
		"with --allow-any: at most this `SIZE` on disk for the stores that one identity pushed")
	flags.IntVar(&f.maxStores, "max-stores", 16,
		"with --allow-any: at most `N` stores that one identity pushed")
	flags.Var(&f.totalQuota, "total-quota",
		"with --allow-any: at most this `SIZE` on disk for all pushed stores")
	flags.IntVar(&f.totalStores, "total-max-stores", 1000,
		"with --allow-any: at most `N` pushed stores")
	flags.Var(&f.rate, "limit-rate",
		"at most this `RATE` in each direction, in bytes a second, such as 500k or 2MB")
	f.chain.register(cmd)
	flags.StringVar(&f.authority, "authority", "",
		"the signature that an update needs: store-key, on-chain-key, both or tip (`RULE`)")
	_ = cmd.RegisterFlagCompletionFunc("authority", cobra.FixedCompletions(
		[]cobra.Completion{"store-key", "on-chain-key", "both", "tip"}, noFiles))
	cmd.MarkFlagsMutuallyExclusive("anonymous", "allow-identity")
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	cmd.MarkFlagsMutuallyExclusive("allow", "allow-any")
	for _, name := range []string{"tls-cert", "tls-key", "push-token-file"} {
		_ = cmd.MarkFlagFilename(name)
	}
}

// accepts reports whether the flags allow first pushes.
func (f serveFlags) accepts() bool {
	return f.allowAny || len(f.allow) > 0 || f.pushTokenFile != ""
}

func (a *app) serve(ctx context.Context, f serveFlags) error {
	o, err := a.serverOptions(f)
	if err != nil {
		return err
	}
	if a.store != "" && (f.allowAny || f.pushTokenFile != "") {
		return usage("leave --store out, or use --allow ID for first pushes",
			"--store cannot be combined with --allow-any and --push-token-file")
	}
	open := a.workspaceHere
	if f.accepts() {
		open = a.findOrInit
	}
	ws, err := open()
	if err != nil {
		return err
	}
	defer ws.Close()
	if o.Only, err = a.onlyStores(ws, o.Policy); err != nil {
		return err
	}
	o.DecoySecret = a.decoySecret(ws)
	nonces, err := a.nonces(ws)
	if err != nil {
		return err
	}
	if nonces != nil {
		defer nonces.Close()
		o.Authenticator = &request.Authenticator{Nonces: nonces}
	}
	srv := server.New(ws, o)
	handler, err := f.handler(srv, o)
	if err != nil {
		return err
	}
	served, err := f.served(ctx, srv, o.Logger)
	if err != nil {
		return err
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

// onlyStores returns the ids of the only stores to serve, nil for all: the store that
// --store names and those that --allow names.
func (a *app) onlyStores(ws *digstore.Workspace, policy server.Policy) ([]auth.StoreID, error) {
	if a.store == "" {
		return nil, nil
	}
	var only []auth.StoreID
	if list, ok := policy.(server.AllowList); ok {
		only = slices.Collect(maps.Keys(list))
	}
	s, err := a.pick(ws)
	if err != nil {
		return nil, err
	}
	return append(only, s.ID()), nil
}

// served returns the stores that have a generation. Without any it is an error,
// unless pushes can bring some.
func (f serveFlags) served(ctx context.Context, srv *server.Server,
	log *slog.Logger) ([]module.ID, error) {
	list, damaged, err := headsOf(ctx, srv, log)
	if err != nil || len(list) > 0 || f.accepts() {
		return list, err
	}
	if damaged != nil {
		return nil, damaged
	}
	return nil, &hinted{
		fmt.Errorf("nothing to serve, no store has a generation: %w", fs.ErrNotExist),
		"commit first, or accept pushes with --allow ID or --allow-any",
	}
}

// certificate reads the files of --tls-cert and --tls-key. It is nil without them.
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
		return nil, &hinted{
			fmt.Errorf("--tls-cert %s, --tls-key %s: %w", f.cert, f.key, err),
			"give a certificate in PEM and its private key",
		}
	}
	return &pair, nil
}

// handler returns the server with the health and JSON-RPC handlers. It does not use a
// ServeMux, which would redirect.
func (f serveFlags) handler(srv *server.Server, o *server.Options) (http.Handler, error) {
	var rest http.Handler = srv
	if !f.noRPC && len(f.identities) == 0 {
		rest = rpc.NewHandler(srv.Resources(), &rpc.Options{
			PerIP: o.Limits.PerIP, TrustedProxies: o.TrustedProxies,
			Version: buildVersion().Version, Logger: o.Logger,
		})
	}
	health := server.CloseSlow(server.Health(srv), 0)
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

// headsOf lists the stores that have a generation. Damaged stores are logged and left
// out; damaged is the error of the last of them.
func headsOf(ctx context.Context, srv *server.Server,
	log *slog.Logger) (list []module.ID, damaged, err error) {
	for id, err := range srv.Serving(ctx) {
		switch {
		case err == nil && !id.Root.IsZero():
			list = append(list, id)
		case err != nil && id.Store.IsZero():
			return nil, nil, err
		case err != nil:
			if !errors.Is(err, module.ErrDamaged) { // the server logs that one
				log.ErrorContext(ctx, "store cannot be read and is not served",
					"store", id.Store, "err", err)
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
		*store            // if there is exactly one store
	}{
		Serving: true, Workspace: dir, Bind: addr.String(), URL: "http://" + addr.String(),
		Auth: "required", Stores: []store{},
	}
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
		a.warn("serving plain HTTP: dig:// needs TLS, with --tls-cert and --tls-key or a proxy in front")
	}
	return a.answer(v, func(w io.Writer) {
		fmt.Fprintf(w, "serving on %s\n", v.URL)
		for _, s := range v.Stores {
			fmt.Fprintf(w, "%s/stores/%s\n", v.URL, s.StoreID)
		}
	})
}

// listen serves until ctx ends. Then it waits at most 5 seconds for open requests.
func (a *app) listen(ctx context.Context, l net.Listener, certificate *tls.Certificate,
	h http.Handler) error {
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
		srv.Close() // an upload that this interrupts changes nothing
	}
	<-failed
	a.note("stopped")
	return nil
}

// httpLog forwards the log of an http.Server: the panic of a handler as an error,
// failed TLS handshakes, which any client can cause, as debug messages, and the rest
// as warnings.
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

// lockedWriter writes the lines of a logger to stderr.
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
