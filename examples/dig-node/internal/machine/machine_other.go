//go:build !linux

package machine

import "github.com/dig-network/digstore/node/prom"

func fill(*prom.Process) {}

func memory() (int64, bool) { return 0, false }
