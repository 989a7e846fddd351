package digstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// With a workspace opened for each call, the suites run in the small World.
func TestRemoteContract(t *testing.T) {
	ctx := context.Background()
	small := must(remotetest.NewWorld(ctx, nil))
	sizes := func(name string, suite func(t *testing.T, w *remotetest.World)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite(t, small)
		})
		if vectors.Long(t) {
			t.Run(name+", large", func(t *testing.T) {
				t.Parallel()
				suite(t, largeWorld())
			})
		}
	}
	sizes("backend", func(t *testing.T, w *remotetest.World) {
		remotetest.TestBackend(t, w, func(t *testing.T) server.Backend {
			w, err := digstore.Init(t.TempDir(), nil)
			check(t, err)
			t.Cleanup(func() { w.Close() })
			return w
		})
	})
	t.Run("backend, opened for each call", func(t *testing.T) {
		t.Parallel()
		remotetest.TestBackend(t, small, func(t *testing.T) server.Backend { return newFresh(t) })
	})
	t.Run("mirror, opened for each call", func(t *testing.T) {
		t.Parallel()
		remotetest.TestMirror(t, small,
			func(t *testing.T, id auth.StoreID) (remote.Local, server.Backend) {
				f := newFresh(t)
				return f.store(id), f
			})
	})
	t.Run("local, opened for each call", func(t *testing.T) {
		t.Parallel()
		remotetest.TestLocal(t, small, func(t *testing.T, id auth.StoreID) remote.Local {
			return newFresh(t).store(id)
		})
	})
	sizes("mirror", func(t *testing.T, w *remotetest.World) {
		remotetest.TestMirror(t, w, func(t *testing.T, id auth.StoreID) (remote.Local, server.Backend) {
			w := must(digstore.Init(t.TempDir(), nil))
			t.Cleanup(func() { w.Close() })
			return must(w.Create(ctx, id, nil)), w
		})
	})
	sizes("liars", func(t *testing.T, w *remotetest.World) {
		vectors.NeedLong(t) // it takes 8 s
		remotetest.TestLiars(t, w, func(t *testing.T, id auth.StoreID) remote.Local {
			w := must(digstore.Init(t.TempDir(), nil))
			t.Cleanup(func() { w.Close() })
			return must(w.Create(ctx, id, nil))
		})
	})
	sizes("persistence", func(t *testing.T, w *remotetest.World) {
		remotetest.TestPersistence(t, w, func(t *testing.T, id auth.StoreID) func() remote.Local {
			dir := t.TempDir()
			w := must(digstore.Init(dir, nil))
			must(w.Create(ctx, id, nil))
			t.Cleanup(func() { w.Close() })
			return func() remote.Local {
				check(t, w.Close())
				w = must(digstore.Open(dir, nil))
				return must(w.Store(""))
			}
		})
	})
	sizes("local", func(t *testing.T, w *remotetest.World) {
		remotetest.TestLocal(t, w, func(t *testing.T, id auth.StoreID) remote.Local {
			w, err := digstore.Init(t.TempDir(), nil)
			check(t, err)
			t.Cleanup(func() { w.Close() })
			s, err := w.Create(ctx, id, nil)
			check(t, err)
			return s
		})
	})
}

var largeWorld = sync.OnceValue(func() *remotetest.World {
	return must(remotetest.NewLargeWorld(context.Background(), nil))
})

// history makes n generations. Each has one file more than the previous one, and other content in
// several files of several chunks.
func history(t testing.TB, n int) (*digstore.Store, []module.Generation, []files) {
	t.Helper()
	_, s := inMemory(t, nil)
	content := files{"big": noise(9, 600_000)}
	var states []files
	for i := range n {
		content[fmt.Sprint("file ", i)] = noise(uint64(i), 5000)
		for k := range 4 {
			content[fmt.Sprint("large ", k)] = noise(uint64(1000+10*i+k), 200_000+50_000*k)
		}
		state := files{}
		for k, v := range content {
			state[k] = v
		}
		commit(t, s, state, nil)
		states = append(states, state)
	}
	gens, err := s.Generations(context.Background())
	check(t, err)
	return s, gens, states
}

