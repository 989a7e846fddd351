package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/node/client"
)

// healthTimeout is how long a health check waits; that of a container is 3 s.
const healthTimeout = 2500 * time.Millisecond

func (a *app) healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the node whether it is healthy; exit 0 or 1",
		Long: `Healthcheck asks GET /health at the address of monitoring, as a container does.
It exits with 0 if the node is healthy, and with 1 if not.`,
		Example: "  dig-node healthcheck",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.healthcheck(cmd.Context()) },
	}
}

func (a *app) healthcheck(ctx context.Context) error {
	c, err := a.loadQuietly()
	if err != nil {
		return err
	}
	address := c.Network.API
	secure := c.Network.TLS.Cert != ""
	if c.Monitoring.MetricsPort != 0 {
		address = net.JoinHostPort(c.Monitoring.MetricsAddress, strconv.Itoa(c.Monitoring.MetricsPort))
		secure = false
	}
	base, err := localURL(address, secure)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/health", nil)
	if err != nil {
		return err
	}
	res, err := localClient().Do(req)
	if err != nil {
		return notRunning(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return notRunning(err)
	}
	if res.StatusCode != http.StatusOK {
		return &checkFailed{"unhealthy: " + strings.TrimSpace(string(text)),
			"look into the log of the node"}
	}
	return a.answer(json.RawMessage(text), func(w io.Writer) { fmt.Fprintln(w, "healthy") })
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Print what the node that runs here does",
		Example: "  dig-node status",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withNode(cmd.Context(), func(ctx context.Context, r *remote) error {
				var text json.RawMessage
				if err := r.do(ctx, http.MethodGet, "/node/status", nil, &text); err != nil {
					return err
				}
				return a.printStatus(text)
			})
		},
	}
}

func (a *app) printStatus(text json.RawMessage) error {
	var st struct {
		client.Status
		Mode    string `json:"mode"`
		Storage struct {
			Used     int64 `json:"used_bytes"`
			Capacity int64 `json:"capacity_bytes"`
			Damaged  int   `json:"quarantined"`
			Stores   int   `json:"stores"`
			Capsules int64 `json:"capsules"`
		} `json:"storage"`
		Cache struct {
			L1Hits    uint64 `json:"l1_hits"`
			L2Hits    uint64 `json:"l2_hits"`
			DiskReads uint64 `json:"disk_reads"`
		} `json:"cache"`
	}
	if err := json.Unmarshal(text, &st); err != nil {
		return err
	}
	return a.answer(text, func(w io.Writer) {
		up := time.Duration(st.Uptime) * time.Second
		fmt.Fprintf(w, "node %s   version %s   mode %s   up %v\n", st.NodeID, st.Version, st.Mode, up)
		fmt.Fprintf(w, "  stores   %d, %s in %s\n", st.Storage.Stores, bytesText(st.Storage.Used),
			plural(int(st.Storage.Capsules), "capsule", "capsules"))
		fmt.Fprintf(w, "  plots    %d, %s, %d damaged\n", st.Plots.Count, bytesText(st.Plots.TotalSize),
			st.Storage.Damaged)
		hits, all := st.Cache.L1Hits+st.Cache.L2Hits, st.Cache.L1Hits+st.Cache.L2Hits+st.Cache.DiskReads
		if all > 0 {
			fmt.Fprintf(w, "  cache    hit %d %%\n", 100*hits/all)
		}
		fmt.Fprintf(w, "  network  %d peers, %s moved, %d validations in 24 h\n", st.Network.Peers,
			bytesText(st.Network.BandwidthUsed), st.Network.Validations24h)
		fmt.Fprintf(w, "  earned   %s DIG, bribes %s, pending %s\n", st.Earnings.TotalDIG,
			st.Earnings.TotalBribes, st.Earnings.PendingRewards)
	})
}

// bytesText formats a number of bytes.
func bytesText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < 3 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[unit])
}

