package strictjson

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Limits of a Reader.
const (
	maxName    = 256 // bytes of a name as written
	maxMembers = 128 // members of an object
	maxSkip    = 512 // nesting of a skipped value
)

// ErrSyntax reports a text that is not JSON, or a value of another type than the caller reads.
var ErrSyntax = errors.New("malformed JSON")

// MemberError reports the member at which reading failed, as in "capsules[3].size". An empty
// path stands for the whole text.
type MemberError struct {
	Path string
	Err  error
}

// Error implements error.
func (e *MemberError) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("member %s: %v", e.Path, e.Err)
}

// Unwrap returns Err.
func (e *MemberError) Unwrap() error { return e.Err }

// A Member is a known member of an object.
type Member struct {
	Name     string
	Required bool
	Read     func(*Reader) error // reads exactly one value
}

// A Reader reads one JSON text from a stream, value by value. It holds one value at a time. It
// refuses duplicate names in an object, known names in another letter case, numbers that are not
// unsigned integers in canonical decimal form, null, and text behind the end. It is not safe
// for concurrent use.
type Reader struct {
	r    *bufio.Reader
	path []step
}

// step is a member of an object or, without a name, an item of an array.
type step struct {
	name  string
	index int
}

// NewReader returns a Reader of r. A text of more than max bytes is an error.
func NewReader(r io.Reader, max int64) *Reader {
	return &Reader{r: bufio.NewReaderSize(&limited{r: r, left: max, max: max}, 16<<10)}
}

// limited is io.LimitedReader with an error at the limit.
type limited struct {
	r         io.Reader
	left, max int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		if n, err := io.ReadFull(l.r, p[:1]); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("text longer than %d bytes", l.max)
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

// End returns an error if anything but white space follows.
func (r *Reader) End() error {
	switch c, err := r.next(); {
	case err == io.EOF:
		return nil
	case err != nil:
		return r.fail(err)
	default:
		return r.fail(fmt.Errorf("%w: %q follows the end", ErrSyntax, c))
	}
}

// Object reads an object and skips unknown members.
func (r *Reader) Object(members []Member) error {
	if err := r.expect('{', "an object"); err != nil {
		return err
	}
	var seen uint64
	var others []string
	for first := true; ; first = false {
		c, err := r.next()
		if err != nil {
			return r.fail(unexpected(err))
		}
		if c == '}' && first {
			break
		}
		if !first {
			if c == '}' {
				break
			}
			if c != ',' {
				return r.fail(fmt.Errorf("%w: found %q, expected a comma or the end of the object",
					ErrSyntax, c))
			}
			if c, err = r.next(); err != nil {
				return r.fail(unexpected(err))
			}
		}
		if c != '"' {
			return r.fail(fmt.Errorf("%w: found %q, expected a name", ErrSyntax, c))
		}
		name, err := r.text(maxName)
		if err != nil {
			return r.fail(err)
		}
		if err := r.expect(':', "a colon"); err != nil {
			return err
		}
		r.path = append(r.path, step{name: name})
		known := -1
		for i, m := range members {
			if m.Name == name {
				known = i
				break
			}
			if strings.EqualFold(m.Name, name) {
				return r.fail(fmt.Errorf("%w: want the name %q", ErrSyntax, m.Name))
			}
		}
		if known >= 0 {
			if seen>>known&1 == 1 {
				return r.fail(ErrDuplicate)
			}
			seen |= 1 << known
			err = members[known].Read(r)
		} else {
			for _, o := range others {
				if strings.EqualFold(o, name) {
					return r.fail(ErrDuplicate)
				}
			}
			if others = append(others, name); len(others) > maxMembers {
				return r.fail(fmt.Errorf("%w: more than %d members", ErrSyntax, maxMembers))
			}
			err = r.skip(0)
		}
		if err != nil {
			return r.fail(err)
		}
		r.path = r.path[:len(r.path)-1]
	}
	for i, m := range members {
		if m.Required && seen>>i&1 == 0 {
			r.path = append(r.path, step{name: m.Name})
			return r.fail(errors.New("is missing"))
		}
	}
	return nil
}

// Array reads an array and calls read for each item.
func (r *Reader) Array(read func(i int) error) error {
	if err := r.expect('[', "an array"); err != nil {
		return err
	}
	for i := 0; ; i++ {
		c, err := r.next()
		if err != nil {
			return r.fail(unexpected(err))
		}
		switch {
		case c == ']':
			return nil
		case i == 0:
			r.r.UnreadByte()
		case c != ',':
			return r.fail(fmt.Errorf("%w: found %q, expected a comma or the end of the array",
				ErrSyntax, c))
		}
		if i > 0 {
			if c, err = r.next(); err != nil {
				return r.fail(unexpected(err))
			}
			r.r.UnreadByte()
			if c == ']' {
				return r.fail(fmt.Errorf("%w: a comma before the end of the array", ErrSyntax))
			}
		}
		r.path = append(r.path, step{index: i})
		if err := read(i); err != nil {
			return r.fail(err)
		}
		r.path = r.path[:len(r.path)-1]
	}
}

// Uint reads an unsigned integer of at most max, in decimal digits without a leading zero.
func (r *Reader) Uint(max uint64) (uint64, error) {
	c, err := r.next()
	if err != nil {
		return 0, r.fail(unexpected(err))
	}
	if c < '0' || c > '9' {
		return 0, r.fail(fmt.Errorf("%w: found %q, expected an unsigned integer", ErrSyntax, c))
	}
	v := uint64(c - '0')
	for {
		d, err := r.r.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, r.fail(err)
		}
		if d < '0' || d > '9' {
			if d == '.' || d == 'e' || d == 'E' {
				return 0, r.fail(fmt.Errorf("%w: number is not an integer in plain digits",
					ErrSyntax))
			}
			r.r.UnreadByte()
			break
		}
		if c == '0' {
			return 0, r.fail(fmt.Errorf("%w: number with a leading zero", ErrSyntax))
		}
		n := uint64(d - '0')
		if v > (math.MaxUint64-n)/10 {
			return 0, r.fail(fmt.Errorf("%w: number above %d", ErrSyntax, max))
		}
		v = v*10 + n
	}
	if v > max {
		return 0, r.fail(fmt.Errorf("%w: number %d, want at most %d", ErrSyntax, v, max))
	}
	return v, nil
}

