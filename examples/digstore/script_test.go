package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"

	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/scripttest"
	"github.com/dig-network/digstore/internal/vectors"
)

// The scripts in testdata are what a user types. They run this very program:
// the test binary becomes digstore when it is called so.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"digstore": program})
}

// command returns a command of scripttest as one of testscript.
func command(run func(ts scripttest.Script, neg bool, args []string),
) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) { run(ts, neg, args) }
}

func TestScripts(t *testing.T) {
	long := vectors.Long(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("DIG_IDENTITY_DIR", filepath.Join(env.WorkDir, "identity"))
			env.Setenv("SOURCE", sourceDir())
			env.Setenv(rereadVar, env.WorkDir)
			env.Setenv("GORACE", os.Getenv("GORACE")) // how the programs of the scenarios report races
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     command(scripttest.Exits),
			"field":     field,
			"port":      port,
			"serve":     serve,
			"halt":      halt,
			"mode":      command(scripttest.Mode),
			"atmost":    atMost,
			"nosecret":  noSecret,
			"flip":      flip,
			"late":      late,
			"blob":      blob,
			"corpus":    corpusTree,
			"sametree":  sameTree,
			"certs":     certs,
			"mint":      mint,
			"onchain":   onchain,
			"fronting":  fronting,
			"outside":   outside,
			"chown":     chown,
			"challenge": challenge,
			"node":      runNode,
			"lyingnode": lyingNode,
			"module":    otherModule,
			"bad":       badName,
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "long":
				return long, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
	})
}

func sourceDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// field NAME PATH sets a variable to a member of the JSON object on stdout.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field NAME PATH")
	}
	var v any
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	dec.UseNumber() // large ones are not written as 2.8e+06
	ts.Check(dec.Decode(&v))
	if dec.More() {
		ts.Fatalf("more than one object on stdout")
	}
	for _, step := range strings.Split(args[1], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			ts.Check(err)
			if i >= len(at) {
				ts.Fatalf("%s: only %d elements", args[1], len(at))
			}
			v = at[i]
		default:
			v = nil
		}
		if v == nil {
			ts.Fatalf("no member %s", args[1])
		}
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// port NAME HOST sets a variable to the port of a server's URL.
func port(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: port NAME HOST")
	}
	u, err := url.Parse(ts.Getenv(args[1]))
	ts.Check(err)
	ts.Setenv(args[0], u.Port())
}

// serve NAME ARG... runs "digstore ARG... serve" in the background and sets
// NAME to its URL. The script's end stops it, or halt NAME.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: serve NAME ARG...")
	}
	dir := ts.MkAbs(".")
	s, err := startServer(dir, ts.Getenv("DIG_IDENTITY_DIR"), args[1:]...)
	ts.Check(err)
	ts.Defer(func() { s.stop() })
	ts.Setenv(args[0], s.url)
	ts.Setenv(args[0]+"_STOP", strconv.Itoa(s.cmd.Process.Pid))
	running.Store(s.cmd.Process.Pid, s)
}

// halt NAME interrupts a server as Ctrl-C does; it must end well.
func halt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: halt NAME")
	}
	pid, err := strconv.Atoi(ts.Getenv(args[0] + "_STOP"))
	ts.Check(err)
	s, ok := running.Load(pid)
	if !ok {
		ts.Fatalf("no server %s", args[0])
	}
	ts.Check(s.(*serverProcess).stop())
}

// atmost N LIMIT checks that a number is not above another.
func atMost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: atmost N LIMIT")
	}
	n, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	limit, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	if n > limit {
		ts.Fatalf("%d, want at most %d", n, limit)
	}
}

// outside WORKSPACE FOLDER makes FOLDER the content root of the active store, as a
// hostile archive does: by its workspace.toml.
func outside(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: outside WORKSPACE FOLDER")
	}
	name := filepath.Join(args[0], ".dig", "workspace.toml")
	text, err := os.ReadFile(name)
	ts.Check(err)
	var keep []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "content_root") {
			keep = append(keep, line)
		}
	}
	root := fmt.Sprintf("content_root = %q\n", filepath.ToSlash(args[1]))
	ts.Check(os.WriteFile(name, []byte(strings.Join(keep, "")+root), 0o600))
}

// chown UID DIR changes the owner of a folder and its content.
func chown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: chown UID DIR")
	}
	uid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(filepath.WalkDir(ts.MkAbs(args[1]), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, -1)
	}))
}

// bad [--remove] FOLDER makes a file whose name a commit refuses, or removes it.
func badName(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: bad [--remove] FOLDER")
	}
	name := filepath.Join(ts.MkAbs(args[len(args)-1]), "a\u202eb")
	if args[0] == "--remove" {
		ts.Check(os.Remove(name))
		return
	}
	ts.Check(os.WriteFile(name, []byte("x"), 0o644))
}

