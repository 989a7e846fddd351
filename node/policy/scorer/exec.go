package scorer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/dig-network/digstore/node/policy"
)

// maxRunning is the limit of concurrent programs of one Exec.
const maxRunning = 2

// Exec is a policy.Scorer that runs a program for each rating: no shell, the features on standard
// input, one line of JSON on standard output. Its environment has only PATH. After two seconds the
// program is killed, on Unix with its process group. At most two run at once; others wait. NewExec
// makes one.
type Exec struct {
	argv    []string
	path    string // of the environment
	running chan struct{}
	timeout time.Duration
}

// ExecOptions are settings of NewExec. nil and the zero value mean the defaults.
type ExecOptions struct {
	Path string // the variable PATH of the program; default: empty
}

// NewExec returns the scorer that runs a program with arguments. argv[0] is an absolute path.
func NewExec(argv []string, o *ExecOptions) (*Exec, error) {
	if len(argv) == 0 {
		return nil, fmt.Errorf("%w: found no program", ErrScorer)
	}
	if !filepath.IsAbs(argv[0]) {
		return nil, fmt.Errorf("%w: program %.200q, expected an absolute path", ErrScorer, argv[0])
	}
	if _, err := exec.LookPath(argv[0]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrScorer, err)
	}
	s := &Exec{argv: slices.Clone(argv),
		running: make(chan struct{}, maxRunning), timeout: Timeout}
	if o != nil {
		s.path = o.Path
	}
	return s, nil
}

// Score implements policy.Scorer. The timeout includes waiting for other ratings.
func (s *Exec) Score(ctx context.Context, f policy.Features) (policy.Score, error) {
	input, err := encode(f)
	if err != nil {
		return policy.Score{}, err
	}
	within, cancel := context.WithTimeoutCause(ctx, s.timeout,
		fmt.Errorf("%w: %s took longer than %v", ErrScorer, s.argv[0], s.timeout))
	defer cancel()
	select {
	case s.running <- struct{}{}:
		defer func() { <-s.running }()
	case <-within.Done():
		return policy.Score{}, context.Cause(within)
	}
	out, err := s.run(within, append(input, '\n'))
	if within.Err() != nil {
		return policy.Score{}, context.Cause(within)
	}
	if err != nil {
		return policy.Score{}, fmt.Errorf("%w: run %s: %w", ErrScorer, s.argv[0], err)
	}
	line, rest, _ := bytes.Cut(out, []byte("\n"))
	if len(bytes.TrimSpace(rest)) > 0 {
		return policy.Score{}, fmt.Errorf("%w: %s: found more than one line", ErrScorer, s.argv[0])
	}
	return decode(line)
}

func (s *Exec) run(ctx context.Context, input []byte) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.argv[0], s.argv[1:]...)
	cmd.Env = []string{"PATH=" + s.path}
	cmd.Dir = workingDir()
	cmd.Stdin = bytes.NewReader(input)
	out := &bounded{max: MaxAnswer}
	cmd.Stdout = out
	cmd.WaitDelay = 100 * time.Millisecond // for child processes that keep the output open
	ownGroup(cmd)
	cmd.Cancel = func() error { return killGroup(cmd) }
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		_ = killGroup(cmd)
	}
	return out.Bytes(), err
}

// errLong is the error of a write beyond the bound.
var errLong = errors.New("output is too long")

// bounded is a buffer with a limit.
type bounded struct {
	bytes.Buffer
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.max {
		return 0, errLong
	}
	return b.Buffer.Write(p)
}
