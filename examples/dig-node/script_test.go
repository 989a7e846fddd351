package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dig-network/digstore/internal/scripttest"
)

// The scripts in testdata are what a user types. They run this very program: the test binary
// becomes dig-node when it is called so.
func TestMain(m *testing.M) {
	testscript.Main(runner{m}, map[string]func(){"dig-node": main})
}

// runner removes what tests have built.
type runner struct{ *testing.M }

func (r runner) Run() int {
	defer func() {
		if built.path != "" {
			os.RemoveAll(filepath.Dir(built.path))
		}
	}()
	return r.M.Run()
}

// command returns a command of scripttest as one of testscript.
func command(run func(ts scripttest.Script, neg bool, args []string),
) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) { run(ts, neg, args) }
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("CHIA_ROOT", filepath.Join(env.WorkDir, "chia"))
			env.Setenv("DIG_IDENTITY_DIR", filepath.Join(env.WorkDir, "identity"))
			env.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": command(scripttest.Exits), "field": field, "mode": command(scripttest.Mode), "occupy": occupy, "freeport": freePort,
			"nosecret": noSecret, "node": startNode, "halt": halt, "hup": hup, "log": logHas, "get": get,
			"secret": secret, "digstore": runDigstore, "write": write,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
	})
}

// field NAME PATH sets a variable to a member of the JSON object on stdout.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field NAME PATH")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for _, step := range strings.Split(args[1], ".") {
		object, _ := v.(map[string]any)
		if v = object[step]; v == nil {
			ts.Fatalf("no member %s", args[1])
		}
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// occupy NAME listens at a port of loopback until the script ends, and sets NAME to it.
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: occupy NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

// freeport NAME... sets variables to ports of loopback that are free.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close()
		ts.Setenv(name, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
}

// nosecret TEXT checks that the last command did not print a text.
func noSecret(ts *testscript.TestScript, neg bool, args []string) {
	for _, secret := range args {
		if strings.Contains(ts.ReadFile("stdout")+ts.ReadFile("stderr"), secret) {
			ts.Fatalf("%q was printed", secret)
		}
	}
}

// write FILE TEXT writes a file.
func write(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: write FILE TEXT")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]+"\n"), 0o600))
}
