// Package machine says what the system knows about this process and its machine.
package machine

import (
	"runtime"

	"github.com/dig-network/digstore/node/prom"
)

// Process returns what is known about the process.
func Process() prom.Process {
	p := prom.Process{Cores: runtime.NumCPU()}
	fill(&p)
	if n, ok := Memory(); ok {
		p.MemoryLimit = &n
	}
	return p
}

// Memory returns the bytes of memory that the process may use: that of the machine, or of its
// control group if that is less. ok is false where it is not known.
func Memory() (n int64, ok bool) { return memory() }
