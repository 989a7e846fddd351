package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/examples/dig-node/internal/keyfile"
	"github.com/dig-network/digstore/internal/diskfs"
)

func (a *app) initCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write node.yaml and make the key of the node",
		Long: `Init writes node.yaml (or the file of --config) with every key, its meaning and
its default, or the value of a flag, and makes the key of the node in the data
folder. A file or a key that is there stays.`,
		Example: `  dig-node init
  dig-node init --config /etc/dig/node.yaml --data /data`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.initNode(force) },
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	return cmd
}

func (a *app) initNode(force bool) error {
	file := a.file
	if file == "" {
		file = localFile
	}
	wrote, err := a.writeConfig(file, force)
	if err != nil {
		return err
	}
	a.file = file
	c, err := a.load()
	if err != nil {
		return err
	}
	key, made, err := keyfile.LoadKey(c.Node.DataDir)
	if err != nil {
		return err
	}
	v := struct {
		File  string `json:"file"`
		Wrote bool   `json:"wrote"`
		Node  string `json:"node_id"`
		Key   string `json:"public_key"`
		Made  bool   `json:"key_made"`
		Data  string `json:"data_dir"`
	}{absolute(file), wrote, key.String(), key.PublicKey().String(), made, absolute(c.Node.DataDir)}
	return a.answer(v, func(w io.Writer) {
		verb := "kept"
		if wrote {
			verb = "wrote"
		}
		fmt.Fprintf(w, "%s %s\nnode %s\nkey %s (back it up)\n", verb, file, v.Node,
			filepath.Join(c.Node.DataDir, keyfile.KeyName))
		fmt.Fprintln(w, "next: dig-node run")
	})
}

// writeConfig writes the example to a file, with the values of the flags, unless there is one.
func (a *app) writeConfig(file string, force bool) (wrote bool, err error) {
	fsys := diskfs.OS()
	if _, err := fsys.Stat(file); err == nil && !force {
		return false, nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := diskfs.MkdirAll(fsys, filepath.Dir(file), 0o755); err != nil {
		return false, err
	}
	// Not readable by others: it may get credentials.
	return true, diskfs.WriteFile(fsys, file, []byte(config.Example(a.given(true)...)), 0o600)
}
