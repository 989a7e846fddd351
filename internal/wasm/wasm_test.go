package wasm_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/internal/wasm"
)

// module is the preamble and sections written in hex, spaces ignored.
func module(t testing.TB, sections string) []byte {
	t.Helper()
	b, err := hex.DecodeString("0061736d01000000" + strings.ReplaceAll(sections, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// section is a section of that id, in hex, its size put in.
func section(t testing.TB, id, body string) string {
	t.Helper()
	body = strings.ReplaceAll(body, " ", "")
	if len(body) >= 2*128 {
		t.Fatalf("a section of %d bytes needs a size of two", len(body)/2)
	}
	return fmt.Sprintf("%s%02x%s", id, len(body)/2, body)
}

func TestFind(t *testing.T) {
	const (
		expr = "41 80808001 0b " // i32.const 2097152, end
		blob = "05 44494753 01 " // five bytes: DIGS and a 1
	)
	data := func(segments string) string { return section(t, "0b", segments) }
	for _, c := range []struct {
		name, sections string
		at, n          int64
		want           error
	}{
		{"one", data("01 00" + expr + blob), 19, 5, nil},
		{"memory given", data("01 02 00" + expr + blob), 20, 5, nil},
		{"last of two", data("02 00" + expr + blob + "00" + expr + blob), 32, 5, nil},
		{"later one does not match", data("02 00" + expr + blob + "00" + expr + "01 44"), 19, 5, nil},
		{"long LEBs", "0b 9480808000 81808000 00 41 8080808100 0b 84808000 44494753", 30, 4, nil},
		{"custom section before and after", "00 02 01 78" + data("01 00"+expr+blob) + "00 01 00", 23, 5, nil},
		{"passive", data("01 01" + blob), 0, 0, wasm.ErrNoSegment},
		{"other address", data("01 00 41 00 0b" + blob), 0, 0, wasm.ErrNoSegment},
		{"global address", data("01 00 23 00 0b" + blob), 0, 0, wasm.ErrNoSegment},
		{"i64 address", data("01 00 42 80808001 0b" + blob), 0, 0, wasm.ErrNoSegment},
		{"computed address", data("01 00 41 80808001 41 00 6a 0b" + blob), 0, 0, wasm.ErrModule},
		{"address without value", data("01 00 0b" + blob), 0, 0, wasm.ErrModule},
		{"sum of nothing", data("01 00 6a 0b" + blob), 0, 0, wasm.ErrModule},
		{"empty", "", 0, 0, wasm.ErrNoSegment},
		{"no segment", data("00"), 0, 0, wasm.ErrNoSegment},
		{"section past the end", "0b 0f 01 00" + expr + blob, 0, 0, wasm.ErrModule},
		{"section without size", "0b", 0, 0, wasm.ErrModule},
		{"size of six bytes", "0b 808080808000", 0, 0, wasm.ErrModule},
		{"size of 33 bits", "0b 8080808010", 0, 0, wasm.ErrModule},
		{"segment past its section", "0b 0d 01 00" + expr + blob, 0, 0, wasm.ErrModule},
		{"bytes after the segments", data("01 00" + expr + blob + "00"), 0, 0, wasm.ErrModule},
		{"count too large", data("ff 00 00" + expr + blob), 0, 0, wasm.ErrModule},
		{"count beyond the section", data("02 00" + expr + blob), 0, 0, wasm.ErrModule},
		{"unknown kind", data("01 03" + expr + blob), 0, 0, wasm.ErrModule},
		{"unknown opcode", data("01 00 99 0b"), 0, 0, wasm.ErrModule},
		{"expression without end", data("01 00 41 00 41"), 0, 0, wasm.ErrModule},
		{"constant of 33 bits", data("01 00 41 8080808008 0b" + blob), 0, 0, wasm.ErrModule},
	} {
		b := module(t, c.sections)
		at, n, err := wasm.Find(bytes.NewReader(b), int64(len(b)), address, digs)
		if !errors.Is(err, c.want) || at != c.at || n != c.n {
			t.Errorf("%s: %d bytes at %d, %v, want %d at %d, %v", c.name, n, at, err, c.n, c.at, c.want)
		}
		if sat, sn, serr := scan(iotest.OneByteReader(bytes.NewReader(b))); !errors.Is(serr, c.want) ||
			sat != at || sn != n {
			t.Errorf("%s: in a stream %d bytes at %d, %v", c.name, sn, sat, serr)
		}
	}
}

// A module is read only when the reference's reader can read it too.
func TestWellFormed(t *testing.T) {
	const blob = "0b 0d 01 00 41 80808001 0b 04 44494753 "
	name := strings.Repeat("61", 100_001)
	for _, c := range []struct {
		name, sections string
		ok             bool
	}{
		{"every section", "01 01 00 02 01 00 03 02 01 00 04 01 00 05 01 00 0d 01 00 06 01 00 07 01 00 08 01 00" +
			"09 01 00 0c 01 01 0a 03 01 01 0b" + blob, true},
		{"custom sections anywhere", "00 01 00 01 01 00 00 02 01 61" + blob + "00 02 01 62", true},
		{"unknown section anywhere", "0e 01 ff" + blob + "0e 00", true},
		{"unknown section of a high id", "80 01 00" + blob, false},
		{"sections swapped", "05 01 00 03 01 00" + blob, false},
		{"section twice", "05 01 00 05 01 00" + blob, false},
		{"two data sections", blob + blob, false},
		{"tags after globals", "06 01 00 0d 01 00" + blob, false},
		{"section after the data", blob + "05 01 00", false},
		{"list without count", "01 00" + blob, false},
		{"count cut", "06 01 80" + blob, false},
		{"custom section without name", "00 00" + blob, false},
		{"name past its section", "00 02 02 61" + blob, false},
		{"name is not UTF-8", "00 02 01 ff" + blob, false},
		{"name of 100000 bytes", "00 a38d06 a08d06" + name[2:] + blob, true},
		{"name of 100001 bytes", "00 a48d06 a18d06" + name + blob, false},
		{"no bodies for functions", "03 02 01 00" + blob, false},
		{"bodies without functions", "0a 03 01 01 0b" + blob, false},
		{"more bodies than functions", "03 02 01 00 0a 05 02 01 0b 01 0b" + blob, false},
		{"fewer bodies than functions", "03 03 02 00 00 0a 03 01 01 0b" + blob, false},
		{"body past the code section", "03 02 01 00 0a 03 01 02 0b" + blob, false},
		{"bytes after the bodies", "03 02 01 00 0a 04 01 01 0b 00" + blob, false},
		{"a million functions and one", "03 03 c1843d 0a 03 c1843d" + blob, false},
		{"fewer segments than announced", "0c 01 02" + blob, false},
		{"more segments than announced", "0c 01 00" + blob, false},
		{"announced segments without data section", "0c 01 01", false},
		{"data count with more", "0c 02 01 00" + blob, false},
		{"start with more", "08 02 01 00" + blob, false},
	} {
		b := module(t, c.sections)
		var want error
		if !c.ok {
			want = wasm.ErrModule
		}
		_, _, err := wasm.Find(bytes.NewReader(b), int64(len(b)), address, digs)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", c.name, err, want)
		}
		if _, _, serr := scan(bytes.NewReader(b)); !errors.Is(serr, want) {
			t.Errorf("%s: in a stream %v, want %v", c.name, serr, want)
		}
		if _, _, err := wasm.Place(b, address, 4); !errors.Is(err, want) {
			t.Errorf("%s: as a template %v, want %v", c.name, err, want)
		}
	}
}

// Constants of every kind are stepped over.
func TestFindAfterOddConstants(t *testing.T) {
	segments := []string{
		"00 43 00000000 0b 00", "00 44 0000000000000000 0b 00", "00 d2 01 0b 00", "00 d0 70 0b 00",
		"00 42 ffffffffffffffffff 00 0b 00", "00 42 808080808080808080 7f 0b 00", "00 41 808080 78 0b 00", "01 01 ff",
		"00 41808080 01 0b 04 44494753",
	}
	b := module(t, section(t, "0b", fmt.Sprintf("%02x", len(segments))+strings.Join(segments, "")))
	at, n, err := wasm.Find(bytes.NewReader(b), int64(len(b)), address, digs)
	if err != nil || at != int64(len(b))-4 || n != 4 {
		t.Errorf("%d bytes at %d, %v", n, at, err)
	}
	if sat, sn, err := scan(bytes.NewReader(b)); err != nil || sat != at || sn != n {
		t.Errorf("in a stream %d bytes at %d, %v", sn, sat, err)
	}
}

// A module that is cut anywhere is no module, or one without its content.
func TestCut(t *testing.T) {
	prefix, _, err := wasm.Place(stub(t), address, 4)
	if err != nil {
		t.Fatal(err)
	}
	whole := append(prefix, "DIGS"...)
	for n := range whole {
		b := whole[:n]
		_, _, err := wasm.Find(bytes.NewReader(b), int64(n), address, digs)
		if !errors.Is(err, wasm.ErrNoSegment) &&
			!(errors.Is(err, wasm.ErrModule) && errors.Is(err, io.ErrUnexpectedEOF)) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
		_, _, err = scan(bytes.NewReader(b))
		if !errors.Is(err, wasm.ErrNoSegment) && !errors.Is(err, wasm.ErrModule) {
			t.Errorf("cut after %d bytes, in a stream: %v", n, err)
		}
		if _, _, err := wasm.Find(bytes.NewReader(b), int64(len(whole)), address, digs); err == nil {
			t.Errorf("a reader of %d bytes said to have %d: found", n, len(whole))
		}
	}
}

// What goes wrong with a reader is not blamed on the module.
func TestReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	whole := stub(t)
	for _, n := range []int64{0, 5, 9, 200, 566} {
		r := io.MultiReader(io.LimitReader(bytes.NewReader(whole), n), iotest.ErrReader(broken))
		s := wasm.NewScanner(r, address)
		_, err := s.Next()
		if !errors.Is(err, broken) || errors.Is(err, wasm.ErrModule) {
			t.Errorf("broken after %d bytes: %v", n, err)
		}
		if _, again := s.Next(); again != err {
			t.Errorf("broken after %d bytes: the error became %v", n, again)
		}
		_, _, err = wasm.Find(brokenAt{n, broken}, 1000, address, digs)
		if !errors.Is(err, broken) || errors.Is(err, wasm.ErrModule) {
			t.Errorf("file broken from byte %d: %v", n, err)
		}
	}
	if _, _, err := wasm.Find(bytes.NewReader(nil), -1, address, digs); !errors.Is(err,
		wasm.ErrModule) {
		t.Errorf("negative size: %v", err)
	}
}

// brokenAt is a file of custom sections of 8 bytes that cannot be read from a
// byte on.
type brokenAt struct {
	n   int64
	err error
}

func (f brokenAt) ReadAt(p []byte, off int64) (int, error) {
	sections := append([]byte("\x00asm\x01\x00\x00\x00"),
		bytes.Repeat([]byte("\x00\x06\x05hello"), 124)...)
	if off >= f.n {
		return 0, f.err
	}
	n := copy(p, sections[off:f.n])
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

func TestPlaceRefuses(t *testing.T) {
	const room = 6144 * 65536
	for _, c := range []struct {
		name     string
		template []byte
		offset   uint32
		n        int64
		want     error
	}{
		{"not a module", []byte("MZ"), address, 1, wasm.ErrModule},
		{"cut", stub(t)[:300], address, 1, wasm.ErrModule},
		{"largest", stub(t), address, room - address, nil},
		{"too large", stub(t), address, room - address + 1, wasm.ErrTemplate},
		{"absurd", stub(t), address, math.MaxInt64, wasm.ErrTemplate},
		{"negative", stub(t), address, -1, wasm.ErrTemplate},
		{"beyond the memory", stub(t), room + 1, 0, wasm.ErrTemplate},
		{"memory of 6144 pages", module(t, "05 04 01 00 8030"), address, 1, nil},
		{"memory of 6145 pages", module(t, "05 04 01 00 8130"), address, 1, wasm.ErrTemplate},
		{"shared memory", module(t, "05 04 01 03 01 02"), address, 1, wasm.ErrTemplate},
		{"memory of 64 bits", module(t, "05 03 01 04 01"), address, 1, wasm.ErrTemplate},
		{"bytes after the memory", module(t, "05 04 01 00 01 00"), address, 1, wasm.ErrModule},
		{"memory cut", module(t, "05 02 01 00"), address, 1, wasm.ErrModule},
		{"memories without end", module(t, "05 05 ffffffff0f"), address, 1, wasm.ErrModule},
	} {
		prefix, _, err := wasm.Place(c.template, c.offset, c.n)
		if !errors.Is(err, c.want) || (prefix == nil) != (err != nil) {
			t.Errorf("%s: %d bytes, %v, want %v", c.name, len(prefix), err, c.want)
		}
	}
}

// Segments keep their order and are written in the shortest form, memories grow.
func TestPlaceRewrites(t *testing.T) {
	template := module(t, "05 8980808000 02 00 8700 01 8100 8200"+ // two memories, one with a maximum
		section(t, "0c", "04")+ // data count: left out
		section(t, "0b", "04"+
			"02 8000 41 8000 0b 8200 aabb"+ // memory 0 by its number
			"02 01 41 01 0b 00"+ // memory 1
			"00 23 8000 0b 01 cc"+ // global.get: the expression stays as it is
			"01 01 dd")+ // passive
		"00 02 01 78") // a custom section after the data
	prefix, suffix, err := wasm.Place(template, 65536, 3*65536)
	want := module(t, "05 09 02 01 07 8030 01 04 8030"+
		"00 02 01 78"+
		"0b a1800c 05"+
		"00 41 00 0b 02 aabb"+
		"02 01 41 01 0b 00"+
		"00 23 8000 0b 01 cc"+
		"01 01 dd"+
		"00 41 808004 0b 80800c")
	if err != nil || !bytes.Equal(prefix, want) || len(suffix) != 0 {
		t.Errorf("%v\n%x\nwant\n%x", err, prefix, want)
	}
}

func TestCheck(t *testing.T) {
	imports, exports := guest()
	if err := wasm.Check(stub(t), imports, exports); err != nil {
		t.Errorf("stub: %v", err)
	}
	missing := append(exports, wasm.Export{Name: "get_weather", Kind: wasm.Func},
		wasm.Export{Name: "init", Kind: wasm.Global})
	err := wasm.Check(stub(t), append(imports,
		wasm.Import{Module: "env", Name: "abort", Kind: wasm.Func}), missing)
	if !errors.Is(err, wasm.ErrTemplate) {
		t.Fatalf("missing names: %v", err)
	}
	for _, want := range []string{"function env.abort", "function get_weather", "global init"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
	for _, c := range []struct {
		name, sections string
		want           error
	}{
		{"no memory", "", wasm.ErrTemplate},
		{"memory", "05 03 01 00 01", nil},
		{"imports of all kinds", "02 20 05 01 61 00 00 00 01 61 00 01 70 00 01 01 61 00 02 01 01 02 01 61 00 03 7f 00 01 61 00 04 00 00" + "05 03 01 00 01", nil},
		{"import of unknown kind", "02 05 01 01 61 00 09", wasm.ErrModule},
		{"name is not UTF-8", "07 05 01 01 ff 00 00", wasm.ErrModule},
		{"name past the section", "07 05 01 7f 61 00 00", wasm.ErrModule},
		{"list past the section", "07 05 ffffffff0f", wasm.ErrModule},
		{"bytes after the list", "07 02 00 00", wasm.ErrModule},
	} {
		if err := wasm.Check(module(t, c.sections), nil, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// A file and a stream of the same bytes tell the same.
func FuzzFind(f *testing.F) {
	for _, b := range vectors.Seeds(f, "store/modules/*.dig") {
		if len(b) < 20_000 {
			f.Add(b)
		}
	}
	f.Add(stub(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		at, n, err := wasm.Find(bytes.NewReader(b), int64(len(b)), address, digs)
		sat, sn, serr := scan(bytes.NewReader(b))
		if (err == nil) != (serr == nil) || at != sat || n != sn {
			t.Errorf("%d bytes at %d, %v; in a stream %d at %d, %v", n, at, err, sn, sat, serr)
		}
		switch {
		case err == nil:
			if at < 0 || n < 4 || at+n > int64(len(b)) {
				t.Errorf("%d bytes at %d of %d", n, at, len(b))
			}
		case !errors.Is(err, wasm.ErrModule) && !errors.Is(err, wasm.ErrNoSegment):
			t.Errorf("error %v", err)
		}
	})
}

// Whatever can be a template gives back what is put into it.
func FuzzPlace(f *testing.F) {
	for _, b := range vectors.Seeds(f, "store/modules/*.dig") {
		if len(b) < 20_000 {
			f.Add(b, uint32(address), []byte("DIGS1"))
		}
	}
	f.Add(stub(f), uint32(0), []byte{})
	f.Fuzz(func(t *testing.T, template []byte, offset uint32, payload []byte) {
		_ = wasm.Check(template, nil, nil)
		prefix, suffix, err := wasm.Place(template, offset, int64(len(payload)))
		if err != nil {
			if !errors.Is(err, wasm.ErrModule) && !errors.Is(err, wasm.ErrTemplate) {
				t.Errorf("error %v", err)
			}
			return
		}
		b := append(append(bytes.Clone(prefix), payload...), suffix...)
		at, n, err := wasm.Find(bytes.NewReader(b), int64(len(b)), offset, func(io.ReaderAt, int64) bool {
			return true
		})
		if err != nil || at != int64(len(prefix)) || n != int64(len(payload)) {
			t.Errorf("%d bytes at %d, %v, want %d at %d", n, at, err, len(payload), len(prefix))
		}
	})
}
