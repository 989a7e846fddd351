package remote_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// Fetch and Content agree on results and errors.
func TestFetch(t *testing.T) {
	big := make([]byte, 9<<20) // three parts, many chunks
	_, _ = rand.NewChaCha8([32]byte{1}).Read(big)
	tree := corpus.Small(1)
	tree["index.html"], tree["empty"], tree["big"] = []byte("hello"), nil, big
	origin, there, _ := published(t.Context(), tree.FS().(fstest.MapFS))
	defer origin.Close()
	c, err := origin.Client(there.ID(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	head, err := there.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		root merkle.Hash
	}{{"index.html", head.Root}, {"empty", head.Root}, {"big", head.Root}, {"missing",
		head.Root}, {"index.html", merkle.Hash{1}}} {
		t.Run(test.name, func(t *testing.T) {
			want, refused := c.Content(t.Context(), test.root, test.name, nil)
			scratch, err := os.Create(filepath.Join(t.TempDir(), "scratch"))
			if err != nil {
				t.Fatal(err)
			}
			defer scratch.Close()
			var got bytes.Buffer
			err = c.Fetch(t.Context(), test.root, test.name, nil, scratch, &got)
			if (err == nil) != (refused == nil) ||
				errors.Is(err, remote.ErrVerification) != errors.Is(refused, remote.ErrVerification) {
				t.Errorf("Fetch: %v; Content: %v", err, refused)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%d bytes, want %d", got.Len(), len(want))
			}
		})
	}
}

// Content and Fetch have separate limits, and the error names the one exceeded.
func TestContentLimits(t *testing.T) {
	big := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(big)
	tree := corpus.Small(1)
	tree["big"] = big
	origin, there, _ := published(t.Context(), tree.FS().(fstest.MapFS))
	defer origin.Close()
	head, err := there.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opt            remote.ClientOptions
		content, fetch string // in the error; "": no error
	}{
		{remote.ClientOptions{}, "", ""},
		{remote.ClientOptions{MaxContent: 1 << 20}, "1048576 (ClientOptions.MaxContent)", ""},
		{remote.ClientOptions{MaxModule: 1 << 20}, "", "1048576 (ClientOptions.MaxModule)"},
	} {
		client, err := origin.Client(there.ID(), &c.opt)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		held, err := client.Content(t.Context(), head.Root, "big", nil)
		says(t, "Content", err, c.content)
		if c.content == "" && !bytes.Equal(held, big) {
			t.Error("Content: other bytes")
		}
		scratch, err := os.Create(filepath.Join(t.TempDir(), "scratch"))
		if err != nil {
			t.Fatal(err)
		}
		defer scratch.Close()
		var got bytes.Buffer
		says(t, "Fetch", client.Fetch(t.Context(), head.Root, "big", nil, scratch, &got), c.fetch)
		if c.fetch == "" && !bytes.Equal(got.Bytes(), big) {
			t.Error("Fetch: other bytes")
		}
	}
}

// says checks that err is an ErrTooLarge that contains text, or nil if text is empty.
func says(t *testing.T, what string, err error, text string) {
	t.Helper()
	if text == "" && err != nil || text != "" &&
		(!errors.Is(err, remote.ErrTooLarge) || !strings.Contains(err.Error(), text)) {
		t.Errorf("%s: %v, want %q", what, err, text)
	}
}

// Lengths that do not add up, and a false chunk, are refused. The verified chunks before it are
// written.
func TestSealedLies(t *testing.T) {
	id := auth.StoreID{1}
	k := urn.NewKey(id, "a", nil)
	one, other := k.Seal(nil, []byte("first")), urn.NewKey(id, "b", nil).Seal(nil, []byte("second"))
	open := func(sealed []byte, lens ...uint32) (string, error) {
		leaf := merkle.Sum(sealed)
		proof, err := merkle.Prove([]merkle.Hash{leaf, {1}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err = (&remote.Sealed{Bytes: bytes.NewReader(sealed), Size: int64(len(sealed)), Leaf: leaf,
			Proof: proof, ChunkLens: lens}).
			Open(t.Context(), merkle.Root([]merkle.Hash{leaf, {1}}), k, &out)
		return out.String(), err
	}
	n := uint32(len(one))
	if out, err := open(one); err != nil || out != "first" {
		t.Fatalf("%q, %v", out, err)
	}
	for _, lens := range [][]uint32{{n - 1}, {n, 1}, {n + 1}, {1 << 31, 1 << 31, n}, {0},
		{0, n}, {n - 1, 1}} {
		if out, err := open(one, lens...); !errors.Is(err, remote.ErrVerification) || out != "" {
			t.Errorf("lengths %v: %q, %v", lens, out, err)
		}
	}
	if out, err := open(append(one, other...), n,
		uint32(len(other))); !errors.Is(err, remote.ErrVerification) || out != "first" {
		t.Errorf("a chunk of another resource: %q, %v", out, err)
	}
	second := k.Seal(nil, []byte("second"))
	whole, m := append(bytes.Clone(one), second...), uint32(len(second))
	if out, err := open(whole, n, m); err != nil || out != "firstsecond" {
		t.Fatalf("two chunks: %q, %v", out, err)
	}
	if out, err := open(whole, n); !errors.Is(err, remote.ErrVerification) || out != "" {
		t.Errorf("lengths that end at a chunk boundary: %q, %v", out, err)
	}
	// Without the lengths several chunks cannot be separated, which is not a failed verification.
	long := k.Seal(nil, bytes.Repeat([]byte("long "), 2000))
	if out, err := open(append(bytes.Clone(one), long...)); !errors.Is(err,
		remote.ErrNoChunkLengths) || out != "" {
		t.Errorf("two chunks without lengths: %q, %v", out, err)
	}
	if _, err := open(urn.NewKey(id, "b", nil).Seal(nil, []byte("short"))); !errors.Is(err,
		remote.ErrVerification) || errors.Is(err, remote.ErrNoChunkLengths) {
		t.Errorf("one short chunk of another resource: %v", err)
	}
}
