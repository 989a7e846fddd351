package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dig-network/digstore/examples/dig-node/internal/keyfile"
)

// Limits of connections.
const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	closeTimeout  = 2 * time.Second
)

// listening is one listener with its handler.
type listening struct {
	what     string
	listener net.Listener
	http     *http.Server
}

// serve opens the listeners, runs the node until ctx ends, and waits until everything has stopped.
func (d *daemon) serve(ctx context.Context, start time.Time) (err error) {
	listeners := map[string]net.Listener{}
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	for _, l := range listenSettings(d.config) {
		if l.address == "" || l.what == "peers" {
			continue
		}
		if listeners[l.what], err = listen(ctx, l, d.chia); err != nil {
			delete(listeners, l.what)
			return err
		}
	}
	if listeners["api"], err = d.secured(listeners["api"]); err != nil {
		return err
	}
	if listeners["api"] == nil {
		delete(listeners, "api")
	}
	if err := d.parts.start(ctx); err != nil {
		return err
	}
	registry, err := d.parts.registry()
	if err != nil {
		return errors.Join(err, d.parts.node.Close())
	}
	ops := http.NewServeMux()
	ops.Handle("/", d.parts.node.Ops())
	ops.Handle("GET /metrics", promhttp.HandlerFor(registry,
		promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	handlers := map[string]http.Handler{"api": d.parts.node, "metrics": ops}
	var servers []*listening
	for what, l := range listeners {
		servers = append(servers, d.newServer(what, l, handlers[what]))
	}
	return d.runAll(ctx, servers, start)
}

// secured puts TLS on a listener where a certificate is configured.
func (d *daemon) secured(l net.Listener) (net.Listener, error) {
	files := d.config.Network.TLS
	if l == nil || files.Cert == "" {
		return l, nil
	}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return l, fmt.Errorf("network.tls: %w", err)
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert},
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}), nil
}

func (d *daemon) newServer(what string, l net.Listener, h http.Handler) *listening {
	return &listening{what, l, &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(d.log.With("component", "http").Handler(), slog.LevelDebug)}}
}

// runAll runs the node and the servers. The servers continue while the node drains requests.
func (d *daemon) runAll(ctx context.Context, servers []*listening, start time.Time) error {
	// The failure of a server ends the node.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan struct{})
	var wg sync.WaitGroup
	failed := make(chan error, len(servers))
	for _, s := range servers {
		wg.Go(func() {
			if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", s.what, err)
				cancel()
			}
		})
	}
	for _, f := range d.parts.sources.followers() {
		wg.Go(func() { _ = f.Run(background) })
	}
	wg.Go(func() { d.signals(ctx, ended) })
	wg.Go(func() { d.announce(ctx, servers, start) })
	wg.Go(func() { watchdog(background, d.parts.node.Liveness) })
	err := d.parts.node.Run(ctx)
	notify("STOPPING=1")
	for _, s := range servers {
		err = errors.Join(err, s.stop())
	}
	stop()
	cancel()
	close(ended)
	wg.Wait()
	close(failed)
	for f := range failed {
		err = errors.Join(err, f)
	}
	d.log.Info("stopped", "component", "node")
	return err
}

// stop ends a server whose requests have been drained.
func (s *listening) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return s.http.Close() // the grace period is over
	}
	return err
}

// announce prints the addresses of the node when it is ready.
func (d *daemon) announce(ctx context.Context, servers []*listening, start time.Time) {
	for _, s := range servers {
		d.log.Info("listening", "component", "http", "listener", s.what,
			"listen_address", s.listener.Addr().String())
	}
	select {
	case <-ctx.Done():
		return
	case <-d.parts.node.Ready():
	}
	notify("READY=1")
	c := d.config
	v := map[string]string{"node_id": d.parts.key.String(), "mode": c.Node.Mode}
	scheme := "http"
	if c.Network.TLS.Cert != "" {
		scheme = "https"
	}
	for _, s := range servers {
		switch s.what {
		case "api":
			v["api"] = scheme + "://" + s.listener.Addr().String()
		case "metrics":
			v["metrics"] = "http://" + s.listener.Addr().String() + "/metrics"
		}
	}
	var dirs []string
	for _, dir := range c.Storage.PlotsDir {
		dirs = append(dirs, dir.Path)
	}
	v["storage"] = strings.Join(dirs, " ")
	v["token"] = filepath.Join(c.Node.DataDir, keyfile.TokenName)
	err := d.app.answer(v, func(w io.Writer) {
		fmt.Fprintf(w, "ready in %.1f s   node %s   mode %s\n", time.Since(start).Seconds(), v["node_id"],
			v["mode"])
		for _, name := range []string{"api", "metrics", "storage", "token"} {
			if v[name] != "" {
				fmt.Fprintf(w, "  %-8s %s\n", name, v[name])
			}
		}
	})
	if err != nil {
		d.log.Debug("banner_failed", "error", err)
	}
}
