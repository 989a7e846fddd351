package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// running is a node in the background.
type running struct {
	cmd    *exec.Cmd
	out    *syncBuffer
	err    *syncBuffer
	ended  chan struct{}
	result error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// nodes are the nodes of all scripts, by the folder of the script and the name.
var nodes sync.Map

func nodeOf(ts *testscript.TestScript, name string) *running {
	v, ok := nodes.Load(ts.Getenv("WORK") + "/" + name)
	if !ok {
		ts.Fatalf("no node %s", name)
	}
	return v.(*running)
}

// startTime is how long a node may take to be ready, on a busy machine.
const startTime = time.Minute

// node NAME ARG... starts dig-node with arguments, at ports of loopback that are free, and waits
// until it is ready. It sets NAME_API and NAME_METRICS.
func startNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: node NAME ARG...")
	}
	name := args[0]
	program, err := exec.LookPath("dig-node")
	if path := filepath.Join(binDir(ts), "dig-node"); err != nil {
		program = path
	}
	r := &running{out: &syncBuffer{}, err: &syncBuffer{}, ended: make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	metrics := l.Addr().String()
	ts.Check(l.Close())
	base := []string{"--json", "run", "--listen", "", "--api", "127.0.0.1:0", "--metrics", metrics}
	if ts.Getenv("PORTS") == "file" {
		base = base[:2]
	}
	r.cmd = exec.Command(program, append(base, args[1:]...)...)
	r.cmd.Dir = ts.MkAbs(".")
	r.cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+ts.Getenv("XDG_STATE_HOME"),
		"CHIA_ROOT="+ts.Getenv("CHIA_ROOT"), "NOTIFY_SOCKET="+ts.Getenv("NOTIFY_SOCKET"),
		"DIG_USERNAME="+ts.Getenv("DIG_USERNAME"), "DIG_PASSWORD="+ts.Getenv("DIG_PASSWORD"))
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.err
	ts.Check(r.cmd.Start())
	go func() {
		r.result = r.cmd.Wait()
		close(r.ended)
	}()
	nodes.Store(ts.Getenv("WORK")+"/"+name, r)
	ts.Defer(func() {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.ended
	})
	var ready struct{ API, Metrics string }
	deadline := time.Now().Add(startTime)
	for json.Unmarshal([]byte(r.out.String()), &ready) != nil {
		select {
		case <-r.ended:
			ts.Fatalf("the node ended: %v\n%s", r.result, r.err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the node is not ready\n%s", r.err)
		}
	}
	ts.Setenv(name+"_API", strings.TrimPrefix(ready.API, "http://"))
	ready.Metrics = strings.TrimSuffix(ready.Metrics, "/metrics")
	ts.Setenv(name+"_METRICS", strings.TrimPrefix(ready.Metrics, "http://"))
}

func binDir(ts *testscript.TestScript) string {
	first, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator))
	return first
}

// halt NAME [SIGNAL] ends a node with SIGTERM, which must end well, or with KILL.
func halt(ts *testscript.TestScript, neg bool, args []string) {
	r := nodeOf(ts, args[0])
	if len(args) > 1 && args[1] == "KILL" {
		ts.Check(r.cmd.Process.Kill())
		<-r.ended
		return
	}
	ts.Check(r.cmd.Process.Signal(syscall.SIGTERM))
	<-r.ended
	if r.result != nil {
		ts.Fatalf("the node ended with %v\n%s", r.result, r.err)
	}
}

// hup NAME TEXT sends SIGHUP, and waits until the log has a text once more than before.
func hup(ts *testscript.TestScript, neg bool, args []string) {
	r := nodeOf(ts, args[0])
	before := strings.Count(r.err.String(), args[1])
	ts.Check(r.cmd.Process.Signal(syscall.SIGHUP))
	deadline := time.Now().Add(startTime)
	for strings.Count(r.err.String(), args[1]) <= before {
		if time.Now().After(deadline) {
			ts.Fatalf("%q is not in the log\n%s", args[1], r.err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// log NAME TEXT checks that the log of a node has a text; ! that it has not.
func logHas(ts *testscript.TestScript, neg bool, args []string) {
	if has := strings.Contains(nodeOf(ts, args[0]).err.String(), args[1]); has == neg {
		ts.Fatalf("log has %q: %v\n%s", args[1], has, nodeOf(ts, args[0]).err)
	}
}

// get STATUS URL [NAME: VALUE]... asks a URL, prints the body, and checks the status.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: get STATUS URL [HEADER]...")
	}
	req, err := http.NewRequest(http.MethodGet, args[1], nil)
	ts.Check(err)
	for _, h := range args[2:] {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), string(body))
	if fmt.Sprint(res.StatusCode) != args[0] {
		ts.Fatalf("status %d, want %s\n%s", res.StatusCode, args[0], body)
	}
}

// secret NAME FILE sets a variable to the first line of a file.
func secret(ts *testscript.TestScript, neg bool, args []string) {
	line, _, _ := strings.Cut(ts.ReadFile(args[1]), "\n")
	ts.Setenv(args[0], line)
}
