package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A lab is the folder where one run of the benchmarks takes place: programs,
// copies of the data, stores.
type lab struct {
	data     string // as mkdata wrote it
	dir      string // scratch, removed at the end
	runs     int
	digstore string // the CLI
	self     string // this program
	mkdata   string
}

func newLab(data string, runs int) (*lab, error) {
	data, err := filepath.Abs(data)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(data), "bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{data: data, dir: dir, runs: runs, digstore: filepath.Join(dir, "digstore"),
		mkdata: filepath.Join(dir, "mkdata")}
	if l.self, err = os.Executable(); err != nil {
		return nil, err
	}
	for _, b := range [][]string{
		{"build", "-C", "../..", "-o", l.digstore, "./examples/digstore"}, // go run -C works in internal/tools
		{"build", "-o", l.mkdata, "./mkdata"},
	} {
		if out, err := exec.Command("go", b...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(b, " "), err, out)
		}
	}
	return l, os.Setenv("DIG_IDENTITY_DIR", filepath.Join(dir, "identity"))
}

func (l *lab) close() { os.RemoveAll(l.dir) }

// path is a fresh name in the scratch folder.
func (l *lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}

// A sample is one finished process.
type sample struct {
	wall time.Duration
	rss  int64 // peak resident bytes
	out  []byte
}

// run runs a program to its end in folder dir.
func run(dir, program string, args ...string) (sample, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	start := time.Now()
	out, err := cmd.Output()
	s := sample{wall: time.Since(start), out: out}
	if err != nil {
		return s, fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out,
			stderr.String())
	}
	s.rss = peak(cmd.ProcessState)
	return s, nil
}

func peak(p *os.ProcessState) int64 {
	if u, ok := p.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss << 10
	}
	return 0
}

// A server is a running process that serves HTTP.
type server struct {
	cmd  *exec.Cmd
	URL  string
	logs strings.Builder
}

// serve starts `digstore serve` in dir and waits for its banner.
func (l *lab) serve(dir string, flags ...string) (*server, error) {
	return start(l.digstore, dir, append([]string{"--json", "serve", "--bind", "127.0.0.1:0"},
		flags...)...)
}

// start starts a server that prints where it listens.
func start(program, dir string, args ...string) (*server, error) {
	s := &server{}
	s.cmd = exec.Command(program, args...)
	s.cmd.Dir = dir
	s.cmd.Stderr = &s.logs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	var banner struct{ Bind string }
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&banner); err != nil {
		s.stop()
		return nil, fmt.Errorf("banner of %s: %w\n%s", filepath.Base(program), err, s.logs.String())
	}
	s.URL = "http://" + banner.Bind
	return s, nil
}

// stop ends the server and says its peak memory.
func (s *server) stop() int64 {
	s.cmd.Process.Signal(os.Interrupt)
	s.cmd.Wait()
	return peak(s.cmd.ProcessState)
}

// side is one side of a ratio; before is not timed.
type side struct {
	name   string
	before func(i int) error
	run    func(i int) (sample, error)
}

// versus lets two sides take turns and prints medians, the ratio of medians
// and the peak memory of the first.
func (l *lab) versus(title, goal string, a, b side) error {
	var times [2][]time.Duration
	var rss int64
	for i := range l.runs + 1 {
		for k, s := range []side{a, b} {
			if s.before != nil {
				if err := s.before(i); err != nil {
					return err
				}
			}
			got, err := s.run(i)
			if err != nil {
				return err
			}
			if i == 0 {
				continue // warm-up
			}
			times[k] = append(times[k], got.wall)
			if k == 0 {
				rss = max(rss, got.rss)
			}
		}
	}
	ma, mb := median(times[0]), median(times[1])
	fmt.Printf("%-34s %8.1f ms  vs %-22s %8.1f ms  ratio %5.2f (%s)  peak %s\n",
		title, ms(ma), b.name, ms(mb), float64(ma)/float64(mb), goal, mib(rss))
	return nil
}

// alone measures one side without a partner.
func (l *lab) alone(title, goal string, a side) error {
	var times []time.Duration
	var rss int64
	for i := range l.runs + 1 {
		if a.before != nil {
			if err := a.before(i); err != nil {
				return err
			}
		}
		got, err := a.run(i)
		if err != nil {
			return err
		}
		if i > 0 {
			times, rss = append(times, got.wall), max(rss, got.rss)
		}
	}
	fmt.Printf("%-34s %8.1f ms (%s)  peak %s\n", title, ms(median(times)), goal, mib(rss))
	return nil
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// size adds up the files below dir whose names keep accepts.
func size(dir string, keep func(name string) bool) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !keep(d.Name()) {
			return err
		}
		info, err := d.Info()
		sum += info.Size()
		return err
	})
	return sum, err
}
