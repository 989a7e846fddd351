package clvm

import (
	"fmt"
	"math/bits"
)

// Parse reads one serialized program, which must be all of b. Nodes of back-references are shared.
// The nodes keep one copy of b in memory. Errors are ErrMalformed and, if b exceeds limits,
// ErrTooLarge.
func Parse(b []byte, limits *Limits) (*Node, error) {
	l := limits.orDefaults()
	if len(b) > l.Input {
		return nil, fmt.Errorf("parse program: %d bytes, want at most %d: %w",
			len(b), l.Input, ErrTooLarge)
	}
	p := parser{in: string(b), nodes: l.Nodes, atoms: atoms()}
	n, err := p.program()
	if err != nil {
		return nil, fmt.Errorf("parse program at byte %d of %d: %w", p.at, len(b), err)
	}
	return n, nil
}

// Bytes that are neither atoms nor the head of one.
const (
	markPair = 0xff
	markBack = 0xfe
)

type parser struct {
	in    string
	at    int // bytes of in that were read
	nodes int // how many more may be made
	atoms *atomTable

	// done has the nodes that were parsed and are not yet part of a pair, the newest last. A
	// back-reference starts at the list of them, the newest first: lists[i] is that list of
	// done[:i+1], made at its first use.
	done  []*Node
	lists []*Node
	// open has for every pair that was begun the number of its missing sides.
	open []byte
}

// program reads the whole input. The two sides of a pair are adjacent in done.
func (p *parser) program() (*Node, error) {
	for {
		if p.at == len(p.in) {
			return nil, fmt.Errorf("input ends within a program: %w", ErrMalformed)
		}
		head := p.in[p.at]
		p.at++
		var n *Node
		var err error
		switch head {
		case markPair:
			p.open = append(p.open, 2)
			continue
		case markBack:
			n, err = p.back()
		default:
			n, err = p.atom(head)
		}
		if err == nil {
			err = p.push(n)
		}
		if err != nil {
			return nil, err
		}
		if len(p.open) == 0 {
			break
		}
	}
	if p.at != len(p.in) {
		return nil, fmt.Errorf("%d bytes follow the program: %w", len(p.in)-p.at, ErrMalformed)
	}
	return p.done[0], nil
}

// push appends a node to done and makes the pairs that it completes.
func (p *parser) push(n *Node) error {
	for {
		p.done = append(p.done, n)
		if len(p.open) == 0 {
			return nil
		}
		last := len(p.open) - 1
		if p.open[last]--; p.open[last] > 0 {
			return nil
		}
		p.open = p.open[:last]
		sides := p.done[len(p.done)-2:]
		var err error
		if n, err = p.pair(sides[0], sides[1]); err != nil {
			return err
		}
		p.done = p.done[:len(p.done)-2]
		p.lists = p.lists[:min(len(p.lists), len(p.done))]
	}
}

func (p *parser) pair(left, right *Node) (*Node, error) {
	if err := p.count(); err != nil {
		return nil, err
	}
	return &Node{left: left, right: right}, nil
}

func (p *parser) count() error {
	if p.nodes--; p.nodes < 0 {
		return fmt.Errorf("more nodes than allowed: %w", ErrTooLarge)
	}
	return nil
}

// atom reads an atom whose first byte was read.
func (p *parser) atom(head byte) (*Node, error) {
	if err := p.count(); err != nil {
		return nil, err
	}
	s, err := p.bytes(head)
	if err != nil {
		return nil, err
	}
	return p.atoms.node(s), nil
}

// bytes reads the bytes of an atom whose first byte was read: below 80 it is the atom, else the
// number of its leading one bits is the number of bytes that hold the length.
func (p *parser) bytes(head byte) (string, error) {
	if head < 0x80 {
		return p.in[p.at-1 : p.at], nil
	}
	more := bits.LeadingZeros8(^head) - 1
	if more > 4 {
		return "", fmt.Errorf("byte %02x begins no atom: %w", head, ErrMalformed)
	}
	size := uint64(head) & (0x3f >> more)
	for range more {
		if p.at == len(p.in) {
			return "", fmt.Errorf("input ends within a length: %w", ErrMalformed)
		}
		size = size<<8 | uint64(p.in[p.at])
		p.at++
	}
	if size > uint64(len(p.in)-p.at) {
		return "", fmt.Errorf("atom of %d bytes, found %d: %w", size, len(p.in)-p.at, ErrMalformed)
	}
	s := p.in[p.at : p.at+int(size)]
	p.at += int(size)
	return s, nil
}

// back reads the path of a back-reference and returns its node.
func (p *parser) back() (*Node, error) {
	if p.at == len(p.in) || p.in[p.at] >= markBack {
		return nil, fmt.Errorf("back-reference without a path: %w", ErrMalformed)
	}
	head := p.in[p.at]
	p.at++
	path, err := p.bytes(head)
	if err != nil {
		return nil, err
	}
	list, err := p.list()
	if err != nil {
		return nil, err
	}
	n := lookup(list, path)
	if n == nil {
		return nil, fmt.Errorf("back-reference %x leads into an atom: %w", path, ErrMalformed)
	}
	return n, nil
}

// list returns done as a list, the newest first. Its pairs count as nodes.
func (p *parser) list() (*Node, error) {
	list := &p.atoms.empty
	if len(p.lists) > 0 {
		list = p.lists[len(p.lists)-1]
	}
	for _, n := range p.done[len(p.lists):] {
		var err error
		if list, err = p.pair(n, list); err != nil {
			return nil, err
		}
		p.lists = append(p.lists, list)
	}
	return list, nil
}

// lookup follows a path through a tree: bits from the lowest of the last byte upwards, 0 is left
// and 1 is right, and the highest bit set is the end. The path 0 leads to the empty atom. It
// returns nil where the path goes into an atom.
func lookup(tree *Node, path string) *Node {
	for path != "" && path[0] == 0 {
		path = path[1:]
	}
	if path == "" {
		return Nil()
	}
	for i := len(path) - 1; i >= 0; i-- {
		b := uint(path[i])
		if i > 0 {
			b |= 0x100 // eight steps, then the next byte
		}
		for ; b > 1; b >>= 1 {
			if tree.left == nil {
				return nil
			}
			if b&1 == 0 {
				tree = tree.left
			} else {
				tree = tree.right
			}
		}
	}
	return tree
}
