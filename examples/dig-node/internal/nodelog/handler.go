package nodelog

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dig-network/digstore/internal/oneline"
)

// Limits of texts in a line, in bytes.
const (
	maxText  = 200
	maxError = 1000
)

const hidden = "(hidden)"

// A Handler is a slog.Handler that writes the log of a node. The message of a record is the event;
// the attribute component is a member of its own; all others are in details. A duration becomes
// whole milliseconds, and its name ends in _ms. An array of 32 bytes becomes 0x and hexadecimal
// digits. Texts are cut after 200 bytes, errors after 1000, and have no control characters.
//
// What is secret does not get into a line: the values of attributes whose name says so (token,
// password, authorization and so on), the secrets that SetSecrets names, wherever they stand, and
// addresses of clients (netip.Addr, netip.AddrPort, net.Addr) above level DEBUG.
type Handler struct {
	*output
	component string
	attrs     []byte // of With, as members of details
	groups    []string
}

// output is what handlers share.
type output struct {
	level slog.Leveler

	mu      sync.Mutex
	w       io.Writer
	node    string
	secrets []string
}

// NewHandler returns a Handler that writes to w, one call for each line.
func NewHandler(w io.Writer, level slog.Leveler) *Handler {
	return &Handler{output: &output{w: w, level: level}, component: "node"}
}

// SetNode sets the member node_id of the lines that follow.
func (o *output) SetNode(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.node = id
}

// SetSecrets sets the texts that are masked from now on. Those of less than 8 bytes are not.
func (o *output) SetSecrets(secrets []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return len(s) < 8 })
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.groups = append(slices.Clip(h.groups), name)
	return &c
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	d := details{buf: slices.Clone(h.attrs)}
	for _, a := range attrs {
		c.component = d.attr(h.groups, a, slog.LevelInfo, c.component)
	}
	c.attrs = d.buf
	return &c
}

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	component := h.component
	d := details{buf: slices.Clone(h.attrs)}
	r.Attrs(func(a slog.Attr) bool {
		component = d.attr(h.groups, a, r.Level, component)
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	var b bytes.Buffer
	member := func(name, value string) {
		fmt.Fprintf(&b, `"%s":%s,`, name, quote(value))
	}
	b.WriteByte('{')
	member("timestamp", r.Time.UTC().Format("2006-01-02T15:04:05.000Z"))
	member("level", levelName(r.Level))
	member("node_id", h.node)
	member("component", component)
	member("event", oneline.Excerpt(r.Message, maxText))
	fmt.Fprintf(&b, `"details":{%s}}`+"\n", bytes.TrimPrefix(d.buf, []byte(",")))
	line := b.Bytes()
	for _, secret := range h.secrets {
		line = bytes.ReplaceAll(line, []byte(secret), []byte(hidden))
		escaped := quote(secret)
		line = bytes.ReplaceAll(line, escaped[1:len(escaped)-1], []byte(hidden))
	}
	_, err := h.w.Write(line)
	return err
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARN"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

// details is a list of JSON members, each with a comma before it.
type details struct{ buf []byte }

// attr adds an attribute, which may be a group. It returns the component: that of the attribute, or
// else the one that is given.
func (d *details) attr(groups []string, a slog.Attr, level slog.Level, component string) string {
	v := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
	case a.Key == "component" && len(groups) == 0:
		return oneline.Excerpt(v.String(), maxText)
	case v.Kind() == slog.KindGroup:
		inner := groups
		if a.Key != "" {
			inner = append(slices.Clip(groups), a.Key)
		}
		for _, one := range v.Group() {
			component = d.attr(inner, one, level, component)
		}
	default:
		name, text := member(a.Key, v, level)
		name = strings.Join(append(slices.Clip(groups), name), ".")
		d.buf = append(append(append(append(d.buf, ','), quote(name)...), ':'), text...)
	}
	return component
}

// member returns the name and the JSON text of an attribute.
func member(name string, v slog.Value, level slog.Level) (string, []byte) {
	if isSecret(name) {
		return name, quote(hidden)
	}
	switch v.Kind() {
	case slog.KindDuration:
		if !strings.HasSuffix(name, "_ms") {
			name += "_ms"
		}
		return name, fmt.Append(nil, v.Duration().Milliseconds())
	case slog.KindTime:
		return name, quote(v.Time().UTC().Format(time.RFC3339Nano))
	case slog.KindString:
		return name, quote(oneline.Excerpt(v.String(), maxText))
	case slog.KindInt64, slog.KindUint64, slog.KindBool:
		return name, []byte(v.String())
	}
	return name, value(v.Any(), level)
}

// isSecret reports whether the name of an attribute says that its value is secret.
func isSecret(name string) bool {
	low := strings.ToLower(name)
	for _, part := range []string{"token", "password", "passwd", "secret", "authorization", "cookie",
		"seed", "api_key", "private"} {
		if strings.Contains(low, part) {
			return true
		}
	}
	return false
}

// value returns any value as JSON.
func value(v any, level slog.Level) []byte {
	switch x := v.(type) {
	case netip.Addr, netip.AddrPort, net.Addr:
		if level > slog.LevelDebug {
			return quote(hidden)
		}
		return quote(fmt.Sprint(x))
	case error:
		return quote(oneline.Excerpt(x.Error(), maxError))
	}
	r := reflect.ValueOf(v)
	isArray := r.IsValid() && r.Kind() == reflect.Array && r.Len() == 32
	if isArray && r.Type().Elem().Kind() == reflect.Uint8 {
		b := make([]byte, 32)
		reflect.Copy(reflect.ValueOf(b), r)
		return quote("0x" + hex.EncodeToString(b))
	}
	if s, ok := v.(fmt.Stringer); ok {
		return quote(oneline.Excerpt(s.String(), maxText))
	}
	text, err := json.Marshal(v)
	if err != nil || len(text) > 10*maxError {
		return quote(oneline.Excerpt(fmt.Sprint(v), maxText))
	}
	return text
}

// quote returns a text as JSON.
func quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a text can be encoded
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
