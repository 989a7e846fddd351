package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/node/client"
)

func (a *app) capsuleStatusCommand() *cobra.Command {
	var n nodeFlags
	var tokenFile string
	cmd := &cobra.Command{
		Use:   "status NODE",
		Short: "Show what a node says of itself",
		Long: `Status shows id, key, version and abilities of the node at the URL NODE, and
whether it is ready. With the node's control token (--token-file FILE, or the
variable DIG_NODE_TOKEN) it also shows what the node keeps, serves and earns;
most nodes show that to their own machine only.`,
		Example: `  digstore capsule status https://node.example
  digstore capsule status http://127.0.0.1:8555 --token-file /var/lib/dig-node/control-token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := a.within(cmd.Context(), hostFlags{timeout: n.timeout})
			defer stop()
			token, err := secretFile(tokenFile, "DIG_NODE_TOKEN")
			if err != nil {
				return err
			}
			c, err := a.node(args[0], &n, &client.Options{AdminToken: token})
			if err != nil {
				return err
			}
			defer c.Close()
			info, err := c.Info(ctx)
			if err != nil {
				return err
			}
			var st *client.Status
			if token != "" {
				if st, err = c.Status(ctx); err != nil {
					return err
				}
			}
			ready := c.Ready(ctx)
			if ready != nil && !errors.Is(ready, client.ErrBusy) {
				return ready
			}
			return a.nodeStatus(c, info, ready == nil, st)
		},
	}
	n.register(cmd)
	cmd.Flags().StringVar(&tokenFile, "token-file", "",
		"a `FILE` with the control token of the node (default: $DIG_NODE_TOKEN)")
	_ = cmd.MarkFlagFilename("token-file")
	return cmd
}

// nodeStatus prints the state of a node. st is nil when only its operator may see it.
func (a *app) nodeStatus(c *client.Client, info *client.Info, ready bool,
	st *client.Status) error {
	v := struct {
		Node   string          `json:"node"`
		Ready  bool            `json:"ready"`
		Info   *client.Info    `json:"info"`
		Status json.RawMessage `json:"status"`
	}{c.URL(), ready, info, nil}
	if st != nil {
		v.Status = st.JSON
	}
	return a.answer(v, func(w io.Writer) {
		state := "ready"
		if !ready {
			state = "not ready"
		}
		rows := [][]string{{"node", c.URL()}, {"state", state},
			{"id", string(info.NodeID)}, {"key", info.Key.String()},
			{"version", info.Service + " " + info.Version},
			{"abilities", strings.Join(info.Capabilities, ", ")}}
		if st != nil {
			rows = append(rows, statusRows(st)...)
		}
		table(w, rows)
	})
}

func statusRows(st *client.Status) [][]string {
	return [][]string{
		{"up", (time.Duration(st.Uptime) * time.Second).String()},
		{"plots", fmt.Sprintf("%d of %s with %s", st.Plots.Count, size(st.Plots.TotalSize),
			plural(st.Plots.Capsules, "capsule", "capsules"))},
		{"network", fmt.Sprintf("%s, %s moved, %s in 24 hours",
			plural(st.Network.Peers, "peer", "peers"), size(st.Network.BandwidthUsed),
			plural(st.Network.Validations24h, "validation", "validations"))},
		{"earnings", fmt.Sprintf("%s DIG, %s DIG of bribes, %s DIG pending", st.Earnings.TotalDIG,
			st.Earnings.TotalBribes, st.Earnings.PendingRewards)},
	}
}
