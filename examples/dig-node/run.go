package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/examples/dig-node/internal/nodelog"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/node"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the node",
		Long: `Run runs the node until it gets SIGTERM or SIGINT. It then finishes the requests
under way, for at most shutdown.grace; a second signal ends it at once. SIGHUP
reads the configuration again and opens the log file again: limits, policy,
credentials and the log level change at once, other settings need a restart.`,
		Example: `  dig-node run
  dig-node run --config /etc/dig/node.yaml --plots /plots --cache /cache`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runNode(cmd.Context()) },
	}
}

// A daemon is a running node with its configuration.
type daemon struct {
	app     *app
	log     *slog.Logger
	handler *nodelog.Handler
	level   slog.LevelVar
	file    *nodelog.File // nil: standard error
	parts   *parts
	chia    string

	mu     sync.Mutex // held while the configuration is replaced
	config *config.Config
	done   func() // releases the scorers of the last reload
}

func (a *app) runNode(ctx context.Context) (err error) {
	start := time.Now()
	c, err := a.load()
	if err != nil {
		return err
	}
	if problems := c.CheckPaths(); problems != nil {
		return &hinted{problems, "make the folders, or change the paths, or run it as their owner"}
	}
	d := &daemon{app: a, config: c, chia: chiaFolder(a.variable("CHIA_ROOT")), done: func() {}}
	defer func() { d.done() }()
	if err := d.openLog(c); err != nil {
		return err
	}
	if d.file != nil {
		defer d.file.Close()
	}
	if err := prepareFolders(c); err != nil {
		return err
	}
	d.parts, err = a.newParts(c, d.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.parts.Close()) }()
	d.handler.SetNode(d.parts.key.String())
	d.handler.SetSecrets(append(c.Secrets(), d.parts.doors.token.Text()))
	d.parts.config.Reload = d.reload
	return d.serve(ctx, start)
}

func (d *daemon) openLog(c *config.Config) error {
	var w io.Writer = d.app.err
	if name := c.Monitoring.LogFile; name != "" {
		f, err := nodelog.OpenFile(name, int64(c.Monitoring.LogMaxBytes), c.Monitoring.LogKeep)
		if err != nil {
			return fmt.Errorf("open monitoring.log_file: %w", err)
		}
		d.file, w = f, f
	}
	d.setLevel(c)
	d.handler = nodelog.NewHandler(w, &d.level)
	d.log = slog.New(d.handler)
	return nil
}

func (d *daemon) setLevel(c *config.Config) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Monitoring.LogLevel)); err == nil {
		d.level.Set(l)
	}
}

// storageNote is the file in the data folder that has the path of the storage. If it exists and the
// storage is missing, the disk is not mounted, and the folder is not made again.
const storageNote = "storage-path"

// prepareFolders makes the folders of the configuration, at the first start.
func prepareFolders(c *config.Config) error {
	fsys := diskfs.OS()
	if err := diskfs.MkdirAll(fsys, c.Node.DataDir, 0o700); err != nil {
		return err
	}
	first := absolute(c.Storage.PlotsDir[0].Path)
	note := filepath.Join(c.Node.DataDir, storageNote)
	known, err := diskfs.ReadRegular(fsys, note, 1<<16)
	if err == nil && string(known) == first {
		if _, err := os.Stat(filepath.Join(first, "capsules")); err != nil {
			return &hinted{fmt.Errorf("the storage of this node is missing: %w", err),
				"mount its disk; to begin anew, remove " + note}
		}
	}
	for _, dir := range c.Storage.PlotsDir {
		if err := diskfs.MkdirAll(fsys, dir.Path, 0o700); err != nil {
			return err
		}
	}
	if dir := c.Storage.CacheDir; dir != "" {
		if err := diskfs.MkdirAll(fsys, dir, 0o700); err != nil {
			return err
		}
	}
	if err := diskfs.MkdirAll(fsys, filepath.Join(first, "capsules"), 0o700); err != nil {
		return err
	}
	if string(known) == first {
		return nil
	}
	return diskfs.WriteFile(fsys, note, []byte(first), 0o600)
}

// reload reads the configuration again, and applies what can be applied.
func (d *daemon) reload(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	log := d.log.With("component", "config")
	next, err := d.app.loadQuietly()
	if err != nil {
		log.Error("config_refused", "error", err)
		return err
	}
	policy, done, err := newPolicy(next, d.app.variable("PATH"))
	if err == nil {
		err = d.parts.doors.apply(next)
	}
	if err != nil {
		log.Error("config_refused", "error", err)
		return err
	}
	live, restart := config.Changes(d.config, next)
	callers := limits(next).Callers
	d.parts.node.Apply(node.Settings{Policy: policy, Callers: &callers})
	d.done()
	d.done = done
	d.handler.SetSecrets(append(next.Secrets(), d.parts.doors.token.Text()))
	d.setLevel(next)
	var sources []error
	for _, f := range d.parts.sources.followers() {
		sources = append(sources, f.Refresh())
	}
	if d.file != nil {
		sources = append(sources, d.file.Reopen())
	}
	for _, w := range next.Warnings {
		log.Warn("config_warning", "text", w)
	}
	log.Info("config_reloaded", "applied", list(live), "needs_restart", list(restart))
	// Keep the running values of keys that need a restart, so that the next reload reports them
	// too.
	d.config = next.Keep(d.config, restart)
	return errors.Join(sources...)
}

// list returns an empty list for nil, which is null in JSON.
func list(s []string) []string { return append([]string{}, s...) }

// signals handles SIGHUP until ctx ends; from then on the next SIGINT or SIGTERM ends the process.
func (d *daemon) signals(ctx context.Context, ended <-chan struct{}) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for ctx.Err() == nil {
		select {
		case <-hup:
			notify("RELOADING=1\n" + monotonic())
			_ = d.reload(ctx) // reload logs the error
			notify("READY=1")
		case <-ctx.Done():
		case <-ended:
			return
		}
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(again)
	select {
	case <-again:
		os.Exit(exitFailed)
	case <-ended:
	}
}
