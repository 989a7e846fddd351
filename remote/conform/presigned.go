package conform

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/dig-network/digstore/remote"
)

// pushPresigned pushes through the URL in the answer to push-init (remote/PROTOCOL.md 6.6). The URL
// is a secret, so findings name its host only.
func pushPresigned(ctx context.Context, s *session) error {
	g, parent, err := s.next(ctx)
	if err != nil {
		return err
	}
	a, err := s.init(ctx, g, parent)
	if err != nil {
		return err
	}
	if a.Mode != "presigned" {
		return skip("modules come in line here")
	}
	target, err := url.Parse(a.URL)
	if err != nil || target.Host == "" {
		return found("an address to upload to", "none that parses")
	}
	if target.Scheme+"://"+target.Host+s.prefix != s.origin {
		guard := new(remote.DialGuard)
		ip, err := netip.ParseAddr(target.Hostname())
		switch {
		case target.Scheme != "https":
			return found("an https address, or one of the origin itself", "%s://%s",
				target.Scheme, target.Host)
		case err == nil && guard.Check(ip) != nil, guard.CheckName(target.Hostname()) != nil:
			return found("an address at a public host, or at the origin itself", "%s", target.Host)
		}
	}
	r := (&http.Request{Method: http.MethodPut, URL: target, Host: target.Host,
		Header:        http.Header{"User-Agent": {s.opt.UserAgent}},
		ContentLength: int64(len(g.body)), Body: io.NopCloser(bytes.NewReader(g.body))}).WithContext(ctx)
	resp, err := s.http.RoundTrip(r)
	if err != nil {
		return found("an upload that is taken", "no answer from %s", target.Host)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return found("an upload that is taken", "status %d from %s", resp.StatusCode, target.Host)
	}
	if a.Upload == "" {
		a.Upload = g.head.Root.String()
	}
	p := probe{tail: "/module/complete",
		store: s.opt.Write.Store}.asJSON(map[string]string{"upload_id": a.Upload,
		"new_root": g.head.Root.String()})
	if _, err := s.push(ctx, s.signatures(p, g.head).with(headerMode, "advance"), g); err != nil {
		return err
	}
	return s.serves(ctx, g)
}
