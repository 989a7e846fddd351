package codec_test

import (
	"errors"
	"fmt"
	"io"

	"github.com/dig-network/digstore/internal/codec"
)

// An author, as in section 6 of a module.
type author struct {
	name    string
	handle  string // empty: absent
	numbers []uint16
}

func (a author) encode() ([]byte, error) {
	w := codec.NewWriter(nil)
	w.String(a.name)
	w.Option(a.handle != "")
	if a.handle != "" {
		w.String(a.handle)
	}
	w.Count(len(a.numbers))
	for _, n := range a.numbers {
		w.U16(n)
	}
	return w.Done()
}

func decode(b []byte) (a author, err error) {
	r := codec.NewReader(b)
	a.name = r.String()
	if r.Option() {
		a.handle = r.String()
	}
	for range r.Count(2) {
		a.numbers = append(a.numbers, r.U16())
	}
	return a, r.Done()
}

func Example() {
	b, err := author{"Ada", "@ada", []uint16{1, 515}}.encode()
	fmt.Printf("%x %v\n", b, err)
	a, err := decode(b)
	fmt.Println(a, err)
	_, err = decode(b[:len(b)-1])
	fmt.Println(err)
	_, err = decode(b[:2])
	fmt.Println(errors.Is(err, io.ErrUnexpectedEOF))
	// Output:
	// 000000034164610100000004406164610000000200010203 <nil>
	// {Ada @ada [1 515]} <nil>
	// decode at byte 16: value not allowed: count 2, want at most 1
	// true
}
