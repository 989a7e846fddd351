package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/oneline"
	"github.com/dig-network/digstore/node/client"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/discovery"
)

// TestExits maps errors to exit codes.
func TestExits(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		exit int
		code string
	}{
		{"anything else", errors.New("disk full"), 1, "ERROR"},
		{"hub", remote.ErrHubPublisherRequired, 1, "ERROR"},
		{"unchanged", digstore.ErrUnchanged, 1, "ERROR"},
		{"root that comes back", &digstore.RecurringRootError{}, 1, "ERROR"},
		{"no key", digstore.ErrNoKey, 1, "ERROR"},
		{"cap", &digstore.TooLargeError{Size: 2, Max: 1}, 1, "ERROR"},
		{"usage", usage("hint", "two roots"), 2, "INVALID_ARGUMENT"},
		{"bad locator", remote.ErrBadURL, 2, "INVALID_ARGUMENT"},
		{"plain http", remote.ErrInsecure, 2, "INVALID_ARGUMENT"},
		{"in use", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrExist}, 2, "INVALID_ARGUMENT"},
		{"no workspace", digstore.ErrNoWorkspace, 3, "NO_STORE"},
		{"not found", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, 4, "NOT_FOUND"},
		{"404", &remote.StatusError{Code: 404}, 4, "NOT_FOUND"},
		{"verification", &remote.VerificationError{Check: remote.CheckRoot}, 5, "VERIFICATION_FAILED"},
		{"revoked", &remote.VerificationError{Err: auth.ErrRevoked}, 5, "VERIFICATION_FAILED"},
		{"refused for what is missing", &remote.VerificationError{Err: fs.ErrNotExist}, 5, "VERIFICATION_FAILED"},
		{"diverged", remote.ErrDiverged, 5, "VERIFICATION_FAILED"},
		{"format", module.ErrFormat, 5, "VERIFICATION_FAILED"},
		{"module", module.ErrVerify, 5, "VERIFICATION_FAILED"},
		{"tag", urn.ErrSealed, 5, "VERIFICATION_FAILED"},
		{"damaged", digstore.ErrCorrupt, 5, "VERIFICATION_FAILED"},
		{"422", &remote.StatusError{Code: 422}, 6, "NETWORK"},
		{"413", &remote.StatusError{Code: 413}, 6, "NETWORK"},
		{"429", &remote.StatusError{Code: 429}, 6, "NETWORK"},
		{"503", &remote.StatusError{Code: 503}, 6, "NETWORK"},
		{"dial", &url.Error{Op: "Get", URL: "http://127.0.0.1:1", Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}, 6, "NETWORK"},
		{"timeout", context.DeadlineExceeded, 6, "NETWORK"},
		{"409", &remote.StatusError{Code: 409}, 7, "NON_FAST_FORWARD"},
		{"not a fast-forward", remote.ErrNonFastForward, 7, "NON_FAST_FORWARD"},
		{"401", &remote.StatusError{Code: 401}, 8, "UNAUTHORIZED"},
		{"403", &remote.StatusError{Code: 403}, 8, "UNAUTHORIZED"},
		{"unauthenticated", request.ErrUnauthenticated, 8, "UNAUTHORIZED"},
		{"forbidden", auth.ErrForbidden, 8, "UNAUTHORIZED"},
		{"no node nearby", discovery.ErrNoLocalNode, 19, "NO_LOCAL_NODE"},
		{"late", &timedOut{after: 1, resume: "again", err: context.DeadlineExceeded}, 6, "NETWORK"},
		{"chain out of reach", &remote.VerificationError{Check: remote.CheckAnchor, Err: chain.ErrUnavailable}, 6, "NETWORK"},
		{"not on the chain", &remote.VerificationError{Check: remote.CheckAnchor, Err: chain.ErrStoreNotFound}, 5, "VERIFICATION_FAILED"},
		{"not confirmed", chain.ErrNotAnchored, 5, "VERIFICATION_FAILED"},
		{"melted", &chain.MeltedError{}, 5, "VERIFICATION_FAILED"},
		{"locked", digstore.ErrLocked, 17, "LOCKED"},
		{"URL of a node", client.ErrBadURL, 2, "INVALID_ARGUMENT"},
		{"credential in the clear", client.ErrInsecure, 2, "INVALID_ARGUMENT"},
		{"declined", &client.DeclinedError{Code: "not_whitelisted"}, 1, "DECLINED"},
		{"untrusted root", capsule.ErrUntrusted, 5, "VERIFICATION_FAILED"},
		{"wrong path", capsule.ErrPath, 5, "VERIFICATION_FAILED"},
		{"root conflict", &client.StatusError{Status: 409, Code: "root_conflict"}, 7, "NON_FAST_FORWARD"},
		{"stale", &client.StatusError{Status: 409, Code: "stale_generation"}, 7, "NON_FAST_FORWARD"},
		{"node 401", &client.StatusError{Status: 401, Code: "unauthorized"}, 8, "UNAUTHORIZED"},
		{"node 403", &client.StatusError{Status: 403, Code: "not_a_writer"}, 8, "UNAUTHORIZED"},
		{"validator's signature", &client.StatusError{Status: 401, Code: "bad_signature"}, 8, "UNAUTHORIZED"},
		{"no such capsule", &client.StatusError{Status: 404, Code: "capsule_not_found"}, 4, "NOT_FOUND"},
		{"no such route", &client.StatusError{Status: 404, Code: "route_not_found"}, 6, "NETWORK"},
		{"node 410", &client.StatusError{Status: 410, Code: "gone_tombstoned"}, 5, "VERIFICATION_FAILED"},
		{"node 503", &client.StatusError{Status: 503, Code: "busy"}, 6, "NETWORK"},
		{"node 507", &client.StatusError{Status: 507, Code: "insufficient_storage"}, 6, "NETWORK"},
		{"not a node", client.ErrProtocol, 6, "NETWORK"},
		{"connection to a node", client.ErrConnection, 6, "NETWORK"},
		{"interrupted", &interrupted{resume: "again"}, 130, "INTERRUPTED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			a := newApp(nil, &out, &stderr)
			err := fmt.Errorf("while doing it: %w", c.err)
			if got := a.fail(err); got != c.exit {
				t.Errorf("exit code %d, want %d", got, c.exit)
			}
			if n := strings.Count(stderr.String(), "\n"); n != 2 {
				t.Errorf("%d lines on stderr, want what happened and what to do:\n%s", n, stderr.String())
			}
			a.json = true
			a.fail(err)
			var v struct {
				Code string
				Exit int
			}
			if err := json.Unmarshal(out.Bytes(), &v); err != nil || v.Code != c.code || v.Exit != c.exit {
				t.Errorf("with --json: %s: %v, want code %s", out.String(), err, c.code)
			}
		})
	}
}

