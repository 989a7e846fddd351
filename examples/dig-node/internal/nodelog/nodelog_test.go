package nodelog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/examples/dig-node/internal/nodelog"
)

func record(level slog.Level, event string, attrs ...slog.Attr) slog.Record {
	r := slog.NewRecord(time.Date(2024, 1, 1, 1, 0, 0, 999, time.FixedZone("", 3600)), level, event, 0)
	r.AddAttrs(attrs...)
	return r
}

// The example of the design, byte for byte but for the shortened id.
func TestExample(t *testing.T) {
	var b bytes.Buffer
	h := nodelog.NewHandler(&b, slog.LevelInfo)
	h.SetNode("dig1abc...xyz")
	store := auth.StoreID{0x12, 0x3f}
	err := h.WithAttrs([]slog.Attr{slog.String("component", "storage")}).Handle(t.Context(),
		record(slog.LevelInfo, "capsule_stored", slog.Any("datastore_id", store),
			slog.Uint64("capsule_index", 42), slog.Int("size_bytes", 16777216),
			slog.Duration("duration", 250*time.Millisecond), slog.String("cache_tier", "l3")))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"timestamp":"2024-01-01T00:00:00.000Z","level":"INFO","node_id":"dig1abc...xyz",` +
		`"component":"storage","event":"capsule_stored","details":{"datastore_id":"0x123f` +
		strings.Repeat("0", 60) + `","capsule_index":42,"size_bytes":16777216,"duration_ms":250,` +
		`"cache_tier":"l3"}}` + "\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
}

// details returns the member details of the only line that log writes.
func details(t *testing.T, level slog.Level, log func(*slog.Logger)) (line, details string) {
	t.Helper()
	var b bytes.Buffer
	h := nodelog.NewHandler(&b, level)
	h.SetSecrets([]string{"s3cr3t-value", `quo"ted\secret`, "short"})
	log(slog.New(h))
	line = b.String()
	if strings.Count(line, "\n") != 1 {
		t.Fatalf("not one line: %q", line)
	}
	var v struct {
		Details json.RawMessage `json:"details"`
	}
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return line, string(v.Details)
}

func TestDetails(t *testing.T) {
	ip := netip.MustParseAddr("192.0.2.1")
	for name, test := range map[string]struct {
		log  func(*slog.Logger)
		want string
	}{
		"none":    {func(l *slog.Logger) { l.Info("e") }, `{}`},
		"error":   {func(l *slog.Logger) { l.Info("e", "error", errors.New("a\nb")) }, `{"error":"a b"}`},
		"groups":  {func(l *slog.Logger) { l.WithGroup("a").With("b", 1).Info("e", "c", 2) }, `{"a.b":1,"a.c":2}`},
		"group":   {func(l *slog.Logger) { l.Info("e", slog.Group("g", "x", true)) }, `{"g.x":true}`},
		"empty":   {func(l *slog.Logger) { l.WithGroup("").Info("e", slog.Attr{}) }, `{}`},
		"list":    {func(l *slog.Logger) { l.Info("e", "l", []string{"a", "b"}) }, `{"l":["a","b"]}`},
		"nil":     {func(l *slog.Logger) { l.Info("e", "n", nil) }, `{"n":null}`},
		"float":   {func(l *slog.Logger) { l.Info("e", "f", 0.5) }, `{"f":0.5}`},
		"channel": {func(l *slog.Logger) { l.Info("e", "c", func() {}) }, ``},
		"ms":      {func(l *slog.Logger) { l.Info("e", "wait_ms", time.Second) }, `{"wait_ms":1000}`},
		"time":    {func(l *slog.Logger) { l.Info("e", "t", time.Unix(0, 5e8)) }, `{"t":"1970-01-01T00:00:00.5Z"}`},
		"long":    {func(l *slog.Logger) { l.Info("e", "s", strings.Repeat("x", 500)) }, `{"s":"` + strings.Repeat("x", 200) + `…"}`},
		"token":   {func(l *slog.Logger) { l.Info("e", "Control-Token", "abc") }, `{"Control-Token":"(hidden)"}`},
		"address": {func(l *slog.Logger) { l.Info("e", "client", ip) }, `{"client":"(hidden)"}`},
		"debug":   {func(l *slog.Logger) { l.Debug("e", "client", ip) }, `{"client":"192.0.2.1"}`},
		"html":    {func(l *slog.Logger) { l.Info("e", "s", "<a&b>") }, `{"s":"<a&b>"}`},
		"secret":  {func(l *slog.Logger) { l.Info("e", "s", "is s3cr3t-value.") }, `{"s":"is (hidden)."}`},
		"quoted":  {func(l *slog.Logger) { l.Info("e", "s", `is quo"ted\secret`) }, `{"s":"is (hidden)"}`},
		"short":   {func(l *slog.Logger) { l.Info("e", "s", "short") }, `{"s":"short"}`},
	} {
		if line, got := details(t, slog.LevelDebug, test.log); got != test.want && test.want != "" {
			t.Errorf("%s: got %s, want %s", name, line, test.want)
		}
	}
}

func TestMembers(t *testing.T) {
	for want, log := range map[string]func(*slog.Logger){
		`"component":"node"`:   func(l *slog.Logger) { l.Info("e") },
		`"component":"http"`:   func(l *slog.Logger) { l.With("component", "http").Info("e", "x", 1) },
		`"component":"b"`:      func(l *slog.Logger) { l.With("component", "a").Info("e", "component", "b") },
		`"level":"WARN"`:       func(l *slog.Logger) { l.Warn("e") },
		`"level":"ERROR"`:      func(l *slog.Logger) { l.Log(t.Context(), slog.LevelError+3, "e") },
		`"level":"DEBUG"`:      func(l *slog.Logger) { l.Log(t.Context(), slog.LevelDebug+1, "e") },
		`"event":"a b \"level`: func(l *slog.Logger) { l.Info("a\nb \"level\":\"ERROR\"") },
	} {
		if line, _ := details(t, slog.LevelDebug, log); !strings.Contains(line, want) {
			t.Errorf("%s is not in %s", want, line)
		}
	}
}

func TestLevel(t *testing.T) {
	var b bytes.Buffer
	var level slog.LevelVar
	l := slog.New(nodelog.NewHandler(&b, &level)).With("component", "x")
	l.Debug("one")
	level.Set(slog.LevelDebug)
	l.Debug("two")
	level.Set(slog.LevelError)
	l.Warn("three")
	if s := b.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "two") {
		t.Error(s)
	}
}

