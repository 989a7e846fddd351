package clvm

import (
	"context"
	"fmt"
)

// Run evaluates a program in an environment and returns the value. The environment of a puzzle is
// its solution. The value may share nodes with both. Errors are ErrFailed, ErrUnsupportedOp,
// ErrTooLarge and that of ctx, which is checked every 4096 steps. Run is not recursive, so no
// program overflows the stack.
func Run(ctx context.Context, program, env *Node, limits *Limits) (*Node, error) {
	l := limits.orDefaults()
	m := machine{ctx: ctx, atoms: atoms(), limits: l,
		steps: l.Steps, bytes: l.Bytes, look: l.Steps + lookEvery}
	v, err := m.run(program, env)
	if err != nil {
		return nil, fmt.Errorf("run program, at step %d: %w", l.Steps-max(m.steps, 0), err)
	}
	return v, nil
}

// A machine is the state of one run. frames has the operators whose arguments are being evaluated,
// values the arguments that were evaluated.
type machine struct {
	ctx    context.Context
	atoms  *atomTable
	limits Limits
	steps  int64 // left
	look   int64 // number of steps left at which ctx is checked
	bytes  int64 // left
	frames []frame
	values []*Node
}

// A frame is an operator whose arguments are being evaluated, all in env, from left to right.
type frame struct {
	op   string
	rest *Node // the list of arguments still to evaluate
	env  *Node
	base int // index in values of the first argument
}

// A job is a program to evaluate in an environment.
type job struct{ program, env *Node }

// lookEvery is the number of steps between two checks of the context.
const lookEvery = 4096

func (m *machine) run(program, env *Node) (*Node, error) {
	j := job{program, env}
	for {
		v, next, err := m.begin(j)
		for err == nil && v != nil {
			if len(m.frames) == 0 {
				return v, nil
			}
			m.values = append(m.values, v)
			v, next, err = m.resume()
		}
		if err != nil {
			return nil, err
		}
		j = next
	}
}

// begin evaluates a job until another job has to be evaluated. It returns a value or, with v a nil
// pointer, the next job.
func (m *machine) begin(j job) (v *Node, next job, err error) {
	if err := m.spend(1); err != nil {
		return nil, next, err
	}
	p := j.program
	if p.left == nil {
		v, err = m.variable(j.env, p.atom)
		return v, next, err
	}
	op := p.left
	if op.left != nil {
		return m.unevaluated(op, j)
	}
	if op.atom == string(rune(opQuote)) {
		return p.right, next, nil
	}
	if len(m.frames) == m.limits.Depth {
		return nil, next, fmt.Errorf("more than %d nested operators: %w", m.limits.Depth, ErrTooLarge)
	}
	m.frames = append(m.frames, frame{op.atom, p.right, j.env, len(m.values)})
	return m.resume()
}

// resume continues the last frame: it evaluates its next argument or, if it has all, applies its
// operator. The results are those of begin.
func (m *machine) resume() (v *Node, next job, err error) {
	f := &m.frames[len(m.frames)-1]
	if r := f.rest; r.left != nil {
		f.rest = r.right
		return nil, job{r.left, f.env}, nil
	}
	if f.rest.atom != "" {
		return nil, next, fmt.Errorf("arguments of operator %x end in %v: %w", f.op, f.rest, ErrFailed)
	}
	v, next, err = m.apply(f.op, m.values[f.base:])
	m.values = m.values[:f.base]
	m.frames = m.frames[:len(m.frames)-1]
	return v, next, err
}

// unevaluated evaluates ((op) arg …), which applies op to the arguments without evaluating them. As
// on the chain, any atom may end both lists.
func (m *machine) unevaluated(op *Node, j job) (v *Node, next job, err error) {
	if op.right.left != nil || op.left.left != nil {
		return nil, next, fmt.Errorf("want an operator, found %v: %w", op, ErrFailed)
	}
	base := len(m.values)
	for arg := range j.program.right.Items() {
		if err := m.spend(1); err != nil {
			return nil, next, err
		}
		m.values = append(m.values, arg)
	}
	v, next, err = m.apply(op.left.atom, m.values[base:])
	m.values = m.values[:base]
	return v, next, err
}

// variable looks a path up in the environment.
func (m *machine) variable(env *Node, path string) (*Node, error) {
	if err := m.spend(int64(len(path) / 4)); err != nil {
		return nil, err
	}
	v := lookup(env, path)
	if v == nil {
		return nil, fmt.Errorf("variable %.40x does not exist: %w", path, ErrFailed)
	}
	return v, nil
}

// apply applies an operator to its arguments. The results are those of begin.
func (m *machine) apply(op string, args []*Node) (v *Node, next job, err error) {
	if len(op) != 1 {
		return nil, next, fmt.Errorf("operator %.40x: %w", op, ErrUnsupportedOp)
	}
	code := op[0]
	if code == opApply {
		if len(args) != 2 {
			return nil, next, fail(code, "%d arguments where 2 belong", len(args))
		}
		return nil, job{args[0], args[1]}, nil
	}
	v, err = m.operator(code, args)
	return v, next, err
}

// spend takes steps.
func (m *machine) spend(n int64) error {
	m.steps -= n
	if m.steps < 0 {
		return fmt.Errorf("more than %d steps: %w", m.limits.Steps, ErrTooLarge)
	}
	if m.look-m.steps < lookEvery {
		return nil
	}
	m.look = m.steps
	return m.ctx.Err()
}

// grow takes memory for one new node with an atom of n bytes.
func (m *machine) grow(n int) error {
	m.bytes -= nodeSize + int64(n)
	if m.bytes < 0 {
		return fmt.Errorf("more than %d bytes of new nodes: %w", m.limits.Bytes, ErrTooLarge)
	}
	return nil
}

// atom makes a new atom.
func (m *machine) atom(b []byte) (*Node, error) {
	if err := m.grow(len(b)); err != nil {
		return nil, err
	}
	return m.atoms.node(string(b)), nil
}

// pair makes a new pair.
func (m *machine) pair(left, right *Node) (*Node, error) {
	if err := m.grow(0); err != nil {
		return nil, err
	}
	return &Node{left: left, right: right}, nil
}
