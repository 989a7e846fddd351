package metamorphic

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// commandLimit is how long one command may take before it counts as hung.
const commandLimit = 2 * time.Minute

// A command is one run of the program.
type command struct {
	where string        // the folder to work in, below the work folder
	args  []string      // without -C
	kill  time.Duration // when to kill it; 0: never
	stops *server       // the server to kill at that time instead; nil: none
	next  bool          // the next command runs at the same time
}

// An outcome is how a command ended.
type outcome struct {
	code   int
	killed bool // by this package
	stdout []byte
	stderr string
	took   time.Duration
}

func (o outcome) String() string {
	if o.killed {
		return fmt.Sprintf("killed after %v", o.took)
	}
	return fmt.Sprintf("exit code %d\n%s%s", o.code, clip(o.stdout), clip([]byte(o.stderr)))
}

// clip shortens what a program printed.
func clip(b []byte) string {
	const most = 2000
	if len(b) > most {
		b = append(bytes.Clone(b[:most]), " [...]\n"...)
	}
	return strings.ToValidUTF8(string(b), "?")
}

// processes runs the program in the folders below dir.
type processes struct {
	binary string
	env    []string
	dir    string

	mu     sync.Mutex
	script []string
}

// note adds a line to the script.
func (p *processes) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = append(p.script, fmt.Sprintf(format, args...))
}

// identity is the folder with the identity key of an actor.
func (p *processes) identity(where string) string {
	actor, _, _ := strings.Cut(where, "/")
	return filepath.Join(p.dir, "identity", actor)
}

// temporary is the folder for temporary files of the program.
func (p *processes) temporary() string { return filepath.Join(p.dir, "temporary") }

// leftover returns the name of a temporary file that no command uses any more,
// or "". Empty ones do not count: a kill may come before the file is used.
func (p *processes) leftover() (string, error) {
	list, err := os.ReadDir(p.temporary())
	for _, e := range list {
		if info, err := e.Info(); err == nil && info.Size() > 0 {
			return e.Name(), nil
		}
	}
	return "", err
}

func (p *processes) start(where string, args []string) *exec.Cmd {
	cmd := exec.Command(p.binary, append([]string{"-C", where}, args...)...)
	cmd.Dir = p.dir
	cmd.Env = append(append(os.Environ(), p.env...),
		"DIG_IDENTITY_DIR="+p.identity(where), "TMPDIR="+p.temporary())
	return cmd
}

// plainChars are the characters that a shell takes as they are.
const plainChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:$="

// shell returns a command as the script has it.
func (c command) shell() string {
	var b strings.Builder
	if c.kill > 0 && c.stops == nil {
		fmt.Fprintf(&b, "KILL=%.3f ", c.kill.Seconds())
	}
	b.WriteString("dig " + c.where)
	for _, a := range c.args {
		b.WriteByte(' ')
		if a != "" && strings.Trim(a, plainChars) == "" {
			b.WriteString(a)
		} else {
			b.WriteString("'" + strings.ReplaceAll(a, "'", `'\''`) + "'")
		}
	}
	if c.stops != nil {
		fmt.Fprintf(&b,
			" & sleep %.3f; kill -9 $%s; wait $!", c.kill.Seconds(), strings.ToUpper(c.stops.where))
	}
	if c.next {
		b.WriteString(" &")
	}
	return b.String()
}

// run runs a command to its end, or kills it. The error is that of a process
// that could not be started, or did not end.
func (p *processes) run(c command) (outcome, error) {
	p.note("%s", c.shell())
	return p.quietly(c)
}