// Text reads a string of at most max bytes, counted as written between the quotes.
func (r *Reader) Text(max int) (string, error) {
	if err := r.expect('"', "a string"); err != nil {
		return "", err
	}
	s, err := r.text(max)
	if err != nil {
		return "", r.fail(err)
	}
	return s, nil
}

// Null reads a null if one comes next, and reports whether it has.
func (r *Reader) Null() (bool, error) {
	c, err := r.next()
	if err != nil {
		return false, r.fail(unexpected(err))
	}
	r.r.UnreadByte()
	if c != 'n' {
		return false, nil
	}
	return true, r.fail(r.skip(0))
}

// text reads a string after its opening quote.
func (r *Reader) text(max int) (string, error) {
	if b, _ := r.r.Peek(min(r.r.Buffered(), max+1)); plainEnd(b) >= 0 {
		s := string(b[:plainEnd(b)])
		r.r.Discard(len(s) + 1)
		return s, nil
	}
	quoted := []byte{'"'}
	err := r.stringRest(func(c byte) error {
		if quoted = append(quoted, c); len(quoted) > max+2 {
			return fmt.Errorf("%w: string longer than %d bytes", ErrSyntax, max)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if !utf8.Valid(quoted) {
		return "", fmt.Errorf("%w: string is not UTF-8", ErrSyntax)
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "", fmt.Errorf("%w: string: %w", ErrSyntax, err)
	}
	return s, nil
}

// plainEnd returns the offset of the closing quote of a string of printable ASCII without
// escapes, or -1.
func plainEnd(b []byte) int {
	for i, c := range b {
		switch {
		case c == '"':
			return i
		case c < ' ' || c >= utf8.RuneSelf || c == '\\':
			return -1
		}
	}
	return -1
}

// stringRest calls each for every byte of a string after its opening quote, including the
// closing quote.
func (r *Reader) stringRest(each func(byte) error) error {
	for escaped := false; ; {
		c, err := r.r.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		if c < ' ' {
			return fmt.Errorf("%w: control character in a string", ErrSyntax)
		}
		if err := each(c); err != nil {
			return err
		}
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			return nil
		}
	}
}

// skip skips any value.
func (r *Reader) skip(depth int) error {
	if depth > maxSkip {
		return ErrDepth
	}
	c, err := r.next()
	if err != nil {
		return unexpected(err)
	}
	switch {
	case c == '"':
		return r.stringRest(func(byte) error { return nil })
	case c == '{' || c == '[':
		return r.skipList(c, depth)
	case c == 't' || c == 'f' || c == 'n' || c == '-' || '0' <= c && c <= '9':
		r.r.UnreadByte()
		return r.scalar()
	}
	return fmt.Errorf("%w: found %q, expected a value", ErrSyntax, c)
}

func (r *Reader) skipList(open byte, depth int) error {
	end := open + 2 // '}' follows '{' by two, as ']' does '['
	for first := true; ; first = false {
		c, err := r.next()
		if err != nil {
			return unexpected(err)
		}
		if c == end && first {
			return nil
		}
		if !first {
			if c == end {
				return nil
			}
			if c != ',' {
				return fmt.Errorf("%w: found %q, expected a comma or %q", ErrSyntax, c, end)
			}
			if c, err = r.next(); err != nil {
				return unexpected(err)
			}
		}
		if open == '{' {
			if c != '"' {
				return fmt.Errorf("%w: found %q, expected a name", ErrSyntax, c)
			}
			if err := r.stringRest(func(byte) error { return nil }); err != nil {
				return err
			}
			if c, err = r.next(); err != nil {
				return unexpected(err)
			} else if c != ':' {
				return fmt.Errorf("%w: found %q, expected a colon", ErrSyntax, c)
			}
		} else {
			r.r.UnreadByte()
		}
		if err := r.skip(depth + 1); err != nil {
			return err
		}
	}
}

// scalar reads a number, true, false or null.
func (r *Reader) scalar() error {
	var b []byte
	for {
		c, err := r.r.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if strings.IndexByte(" \t\r\n,]}", c) >= 0 {
			r.r.UnreadByte()
			break
		}
		if b = append(b, c); len(b) > maxName {
			return fmt.Errorf("%w: number or word longer than %d bytes", ErrSyntax, maxName)
		}
	}
	if !json.Valid(b) {
		return fmt.Errorf("%w: found %.20q, expected a value", ErrSyntax, b)
	}
	return nil
}

func (r *Reader) expect(want byte, what string) error {
	c, err := r.next()
	if err != nil {
		return r.fail(unexpected(err))
	}
	if c != want {
		return r.fail(fmt.Errorf("%w: found %q, expected %s", ErrSyntax, c, what))
	}
	return nil
}

// next returns the next byte that is not white space.
func (r *Reader) next() (byte, error) {
	for {
		c, err := r.r.ReadByte()
		if err != nil || c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c, err
		}
	}
}

// fail wraps err with the path of the present member, unless it has a path. nil stays nil.
func (r *Reader) fail(err error) error {
	var has *MemberError
	if err == nil || errors.As(err, &has) {
		return err
	}
	var path strings.Builder
	for i, s := range r.path {
		switch {
		case s.name == "":
			fmt.Fprintf(&path, "[%d]", s.index)
		case i == 0:
			path.WriteString(s.name)
		default:
			path.WriteString("." + s.name)
		}
	}
	return &MemberError{Path: path.String(), Err: err}
}

func unexpected(err error) error {
	if err == io.EOF {
		return fmt.Errorf("%w: %w", ErrSyntax, io.ErrUnexpectedEOF)
	}
	return err
}
