package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/examples/dig-node/internal/keyfile"
)

// A finding is the result of one check of doctor.
type finding struct {
	Level string `json:"level"` // ok, warn or fail
	Check string `json:"check"`
	Text  string `json:"text"`
	Help  string `json:"help,omitempty"`
}

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps a node from working here",
		Long: `Doctor checks the configuration, the folders, the free space, the key, the clock,
and whether the ports are free. It changes nothing. It fails if a node would not
start or not work.`,
		Example: "  dig-node doctor",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	}
}

func (a *app) doctor(ctx context.Context) error {
	c, err := a.loadQuietly()
	if err != nil {
		return err
	}
	var all []finding
	all = append(all, configFindings(c)...)
	all = append(all, spaceFinding(c), keyFinding(c))
	all = append(all, clockFinding(time.Now()))
	all = append(all, portFindings(ctx, c, chiaFolder(a.variable("CHIA_ROOT")))...)
	failed := 0
	for _, f := range all {
		if f.Level == "fail" {
			failed++
		}
	}
	if err := a.answer(map[string]any{"findings": all}, func(w io.Writer) {
		for _, f := range all {
			fmt.Fprintf(w, "%-4s  %-8s %s\n", f.Level, f.Check, f.Text)
			if f.Help != "" {
				fmt.Fprintf(w, "                %s\n", f.Help)
			}
		}
	}); err != nil {
		return err
	}
	if failed > 0 {
		if a.json {
			return &silent{exitFailed}
		}
		return &checkFailed{plural(failed, "check", "checks") + " failed", "see above"}
	}
	return nil
}

func configFindings(c *config.Config) []finding {
	file := c.File
	if file == "" {
		file = "no file, the defaults hold"
	}
	all := []finding{{"ok", "config", file, ""}}
	for _, w := range c.Warnings {
		all = append(all, finding{"warn", "config", w, ""})
	}
	for _, p := range c.CheckPaths() {
		all = append(all, finding{"fail", "folders", p.String(),
			"make it, change the path, or run as the user of the node"})
	}
	return all
}

// leastSpace is the minimum free space in bytes for storing anything.
const leastSpace = 1 << 30

func spaceFinding(c *config.Config) finding {
	dir := c.Storage.PlotsDir[0].Path
	free, err := freeSpace(dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return finding{"warn", "space", "not known on this system", ""}
	case err != nil:
		return finding{"fail", "space", err.Error(), ""}
	case free < leastSpace:
		return finding{"fail", "space", fmt.Sprintf("%s has %s free", dir, config.Size(free>>20<<20)),
			"a node keeps 1 GiB free, and stores nothing below that"}
	}
	return finding{"ok", "space", fmt.Sprintf("%s has %d GiB free", dir, free>>30), ""}
}

func keyFinding(c *config.Config) finding {
	key, err := keyfile.ReadKey(c.Node.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return finding{"ok", "key", "none yet; run makes one in " + c.Node.DataDir, ""}
	}
	if err != nil {
		_, hint := verdict(err)
		return finding{"fail", "key", err.Error(), hint}
	}
	if _, err := keyfile.ReadToken(c.Node.DataDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		_, hint := verdict(err)
		return finding{"fail", "token", err.Error(), hint}
	}
	if id := c.Node.ID; id != "" && id != key.String() {
		return finding{"fail", "key", fmt.Sprintf("node.id is %s, the key has %s", id, key),
			"remove node.id, or restore the key"}
	}
	return finding{"ok", "key", key.String(), ""}
}

// clockFinding reports whether the clock is synchronized, according to the system.
func clockFinding(now time.Time) finding {
	known, synchronized := clockState()
	text := now.UTC().Format(time.RFC3339)
	switch {
	case !known:
		return finding{"ok", "clock", text + "; the system does not say whether it is right", ""}
	case !synchronized:
		return finding{"warn", "clock", text + "; it is not set by a time server",
			"peers refuse messages that are 300 s off; start a time service such as chrony"}
	}
	return finding{"ok", "clock", text + ", set by a time server", ""}
}

// chiaFolder is where a Chia full node keeps its configuration.
func chiaFolder(root string) string {
	if root != "" {
		return root
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".chia", "mainnet")
}

// A listenSetting is an address that the node listens at.
type listenSetting struct{ what, key, flag, address string }

func listenSettings(c *config.Config) []listenSetting {
	metrics := ""
	if c.Monitoring.MetricsPort != 0 {
		metrics = net.JoinHostPort(c.Monitoring.MetricsAddress, strconv.Itoa(c.Monitoring.MetricsPort))
	}
	return []listenSetting{
		{"peers", "network.listen_address", "--listen", c.Network.Listen},
		{"api", "network.api_address", "--api", c.Network.API},
		{"metrics", "monitoring.metrics_port", "--metrics", metrics},
	}
}

func portFindings(ctx context.Context, c *config.Config, chia string) []finding {
	var all []finding
	for _, l := range listenSettings(c) {
		if l.address == "" {
			all = append(all, finding{"ok", l.what, "off", ""})
			continue
		}
		listener, err := listen(ctx, l, chia)
		if err != nil {
			_, hint := verdict(err)
			all = append(all, finding{"fail", l.what, err.Error(), hint})
			continue
		}
		listener.Close()
		all = append(all, finding{"ok", l.what, l.address + " is free", ""})
	}
	return all
}

// listen opens the listener of a setting. An error names the key, the flag, and a program that is
// known to use the port.
func listen(ctx context.Context, l listenSetting, chia string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", l.address)
	if err == nil {
		return listener, nil
	}
	_, port, _ := net.SplitHostPort(l.address)
	hint := fmt.Sprintf("choose another address with %s or %s", l.flag, l.key)
	if inUse := errors.Is(err, syscall.EADDRINUSE); inUse {
		hint = "the port is in use; " + hint
		if info, err := os.Stat(chia); err == nil && info.IsDir() && (port == "8444" || port == "8555") {
			hint = "a Chia full node uses 8444 and 8555, and there is one in " + chia + "; " +
				strings.TrimPrefix(hint, "the port is in use; ")
		}
	}
	return nil, &bindError{fmt.Errorf("listen for %s at %s: %w", l.what, l.address, cause(err)), hint}
}

// cause returns what the system said.
func cause(err error) error {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err
	}
	return err
}

// silent is an error whose text was printed already.
type silent struct{ code int }

func (e *silent) Error() string { return "" }