func TestInstall(t *testing.T) {
	ctx := context.Background()
	from, gens, states := history(t, 4)
	_, to := inMemoryOf(t, from.ID())
	// The head first, with all lines; then an older one, whose line is there.
	check(t,
		to.Install(ctx, gens, signed(t, from), bytes.NewReader(moduleOf(t, from, gens[3].Root)), deep))
	got, err := to.Generations(ctx)
	check(t, err)
	if fmt.Sprint(got) != fmt.Sprint(gens) {
		t.Errorf("history %v, want %v", got, gens)
	}
	if _, err := to.At(gens[1].Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a generation not held: %v", err)
	}
	check(t, to.Install(ctx, gens[1:2], auth.SignedRoot{},
		bytes.NewReader(moduleOf(t, from, gens[1].Root)), deep))
	for _, i := range []int{1, 3} {
		g, err := to.At(gens[i].Root)
		check(t, err)
		wantFiles(t, g, states[i])
		if !bytes.Equal(moduleOf(t, to, gens[i].Root), moduleOf(t, from, gens[i].Root)) {
			t.Errorf("generation %d is not given back bit for bit", i)
		}
	}
	if head := signed(t, to); head != signed(t, from) {
		t.Errorf("head %+v, want %+v", head, signed(t, from))
	}
	verifyAll(t, to)
	log, err := to.History(ctx)
	check(t, err)
	for i, e := range log {
		if e.Held != (i == 1 || i == 3) || e.Signed != (i == 3) {
			t.Errorf("history entry %+v", e)
		}
	}
	if _, err := to.Commit(ctx, nil, nil); !errors.Is(err, digstore.ErrNoKey) {
		t.Errorf("commit in a clone: %v", err)
	}
	other := auth.NewKey([32]byte{7})
	if err := to.ImportKey(ctx, other); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("import another's key: %v", err)
	}
	key, err := from.Signer()
	check(t, err)
	check(t, to.ImportKey(ctx, key))
	g := commit(t, to, files{"mine": "now"}, nil)
	if g.Info().Number != 4 {
		t.Errorf("number %d, want 4", g.Info().Number)
	}
	verifyAll(t, to)
}

func TestInstallRefuses(t *testing.T) {
	ctx := context.Background()
	from, gens, _ := history(t, 2)
	good := moduleOf(t, from, gens[1].Root)
	refused := errors.New("refused")
	swapped := []module.Generation{gens[1], gens[0]}
	at := func(seconds int64) []module.Generation {
		late := slices.Clone(gens)
		late[0].Time = time.Unix(seconds, 0)
		return late
	}
	for _, c := range []struct {
		name  string
		lines []module.Generation
		body  io.Reader
		check func(*module.Module) error
		want  error
	}{
		{"by its check", gens, bytes.NewReader(good), func(*module.Module) error { return refused }, refused},
		{"reader's error", gens, io.MultiReader(bytes.NewReader(good[:100_000]), iotest.ErrReader(refused)), deep, refused},
		{"cut", gens, bytes.NewReader(good[:len(good)/2]), deep, module.ErrFormat},
		{"empty", gens, bytes.NewReader(nil), deep, module.ErrFormat},
		{"another root", gens, bytes.NewReader(moduleOf(t, from, gens[0].Root)), nil, module.ErrVerify},
		{"lines that do not follow", gens[1:], bytes.NewReader(good), deep, module.ErrNotHead},
		{"a time before 1970", at(-1), bytes.NewReader(good), deep, module.ErrFormat},
		{"a time after 9999", at(253402300800), bytes.NewReader(good), deep, module.ErrFormat},
		{"a time that overflows", at(1 << 62), bytes.NewReader(good), deep, module.ErrFormat},
		{"lines out of order", swapped, bytes.NewReader(moduleOf(t, from, gens[0].Root)), deep, module.ErrNotHead},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, to := inMemoryOf(t, from.ID())
			err := to.Install(ctx, c.lines, auth.SignedRoot{}, c.body, c.check)
			if !errors.Is(err, c.want) {
				t.Fatalf("install: %v, want %v", err, c.want)
			}
			if got, err := to.Generations(ctx); err != nil || len(got) != 0 {
				t.Errorf("history %v, %v after a refusal", got, err)
			}
			check(t, to.Install(ctx, gens, signed(t, from), after(t, to, gens[1].Root, good), deep))
			verifyAll(t, to)
		})
	}
	_, to := inMemoryOf(t, from.ID())
	check(t, to.Install(ctx, gens[:1], auth.SignedRoot{},
		bytes.NewReader(moduleOf(t, from, gens[0].Root)), deep))
	line := []module.Generation{{Root: gens[1].Root, Time: gens[1].Time}}
	if err := to.Install(ctx, line, auth.SignedRoot{}, bytes.NewReader(good),
		deep); !errors.Is(err, module.ErrNotHead) {
		t.Errorf("another root for a line that is here: %v", err)
	}
	if _, err := to.At(gens[1].Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a root without a line can be opened: %v", err)
	}
}

