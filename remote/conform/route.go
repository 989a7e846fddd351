package conform

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// routeChecks are the checks of paths, methods and the connection.
func routeChecks() []check {
	return []check{
		{"route/tls", "§2.3", Must, routeTLS},
		{"route/clock", "§3.4", Should, routeClock},
		{"route/bad-id", "§3.4", Must, routeBadID},
		{"route/upper-case-id", "§1.1", Must, routeUpperCaseID},
		{"route/unknown-path", "§3.2", Must, routeUnknownPath},
		{"route/unknown-method", "§3.2", Must, routeUnknownMethod},
		{"route/no-redirect", "§4.2", Must, routeNoRedirect},
		{"route/no-compression", "§5.3", Must, routeNoCompression},
	}
}

func routeTLS(ctx context.Context, s *session) error {
	if strings.HasPrefix(s.origin, "http://") {
		return skip("plain HTTP, as on loopback")
	}
	a, err := s.send(ctx, probe{})
	if err != nil {
		return err
	}
	if a.tls == nil || a.tls.Version < 0x0303 {
		return found("TLS 1.2 or newer", "%+v", a.tls)
	}
	return nil
}

func routeClock(ctx context.Context, s *session) error {
	skew, err := s.skew(ctx)
	if err != nil {
		return err
	}
	if skew.Abs() > time.Minute {
		return found("a Date within a minute of ours", "one %v off", skew)
	}
	return nil
}

func routeBadID(ctx context.Context, s *session) error {
	id := s.store.String()
	for _, id := range []string{"x", id[:62], id + "00", strings.Repeat("g", 64)} {
		if err := s.refused(ctx, probe{path: "/stores/" + id}, http.StatusBadRequest); err != nil {
			return err
		}
	}
	return nil
}

func routeUpperCaseID(ctx context.Context, s *session) error {
	if _, err := s.head(ctx); err != nil {
		return err
	}
	return s.refused(ctx, probe{path: "/stores/" + strings.ToUpper(s.store.String()), op: "fetch"},
		http.StatusOK)
}

func routeUnknownPath(ctx context.Context, s *session) error {
	for _, tail := range []string{"/nowhere", "/module/nowhere"} {
		err := s.refused(ctx, probe{tail: tail}, http.StatusNotFound, http.StatusMethodNotAllowed)
		if err != nil {
			return err
		}
	}
	return nil
}

func routeUnknownMethod(ctx context.Context, s *session) error {
	for _, p := range []probe{
		{method: "DELETE"},
		{method: "PATCH", tail: "/module"},
		{method: "PUT", tail: "/roots"},
	} {
		if err := s.refused(ctx, p, http.StatusNotFound, http.StatusMethodNotAllowed); err != nil {
			return err
		}
	}
	return nil
}

func routeNoRedirect(ctx context.Context, s *session) error {
	id := s.store.String()
	for _, path := range []string{
		"/stores/" + id + "/",
		"/stores/" + id + "/roots/",
		"/stores//" + id,
		"/stores/" + id + "//roots",
		"/stores/" + id + "/../" + id,
	} {
		a, err := s.send(ctx, probe{path: path})
		if err != nil {
			return err
		}
		if a.status/100 == 3 || a.status/100 == 2 {
			return found("a refusal of "+route(path), "%s to %q", a, a.header.Get("Location"))
		}
	}
	return nil
}

func routeNoCompression(ctx context.Context, s *session) error {
	head, err := s.head(ctx)
	if err != nil {
		return err
	}
	for _, p := range []probe{{}, {tail: "/roots", most: 64 << 20}, moduleProbe(head)} {
		a, err := s.send(ctx, p.with("Accept-Encoding", "gzip, deflate, br, zstd"))
		if err != nil {
			return err
		}
		if enc := a.header.Get("Content-Encoding"); enc != "" && enc != "identity" {
			return found("no Content-Encoding from "+route("/stores/"+s.store.String()+p.tail), "%q", enc)
		}
	}
	return nil
}

// skew returns how far the origin's clock is ahead of the local one, by its Date header.
func (s *session) skew(ctx context.Context) (time.Duration, error) {
	a, err := s.send(ctx, probe{})
	if err != nil {
		return 0, err
	}
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return 0, found("a Date header", "%q", a.header.Get("Date"))
	}
	return date.Sub(s.opt.Now().Truncate(time.Second)), nil
}

// inStep skips a check if the clocks differ by more than 5 seconds.
func (s *session) inStep(ctx context.Context) error {
	skew, err := s.skew(ctx)
	if err != nil || skew.Abs() > 5*time.Second {
		return skip("it needs clocks that agree; the origin's is %v off (route/clock)", skew)
	}
	return nil
}

// sameHeaders compares the answers to GET and HEAD.
func sameHeaders(get, head *answer, names ...string) error {
	if get.status != head.status {
		return found("the status of GET, "+strconv.Itoa(get.status), "%s", head)
	}
	if head.size > 0 {
		return found("no body", "%d bytes", head.size)
	}
	for _, name := range names {
		if g, h := get.header.Get(name), head.header.Get(name); g != h {
			return found(fmt.Sprintf("%s as with GET: %q", name, g), "%q", h)
		}
	}
	return nil
}
