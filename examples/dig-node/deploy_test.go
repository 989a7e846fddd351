package main

import (
	"encoding/json"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/dig-network/digstore/examples/dig-node/internal/config"
)

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// accepts checks that a command line is one of the program, without running it.
func accepts(t *testing.T, args []string) {
	t.Helper()
	a := newApp(strings.NewReader(""), io.Discard, io.Discard, nil)
	cmd, rest, err := a.rootCommand().Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil || len(cmd.Flags().Args()) > 0 {
		t.Errorf("%v: %v, %v", args, err, cmd.Flags().Args())
	}
}

// The image runs commands, and sets variables, that the program has.
func TestDockerfile(t *testing.T) {
	text := readText(t, "Dockerfile")
	commands := regexp.MustCompile(`CMD (\[.*\])`).FindAllStringSubmatch(text, -1)
	if len(commands) != 2 {
		t.Fatalf("found %v", commands)
	}
	for _, c := range commands {
		var args []string
		if err := json.Unmarshal([]byte(c[1]), &args); err != nil || args[0] != "dig-node" {
			t.Fatal(args, err)
		}
		accepts(t, args[1:])
	}
	var known []string
	for _, key := range config.Keys() {
		known = append(known, config.EnvName(key))
	}
	for _, name := range regexp.MustCompile(`DIG_NODE_\w+`).FindAllString(text, -1) {
		if !slices.Contains(known, name) {
			t.Errorf("%s stands for no key", name)
		}
	}
	for _, line := range []string{"USER 10001:10001", "EXPOSE 8444 8555 9090", "FROM scratch",
		`VOLUME ["/plots", "/cache", "/data"]`} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

// The unit starts the program, which tells systemd about itself.
func TestUnit(t *testing.T) {
	text := readText(t, "dig-node.service")
	start := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(text)
	if start == nil {
		t.Fatal("no ExecStart")
	}
	accepts(t, strings.Fields(start[1])[1:])
	for _, line := range []string{"Type=notify", "DynamicUser=yes", "StateDirectory=dig-node"} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

// The volumes of the composition are those of the image.
func TestCompose(t *testing.T) {
	var c struct {
		Services map[string]struct{ Volumes []string }
		Volumes  map[string]any
	}
	if err := yaml.Unmarshal([]byte(readText(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, v := range c.Services["node"].Volumes {
		name, target, _ := strings.Cut(v, ":")
		if _, ok := c.Volumes[name]; !ok {
			t.Errorf("volume %s is not declared", name)
		}
		targets = append(targets, target)
	}
	slices.Sort(targets)
	if !slices.Equal(targets, []string{"/cache", "/data", "/plots"}) {
		t.Errorf("found %v", targets)
	}
}

// The command lines of the README parse, and every command has help with an example.
func TestREADME(t *testing.T) {
	lines := 0
	for line := range strings.Lines(readText(t, "../../README.md")) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "dig-node" {
			lines++
			a := newApp(strings.NewReader(""), io.Discard, io.Discard, nil)
			cmd, rest, err := a.rootCommand().Find(fields[1:])
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if lines < 6 {
		t.Errorf("%d lines of the README are checked", lines)
	}
	for _, c := range newApp(nil, nil, nil, nil).rootCommand().Commands() {
		if c.Short == "" || c.Example == "" && !c.HasSubCommands() {
			t.Errorf("%s has no help or no example", c.CommandPath())
		}
	}
}
