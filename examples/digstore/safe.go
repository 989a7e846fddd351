package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
)

func (a *app) safeCommand() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "safe [DIR]",
		Short: "Say which folders may have a workspace that other users can change",
		Long: `A .dig folder that belongs to another user is refused, because what stands in
it decides what digstore reads and publishes. Nothing is written, and no key is
read, where another user owns a folder on the way to the store or may write to
it. Safe adds DIR to the list of folders where such a .dig is used nevertheless;
"*" stands for every folder. A key that others can read is refused there too.
The list lies in config.toml beside the identity key. Without DIR it is printed.`,
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
				return a.answer(map[string]any{"directories": list(c.Safe.Directories)}, func(w io.Writer) {
					for _, dir := range c.Safe.Directories {
						fmt.Fprintln(w, printable(dir))
					}
				})
			}
			return a.setSafe(c, args[0], remove)
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take DIR off the list")
	return cmd
}

func onlyDirs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func (a *app) setSafe(c *config, dir string, remove bool) error {
	if dir != "*" {
		if info, err := os.Stat(dir); !remove && (err != nil || !info.IsDir()) {
			return usage("name the folder that holds .dig", "%s is not a folder", printable(dir))
		}
		dir = realPath(dir)
	}
	dirs := slices.DeleteFunc(c.Safe.Directories, func(other string) bool { return other == dir })
	if !remove {
		dirs = append(dirs, dir)
	}
	c.Safe.Directories = dirs
	path, err := c.write()
	if err != nil {
		return err
	}
	what := "a workspace in %s is used whoever owns it"
	if remove {
		what = "a workspace in %s is used only when you own it"
	}
	return a.done(map[string]any{"file": path, "directories": list(dirs)}, what, printable(dir))
}

func (a *app) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate [DIR]",
		Short: "Change a workspace of the oldest layout to the present one",
		Long: `Migrate moves the one store of a .dig folder in the reference's oldest layout to
.dig/stores/default. DIR is the folder that holds .dig (default: the current
one). It is run once; a workspace that has the present layout stays as it is.`,
		Example: `  digstore migrate
  digstore migrate /srv/old`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: onlyDirs,
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			c, err := readConfig()
			if err != nil {
				return err
			}
			changed, err := digstore.Migrate(dir, &digstore.Options{SafeDirs: c.Safe.Directories})
			if err != nil {
				return err
			}
			v := map[string]any{"dir": dir, "migrated": changed}
			if !changed {
				return a.done(v, "%s has the present layout already", printable(dir))
			}
			return a.done(v, "%s is migrated: its store is called default", printable(dir))
		},
	}
}
