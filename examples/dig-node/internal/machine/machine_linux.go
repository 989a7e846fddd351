package machine

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dig-network/digstore/node/prom"
)

func fill(p *prom.Process) {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
		cpu := time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
		p.CPU = &cpu
	}
	if fields := strings.Fields(read("/proc/self/statm")); len(fields) > 1 {
		if pages, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			n := pages * int64(os.Getpagesize())
			p.Memory = &n
		}
	}
	for line := range strings.Lines(read("/proc/self/io")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
		case name == "read_bytes":
			p.DiskRead = &n
		case name == "write_bytes":
			p.DiskWritten = &n
		}
	}
}

// read returns the content of a small file of the system, or "".
func read(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(text)
}

func memory() (int64, bool) {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0, false
	}
	n := int64(uint64(info.Totalram) * uint64(info.Unit))
	for _, name := range []string{"/sys/fs/cgroup/memory.max",
		"/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		limit, err := strconv.ParseInt(strings.TrimSpace(read(name)), 10, 64)
		if err == nil && limit > 0 && limit < n {
			n = limit
		}
	}
	return n, n > 0
}