// quietly is run without a line in the script, for checks.
func (p *processes) quietly(c command) (outcome, error) {
	cmd := p.start(c.where, c.args)
	var stdout bytes.Buffer
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return outcome{}, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state tells
		close(ended)
	}()
	var out outcome
	var kill <-chan time.Time
	if c.kill > 0 {
		kill = time.After(c.kill)
	}
	limit := time.After(commandLimit)
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-kill:
			kill = nil
			if c.stops != nil {
				c.stops.kill()
				c.stops = nil
				kill = time.After(2 * time.Second) // the command waits for the server to come back
				continue
			}
			out.killed = cmd.Process.Kill() == nil
		case <-limit:
			_ = cmd.Process.Signal(syscall.SIGQUIT) // prints the goroutines
			time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
			<-ended
			return outcome{}, fmt.Errorf("digstore -C %s %s did not end in %v:\n%s",
				c.where, strings.Join(c.args, " "), commandLimit, stderr.String())
		}
	}
	out.took = time.Since(began)
	out.code, out.stdout, out.stderr = cmd.ProcessState.ExitCode(), stdout.Bytes(), stderr.String()
	out.killed = out.killed && !cmd.ProcessState.Exited()
	if strings.Contains(out.stderr, "DATA RACE") || strings.Contains(out.stderr, "panic: ") {
		return out, fmt.Errorf("digstore -C %s %s:\n%s", c.where, strings.Join(c.args, " "), out.stderr)
	}
	return out, nil
}

// object runs a command that has to succeed and decodes its JSON answer.
func (p *processes) object(v any, where string, args ...string) error {
	out, err := p.quietly(command{where: where, args: append(args, "--json")})
	if err != nil {
		return err
	}
	if out.code != 0 {
		return fmt.Errorf("digstore -C %s %s: %v", where, strings.Join(args, " "), out)
	}
	if err := json.Unmarshal(out.stdout, v); err != nil {
		return fmt.Errorf("digstore -C %s %s: %w: %s",
			where, strings.Join(args, " "), err, clip(out.stdout))
	}
	return nil
}

// A server is a "digstore serve" in a process of its own, on the same port
// again and again.
type server struct {
	p      *processes
	where  string
	args   []string
	port   int
	cmd    *exec.Cmd
	stderr *safeBuffer
	ended  chan struct{}
}

// safeBuffer is written by a process and read beside it.
type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *server) url() string { return fmt.Sprintf("http://127.0.0.1:%d", s.port) }

// begin starts the server and waits until it listens.
func (s *server) begin() error {
	args := append(
		[]string{"serve", "--json", "--bind", "127.0.0.1:" + strconv.Itoa(s.port)},
		s.args...)
	s.cmd, s.stderr, s.ended = s.p.start(s.where, args), &safeBuffer{}, make(chan struct{})
	s.cmd.Stderr = s.stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	answer := bufio.NewReader(out)
	text, err := answer.ReadBytes('\n')
	var banner struct{ URL string }
	if err == nil {
		err = json.Unmarshal(text, &banner)
	}
	if err == nil && banner.URL == "" {
		err = errors.New("no URL")
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_, _ = io.Copy(io.Discard, answer)
		_ = cmd.Wait()
		close(ended)
	}(s.cmd, s.ended)
	if err != nil {
		s.kill()
		return fmt.Errorf("serve in %s: no banner: %w: %s%s", s.where, err, text, s.stderr)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(banner.URL, "http://"))
	if err == nil {
		s.port, err = strconv.Atoi(port)
	}
	args[3] = "127.0.0.1:" + port
	s.p.note("serve%s & %s=$!; sleep 1",
		strings.TrimPrefix(command{where: s.where, args: args}.shell(), "dig"), strings.ToUpper(s.where))
	return err
}

// kill ends the server at once.
func (s *server) kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// check reports what is wrong with a server that runs.
func (s *server) check() error {
	text := s.stderr.String()
	if strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic") {
		return fmt.Errorf("serve in %s:\n%s", s.where, text)
	}
	select {
	case <-s.ended:
		return fmt.Errorf("serve in %s ended by itself:\n%s", s.where, s.stderr)
	default:
		return nil
	}
}

// stop interrupts the server, as Ctrl-C does. It has to end well.
func (s *server) stop(ctx context.Context) error {
	s.p.note("kill -INT $%s; wait $%s", strings.ToUpper(s.where), strings.ToUpper(s.where))
	_ = s.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-s.ended:
	case <-time.After(commandLimit):
		s.kill()
		return fmt.Errorf("serve in %s does not end:\n%s", s.where, s.stderr)
	case <-ctx.Done():
		s.kill()
		return ctx.Err()
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("serve in %s: exit code %d:\n%s", s.where, code, s.stderr)
	}
	return nil
}