// Handlers of one output share it, and lines are not mixed.
func TestTogether(t *testing.T) {
	var b bytes.Buffer
	h := nodelog.NewHandler(&b, slog.LevelInfo)
	l := slog.New(h)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own := l.With("n", i)
			for range 100 {
				own.Info("e", "text", strings.Repeat("x", 100))
				h.SetNode("n")
			}
		})
	}
	wg.Wait()
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Fatalf("broken line %s", line)
		}
	}
	if len(lines) != 800 {
		t.Errorf("%d lines, want 800", len(lines))
	}
}

func line(i int) []byte { return fmt.Appendf(nil, "line %04d\n", i) } // 10 bytes

func content(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRotate(t *testing.T) {
	name := filepath.Join(t.TempDir(), "node.log")
	if err := os.WriteFile(name, line(0), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := nodelog.OpenFile(name, 35, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 11; i++ {
		if n, err := f.Write(line(i)); n != 10 || err != nil {
			t.Fatal(n, err)
		}
	}
	want := []string{"line 0009\nline 0010\n", "line 0006\nline 0007\nline 0008\n",
		"line 0003\nline 0004\nline 0005\n"}
	for i, text := range want {
		file := name
		if i > 0 {
			file = fmt.Sprintf("%s.%d", name, i)
		}
		if got := content(t, file); got != text {
			t.Errorf("%s has %q, want %q", file, got, text)
		}
	}
	if _, err := os.Stat(name + ".3"); err == nil {
		t.Error("more files are kept than 2")
	}
	if n, err := f.Write(bytes.Repeat([]byte("x"), 100)); n != 100 || err != nil {
		t.Errorf("a line above the limit: %d, %v", n, err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
}

// Without older files, and without a limit.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		max  int64
		want string
	}{{15, "line 0003\n"}, {0, "line 0001\nline 0002\nline 0003\n"}} {
		name := filepath.Join(dir, fmt.Sprint(test.max))
		f, err := nodelog.OpenFile(name, test.max, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if _, err := f.Write(line(i + 1)); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
		if got := content(t, name); got != test.want {
			t.Errorf("max %d: got %q, want %q", test.max, got, test.want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("found %v", entries)
	}
}

// Another program renames the file, and asks for a new one.
func TestReopen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be renamed")
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "node.log")
	f, err := nodelog.OpenFile(name, 1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(i int) {
		if _, err := f.Write(line(i)); err != nil {
			t.Error(err)
		}
	}
	write(1)
	if err := os.Rename(name, name+".old"); err != nil {
		t.Fatal(err)
	}
	write(2)
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	write(3)
	if got := content(t, name+".old") + content(t, name); got != "line 0001\nline 0002\nline 0003\n" {
		t.Error(got)
	}
	// Where that fails the old file goes on.
	if err := errors.Join(os.Rename(name, name+".old"), os.Mkdir(name, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err == nil {
		t.Error("a directory was opened")
	}
	write(4)
	if got := content(t, name+".old"); got != "line 0003\nline 0004\n" {
		t.Error(got)
	}
}

func TestRefuse(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{dir, filepath.Join(dir, "none", "log"), os.DevNull} {
		if f, err := nodelog.OpenFile(name, 0, 0); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
	}
}
