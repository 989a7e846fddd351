package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/oneline"
)

func (a *app) safeCommand() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "safe [DIR]",
		Short: "List folders whose workspace other users may own or change",
		Long: `The files in .dig decide what digstore reads and publishes. Therefore digstore
refuses a .dig folder of another user, and neither writes nor reads a key where
another user owns, or may write to, a folder in the path of the store.

Safe adds DIR to the list of folders where digstore does not refuse; "*" means
every folder. A key file that other users can read is refused there too. The list
is in config.toml beside the identity key. Without DIR, safe prints the list.`,
		Example: `  digstore safe /srv/shared/site
  digstore safe
  digstore safe --remove /srv/shared/site`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: onlyDirs,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := readConfig()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				v := map[string]any{"directories": list(c.Safe.Directories)}
				return a.answer(v, func(w io.Writer) {
					for _, dir := range c.Safe.Directories {
						fmt.Fprintln(w, oneline.Name(dir))
					}
				})
			}
			return a.setSafe(c, args[0], remove)
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove DIR from the list")
	return cmd
}

func onlyDirs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func (a *app) setSafe(c *config, dir string, remove bool) error {
	if dir != "*" {
		if info, err := os.Stat(dir); !remove && (err != nil || !info.IsDir()) {
			return usage("name the folder that holds .dig", "%s is not a folder", oneline.Name(dir))
		}
		dir = realPath(dir)
	}
	isDir := func(other string) bool { return other == dir }
	dirs := slices.DeleteFunc(c.Safe.Directories, isDir)
	if !remove {
		dirs = append(dirs, dir)
	}
	c.Safe.Directories = dirs
	path, err := c.write()
	if err != nil {
		return err
	}
	what := "a workspace in %s may belong to any user"
	if remove {
		what = "a workspace in %s must belong to you"
	}
	v := map[string]any{"file": path, "directories": list(dirs)}
	return a.done(v, what, oneline.Name(dir))
}

func (a *app) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate [DIR]",
		Short: "Convert a workspace from the oldest layout",
		Long: `The first versions of the reference implementation kept a single store directly
in .dig. Migrate moves it to .dig/stores/default. DIR is the folder that has the
.dig folder (default: the current folder). A workspace with the current layout is
not changed.`,
		Example: `  digstore migrate
  digstore migrate /srv/old`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: onlyDirs,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			c, err := readConfig()
			if err != nil {
				return err
			}
			o := &digstore.Options{SafeDirs: c.Safe.Directories}
			changed, err := digstore.Migrate(cmd.Context(), dir, o)
			if err != nil {
				return err
			}
			v := map[string]any{"dir": dir, "migrated": changed}
			if !changed {
				return a.done(v, "%s already has the current layout", oneline.Name(dir))
			}
			return a.done(v, "migrated %s: its store is called default", oneline.Name(dir))
		},
	}
}
