package capsule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// files is the content of the corpus, one file after the other.
func files(t testing.TB) []byte {
	tree := corpus.Small(1)
	if vectors.Long(t) {
		tree = corpus.Large(1)
	}
	names := make([]string, 0, len(tree))
	for name := range tree {
		names = append(names, name)
	}
	slices.Sort(names)
	var b []byte
	for _, name := range names {
		b = append(b, tree[name]...)
	}
	return b
}

func TestSplit(t *testing.T) {
	all := files(t)
	for _, n := range []int{0, 1, 999, 1000, 1001, 2000, 300_000, len(all)} {
		content := all[:min(n, len(all))]
		for _, size := range []uint32{0, 1000, 131_072, 200_001} {
			if size > 0 && n/int(size) > 2000 {
				continue
			}
			for _, workers := range []int{0, 1, 5} {
				var parts [][]byte
				m, err := capsule.Split(t.Context(), auth.StoreID{7},
					iotest.HalfReader(bytes.NewReader(content)),
					&capsule.SplitOptions{Size: size, Workers: workers}, func(d capsule.Descriptor,
						r io.Reader) error {
						b, err := io.ReadAll(r)
						if want := must(capsule.Describe(uint32(len(parts)),
							bytes.NewReader(b))); d != want {
							t.Errorf("capsule %d: %+v, want %+v", len(parts), d, want)
						}
						parts = append(parts, b)
						return err
					})
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Check(); err != nil || !m.Complete() || m.Store != (auth.StoreID{7}) ||
					len(m.Capsules) != len(parts) {
					t.Errorf("%d bytes in capsules of %d: %v", n, size, err)
				}
				if !bytes.Equal(slices.Concat(parts...), content) ||
					m.Size() != uint64(len(content)) {
					t.Errorf("%d bytes in capsules of %d: other content", n, size)
				}
				whole := size
				if size == 0 {
					whole = capsule.DefaultSize
				}
				for i, p := range parts {
					if len(p) != int(whole) && i != len(parts)-1 || len(p) == 0 && len(parts) > 1 {
						t.Errorf("%d bytes in capsules of %d: capsule %d has %d bytes", n, size, i,
							len(p))
					}
				}
			}
		}
	}
}

