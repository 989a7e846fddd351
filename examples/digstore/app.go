package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// app is one run of the program: its streams, its global flags, and what the
// commands share.
type app struct {
	in    io.Reader
	input io.Reader // in, which an interruption ends
	out   *stdout
	err   io.Writer
	errMu sync.Mutex // err is written by progress and by signals too
	above io.Writer  // while a bar is shown: what is written here stands above it

	dir     string // -C
	store   string // --store
	json    bool
	quiet   bool
	yes     bool
	noColor bool

	running  bool          // a command has begun
	answered bool          // the one JSON object is out
	resume   string        // how to go on after an interruption
	timeout  time.Duration // --timeout
}

func newApp(in io.Reader, out, err io.Writer) *app {
	return &app{in: in, input: in, out: &stdout{Writer: out}, err: err}
}

// run executes one command line and returns the exit code.
func (a *app) run(args []string) int {
	log.SetOutput(io.Discard) // net/http logs text that hosts send
	ctx, stop := a.interruptible(context.Background())
	defer stop()
	a.input = &interruptedReader{ctx, a.in}
	root := a.rootCommand(args)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = a.out.err
	}
	switch {
	case err == nil:
		return 0
	case closedPipe(err):
		return exitOther
	case !a.running && !as[*usageError](err):
		err = usage("usage: "+cmd.UseLine(), "%w", err)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = &interrupted{resume: a.resume}
	case errors.Is(err, context.DeadlineExceeded) && a.timeout > 0:
		err = &timedOut{after: a.timeout, resume: a.resume, err: err}
	}
	return a.fail(err)
}

func (a *app) rootCommand(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "digstore",
		Short: "Publish folders as verified stores; clone, pull and push them over dig://",
		Long: `digstore keeps folders as stores: every commit is a generation with one root
hash, sealed so that a host cannot read it, signed so that nobody can forge it.
Anyone may serve a store; whoever clones it checks every byte.`,
		Example: `  digstore init site --dir site          make a store of the folder site
  digstore commit -m "first"             publish what is in the folder
  digstore serve                         serve it on 127.0.0.1:8443
  digstore clone http://127.0.0.1:8443/stores/ID copy`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.enter()
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.dir, "directory", "C", "", "work in `DIR` instead of the current folder")
	flags.StringVar(&a.store, "store", "", "the store to work on, by `NAME` or id (default: the active one)")
	flags.BoolVar(&a.json, "json", false, "one JSON object on stdout, progress as JSON lines on stderr")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print nothing but what was asked for, and errors")
	flags.BoolVarP(&a.yes, "yes", "y", false, "answer yes to every question")
	flags.BoolVar(&a.noColor, "no-color", false, "no colours (also when NO_COLOR is set)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err: err, hint: fmt.Sprintf("%s --help shows its flags", cmd.CommandPath())}
	})
	_ = root.RegisterFlagCompletionFunc("store", a.completeStores)
	root.AddCommand(a.commands(args)...)
	a.started(root)
	return root
}

// A maker makes one command.
type maker struct {
	name string
	make func() *cobra.Command
}

// makers lists every command in the order of a store's life.
func (a *app) makers() []maker {
	return []maker{
		{"init", a.initCommand},
		{"add", a.addCommand},
		{"status", a.statusCommand},
		{"unstage", a.unstageCommand},
		{"commit", a.commitCommand},
		{"log", a.logCommand},
		{"show", a.showCommand},
		{"diff", a.diffCommand},
		{"cat", a.catCommand},
		{"checkout", a.checkoutCommand},
		{"export", a.exportCommand},
		{"import", a.importCommand},
		{"urn", a.urnCommand},
		{"verify", a.verifyCommand},
		{"adopt", a.adoptCommand},
		{"gc", a.gcCommand},
		{"plot", a.plotCommand},
		{"stores", a.storesCommand},
		{"use", a.useCommand},
		{"remote", a.remoteCommand},
		{"clone", a.cloneCommand},
		{"pull", a.pullCommand},
		{"push", a.pushCommand},
		{"promote", a.promoteCommand},
		{"serve", a.serveCommand},
		{"revoke", a.revokeCommand},
		{"conform", a.conformCommand},
		{"anchor", a.anchorCommand},
		{"balance", a.balanceCommand},
		{"key", a.keyCommand},
		{"identity", a.identityCommand},
		{"safe", a.safeCommand},
		{"migrate", a.migrateCommand},
		{"version", a.versionCommand},
	}
}

// commands makes the commands that args may mean, all of them where that is not
// clear: making them with their flags takes half a millisecond, and a pull with
// nothing new only some.
func (a *app) commands(args []string) (list []*cobra.Command) {
	known := a.makers()
	meant := func(m maker) bool { return slices.Contains(args, m.name) }
	if !slices.ContainsFunc(known, meant) || slices.ContainsFunc(args, func(arg string) bool {
		return arg == "help" || arg == "completion" || strings.HasPrefix(arg, "__")
	}) {
		meant = func(maker) bool { return true }
	}
	for _, m := range known {
		if meant(m) {
			list = append(list, m.make())
		}
	}
	return list
}

// enter goes to the folder that -C names.
func (a *app) enter() error {
	if a.dir == "" {
		return nil
	}
	if err := os.Chdir(a.dir); err != nil {
		return &usageError{err: fmt.Errorf("-C: %w", err), hint: "name a folder that exists"}
	}
	return nil
}

// started wraps every command so that an error from before its start is known
// for what it is: a command line that cannot be meant.
func (a *app) started(c *cobra.Command) {
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			a.running = true
			return run(cmd, args)
		}
	}
	for _, sub := range c.Commands() {
		a.started(sub)
	}
}

// usageError is a command line that cannot be meant.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage is a usageError made on the spot.
func usage(hint, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), hint: hint}
}

// hinted adds to an error what to do about it.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// interrupted is a command that was stopped by a signal.
type interrupted struct{ resume string }

func (e *interrupted) Error() string { return "interrupted" }

// timedOut is a command that was stopped by --timeout.
type timedOut struct {
	after  time.Duration
	resume string
	err    error
}

func (e *timedOut) Error() string { return fmt.Sprintf("not done within %v: %v", e.after, e.err) }
func (e *timedOut) Unwrap() error { return e.err }
