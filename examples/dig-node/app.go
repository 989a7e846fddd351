package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/internal/secretfile"
)

// app is one run of the program: its streams, its environment, and its global flags.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      []string

	file    string // --config
	json    bool
	flags   map[string]*string // flags for keys of the configuration, by name
	command *cobra.Command     // the started command; nil: the command line was wrong
}

func newApp(in io.Reader, out, err io.Writer, env []string) *app {
	return &app{in: in, out: out, err: err, env: env, flags: map[string]*string{}}
}

// run executes one command line and returns the exit code.
func (a *app) run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	var wrong *usageError
	if a.command == nil && !errors.As(err, &wrong) {
		err = usage("usage: "+cmd.UseLine(), "%w", err)
	}
	return a.fail(err)
}

// configFlags are the flags that stand for keys of the configuration.
var configFlags = []struct{ name, key, value, about string }{
	{"plots", "storage.plots_dir", "DIR", "folder of the plots"},
	{"cache", "storage.cache_dir", "DIR", "folder of the cache on disk"},
	{"data", "node.data_dir", "DIR", "folder of the key, the token and the index"},
	{"mode", "node.mode", "MODE", "archive, cache or selective"},
	{"listen", "network.listen_address", "IP:PORT", "address for peers"},
	{"api", "network.api_address", "IP:PORT", "address of the HTTP API"},
	{"metrics", "monitoring.metrics_port", "[IP:]PORT", "address of metrics and health"},
	{"log-level", "monitoring.log_level", "LEVEL", "debug, info, warn or error"},
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dig-node",
		Short: "Run a node of the DIG Network",
		Long: `dig-node hosts stores, keeps their capsules, and proves that it has them. Without
a command it runs the node.

Settings come from flags, the environment (DIG_NODE_...), and node.yaml: the file
that --config or DIG_NODE_CONFIG names, or else node.yaml in the current folder,
or else /etc/dig/node.yaml. Without a file the defaults hold.`,
		Example: `  dig-node init
  dig-node run
  dig-node config show`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSubcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return a.runNode(cmd.Context()) },
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			a.command = cmd
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.file, "config", "", "read settings from `FILE`")
	flags.BoolVar(&a.json, "json", false, "print one JSON object")
	for _, f := range configFlags {
		a.flags[f.name] = flags.String(f.name, "", fmt.Sprintf("%s (`%s`)", f.about, f.value))
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err: err, hint: cmd.CommandPath() + " --help shows its flags"}
	})
	root.AddCommand(a.initCommand(), a.runCommand(), a.statusCommand(), a.healthcheckCommand(),
		a.pinCommand(), a.unpinCommand(), a.pushCommand(), a.plotCommand(), a.scrubCommand(),
		a.gcCommand(),
		a.configCommand(), a.policyCommand(), a.doctorCommand(),
		a.hashPasswordCommand(), a.tokenCommand(), a.versionCommand())
	return root
}

// noSubcommand refuses arguments of a command that takes none, and names similar commands.
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

// only is the RunE of a command that has nothing but subcommands.
func only(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// The default paths of the configuration file.
const (
	localFile  = "node.yaml"
	systemFile = "/etc/dig/node.yaml"
)

// configFile returns the path of the configuration file, or "".
func (a *app) configFile() (string, error) {
	if a.file != "" {
		return a.file, nil
	}
	if name := a.variable(config.FileVar); name != "" {
		return name, nil
	}
	for _, name := range []string{localFile, systemFile} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			continue
		}
		if err != nil {
			return "", err
		}
		// A file at a default path may start programs, so a file of another user is refused.
		if err := secretfile.CheckOwner(name, info); err != nil {
			return "", &hinted{err, "if you trust the file, name it with --config " + name}
		}
		return name, nil
	}
	return "", nil
}

// variable returns a variable of the environment.
func (a *app) variable(name string) string {
	for _, entry := range a.env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// load reads the configuration. It prints warnings.
func (a *app) load() (*config.Config, error) {
	c, err := a.loadQuietly()
	if err == nil {
		for _, w := range c.Warnings {
			a.note("warning: %s", w)
		}
	}
	return c, err
}

func (a *app) loadQuietly() (*config.Config, error) {
	file, err := a.configFile()
	if err != nil {
		return nil, err
	}
	c, err := config.Load(config.Sources{File: file, Env: a.env, Flags: a.given(false)})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("dig-node init writes one; --config FILE names another", "%w", err)
	}
	if err != nil {
		return nil, err
	}
	if c.Node.DataDir == "" {
		if c.Node.DataDir, err = config.StateDir(); err != nil {
			return nil, &hinted{err, "name a folder with --data DIR"}
		}
	}
	return c, nil
}

// given returns the flags of the command line that stand for keys. With paths, folders are
// absolute.
func (a *app) given(paths bool) (all []config.Flag) {
	for _, f := range configFlags {
		if !a.command.Flags().Changed(f.name) {
			continue
		}
		value := *a.flags[f.name]
		if ip, port, ok := cutAddress(value); ok && f.name == "metrics" {
			address := config.Flag{Name: "--metrics", Key: "monitoring.metrics_address", Value: ip}
			all = append(all, address)
			value = port
		}
		if paths && f.value == "DIR" && value != "" {
			value = absolute(value)
		}
		all = append(all, config.Flag{Name: "--" + f.name, Key: f.key, Value: value})
	}
	return all
}

// cutAddress cuts IP:PORT.
func cutAddress(s string) (ip, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	return strings.Trim(s[:i], "[]"), s[i+1:], true
}

// absolute makes a path absolute, for messages that are read elsewhere.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