// after returns the rest of a module, from where Held says.
func after(t *testing.T, s *digstore.Store, root merkle.Hash, body []byte) io.Reader {
	t.Helper()
	n, err := s.Held(context.Background(), root)
	check(t, err)
	return bytes.NewReader(body[n:])
}

// TestResume: a transfer that is interrupted repeatedly, at any byte, ends in the same module, and
// few bytes are sent twice.
func TestResume(t *testing.T) {
	ctx := context.Background()
	from, gens, states := history(t, 3)
	for _, have := range []int{0, 2} {
		// without, and with an earlier generation that has most of the chunks
		body := moduleOf(t, from, gens[2].Root)
		_, to := inMemoryOf(t, from.ID())
		lines := gens
		if have > 0 {
			check(t, to.Install(ctx, gens[:have], auth.SignedRoot{},
				bytes.NewReader(moduleOf(t, from, gens[have-1].Root)), deep))
			lines = gens[have:]
		}
		broken := errors.New("broken")
		// bytes, more than the longest chunk: incomplete chunks are not kept
		const attempt = 300_000
		rounds := 0
		for ; ; rounds++ {
			if rounds > 50 {
				t.Fatal("it does not get on")
			}
			at, err := to.Held(ctx, gens[2].Root)
			check(t, err)
			rest := body[at:]
			if len(rest) > attempt {
				err = to.Install(ctx, lines, signed(t, from),
					io.MultiReader(bytes.NewReader(rest[:attempt]), iotest.ErrReader(broken)), deep)
				if !errors.Is(err, broken) {
					t.Fatalf("round %d: %v", rounds, err)
				}
				continue
			}
			check(t, to.Install(ctx, lines, signed(t, from), bytes.NewReader(rest), deep))
			break
		}
		if want := len(body)/attempt + 4; rounds > want {
			t.Errorf("%d rounds, want at most %d", rounds, want)
		}
		g, err := to.Latest()
		check(t, err)
		wantFiles(t, g, states[2])
		if !bytes.Equal(moduleOf(t, to, gens[2].Root), body) {
			t.Error("it is not given back bit for bit")
		}
		verifyAll(t, to)
		if n, err := to.Held(ctx, gens[2].Root); err != nil || n != 0 {
			t.Errorf("held after the end: %d, %v", n, err)
		}
	}
}

func TestDiscard(t *testing.T) {
	ctx := context.Background()
	from, gens, _ := history(t, 1)
	body := moduleOf(t, from, gens[0].Root)
	_, to := inMemoryOf(t, from.ID())
	err := to.Install(ctx, gens, auth.SignedRoot{},
		io.MultiReader(bytes.NewReader(body[:400_000]), iotest.ErrReader(io.ErrUnexpectedEOF)), deep)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	n, err := to.Held(ctx, gens[0].Root)
	check(t, err)
	if n < 100_000 || n > 400_000 {
		t.Errorf("held %d of 400000", n)
	}
	check(t, to.Discard(ctx, gens[0].Root))
	check(t, to.Discard(ctx, gens[0].Root))
	if n, err := to.Held(ctx, gens[0].Root); err != nil || n != 0 {
		t.Errorf("held %d, %v after a discard", n, err)
	}
	check(t, to.Install(ctx, gens, signed(t, from), bytes.NewReader(body), deep))
}

