package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/examples/dig-node/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print and check the configuration",
		Args:  noSubcommand,
		RunE:  only,
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "init",
			Short: "Print a configuration file with every key, its meaning and its default",
			Long: `Init prints a configuration file with every key, its meaning and its default. A
key that is commented out has no default of its own.`,
			Example: "  dig-node config init > node.yaml",
			Args:    cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				text := config.Example()
				return a.answer(map[string]string{"text": text}, func(w io.Writer) {
					fmt.Fprint(w, text)
				})
			},
		},
		&cobra.Command{
			Use:   "check",
			Short: "Check the configuration, and that its folders and files can be used",
			Long: `Check reads the configuration as run does, and reports all problems together with
their lines: unknown keys, values out of range, and folders and files that this
user cannot write or read. It changes nothing.`,
			Example: "  dig-node config check --config node.yaml",
			Args:    cobra.NoArgs,
			RunE:    func(*cobra.Command, []string) error { return a.checkConfig() },
		},
		&cobra.Command{
			Use:   "show",
			Short: "Print every setting with its value and where it comes from",
			Long: `Show prints every setting with its value, and where it comes from: a line of the
file, a variable, a flag, or the default. Secrets are masked. With --json,
"reload" says whether dig-node applies a change of the file on SIGHUP.`,
			Example: "  dig-node config show --mode archive",
			Args:    cobra.NoArgs,
			RunE:    func(*cobra.Command, []string) error { return a.showConfig() },
		},
	)
	return cmd
}

func (a *app) checkConfig() error {
	c, err := a.load()
	if err != nil {
		return err
	}
	if problems := c.CheckPaths(); problems != nil {
		return &hinted{problems,
			"make the folders, or change the paths, or run it as the user of the node"}
	}
	given := 0
	for _, v := range c.Values() {
		if v.Origin != "default" {
			given++
		}
	}
	file := c.File
	if file == "" {
		file = "no file"
	}
	v := struct {
		File     string   `json:"file"`
		Given    int      `json:"given"`
		Warnings []string `json:"warnings"`
	}{c.File, given, c.Warnings}
	return a.answer(v, func(w io.Writer) {
		fmt.Fprintf(w, "ok: %s, %s set\n", file, plural(given, "key", "keys"))
	})
}

func (a *app) showConfig() error {
	c, err := a.load()
	if err != nil {
		return err
	}
	v := struct {
		File   string         `json:"file"`
		Values []config.Value `json:"values"`
	}{c.File, c.Values()}
	return a.answer(v, func(w io.Writer) { fmt.Fprint(w, c.Text()) })
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