// withNode calls do with the node that runs here.
func (a *app) withNode(ctx context.Context, do func(context.Context, *remote) error) error {
	c, err := a.loadQuietly()
	if err != nil {
		return err
	}
	r, err := a.remote(c)
	if err != nil {
		return err
	}
	return do(ctx, r)
}

func (a *app) pinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pin STORE",
		Short: "Keep a store, and let its writers push to it",
		Long: `Pin has the node track a store, so that its writers may push it here without a
credential, and never drops it.`,
		Example: "  dig-node pin STORE_ID",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd.Context(), args[0], "pinned",
				[][2]string{{http.MethodPost, "/admin/pin/"}, {http.MethodPost, "/admin/track/"}})
		},
	}
}

func (a *app) unpinCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "unpin STORE",
		Short:   "Undo pin; what is stored stays until room is needed",
		Example: "  dig-node unpin STORE_ID",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd.Context(), args[0], "unpinned",
				[][2]string{{http.MethodDelete, "/admin/track/"}, {http.MethodDelete, "/admin/pin/"}})
		},
	}
}

// change sends requests about a store.
func (a *app) change(ctx context.Context, store, done string, requests [][2]string) error {
	id, err := storeID(store)
	if err != nil {
		return err
	}
	return a.withNode(ctx, func(ctx context.Context, r *remote) error {
		for _, one := range requests {
			if err := r.do(ctx, one[0], one[1]+id.String(), nil, nil); err != nil {
				return err
			}
		}
		v := map[string]any{"datastore_id": "0x" + id.String(), done: true}
		return a.answer(v, func(w io.Writer) { fmt.Fprintf(w, "%s %s\n", done, id) })
	})
}

func (a *app) gcCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what is not needed any more",
		Example: `  dig-node gc --dry-run
  dig-node gc`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/admin/gc"
			if dry {
				path += "?dry_run=1"
			}
			return a.runJob(cmd.Context(), path)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be removed")
	return cmd
}

func (a *app) scrubCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "scrub",
		Short:   "Verify everything that is stored, now",
		Example: "  dig-node scrub",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runJob(cmd.Context(), "/admin/scrub")
		},
	}
}

// runJob runs a job of the node and prints its result.
func (a *app) runJob(ctx context.Context, path string) error {
	return a.withNode(ctx, func(ctx context.Context, r *remote) error {
		result, err := r.await(ctx, path)
		if err != nil {
			return err
		}
		return a.answer(result, func(w io.Writer) { printMembers(w, result) })
	})
}

// printMembers prints the members of a JSON object, a line each.
func printMembers(w io.Writer, text json.RawMessage) {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	if _, err := dec.Token(); err != nil {
		return
	}
	for dec.More() {
		name, err := dec.Token()
		var value json.RawMessage
		if err != nil || dec.Decode(&value) != nil {
			return
		}
		fmt.Fprintf(w, "%-18v %s\n", name, value)
	}
}

func (a *app) plotCommand() *cobra.Command {
	var compression string
	cmd := &cobra.Command{
		Use:   "plot STORE",
		Short: "Write the capsules of a store into a plot",
		Long: `Plot writes all capsules of a store that the node holds into a plot, from which it
proves to validators that it has them.`,
		Example: "  dig-node plot STORE_ID --compression zstd",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := storeID(args[0])
			if err != nil {
				return err
			}
			body := map[string]any{"datastore_id": "0x" + id.String()}
			if compression != "" {
				body["compression"] = compression
			}
			return a.withNode(cmd.Context(), func(ctx context.Context, r *remote) error {
				var result json.RawMessage
				if err := r.do(ctx, http.MethodPost, "/plot/create", body, &result); err != nil {
					return err
				}
				return a.answer(result, func(w io.Writer) { printMembers(w, result) })
			})
		},
	}
	cmd.Flags().StringVar(&compression, "compression", "", "none, lz4 or zstd (`KIND`)")
	return cmd
}
