package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// app is one run of the program: its streams, its global flags, and the state
// that the commands share.
type app struct {
	in    io.Reader
	input io.Reader // in; reading ends at an interrupt
	out   *stdout
	err   io.Writer
	errMu sync.Mutex // guards err, which progress and signals write too, and above
	above io.Writer  // while a progress bar is shown: writes lines above the bar

	dir     string // -C
	store   string // --store
	json    bool
	quiet   bool
	yes     bool
	noColor bool

	running  bool          // the command line was valid and the command was started
	answered bool          // the JSON object was written
	resume   string        // the hint after an interrupt or a timeout
	timeout  time.Duration // --timeout
}

func newApp(in io.Reader, out, err io.Writer) *app {
	return &app{in: in, input: in, out: &stdout{Writer: out}, err: err}
}

// run executes one command line and returns the exit code.
func (a *app) run(args []string) int {
	log.SetOutput(io.Discard) // net/http would log text that hosts send
	ctx, stop := a.interruptible(context.Background())
	defer stop()
	a.input = &interruptedReader{ctx, a.in}
	root := a.rootCommand()
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
		err = usage(usageHint(cmd), "%w", err)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = &interrupted{resume: a.resume}
	case errors.Is(err, context.DeadlineExceeded) && a.timeout > 0:
		err = &timedOut{after: a.timeout, resume: a.resume, err: err}
	}
	return a.fail(err)
}

// rootCommand returns the whole tree of commands.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "digstore",
		Short: "Publish folders as verified stores; clone, pull and push them over dig://",
		Long: `digstore publishes folders as stores. A commit makes a generation of a store: a
snapshot of the folder, named by one root hash. The files are encrypted, and the
root is signed with the publisher's key. A host cannot read or change a store
without being detected, so any host can serve it. A clone checks every byte.`,
		Example: `  digstore init site --dir site          make a store for the folder site
  digstore commit -m "first"             make a generation of the folder
  digstore serve                         serve it on 127.0.0.1:8443
  digstore clone http://127.0.0.1:8443/stores/ID copy`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSubcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.enter()
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.dir, "directory", "C", "", "work in `DIR` instead of the current folder")
	flags.StringVar(&a.store, "store", "",
		"the store to work on, by `NAME` or id (default: the active one)")
	flags.BoolVar(&a.json, "json", false,
		"print one JSON object to stdout, and progress as JSON lines to stderr")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print only results, warnings and errors")
	flags.BoolVarP(&a.yes, "yes", "y", false, "answer yes to every question")
	flags.BoolVar(&a.noColor, "no-color", false, "print no colours (as when NO_COLOR is set)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err: err, hint: fmt.Sprintf("%s --help shows its flags", cmd.CommandPath())}
	})
	_ = root.RegisterFlagCompletionFunc("store", a.completeStores)
	for _, g := range a.groups() {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title + ":"})
		for _, cmd := range g.commands {
			cmd.GroupID = g.title
			root.AddCommand(cmd)
		}
	}
	root.SetCompletionCommandGroupID(lastGroup)
	root.SetHelpCommandGroupID(lastGroup)
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Example = "  digstore help commit"
		help.Args = knownCommand
	}
	a.markRunning(root)
	return root
}

// knownCommand refuses arguments of help that are not the path of a command.
func knownCommand(cmd *cobra.Command, args []string) error {
	found, rest, err := cmd.Root().Find(args)
	if err != nil {
		return err
	}
	return noSubcommand(found, rest)
}

// noSubcommand refuses arguments of a command that only has subcommands. It
// names subcommands with a similar name.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := cmd.CommandPath() + " --help lists the commands"
	cmd.SuggestionsMinimumDistance = 2
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = "did you mean: " + cmd.CommandPath() + " " + strings.Join(similar, " or ")
	}
	return usage(hint, "unknown command %s for %s", strconv.Quote(args[0]), cmd.CommandPath())
}

// usageHint returns how a command is called.
func usageHint(cmd *cobra.Command) string { return "usage: " + cmd.UseLine() }

// A group is a section of the list of commands in the help text.
type group struct {
	title    string
	commands []*cobra.Command
}

// lastGroup also has the commands help and completion, which cobra adds.
const lastGroup = "Manage the workspace"

// groups returns every command of the program.
func (a *app) groups() []group {
	return []group{
		{"Publish a folder", []*cobra.Command{
			a.initCommand(), a.addCommand(), a.unstageCommand(), a.statusCommand(), a.commitCommand(),
			a.revokeCommand(), a.keyCommand(),
		}},
		{"Look at a store", []*cobra.Command{
			a.logCommand(), a.showCommand(), a.diffCommand(), a.catCommand(), a.checkoutCommand(),
			a.urnCommand(), a.verifyCommand(), a.exportCommand(), a.importCommand(),
		}},
		{"Exchange with hosts", []*cobra.Command{
			a.cloneCommand(), a.pullCommand(), a.pushCommand(), a.promoteCommand(), a.remoteCommand(),
			a.serveCommand(), a.conformCommand(), a.identityCommand(), a.capsuleCommand(),
		}},
		{"Read the chain", []*cobra.Command{a.anchorCommand(), a.balanceCommand()}},
		{lastGroup, []*cobra.Command{
			a.storesCommand(), a.useCommand(), a.gcCommand(), a.adoptCommand(), a.migrateCommand(),
			a.safeCommand(), a.plotCommand(), a.versionCommand(),
		}},
	}
}

// enter changes to the folder that -C names.
func (a *app) enter() error {
	if a.dir == "" {
		return nil
	}
	if err := os.Chdir(a.dir); err != nil {
		return &usageError{err: fmt.Errorf("-C: %w", err), hint: "name a folder that exists"}
	}
	return nil
}

// markRunning wraps every command so that it sets a.running. An error before
// that is an error of the command line.
func (a *app) markRunning(c *cobra.Command) {
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			a.running = true
			return run(cmd, args)
		}
	}
	for _, sub := range c.Commands() {
		a.markRunning(sub)
	}
}

// usageError reports a wrong command line.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage returns a usageError.
func usage(hint, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), hint: hint}
}

// hinted is an error with a hint that says what to do about it.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// interrupted reports that a signal stopped the command.
type interrupted struct{ resume string }

func (e *interrupted) Error() string { return "interrupted" }

// timedOut reports that --timeout stopped the command.
type timedOut struct {
	after  time.Duration
	resume string
	err    error
}

func (e *timedOut) Error() string { return fmt.Sprintf("not done within %v: %v", e.after, e.err) }
func (e *timedOut) Unwrap() error { return e.err }
