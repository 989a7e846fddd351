package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/strictjson"
)

func TestUnmarshal(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	names := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"n%d":%d,`, i, i)
		}
		return "{" + b.String() + `"` + last + `":0}`
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"object", `{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]}`, nil},
		{"strings that look like names", `{"a":"a","b":"\"a\":","c":["a","a",":"]}`, nil},
		{"escaped quotes", `{"a\\":1,"a\"":2,"a":3}`, nil},
		{"twice", `{"a":1,"a":1}`, strictjson.ErrDuplicate},
		{"twice, after an object", `{"a":{"x":[{}]},"b":[],"a":1}`, strictjson.ErrDuplicate},
		{"twice, inside", `[{"r":[{"a":1,"b":2,"a":3}]}]`, strictjson.ErrDuplicate},
		{"twice, one escaped", `{"root":1,"\u0072oot":2}`, strictjson.ErrDuplicate},
		{"twice, in another case", `{"root":1,"RooT":2}`, strictjson.ErrDuplicate},
		{"twice, with the long s", `{"size":1,"ſize":2}`, strictjson.ErrDuplicate},
		{"twice, with the sign of Kelvin", `{"key":1,"\u212aey":2}`, strictjson.ErrDuplicate},
		{"empty name twice", `{"":1,"":2}`, strictjson.ErrDuplicate},
		{"many names", names(1000, "x"), nil},
		{"many names, the first again", names(1000, "n0"), strictjson.ErrDuplicate},
		{"many names, the last again", names(1000, "n999"), strictjson.ErrDuplicate},
		{"many names, around sixteen", names(16, "n14"), strictjson.ErrDuplicate},
		{"deep", nested(strictjson.MaxDepth), nil},
		{"too deep", nested(strictjson.MaxDepth + 1), strictjson.ErrDepth},
		{"a bomb", strings.Repeat(`{"a":`, 1<<20), strictjson.ErrDepth},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v any
			if err := strictjson.Unmarshal([]byte(c.text), &v); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	for _, text := range []string{"", "{", `{"a"`, `{"a":1}{`, `"`, `"\`, "]", `{"a":1}x`,
		`{"\u00":1,"\u00":2}`} {
		var v any
		if strictjson.Unmarshal([]byte(text), &v) == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":1}],"A":"x\"y"}`))
	f.Add([]byte(`{"a":1,"\u0061":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var v any
		if strictjson.Unmarshal(text, &v) != nil {
			return
		}
		// What is taken says every name once, so that writing it again loses none.
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), ":") < strings.Count(string(b), `":`)-strings.Count(string(b),
			`\":`) {
			t.Errorf("%s became %s", text, b)
		}
		if err := strictjson.Check(b); err != nil {
			t.Errorf("%s, written again: %v", b, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	text := []byte(`{"roots":[` + strings.Repeat(`{"generation":1234,"root":"`+
		strings.Repeat("ab", 32)+`","timestamp":1700000000},`, 1000) + `{}]}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := strictjson.Check(text); err != nil {
			b.Fatal(err)
		}
	}
}
