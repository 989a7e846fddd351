package digstore_test

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/zstd"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

func (r *layoutReader) packs(root merkle.Hash) {
	_, text := r.file("stores/site/packs/" + root.String() + ".*.pack")
	l := r.doc.Layouts("6.1")
	head, row, foot := l[0], l[1], l[2]
	footer := text[len(text)-foot.Size:]
	r.magic("6.1", head, text)
	r.magic("6.1", foot, footer)
	rows := text[foot.Uint(footer, "index_offset") : len(text)-foot.Size]
	r.sum("6.1", foot, footer, "checksum", rows)
	if len(rows) == 0 || len(rows) != row.Size*int(foot.Uint(footer, "count")) {
		r.t.Fatal("section 6.1 does not describe the index")
	}
	for ; len(rows) > 0; rows = rows[row.Size:] {
		frame := text[row.Uint(rows, "frame_offset"):]
		n := uint64(binary.BigEndian.Uint32(frame))
		id := merkle.Hash(row.Bytes(rows, "id"))
		if n != row.Uint(rows, "length") || merkle.Sum(frame[4:4+n]) != id {
			r.t.Error("section 6.1 does not describe a frame")
		}
	}

	_, merged := r.file("stores/site/packs/*.idx")
	l = r.doc.Layouts("6.3")
	r.magic("6.3", l[0], merged)
	r.sum("6.3", l[0], merged, "checksum", merged[12:])
	var names []string
	rest := merged[l[0].Size:]
	for range l[0].Uint(merged, "packs") {
		names = append(names, string(rest[1:1+rest[0]]))
		rest = rest[1+rest[0]:]
	}
	rows = rest[4:]
	if len(rows) != l[1].Size*int(binary.BigEndian.Uint32(rest)) {
		r.t.Fatal("section 6.3 does not describe the rows")
	}
	for ; len(rows) > 0; rows = rows[l[1].Size:] {
		pack := r.files["stores/site/packs/"+names[l[1].Uint(rows, "pack")]]
		frame := pack[l[1].Uint(rows, "frame_offset")+4:]
		if merkle.Sum(frame[:l[1].Uint(rows, "length")]) != merkle.Hash(l[1].Bytes(rows, "id")) {
			r.t.Error("section 6.3 does not describe a row")
		}
	}
}

func (r *layoutReader) recipe(head module.Generation) {
	body := r.recipeBody(head.Root)
	size := binary.BigEndian.Uint32(body)
	recipe, err := module.ParseRecipe(body[4 : 4+size])
	if err != nil || recipe.Root() != head.Root {
		r.t.Fatalf("section 7.1 does not describe the body: %v", err)
	}
	names := body[4+size:]
	if names[0] != 1 || int(binary.BigEndian.Uint32(names[1:])) != recipe.Len() {
		r.t.Fatal("section 7.1 does not describe the names")
	}
	names = names[5:]
	for range recipe.Len() {
		n := 4 + binary.BigEndian.Uint32(names)
		if !bytes.HasPrefix(names[4:n], []byte("file ")) {
			r.t.Errorf("section 7.1 does not describe the name %q", names[4:n])
		}
		names = names[n:]
	}
	if len(names) > 0 {
		r.t.Errorf("section 7.1: %d bytes follow the names", len(names))
	}
}

// recipeBody returns the body of the recipe of a root.
func (r *layoutReader) recipeBody(root merkle.Hash) []byte {
	r.t.Helper()
	text := r.files["stores/site/recipes/"+root.String()+".recipe"]
	l := r.doc.Layouts("7")[0]
	r.magic("7", l, text)
	decoder, err := zstd.NewReader(nil)
	check(r.t, err)
	defer decoder.Close()
	body, err := decoder.DecodeAll(text[l.Size:], nil)
	check(r.t, err)
	if l.Uint(text, "depth") > 0 {
		base := merkle.Hash(l.Bytes(text, "base"))
		baseDepth := l.Uint(r.files["stores/site/recipes/"+base.String()+".recipe"], "depth")
		if baseDepth != l.Uint(text, "depth")-1 {
			r.t.Fatalf("section 7: the base has depth %d", baseDepth)
		}
		body = layoutDelta(r.recipeBody(base), body)
		r.deltas++
	}
	if uint64(len(body)) != l.Uint(text, "body_size") {
		r.t.Fatalf("section 7: the body has %d bytes", len(body))
	}
	r.sum("7", l, text, "checksum", body)
	return body
}

// layoutDelta applies a delta as section 7.3 describes it.
func layoutDelta(base, delta []byte) (out []byte) {
	number := func() int {
		n, size := binary.Uvarint(delta)
		delta = delta[size:]
		return int(n)
	}
	for end := 0; ; {
		n := number()
		out, delta = append(out, delta[:n]...), delta[n:]
		if n = number(); n == 0 {
			return out
		}
		d, size := binary.Varint(delta)
		delta = delta[size:]
		start := end + int(d)
		end = start + n
		out = append(out, base[start:end]...)
	}
}