// module FILE NAME... writes a module as another implementation can: with resources of any
// names, given as Go strings without their quotes. FILE.names lists the names as JSON.
func otherModule(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: module FILE NAME...")
	}
	b := module.NewBuilder(auth.StoreID{7}, auth.NewKey([32]byte{7}).PublicKey(), nil)
	defer b.Close()
	var names []string
	for _, arg := range args[1:] {
		name, err := strconv.Unquote(`"` + arg + `"`)
		ts.Check(err)
		names = append(names, name)
		ts.Check(b.Add(context.Background(), name, strings.NewReader("of "+name)))
	}
	var file bytes.Buffer
	_, err := b.Build(context.Background(), &file)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), file.Bytes(), 0o666))
	text, err := json.Marshal(names)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".names"), text, 0o666))
}

// nosecret checks that neither output of the last command shows a secret that
// lies in a file below the work folder.
func noSecret(ts *testscript.TestScript, neg bool, args []string) {
	output := strings.ToLower(ts.ReadFile("stdout") + ts.ReadFile("stderr"))
	ts.Check(filepath.WalkDir(ts.MkAbs(ts.Getenv("WORK")),
		func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			var secret string
			switch d.Name() {
			case "signing_key.bin", "writer_key.bin", "identity_key.bin":
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				secret = hex.EncodeToString(b)
			case "secret_salt.hex":
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				secret = string(b)
			default:
				return nil
			}
			if strings.Contains(output, secret) || strings.Contains(output, secret[:16]) {
				return fmt.Errorf("the output shows what is in %s", path)
			}
			return nil
		}))
}

// flip FILE OFFSET changes one byte, and a second time changes it back. A digit of
// hexadecimal stays one. A negative offset counts from the end.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	names, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(names) != 1 {
		ts.Fatalf("%s: %d files, want one", args[0], len(names))
	}
	offset, err := strconv.Atoi(args[1])
	ts.Check(err)
	b, err := os.ReadFile(names[0])
	ts.Check(err)
	if offset < 0 {
		offset += len(b)
	}
	if c := b[offset]; 'a' <= c && c <= 'f' {
		b[offset] = 'a' + ((c - 'a') ^ 1) // '`' and 'g' are none
	} else {
		b[offset] ^= 1
	}
	ts.Check(os.WriteFile(names[0], b, 0o600))
}

// late FILE gives the last line of a history the time 2^62.
func late(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: late FILE")
	}
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	b = fmt.Appendf(b[:bytes.LastIndexByte(b, '\t')+1], "%d\n", int64(1)<<62)
	ts.Check(os.WriteFile(name, b, 0o600))
}

// blob FILE SIZE writes bytes that look random and are the same every time.
func blob(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: blob FILE SIZE")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	name := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(name), 0o777))
	ts.Check(os.WriteFile(name, pattern(args[0], n), 0o666))
}

// corpus DIR SEED [EDIT...] makes DIR hold the small tree of that seed, or the
// large one where CORPUS is "large", changed by the edits of those names, one
// after the other.
func corpusTree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: corpus DIR SEED [EDIT...]")
	}
	seed, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	tree := corpus.Small(seed)
	if ts.Getenv("CORPUS") == "large" {
		tree = corpus.Large(seed)
	}
	for _, name := range args[2:] {
		i := slices.IndexFunc(corpus.Edits(), func(e corpus.Edit) bool { return e.Name == name })
		if i < 0 {
			ts.Fatalf("no edit %q", name)
		}
		tree = corpus.Edits()[i].Apply(tree, seed)
	}
	ts.Check(tree.Write(ts.MkAbs(args[0])))
}

// sametree A B checks that two folders hold the same files, byte for byte.
func sameTree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sametree A B")
	}
	read := func(root string) map[string][]byte {
		files := map[string][]byte{}
		ts.Check(fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files[path], err = os.ReadFile(filepath.Join(root, path))
			return err
		}))
		return files
	}
	a, b := read(ts.MkAbs(args[0])), read(ts.MkAbs(args[1]))
	for name, content := range a {
		if other, ok := b[name]; !ok {
			ts.Fatalf("%s is not in %s", name, args[1])
		} else if !bytes.Equal(content, other) {
			ts.Fatalf("%s differs", name)
		}
	}
	if len(a) != len(b) {
		ts.Fatalf("%d files in %s, %d in %s", len(a), args[0], len(b), args[1])
	}
}

// onlyStore is the id of the one store that "stores --json" lists.
func onlyStore(t *testing.T, text string) string {
	t.Helper()
	var v struct {
		Stores []struct {
			ID string `json:"store_id"`
		}
	}
	check(t, json.Unmarshal([]byte(text), &v))
	if len(v.Stores) != 1 {
		t.Fatalf("%d stores, want one: %s", len(v.Stores), text)
	}
	return v.Stores[0].ID
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
