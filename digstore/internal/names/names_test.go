package names_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dig-network/digstore/digstore/internal/names"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.String().Filter(names.Valid)).Draw(t, "names")
		b := names.Encode(want)
		if int64(len(b)) != names.Size(want) {
			t.Fatalf("%d bytes, Size is %d", len(b), names.Size(want))
		}
		got, err := names.Decode(b)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q, %v", got, err)
		}
	})
}

func TestValid(t *testing.T) {
	for _, c := range []struct {
		name string
		want bool
	}{
		{"a", true}, {"", false}, {"\xff", false}, {"two\nlines", true},
		{strings.Repeat("x", names.MaxName), true}, {strings.Repeat("x", names.MaxName+1), false},
	} {
		if got := names.Valid(c.name); got != c.want {
			t.Errorf("%.20q of %d bytes: %v", c.name, len(c.name), got)
		}
	}
}

// TestDamage: every changed byte and every truncation is detected, and the readable names are
// returned.
func TestDamage(t *testing.T) {
	var list []string
	for i := range 20 {
		list = append(list, fmt.Sprint("folder/file ", i))
	}
	good := names.Encode(list)
	most := 0
	for i := range good {
		b := slices.Clone(good)
		b[i] ^= 0x20
		got, err := names.Decode(b)
		if !errors.Is(err, names.ErrFormat) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		most = max(most, len(got))
		if got, err = names.Decode(good[:i]); !errors.Is(err, names.ErrFormat) {
			t.Fatalf("cut at %d: %q, %v", i, got, err)
		}
	}
	if most != len(list) {
		t.Errorf("at most %d of %d names are read", most, len(list))
	}
	if _, err := names.Decode(append(slices.Clone(good), 0)); !errors.Is(err, names.ErrFormat) {
		t.Error("a byte too many is accepted")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(names.Encode(nil))
	f.Add(names.Encode([]string{"a", "größe"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := names.Decode(b)
		if i := slices.IndexFunc(list, func(n string) bool { return !names.Valid(n) }); i >= 0 {
			t.Errorf("name %d is not valid", i)
		}
		if err == nil && string(names.Encode(list)) != string(b) {
			t.Error("a list without an error is encoded otherwise")
		}
	})
}