// TestPoisonedPart: the check detects wrong bytes of an interrupted transfer, and they are removed.
func TestPoisonedPart(t *testing.T) {
	ctx := context.Background()
	from, gens, _ := history(t, 1)
	body := moduleOf(t, from, gens[0].Root)
	bad := bytes.Clone(body)
	bad[len(bad)/3] ^= 1
	_, to := inMemoryOf(t, from.ID())
	broken := errors.New("broken")
	err := to.Install(ctx, gens, auth.SignedRoot{},
		io.MultiReader(bytes.NewReader(bad[:len(bad)/2]), iotest.ErrReader(broken)), deep)
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if err := to.Install(ctx, gens, auth.SignedRoot{}, after(t, to, gens[0].Root, body),
		deep); !errors.Is(err, module.ErrVerify) {
		t.Fatalf("a poisoned part: %v", err)
	}
	if n, _ := to.Held(ctx, gens[0].Root); n != 0 {
		t.Errorf("%d bytes of it are still held", n)
	}
	check(t, to.Install(ctx, gens, signed(t, from), bytes.NewReader(body), deep))
}

func TestExportImport(t *testing.T) {
	ctx := context.Background()
	from, gens, states := history(t, 2)
	var out bytes.Buffer
	n, err := from.Export(ctx, gens[1].Root, &out, nil)
	check(t, err)
	if n != int64(out.Len()) || !bytes.Equal(out.Bytes(), moduleOf(t, from, gens[1].Root)) {
		t.Errorf("exported %d bytes", n)
	}
	_, to := inMemoryOf(t, from.ID())
	for _, c := range []struct {
		what  string
		store auth.StoreID
		root  merkle.Hash
		key   *auth.Key
	}{
		{"another key", from.ID(), gens[1].Root, auth.NewKey([32]byte{3})},
		{"another root", from.ID(), gens[0].Root, must(from.Signer())},
		{"another store", auth.StoreID{9}, gens[1].Root, must(from.Signer())},
	} {
		forged := must(auth.SignRoot(ctx, c.store, c.root, c.key))
		if _, err := to.Import(ctx, bytes.NewReader(out.Bytes()), forged,
			nil); !errors.Is(err, auth.ErrSignature) {
			t.Errorf("import with the signatures of %s: %v", c.what, err)
		}
	}
	g, err := to.Import(ctx, bytes.NewReader(out.Bytes()), signed(t, from), nil)
	check(t, err)
	wantFiles(t, g, states[1])
	verifyAll(t, to)
	if _, err := to.Import(ctx, bytes.NewReader(out.Bytes()), auth.SignedRoot{},
		nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("import again: %v", err)
	}
	_, other := inMemoryOf(t, auth.StoreID{9})
	if _, err := other.Import(ctx, bytes.NewReader(out.Bytes()), auth.SignedRoot{},
		nil); !errors.Is(err, module.ErrVerify) {
		t.Errorf("import of another store's module: %v", err)
	}
	forged, _, err := remotetest.Module(ctx, from.ID(), auth.NewKey([32]byte{3}),
		remoteFS(states[0]), nil)
	check(t, err)
	if _, err := to.Import(ctx, bytes.NewReader(forged), auth.SignedRoot{},
		nil); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("import of another's module: %v", err)
	}
	bad := bytes.Clone(out.Bytes())
	bad[len(bad)/2] ^= 1
	_, fresh := inMemoryOf(t, from.ID())
	if _, err := fresh.Import(ctx, bytes.NewReader(bad), auth.SignedRoot{},
		nil); !errors.Is(err, module.ErrVerify) {
		t.Errorf("import of damaged bytes: %v", err)
	}
}
