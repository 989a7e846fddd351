package main

import (
	"context"
	"fmt"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/dig-network/digstore/node/api"
)

// notify tells systemd about the state of the service. Without systemd it does nothing.
func notify(state string) {
	_, _ = systemd.SdNotify(false, state) // the service manager is optional
}

// monotonic returns the assignment that a RELOADING=1 needs.
func monotonic() string { return fmt.Sprintf("MONOTONIC_USEC=%d", monotonicMicros()) }

// watchdog tells systemd that the node is alive, as often as its unit asks for it. While a check of
// /health fails it sends nothing.
func watchdog(ctx context.Context, liveness func() []api.Check) {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil || interval <= 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		if alive(liveness()) {
			notify("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func alive(checks []api.Check) bool {
	for _, c := range checks {
		if !c.Passed {
			return false
		}
	}
	return true
}
