package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dig-network/digstore/internal/strictjson"
)

// record is what the tests read: {"n": 1, "s": "text", "list": [{"n": 2}]}; n is required.
type record struct {
	N    uint64
	S    string
	List []record
}

func (v *record) read(r *strictjson.Reader) error {
	return r.Object([]strictjson.Member{
		{Name: "n", Required: true, Read: func(r *strictjson.Reader) (err error) {
			v.N, err = r.Uint(1000)
			return err
		}},
		{Name: "s", Read: func(r *strictjson.Reader) (err error) {
			if null, err := r.Null(); null || err != nil {
				return err
			}
			v.S, err = r.Text(20)
			return err
		}},
		{Name: "list", Read: func(r *strictjson.Reader) error {
			return r.Array(func(int) error {
				v.List = append(v.List, record{})
				return v.List[len(v.List)-1].read(r)
			})
		}},
	})
}

func parse(in io.Reader, max int64) (v record, err error) {
	r := strictjson.NewReader(in, max)
	if err := v.read(r); err != nil {
		return v, err
	}
	return v, r.End()
}

func TestReader(t *testing.T) {
	for text, want := range map[string]string{
		`{"n":0}`:                `{0  []}`,
		" {\t\"n\" :\r\n1000 } ": `{1000  []}`,
		`{"n":1,"s":"a\u0062\n","list":[{"n":2},{"n":3,"list":[]}]}`: "{1 ab\n [{2  []} {3  []}]}",
		`{"n":1,"s":null}`: `{1  []}`,
		`{"n":1,"s":"日本"}`: `{1 日本 []}`,
		`{"\u006e":1}`:     `{1  []}`,
		`{"x":[1,-2.5e3,true,false,null,"\"",{"n":{}}],"n":7}`: `{7  []}`,
		`{"n":1,"s":"12345678901234567890"}`:                   `{1 12345678901234567890 []}`,
	} {
		for _, in := range []io.Reader{strings.NewReader(text),
			iotest.OneByteReader(strings.NewReader(text))} {
			v, err := parse(in, int64(len(text)))
			if err != nil || fmt.Sprint(v) != want {
				t.Errorf("%s: %v, %v, want %s", text, v, err, want)
			}
		}
	}
	for text, path := range map[string]string{
		``: "", `[]`: "", `{`: "", `{}`: "n", `null`: "", `{"n":1}x`: "", `{"n":1,}`: "", `{"n":1 "s":""}`: "", `{n:1}`: "",
		`{"n"1}`: "", `{"n":1`: "", `{"n":1,"n":1}`: "n", `{"n":1,"\u006e":1}`: "n", `{"N":1}`: "N",
		`{"n":01}`: "n", `{"n":-1}`: "n", `{"n":1.0}`: "n", `{"n":1e2}`: "n", `{"n":1001}`: "n", `{"n":18446744073709551616}`: "n",
		`{"n":"1"}`: "n", `{"n":null}`: "n", `{"n":}`: "n", `{"n":1,"s":1}`: "s", `{"n":1,"s":nul}`: "s", `{"n":1,"s":"a`: "s",
		`{"n":1,"s":"123456789012345678901"}`: "s", "{\"n\":1,\"s\":\"\xff\"}": "s", "{\"n\":1,\"s\":\"\x01\"}": "s", `{"n":1,"s":"\x"}`: "s",
		`{"n":1,"list":{}}`: "list", `{"n":1,"list":[{"n":1},{}]}`: "list[1].n", `{"n":1,"list":[{"n":1},]}`: "list", `{"n":1,"list":[,]}`: "list[0]",
		`{"n":1,"list":[{"n":1} {"n":1}]}`: "list", `{"n":1,"list":[{"n":1}`: "list", `{"n":1,"list":[{"n":1,"list":[1]}]}`: "list[0].list[0]",
		`{"x":1,"X":1,"n":1}`: "X", `{"x":tru,"n":1}`: "x", `{"x":[1 2],"n":1}`: "x", `{"x":{"a" 1},"n":1}`: "x", `{"x":{1:1},"n":1}`: "x", `{"x":[}`: "x",
		`{"x":` + strings.Repeat("[", 1000): "x", `{"x":` + strings.Repeat("1", 300): "x",
		`{"` + strings.Repeat("x", 300) + `":1}`: "", `{"x":`: "x", `{"x":[`: "x", `{"x":{"a"`: "x", `{"x":{"a":1`: "x",
	} {
		v, err := parse(strings.NewReader(text), math.MaxInt64)
		var at *strictjson.MemberError
		if !errors.As(err, &at) || at.Path != path {
			t.Errorf("%.60s: %v, %v, want an error at %q", text, v, err, path)
		}
	}
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, `"x%d":0,`, i)
	}
	if _, err := parse(strings.NewReader("{"+many.String()+`"n":1}`), 1<<20); !errors.Is(err,
		strictjson.ErrSyntax) {
		t.Errorf("many members: %v", err)
	}
}

func TestReaderLimit(t *testing.T) {
	text := `{"x":"` + strings.Repeat("a", 100_000) + `","n":1}`
	if _, err := parse(strings.NewReader(text), int64(len(text))); err != nil {
		t.Error(err)
	}
	if _, err := parse(strings.NewReader(text), int64(len(text))-1); err == nil {
		t.Error("a text over the limit is read")
	}
	if _, err := parse(strings.NewReader(text+" "), int64(len(text))); err == nil {
		t.Error("white space over the limit is read")
	}
	broken := errors.New("broken")
	for n := range 20 {
		if _, err := parse(io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(broken)),
			1<<20); !errors.Is(err, broken) {
			t.Errorf("broken after %d: %v", n, err)
		}
	}
}

// What a Reader takes is JSON, and says what encoding/json says.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"n":1,"s":"a\u0062","list":[{"n":2}],"x":[1,-2.5e3,{"y":null}]}`))
	f.Add([]byte(`{"n":1,"s":null,"x":"\"\\"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := parse(strings.NewReader(string(text)), 1<<20)
		if err != nil {
			return
		}
		var w record
		if err := json.Unmarshal(text, &w); err != nil {
			t.Fatalf("%q is no JSON: %v", text, err)
		}
		if v.N != w.N || v.S != w.S || len(v.List) != len(w.List) {
			t.Errorf("%q: %+v, encoding/json says %+v", text, v, w)
		}
	})
}