func TestSplitErrors(t *testing.T) {
	broken := errors.New("broken")
	content := pattern(1, 100_000)
	opts := &capsule.SplitOptions{Size: 1000}
	var puts atomic.Int32
	_, err := capsule.Split(t.Context(), auth.StoreID{},
		io.MultiReader(bytes.NewReader(content[:5500]), iotest.ErrReader(broken)), opts, nil)
	wantError(t, "reader", err, broken)
	endless := readerFunc(func(p []byte) (int, error) { return len(p), nil })
	_, err = capsule.Split(t.Context(), auth.StoreID{}, endless, opts,
		func(d capsule.Descriptor, _ io.Reader) error {
			if puts.Add(1); d.Index == 5 {
				return broken
			}
			return nil
		})
	wantError(t, "put", err, broken)
	if n := puts.Load(); n != 6 {
		t.Errorf("%d calls of put, want 6", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = capsule.Split(ctx, auth.StoreID{}, endless, opts,
		func(d capsule.Descriptor, _ io.Reader) error {
			if d.Index == 3 {
				cancel()
			}
			return nil
		})
	wantError(t, "cancelled", err, context.Canceled)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// zeros reads as n zero bytes.
func zeros(n int64) io.Reader {
	return io.LimitReader(readerFunc(func(p []byte) (int, error) { clear(p); return len(p), nil }),
		n)
}

// heap returns the most heap that use has beyond what was there, sampled.
func heap(use func()) uint64 {
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		for {
			runtime.ReadMemStats(&now)
			if now.HeapAlloc > before.HeapAlloc {
				most = max(most, now.HeapAlloc-before.HeapAlloc)
			}
			select {
			case <-stop:
				done <- most
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	use()
	close(stop)
	return <-done
}

// Splitting holds a few capsules, whatever the length of the content.
func TestSplitMemory(t *testing.T) {
	n := int64(200 << 20)
	if vectors.Long(t) {
		n = 2 << 30
	}
	most := heap(func() {
		if _, err := capsule.Split(t.Context(), auth.StoreID{}, zeros(n),
			&capsule.SplitOptions{Size: 4 << 20, Workers: 2}, nil); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d MiB of content: %d KiB", n>>20, most>>10)
	if most > 24<<20 {
		t.Errorf("split holds %d bytes", most)
	}
}

func TestTooLarge(t *testing.T) {
	if !vectors.Long(t) {
		t.Skip("4 GiB are hashed in the long run")
	}
	_, err := capsule.Describe(0, zeros(capsule.MaxSize+1))
	wantError(t, "4 GiB", err, capsule.ErrCapsuleTooLarge)
	d, err := capsule.Describe(0, zeros(capsule.MaxSize))
	if err != nil || d.Size != capsule.MaxSize || d.Chunks() != 1<<20 {
		t.Errorf("4 GiB - 1: %+v, %v", d, err)
	}
}

func TestDescribeBroken(t *testing.T) {
	broken := errors.New("broken")
	_, err := capsule.Describe(0, io.MultiReader(strings.NewReader("a"), iotest.ErrReader(broken)))
	wantError(t, "reader", err, broken)
}

func TestVerifyReader(t *testing.T) {
	closed := 0
	open := func(b []byte) io.ReadCloser {
		return struct {
			io.Reader
			io.Closer
		}{bytes.NewReader(b), closeFunc(func() error { closed++; return nil })}
	}
	for _, n := range []int{0, 1, 4096, 131_072, 300_000} {
		content := pattern(n, n)
		d := must(capsule.Describe(3, bytes.NewReader(content)))
		for name, r := range map[string]io.Reader{
			"whole": capsule.VerifyReader(open(content), d),
			"bytes": iotest.OneByteReader(capsule.VerifyReader(open(content), d)),
		} {
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %s: %d bytes, %v", n, name, len(got), err)
			}
		}
		if err := iotest.TestReader(capsule.VerifyReader(open(content), d), content); err != nil {
			t.Error(err)
		}
		withoutRoot := d
		withoutRoot.ChunkRoot = merkle.Hash{}
		if _, err := io.ReadAll(capsule.VerifyReader(open(content), withoutRoot)); err != nil {
			t.Error(err)
		}
		wrongHash := withoutRoot
		wrongHash.Hash[0]++
		wrongRoot := d
		wrongRoot.ChunkRoot[0]++
		bad := map[string]struct {
			content []byte
			d       capsule.Descriptor
		}{
			"a byte more":        {append(slices.Clone(content), 0), d},
			"another chunk root": {content, wrongRoot},
			"another hash":       {content, wrongHash},
		}
		if n > 0 {
			flipped := slices.Clone(content)
			flipped[n/2] ^= 1
			bad["a bit"] = struct {
				content []byte
				d       capsule.Descriptor
			}{flipped, d}
			bad["a byte less"] = struct {
				content []byte
				d       capsule.Descriptor
			}{content[:n-1], d}
		}
		for name, c := range bad {
			if _, err := io.ReadAll(capsule.VerifyReader(open(c.content), c.d)); !errors.Is(err,
				capsule.ErrContentMismatch) {
				t.Errorf("%d bytes, %s: %v", n, name, err)
			}
			// One who reads exactly as many bytes as there should be sees the error as well.
			if n > 0 {
				r := capsule.VerifyReader(open(c.content), c.d)
				if _, err := io.ReadFull(r, make([]byte, n)); err == nil {
					t.Errorf("%d bytes, %s: read in full", n, name)
				}
				if _, err := r.Read(make([]byte, 1)); !errors.Is(err, capsule.ErrContentMismatch) {
					t.Errorf("%d bytes, %s, after the error: %v", n, name, err)
				}
			}
		}
	}
	broken := errors.New("broken")
	d := must(capsule.Describe(0, strings.NewReader("ab")))
	r := capsule.VerifyReader(io.NopCloser(io.MultiReader(strings.NewReader("a"),
		iotest.ErrReader(broken))), d)
	if _, err := io.ReadAll(r); !errors.Is(err, broken) {
		t.Errorf("broken: %v", err)
	}
	r = capsule.VerifyReader(io.NopCloser(io.MultiReader(strings.NewReader("ab"),
		iotest.ErrReader(broken))), d)
	if _, err := io.ReadAll(r); !errors.Is(err, broken) {
		t.Errorf("broken at the end: %v", err)
	}
	r = capsule.VerifyReader(open(nil), d)
	was := closed
	if r.Close(); closed != was+1 {
		t.Error("Close closes nothing")
	}
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }

// Every range of small trees proves, and nothing else does.
func TestRangeProof(t *testing.T) {
	most := uint32(20)
	if vectors.Long(t) {
		most = 70
	}
	for chunks := uint32(1); chunks <= most; chunks++ {
		for _, last := range []int{1, capsule.ChunkSize} {
			content := pattern(int(chunks), int(chunks-1)*capsule.ChunkSize+last)
			d := must(capsule.Describe(1, bytes.NewReader(content)))
			leaves := make([]merkle.Hash, chunks)
			for i := range leaves {
				leaves[i] = merkle.Leaf(content[i*capsule.ChunkSize : min(len(content),
					(i+1)*capsule.ChunkSize)])
			}
			for first := range chunks {
				for count := uint32(1); first+count <= chunks; count++ {
					p := must(capsule.ProveRange(leaves, first, count))
					var q capsule.RangeProof
					if err := q.UnmarshalBinary(must(p.MarshalBinary())); err != nil {
						t.Fatal(err)
					}
					part := content[first*capsule.ChunkSize : min(len(content),
						int(first+count)*capsule.ChunkSize)]
					if err := q.Check(d, part); err != nil {
						t.Fatalf("%d of %d from %d: %v", count, chunks, first, err)
					}
					if first == 0 && count == chunks && len(q.Siblings) > 0 {
						t.Errorf("the whole of %d has %d siblings", chunks, len(q.Siblings))
					}
					flipped := slices.Clone(part)
					flipped[len(flipped)-1] ^= 1
					wantError(t, "flipped bit", q.Check(d, flipped), capsule.ErrPath)
					wantError(t, "short", q.Check(d, part[1:]), capsule.ErrContentMismatch)
					more := q
					more.Siblings = append(slices.Clone(q.Siblings), merkle.Hash{})
					wantError(t, "a sibling more", more.Check(d, part), capsule.ErrPath)
					for i := range q.Siblings {
						bad := capsule.RangeProof{First: first, Count: count,
							Siblings: slices.Clone(q.Siblings)}
						bad.Siblings[i][9] ^= 1
						wantError(t, "sibling", bad.Check(d, part), capsule.ErrPath)
						bad.Siblings = q.Siblings[:i]
						wantError(t, "fewer siblings", bad.Check(d, part), capsule.ErrPath)
					}
				}
			}
			for _, bad := range [][2]uint32{{0, 0}, {chunks, 1}, {0, chunks + 1}, {1, 1<<32 - 1}} {
				_, err := capsule.ProveRange(leaves, bad[0], bad[1])
				wantError(t, "prove outside", err, capsule.ErrPath)
				wantError(t, "check outside",
					capsule.RangeProof{First: bad[0], Count: bad[1]}.Check(d, nil), capsule.ErrPath)
			}
		}
	}
	var p capsule.RangeProof
	for _, n := range []int{0, 7, 9, 8 + 31, 8 + 65*32} {
		if err := p.UnmarshalBinary(make([]byte, n)); err == nil {
			t.Errorf("%d bytes are decoded", n)
		}
	}
}

func TestCheckProof(t *testing.T) {
	contents := make([][]byte, 11)
	for i := range contents {
		contents[i] = pattern(i, i)
	}
	m := manifestOf(1, contents...)
	tree := m.Tree()
	for i, d := range m.Capsules {
		p := must(tree.Prove(i))
		if err := d.CheckProof(p, m.Root, 11); err != nil {
			t.Error(err)
		}
		wantError(t, "another root", d.CheckProof(p, merkle.Hash{1}, 11), capsule.ErrPath)
		wantError(t, "another count", d.CheckProof(p, m.Root, 3), capsule.ErrPath)
		d.Size++
		wantError(t, "another size", d.CheckProof(p, m.Root, 11), capsule.ErrPath)
		d.Size--
		d.Index ^= 1
		wantError(t, "another index", d.CheckProof(p, m.Root, 11), capsule.ErrPath)
	}
	if _, err := m.Prove(11); err == nil {
		t.Error("capsule 11 of 11 is proved")
	}
	m.Capsules[3].ChunkRoot = merkle.Hash{}
	if _, err := m.Prove(0); !errors.Is(err, capsule.ErrManifest) {
		t.Errorf("without chunk roots: %v", err)
	}
}

func TestManifestJSON(t *testing.T) {
	m := manifestOf(0xab, pattern(1, 100), nil)
	m.Created = 1_700_000_000
	text := must(json.Marshal(m))
	want := `{"datastore_id":"0x` + strings.Repeat("ab", 32) +
		`","capsule_count":2,"merkle_root":"0x` + m.Root.String() +
		`","total_size":100,"creation_time":1700000000,"capsules":[{"index":0,"hash":"0x` +
		m.Capsules[0].Hash.String() +
		`","size":100,"chunk_root":"0x` + m.Capsules[0].ChunkRoot.String() +
		`"},{"index":1,"hash":"0x` + m.Capsules[1].Hash.String() +
		`","size":0,"chunk_root":"0x` + m.Capsules[1].ChunkRoot.String() + `"}]}`
	if string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
	same := func(m *capsule.Manifest) {
		t.Helper()
		var got capsule.Manifest
		text := must(json.Marshal(m))
		if err := json.Unmarshal(text, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(*m) {
			t.Errorf("%s became %+v, %v", text, got, err)
		}
	}
	same(m)
	key := auth.NewKey([32]byte{1})
	s := must(capsule.SignRoot(t.Context(), m, 0, key))
	if err := m.SetStatement(s); err != nil {
		t.Fatal(err)
	}
	m.Parent = merkle.Hash{5}
	same(m)
	if got, ok := m.Statement(); !ok || got != s {
		t.Errorf("statement %+v, %v", got, ok)
	}
	m.Capsules[1].ChunkRoot = merkle.Hash{} // not complete: the root is not checked
	same(m)
	if m.Complete() {
		t.Error("complete")
	}

	withNull := strings.Replace(want, `"total_size"`,
		`"parent_root":null,"next_offset":null,"total_size"`, 1)
	if got, err := capsule.ReadManifest(strings.NewReader(withNull), 0); err != nil ||
		!got.Parent.IsZero() {
		t.Errorf("parent_root null: %v", err)
	}
	if got, err := capsule.ReadManifest(strings.NewReader(" \n"+want+"\t\r\n "), 0); err != nil ||
		got.Created != 1_700_000_000 {
		t.Errorf("white space: %v", err)
	}
	for name, c := range map[string]struct{ old, new, member string }{
		"a short root": {m.Root.String(), m.Root.String()[2:], "merkle_root"},
		"a long root":  {"0x" + m.Root.String(), m.Root.String() + "00", "merkle_root"},
		"another root": {m.Root.String(), strings.Repeat("0", 64), "merkle_root"},
		"a chunk root": {`"chunk_root":"0x`, `"chunk_root":"0xzz`, "capsules[0].chunk_root"},
		"null chunk root": {`"chunk_root":"0x` + m.Capsules[0].ChunkRoot.String() + `"`,
			`"chunk_root":null`, "capsules[0].chunk_root"},
		"count":        {`"capsule_count":2`, `"capsule_count":3`, "capsule_count"},
		"leading zero": {`"capsule_count":2`, `"capsule_count":02`, "capsule_count"},
		"size":         {`"size":100`, `"size":101`, "total_size"},
		"no time":      {`"creation_time":1700000000,`, ``, "creation_time"},
		"no hash": {`"hash":"0x` + m.Capsules[1].Hash.String() + `",`, ``,
			"capsules[1].hash"},
		"twice in a capsule": {`"size":0`, `"size":0,"size":0`, "capsules[1].size"},
		"case in a capsule":  {`"size":0`, `"Size":0`, "capsules[1].Size"},
		"unknown twice":      {`"total_size"`, `"x":1,"x":2,"total_size"`, "x"},
		"escaped name twice": {`"total_size"`, `"merkle\u005froot":"","total_size"`, "merkle_root"},
		"control character":  {`"total_size"`, "\"x\":\"\n\",\"total_size\"", "x"},
		"bad escape":         {`"total_size"`, `"\q":1,"total_size"`, ""},
		"bad word":           {`"total_size"`, `"x":nul,"total_size"`, "x"},
		"bad number":         {`"total_size"`, `"x":01,"total_size"`, "x"},
		"bad nest":           {`"total_size"`, `"x":[{"y":[}],"total_size"`, "x"},
		"deep nest": {`"total_size"`, `"x":` + strings.Repeat("[", 600) +
			strings.Repeat("]", 600) + `,"total_size"`, "x"},
		"no comma":         {`,"total_size"`, `"total_size"`, ""},
		"comma at the end": {`}]}`, `},]}`, "capsules"},
		"two commas":       {`},{"index"`, `},,{"index"`, "capsules[1]"},
	} {
		bad := strings.Replace(want, c.old, c.new, 1)
		if bad == want {
			t.Fatalf("%s: nothing is replaced", name)
		}
		_, err := capsule.ReadManifest(strings.NewReader(bad), 0)
		var at *capsule.ManifestError
		if !errors.As(err, &at) || !errors.Is(err, capsule.ErrManifest) || at.Member != c.member {
			t.Errorf("%s: %v, want member %q", name, err, c.member)
		}
	}
	kept := capsule.Manifest{Created: 5}
	if err := kept.UnmarshalJSON([]byte(want[1:])); !errors.Is(err, capsule.ErrManifest) ||
		kept.Created != 5 {
		t.Errorf("%v, %+v", err, kept)
	}
	if err := (&capsule.Manifest{Root: merkle.Root(nil)}).Check(); !errors.Is(err,
		capsule.ErrManifest) {
		t.Errorf("no capsules: %v", err)
	}
	if _, err := capsule.ReadManifest(strings.NewReader("x"), 0); err == nil ||
		strings.Contains(err.Error(), "member") {
		t.Errorf("an error of the whole: %v", err)
	}
	for n := range len(want) {
		if _, err := capsule.ReadManifest(strings.NewReader(want[:n]), 0); !errors.Is(err,
			capsule.ErrManifest) {
			t.Fatalf("cut off after %d: %v", n, err)
		}
	}
	if _, err := capsule.ReadManifest(strings.NewReader(want), int64(len(want))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := capsule.ReadManifest(strings.NewReader(want), int64(len(want))-1); !errors.Is(err,
		capsule.ErrManifest) {
		t.Errorf("over the limit: %v", err)
	}
	broken := errors.New("broken")
	if _, err := capsule.ReadManifest(io.MultiReader(strings.NewReader(want[:100]),
		iotest.ErrReader(broken)), 0); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// A long string of an unknown member is not held, and the limit ends it.
func TestManifestMemory(t *testing.T) {
	m := manifestOf(1, pattern(1, 10))
	text := string(must(json.Marshal(m)))
	at := strings.Index(text, `"total_size"`)
	letters := readerFunc(func(p []byte) (int, error) {
		for i := range p {
			p[i] = 'a'
		}
		return len(p), nil
	})
	endless := io.MultiReader(strings.NewReader(text[:at]+`"x":"`), letters)
	most := heap(func() {
		if _, err := capsule.ReadManifest(endless, 32<<20); !errors.Is(err, capsule.ErrManifest) {
			t.Errorf("an endless string: %v", err)
		}
	})
	t.Logf("%d KiB", most>>10)
	if most > 2<<20 {
		t.Errorf("holds %d bytes", most)
	}
	long := io.MultiReader(strings.NewReader(text[:at]+`"x":"`), io.LimitReader(letters, 1<<20),
		strings.NewReader(`",`+text[at:]))
	if _, err := capsule.ReadManifest(long, 0); err != nil {
		t.Errorf("a long string: %v", err)
	}
}

func TestRootTrust(t *testing.T) {
	m := manifestOf(1, pattern(1, 100), pattern(2, 200))
	other := merkle.Hash{9}
	owner, stranger := auth.NewKey([32]byte{1}), auth.NewKey([32]byte{2})
	down := errors.New("down")

	pinned := capsule.PinnedRoots{m.Store: {m.Root: 2}}
	signed := func(s capsule.RootStatement, serr, werr error) capsule.RootTrust {
		return &capsule.SignedRoots{
			Statement: func(context.Context, auth.StoreID, merkle.Hash) (capsule.RootStatement,
				error) {
				return s, serr
			},
			CanWrite: func(_ context.Context, _ auth.StoreID, key auth.PublicKey) error {
				if werr == nil && key != owner.PublicKey() {
					return auth.ErrForbidden
				}
				return werr
			},
		}
	}
	right := must(capsule.SignRoot(t.Context(), m, 3, owner))
	changed := func(change func(*capsule.RootStatement)) capsule.RootStatement {
		s := right
		change(&s)
		return s
	}
	for _, c := range []struct {
		name  string
		trust capsule.RootTrust
		root  merkle.Hash
		want  error
	}{
		{"pinned", pinned, m.Root, nil},
		{"pinned, another root", pinned, other, capsule.ErrUntrusted},
		{"nothing pinned", capsule.PinnedRoots(nil), m.Root, capsule.ErrUntrusted},
		{"signed", signed(right, nil, nil), m.Root, nil},
		{"signed, another root", signed(right, nil, nil), other, capsule.ErrUntrusted},
		{"another store", signed(changed(func(s *capsule.RootStatement) { s.Store[0]++ }), nil,
			nil), m.Root, capsule.ErrUntrusted},
		{"another count", signed(changed(func(s *capsule.RootStatement) { s.Capsules++ }), nil,
			nil), m.Root, capsule.ErrUntrusted},
		{"another generation", signed(changed(func(s *capsule.RootStatement) { s.Generation++ }),
			nil, nil), m.Root, capsule.ErrUntrusted},
		{"another key",
			signed(changed(func(s *capsule.RootStatement) { s.Writer = stranger.PublicKey() }), nil,
				nil), m.Root, capsule.ErrUntrusted},
		{"no signature",
			signed(changed(func(s *capsule.RootStatement) { s.Signature = auth.Signature{} }), nil,
				nil), m.Root, capsule.ErrUntrusted},
		{"signed by a stranger", signed(must(capsule.SignRoot(t.Context(), m, 3, stranger)), nil,
			nil), m.Root, capsule.ErrUntrusted},
		{"no statement", signed(right, fs.ErrNotExist, nil), m.Root, capsule.ErrUntrusted},
		{"statements are down", signed(right, down, nil), m.Root, down},
		{"writers are down", signed(right, nil, down), m.Root, down},
	} {
		n, err := c.trust.Trusted(t.Context(), m.Store, c.root)
		if c.want == nil && (err != nil || n != 2) {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
		if c.want != nil {
			wantError(t, c.name, err, c.want)
			if errors.Is(err, down) && errors.Is(err, capsule.ErrUntrusted) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if err := m.SetStatement(changed(func(s *capsule.RootStatement) { s.Capsules++ })); err == nil {
		t.Error("a statement about another manifest is set")
	}
}

func TestModuleRoots(t *testing.T) {
	contents := map[merkle.Hash][]byte{{1}: pattern(1, 100), {2}: pattern(2, 200),
		{3}: pattern(3, 300)}
	var opened []byte
	down := errors.New("down")
	var failing error
	trust := func(most int) *capsule.ModuleRoots {
		opened = nil
		return &capsule.ModuleRoots{
			MaxGenerations: most,
			Generations: func(_ context.Context, s auth.StoreID) ([]merkle.Hash, error) {
				if s != (auth.StoreID{1}) {
					return nil, fs.ErrNotExist
				}
				return []merkle.Hash{{3}, {4}, {2}, {1}}, nil // 4 cannot be had
			},
			Module: func(_ context.Context, _ auth.StoreID, g merkle.Hash) (io.ReadCloser, error) {
				opened = append(opened, g[0])
				if failing != nil {
					return nil, failing
				}
				b, ok := contents[g]
				if !ok {
					return nil, fs.ErrNotExist
				}
				return io.NopCloser(bytes.NewReader(b)), nil
			},
		}
	}
	root := func(g byte) merkle.Hash { return manifestOf(1, contents[merkle.Hash{g}]).Root }
	r := trust(0)
	for _, g := range []byte{3, 3, 2, 1, 1} {
		if n, err := r.Trusted(t.Context(), auth.StoreID{1}, root(g)); err != nil || n != 1 {
			t.Errorf("generation %d: %d, %v", g, n, err)
		}
	}
	// 4 is tried again each time that it is in the way
	if !bytes.Equal(opened, []byte{3, 4, 2, 4, 1, 4}) {
		t.Errorf("opened %v", opened)
	}
	_, err := r.Trusted(t.Context(), auth.StoreID{1}, merkle.Hash{9})
	wantError(t, "another root", err, capsule.ErrUntrusted)
	_, err = r.Trusted(t.Context(), auth.StoreID{2}, root(1))
	wantError(t, "another store", err, capsule.ErrUntrusted)

	r = trust(1)
	_, err = r.Trusted(t.Context(), auth.StoreID{1}, root(1))
	wantError(t, "too old", err, capsule.ErrUntrusted)
	if len(opened) != 1 {
		t.Errorf("opened %v, want one", opened)
	}
	r, failing = trust(0), down
	_, err = r.Trusted(t.Context(), auth.StoreID{1}, root(3))
	wantError(t, "down", err, down)
	failing = nil
	if _, err := r.Trusted(t.Context(), auth.StoreID{1}, root(3)); err != nil {
		t.Errorf("up again: %v", err)
	}
}

func TestBundleJSON(t *testing.T) {
	w := newWorld(t)
	b := must(capsule.ParseBundle(w.v.Bundle.bytes(t)))
	var view struct {
		PlotID string `json:"plot_id"`
		Access struct {
			Indices []uint32   `json:"chunk_indices"`
			Data    []string   `json:"chunk_data"`
			Proofs  [][]string `json:"chunk_proofs"`
			Root    string     `json:"capsule_root_hash"`
		}
		Work struct{ Nonce uint64 }
	}
	if err := json.Unmarshal(must(json.Marshal(b)), &view); err != nil {
		t.Fatal(err)
	}
	if view.PlotID != "0x"+b.PlotID.String() || view.Work.Nonce != b.Work.Nonce ||
		len(view.Access.Proofs) != 20 ||
		view.Access.Indices[0] != 14 || view.Access.Data[0] != fmt.Sprintf("0x%x",
		b.Access.Samples[0].Chunk) || view.Access.Root != "0x"+b.Access.ChunkRoot.String() {
		t.Errorf("%+v", view)
	}
}

// A search that cannot succeed ends within 10 ms of its context, and leaves no goroutine behind.
func TestWorkCancelled(t *testing.T) {
	w := capsule.NewCPUWorker(0)
	fastest := time.Hour // of several: the others tell how busy the machine is
	before := runtime.NumGoroutine()
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		var ended time.Time
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := w.Search(ctx, capsule.WorkInput{}, 200)
			ended = time.Now()
			wantError(t, "search", err, context.Canceled)
		}()
		time.Sleep(20 * time.Millisecond)
		began := time.Now()
		cancel()
		<-done
		fastest = min(fastest, ended.Sub(began))
	}
	t.Logf("fastest: %v", fastest)
	if fastest > 10*time.Millisecond {
		t.Errorf("cancelled after %v, want at most 10 ms", fastest)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// Searches at the same time share the cores, and each finds its lowest nonce.
func TestWorkShared(t *testing.T) {
	w := capsule.NewCPUWorker(3)
	want := make([]uint64, 6)
	got := make([]uint64, 6)
	done := make(chan int)
	for i := range got {
		in := capsule.WorkInput{PlotSeed: merkle.Hash{byte(i)}}
		want[i] = must(capsule.NewCPUWorker(1).Search(t.Context(), in, 15))
		go func() {
			got[i] = must(w.Search(t.Context(), in, 15))
			done <- i
		}()
	}
	for range got {
		<-done
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A worker that lies is found out.
func TestLyingWorker(t *testing.T) {
	w := newWorld(t)
	w.prover.Work = lyingWorker{}
	_, err := w.prover.Prove(t.Context(), w.challenge(t, nil))
	wantError(t, "lying worker", err, capsule.ErrWork)
}

type lyingWorker struct{}

func (lyingWorker) Search(context.Context, capsule.WorkInput, int) (uint64, error) { return 1, nil }
func (lyingWorker) Name() string                                                   { return "liar" }

// A plot that has rotted proves nothing, and says so.
func TestProverChecksPlots(t *testing.T) {
	w := newWorld(t)
	rec := must(w.plots.Find(t.Context(), w.manifest.Capsules[1].Hash, merkle.Hash{})).Record()
	h := capsule.NewHasher()
	h.Write(w.content)
	rotten := slices.Clone(w.content)
	for i := range rotten {
		rotten[i]++
	}
	other := rec
	other.Descriptor.Hash[0]++
	for name, plots := range map[string]capsule.Plots{
		"content":  blocksPlot{onePlot{rec, rotten}, h.Subroots()},
		"short":    blocksPlot{onePlot{rec, w.content[:131072+100]}, h.Subroots()},
		"subroots": blocksPlot{onePlot{rec, w.content}, h.Subroots()[:1]},
		"hash":     blocksPlot{onePlot{other, w.content}, h.Subroots()},
	} {
		_, err := (&capsule.Prover{Key: w.node, Plots: plots}).Prove(t.Context(), w.challenge(t,
			func(c *capsule.Challenge) { c.Type, c.Samples = capsule.PhysicalAccess, 256 }))
		wantError(t, name, err, capsule.ErrContentMismatch)
	}
}
