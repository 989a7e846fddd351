package conform

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/dig-network/digstore/auth/request"
)

// errorChecks are the checks of refusals: of those that all other checks have recorded, and of some
// more requests.
func errorChecks() []check {
	return []check{
		{"errors/no-reflection", "§4.2", Should, reflection},
		{"errors/form", "§4.2", Should, errorsForm},
		{"errors/texts", "§4.2", Should, errorsTexts},
		{"errors/in-json", "§4.2", Extension, errorsInJSON},
		{"errors/nosniff", "§4.2", Extension, errorsNosniff},
		{"errors/internal", "§4.2", Must, errorsInternal},
		{"limits/body", "§4.4", Should, limitsBody},
		{"limits/headers", "§4.4", Should, limitsHeaders},
	}
}

func errorsForm(ctx context.Context, s *session) error {
	for _, r := range s.refusals {
		if strings.HasPrefix(r.what, "HEAD ") || !strings.Contains(r.what, "{id}") || r.text == "" {
			continue
		}
		kind, _, _ := strings.Cut(r.kind, ";")
		if kind != "text/plain" && kind != "application/json" {
			return found("refusals in text/plain or application/json", "%q from %s, status %d", r.kind,
				r.what, r.status)
		}
		var b struct{ Error, Message string }
		if kind == "application/json" &&
			(json.Unmarshal([]byte(r.text), &b) != nil || b.Error+b.Message == "") {
			return found("refusals in JSON with error or message", "%q from %s, status %d", r.text, r.what,
				r.status)
		}
	}
	return nil
}

func errorsTexts(ctx context.Context, s *session) error {
	for _, r := range s.refusals {
		if strings.HasPrefix(r.what, "HEAD ") || !strings.Contains(r.what, "{id}") ||
			!strings.HasPrefix(r.kind, "text/plain") {
			continue
		}
		if want := wording(r.status); want != "" && !strings.HasPrefix(r.text, want) &&
			!(r.status == 401 && r.text == "missing bearer token") {
			return found(want+"…", "%q from %s, status %d", r.text, r.what, r.status)
		}
	}
	return nil
}

func errorsInJSON(ctx context.Context, s *session) error {
	a, err := s.expect(ctx, probe{store: nowhere()}.with("Accept", "application/json"),
		http.StatusNotFound)
	if err != nil {
		return skip("no refusal came: %v", err)
	}
	var b struct{ Error, Message string }
	if json.Unmarshal(a.body, &b) != nil || b.Error+b.Message == "" {
		return as("the reference answers plain text (§4.2)",
			found("JSON with error and message for who prefers it", "%s", a))
	}
	return nil
}

func errorsNosniff(ctx context.Context, s *session) error {
	for _, r := range s.refusals {
		if strings.Contains(r.what, "{id}") && !r.sniff {
			return found("X-Content-Type-Options: nosniff", "none from %s, status %d", r.what, r.status)
		}
	}
	return nil
}

func errorsInternal(ctx context.Context, s *session) error {
	for _, r := range s.refusals {
		if r.status >= 500 && r.status != http.StatusServiceUnavailable &&
			r.status != http.StatusNotImplemented {
			return found("no failure of the server in this run", "status %d from %s", r.status, r.what)
		}
	}
	return nil
}

func limitsBody(ctx context.Context, s *session) error {
	a, err := s.send(ctx, probe{tail: "/content"}.asText(`{"x":"`+strings.Repeat("x", 2<<20)+`"}`))
	if err != nil {
		return nil // closing the connection is a refusal too
	}
	return a.is(http.StatusRequestEntityTooLarge)
}

func limitsHeaders(ctx context.Context, s *session) error {
	a, err := s.send(ctx, probe{}.with("X-Conform", strings.Repeat("x", 1200<<10)))
	if err != nil {
		return nil // as above
	}
	if a.status/100 != 4 {
		return found("a refusal of 1.2 MiB of headers", "%s", a)
	}
	return nil
}

// wording returns the beginning of the text of a status; "" if it depends on the route.
func wording(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "bad request: "
	case http.StatusUnauthorized:
		return "request authentication failed: "
	case http.StatusForbidden:
		return "push not authorized: "
	case http.StatusConflict:
		return "non-fast-forward push"
	case http.StatusUnprocessableEntity:
		return "module failed validation: "
	case http.StatusTooManyRequests:
		return "rate limited"
	}
	return ""
}

// reflection checks that answers do not repeat what was sent.
func reflection(ctx context.Context, s *session) error {
	mark := "cAnArY" + random().String()[:12]
	header := func(name string) probe {
		return probe{edit: func(r *http.Request) error { r.Header.Set(name, mark); return nil }}
	}
	for _, p := range []probe{
		{path: "/stores/" + mark}, {tail: "/" + mark}, {tail: "/module", query: "root=" + mark}, {tail: "/delta", query: "from=" + mark + "&to=" + mark},
		header(request.HeaderIdentity), header(request.HeaderTimestamp), header(request.HeaderNonce), header(request.HeaderAuth),
		probe{tail: "/content"}.asJSON(map[string]string{"retrieval_key": mark, "root": mark}),
		probe{tail: "/content"}.asText(mark),
		probe{tail: "/tombstone"}.asJSON(map[string]string{"record": mark, "signature": mark}),
	} {
		p.peek = true
		a, err := s.send(ctx, p)
		if err != nil {
			return err
		}
		text := string(a.body)
		for name, values := range a.header {
			text += name + strings.Join(values, "")
		}
		if strings.Contains(strings.ToLower(text), strings.ToLower(mark)) {
			return found("nothing of what was sent", "%.200q", text)
		}
	}
	return nil
}