// TestHints: what to do fits what happened.
func TestHints(t *testing.T) {
	certificate := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	refused := func(code int) error { return &remote.StatusError{Code: code, Message: "no"} }
	const later = "try again later"
	for _, c := range []struct {
		err  error
		want string
	}{
		{certificate(x509.UnknownAuthorityError{}), "--ca"},
		{certificate(errors.New("not trusted")), "--ca"},
		{certificate(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}), "name"},
		{certificate(x509.CertificateInvalidError{Reason: x509.Expired}), "clock"},
		{refused(400), "does not understand"},
		{refused(421), "name"},
		{refused(422), "verify --deep"},
		{refused(500), "tell its operator"},
		{refused(507), "--quota"},
		{fmt.Errorf("%w: %w", remote.ErrRedirect, refused(302)), "redirect"},
		{refused(429), later},
		{refused(503), later},
		{&digstore.RecurringRootError{Head: 1}, "--again"},
	} {
		var stderr bytes.Buffer
		newApp(nil, io.Discard, &stderr).fail(c.err)
		message, hint, _ := strings.Cut(stderr.String(), "\n")
		if !strings.Contains(hint, c.want) || c.want != later && strings.Contains(hint, later) {
			t.Errorf("%v: hint %q, want one with %q", c.err, hint, c.want)
		}
		if strings.Contains(message, "Again") {
			t.Errorf("a name of the library: %s", message)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"página/日本.html", "página/日本.html"},
		{"a\x1b[2J", `"a\x1b[2J"`},
		{"a\nb", `"a\nb"`},
		{"evil\u202etxt.exe", `"evil\u202etxt.exe"`},
		{"a\tb\r", `"a\tb\r"`},
		{"a\x7f\u009b31m", `"a\x7f\u009b31m"`},
		{"a\xffb", `"a\xffb"`},
		{`"a"`, `"\"a\""`},
		{`a"b\c`, `a"b\c`},
		{"\u200e\u200f\u061c", `"\u200e\u200f\u061c"`},
		{"\u2028\u2029\u200b\ufeff\u2066\u2069", `"\u2028\u2029\u200b\ufeff\u2066\u2069"`},
		{"\u3164\u2800\U000e0041", `"\u3164\u2800\U000e0041"`},
		{"❤️ 日本 größe é.png", "❤️ 日本 größe é.png"},
	} {
		got := oneline.Name(c.in)
		if got != c.want {
			t.Errorf("oneline.Name(%q) = %s, want %s", c.in, got, c.want)
		}
		if back, err := strconv.Unquote(got); strings.HasPrefix(got, `"`) &&
			(err != nil || back != c.in) {
			t.Errorf("%s unquotes to %q, %v; want %q", got, back, err, c.in)
		}
		if line := oneline.Message(c.in); oneline.HasHidden(line) {
			t.Errorf("oneline.Message(%q) = %q", c.in, line)
		}
		var text, object bytes.Buffer
		a := newApp(nil, &text, io.Discard)
		if err := a.answer(nil, func(w io.Writer) { fmt.Fprint(w, c.in) }); err != nil {
			t.Error(err)
		}
		if s := strings.NewReplacer("\n", "", "\t", "").Replace(text.String()); oneline.HasHidden(s) {
			t.Errorf("answer wrote %q", s)
		}
		if err := writeLine(&object, map[string]string{"key": c.in}); err != nil {
			t.Error(err)
		}
		var v struct{ Key string }
		if err := json.Unmarshal(object.Bytes(), &v); err != nil ||
			v.Key != strings.ToValidUTF8(c.in, "\ufffd") {
			t.Errorf("%s: %q, %v; want %q", object.Bytes(), v.Key, err, c.in)
		}
		if oneline.HasHidden(strings.TrimSuffix(object.String(), "\n")) {
			t.Errorf("JSON is %q", object.Bytes())
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB",
		128_000_000: "122.1 MiB", 1 << 40: "1.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
}

// A commit warns of a module that others take only with another limit than the default.
func TestWarnLarge(t *testing.T) {
	for _, c := range []struct {
		size int64
		want string
	}{{remote.DefaultMaxModule, ""}, {remote.DefaultMaxModule + 1,
		"warning: the module of this generation has 1.0 GiB: clients and hosts accept at most 1.0 GiB"}} {
		var out, stderr bytes.Buffer
		newApp(nil, &out, &stderr).warnLarge(c.size)
		if got := stderr.String(); (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%d bytes: %q, want %q", c.size, got, c.want)
		}
	}
}
