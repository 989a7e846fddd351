package machine_test

import (
	"runtime"
	"testing"

	"github.com/dig-network/digstore/examples/dig-node/internal/machine"
)

func TestProcess(t *testing.T) {
	p := machine.Process()
	if p.Cores < 1 {
		t.Errorf("%d cores", p.Cores)
	}
	if runtime.GOOS != "linux" {
		t.Skip("not known here")
	}
	if p.CPU == nil || *p.CPU <= 0 || p.Memory == nil || *p.Memory < 1<<20 || p.MemoryLimit == nil {
		t.Errorf("found %+v", p)
	}
	if p.Memory != nil && p.MemoryLimit != nil && *p.Memory > *p.MemoryLimit {
		t.Errorf("%d bytes of %d", *p.Memory, *p.MemoryLimit)
	}
}
