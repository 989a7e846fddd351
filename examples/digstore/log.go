package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
)

func (a *app) logCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "log",
		Short: "List the generations, newest first",
		Long: `Log prints the number, time, root and message of every generation. A clone does
not have the content of every generation. The lines of those that are not held
here were sent by the host and are not verified; log marks them, and it marks
generations that the publisher revoked.`,
		Example: `  digstore log
  digstore log -n 5 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(func(s *digstore.Store) error {
				if limit <= 0 {
					limit = math.MaxInt
				}
				entries, err := s.HistoryTail(cmd.Context(), limit)
				if err != nil {
					return err
				}
				revoked, err := revocations(cmd.Context(), s)
				if err != nil {
					return err
				}
				return a.printLog(s, entries, revoked)
			})
		},
	}
	cmd.Flags().IntVarP(&limit, "number", "n", 0, "print at most `N` generations")
	return cmd
}

// writable returns t if JSON can represent it, or else nil. Earlier versions stored
// any time that a host sent.
func writable(t time.Time) *time.Time {
	t = t.UTC()
	if t.Year() < 1970 || t.Year() > 9999 {
		return nil
	}
	return &t
}

// shown formats a time for text output.
func shown(t *time.Time) string {
	if t == nil {
		return "unknown time"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func (a *app) printLog(s *digstore.Store, entries []digstore.HistoryEntry, revoked revoked) error {
	type row struct {
		Generation uint64      `json:"generation"`
		Root       merkle.Hash `json:"root"`
		Time       *time.Time  `json:"time"` // null: not a time that JSON can represent
		Held       bool        `json:"held"`
		Message    string      `json:"message,omitempty"`
		Revoked    string      `json:"revoked,omitempty"`
	}
	rows := make([]row, 0, len(entries))
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		r := row{e.Number, e.Root, writable(e.Time), e.Held, e.Message, revoked.of(e.Root)}
		rows = append(rows, r)
	}
	v := map[string]any{"store": s.Name(), "store_id": s.ID(), "generations": rows}
	return a.answer(v, func(w io.Writer) {
		if len(rows) == 0 {
			fmt.Fprintln(w, "no generation yet")
			return
		}
		cells := make([][]string, len(rows))
		for i, r := range rows {
			what := firstLine(r.Message)
			if !r.Held {
				what = "not held, not verified"
			}
			if r.Revoked != "" {
				what = strings.TrimSpace("revoked: " + r.Revoked + "  " + what)
			}
			number := strconv.FormatUint(r.Generation, 10)
			cells[i] = []string{number, shown(r.Time), r.Root.String(), what}
		}
		table(w, cells)
	})
}
