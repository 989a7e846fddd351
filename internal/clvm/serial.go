package clvm

import "fmt"

// Append appends the serialized node to dst, with the shortest lengths and without back-references.
// It writes at most limits.Input bytes, since a small tree with shared parts can have a very long
// form. Above that the error is ErrTooLarge, and dst is returned unchanged.
func Append(dst []byte, n *Node, limits *Limits) ([]byte, error) {
	w := writer{dst: dst, limit: limits.orDefaults().Input}
	if err := w.write(n); err != nil {
		return dst, err
	}
	return w.dst, nil
}

// A writer appends nodes to dst, at most limit bytes.
type writer struct {
	dst   []byte
	limit int
}

func (w *writer) write(n *Node) error {
	todo := []*Node{n}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for n.left != nil {
			if err := w.take(1); err != nil {
				return err
			}
			w.dst = append(w.dst, 0xff)
			todo = append(todo, n.right)
			n = n.left
		}
		if err := w.atom(n.atom); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) take(n int) error {
	if n > w.limit {
		return fmt.Errorf("serialize program: more bytes than allowed: %w", ErrTooLarge)
	}
	w.limit -= n
	return nil
}

func (w *writer) atom(s string) error {
	var head [5]byte
	n := uint64(len(s))
	size := 1
	switch {
	case n == 0:
		head[0] = 0x80
	case n == 1 && s[0] < 0x80:
		size = 0
	case n < 1<<6:
		head[0] = 0x80 | byte(n)
	case n < 1<<13:
		head, size = [5]byte{0xc0 | byte(n>>8), byte(n)}, 2
	case n < 1<<20:
		head, size = [5]byte{0xe0 | byte(n>>16), byte(n >> 8), byte(n)}, 3
	case n < 1<<27:
		head, size = [5]byte{0xf0 | byte(n>>24), byte(n >> 16), byte(n >> 8), byte(n)}, 4
	case n < 1<<34:
		head, size = [5]byte{0xf8 | byte(n>>32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, 5
	default:
		return fmt.Errorf("serialize atom of %d bytes: %w", n, ErrTooLarge)
	}
	if err := w.take(size + len(s)); err != nil {
		return err
	}
	w.dst = append(append(w.dst, head[:size]...), s...)
	return nil
}
