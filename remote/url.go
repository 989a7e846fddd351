package remote

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/netguard"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// DefaultHost is the host of a dig:// locator that names none.
const DefaultHost = "rpc.dig.net"

// A URL is a locator: a store, an origin, or both (remote/PROTOCOL.md 2). Only the client uses it;
// requests go to its [URL.Endpoint]. Equal locators are equal values.
//
//	dig://<id>                        the store at DefaultHost
//	dig://<owner>@<id>                the same; the owner is only displayed
//	dig://[<owner>@]<host>[:port]/<id>          also /stores/<id>
//	dig://[<owner>@]<host>[:port]               an origin
//	https://<host>[:port][/stores/<id>]
//	https://<host>[:port]<prefix>/stores[/<id>]  a server that is mounted under a path
//	http://<host>[:port][/stores/<id>]           literally loopback hosts only; with a prefix as https
//
// A dig locator has no prefix: the host decides where it keeps the store.
type URL struct {
	Scheme string       // "dig", "https" or "http"
	Owner  string       // the part before the @; display only, never sent, never trusted
	Host   string       // lower case, with the port if one was given; "" in a dig URL: DefaultHost
	Prefix string       // path before /stores, as "/a/b"; "" for none, as in every dig URL
	Store  auth.StoreID // zero: the URL names an origin only
}

// ParseURL parses a locator. Scheme, host and ID may be in any case. The error matches [ErrBadURL],
// or [ErrInsecure] for http:// to a host that is not literally localhost, in 127.0.0.0/8 or [::1].
//
// It refuses any other scheme, path, query or fragment; a password or an empty owner; control
// characters, blanks, "%", "\" and letters outside ASCII (write such hosts in punycode); an empty
// port or one outside 1 to 65535; a host that ends in a number and is no IPv4 address; a host that
// is a store ID with a path; and a prefix with an empty part, "." or "..", or with characters other
// than letters, digits and "-._~", or of more than 255 bytes.
func ParseURL(s string) (URL, error) {
	bad := func(why string) (URL, error) {
		return URL{}, fmt.Errorf("%w: %q: %s", ErrBadURL, shown(s), why)
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '%' || c == '\\' {
			return bad(fmt.Sprintf("character %#02x at position %d is not allowed", c, i))
		}
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return bad("want dig://…, https://… or http://…")
	}
	u := URL{Scheme: strings.ToLower(scheme)}
	if strings.ContainsAny(rest, "?#") {
		return bad("a query or a fragment has no meaning here")
	}
	authority, tail, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		u.Owner, authority = authority[:at], authority[at+1:]
		switch {
		case u.Scheme != "dig":
			return bad("only a dig:// locator may name an owner")
		case u.Owner == "":
			return bad("the owner before the @ is empty")
		case strings.ContainsAny(u.Owner, "@:"):
			return bad("the owner may hold neither a password nor an @")
		}
	}
	if tail == "/" {
		return bad("the path is empty")
	}
	tail = strings.TrimSuffix(tail, "/")

	switch u.Scheme {
	case "dig":
		if id, err := auth.ParseStoreID(authority); err == nil {
			if tail != "" {
				return bad("the host is a store id, nothing may follow it")
			}
			u.Store = id
			break
		}
		tail = strings.TrimPrefix(tail, "stores/")
		fallthrough
	case "https", "http":
		host, err := parseHost(authority)
		if err != nil {
			return bad(err.Error())
		}
		u.Host = host
		if u.Scheme != "dig" && tail != "" {
			if u.Prefix, tail, err = cutPrefix("/" + tail); err != nil {
				return bad(err.Error())
			}
		}
		if tail != "" {
			if u.Store, err = auth.ParseStoreID(tail); err != nil {
				return bad("the path after the host must be a store id of 64 hex digits")
			}
		}
	default:
		return bad("want the scheme dig, https or http")
	}
	if u.Store.IsZero() && (tail != "" || u.Host == "") {
		return bad("the store id is all zeros")
	}
	if u.Scheme == "http" && !u.Loopback() {
		return URL{},
			fmt.Errorf("%w: %q: plain http is only for localhost, 127.0.0.0/8 and [::1]: use https or dig",
				ErrInsecure, shown(s))
	}
	return u, nil
}

// cutPrefix splits the path of an https locator into the part before /stores and the store ID.
func cutPrefix(path string) (prefix, id string, err error) {
	i := strings.LastIndex(path, "/stores/")
	if i < 0 {
		i = len(path) - len("/stores")
		if i <= 0 || path[i:] != "/stores" { // /stores alone is no form of an origin
			return "", "",
				fmt.Errorf("the path after the host must be /stores/<64 hex digits>, perhaps with a prefix")
		}
		id = ""
	} else {
		id = path[i+len("/stores/"):]
	}
	if prefix = path[:i]; prefix == "" {
		return "", id, nil
	}
	if len(prefix) > 255 {
		return "", "", fmt.Errorf("the prefix before /stores is longer than 255 characters")
	}
	for part := range strings.SplitSeq(prefix[1:], "/") {
		if part == "" || part == "." || part == ".." || strings.Trim(part, prefixChars) != "" {
			return "", "", fmt.Errorf("part %q of the prefix before /stores is not allowed", part)
		}
	}
	return prefix, id, nil
}

// prefixChars are the characters allowed in a prefix: those that HTTP software does not rewrite.
const prefixChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// parseHost checks host[:port] and returns it in lower case, with the port in its shortest form.
func parseHost(s string) (string, error) {
	host, port, hasPort := s, "", false
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", fmt.Errorf("a bracket is open")
		}
		ip, err := netip.ParseAddr(s[1:end])
		if err != nil || !ip.Is6() {
			return "", fmt.Errorf("%q is no IPv6 address", s[1:end])
		}
		host = "[" + ip.String() + "]"
		switch rest := s[end+1:]; {
		case rest == "":
		case rest[0] == ':':
			port, hasPort = rest[1:], true
		default:
			return "", fmt.Errorf("%q after the bracket is no port", rest)
		}
	} else {
		host, port, hasPort = strings.Cut(s, ":")
		host = strings.ToLower(host)
		if err := checkName(host); err != nil {
			return "", err
		}
	}
	if !hasPort {
		return host, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '+' {
		return "", fmt.Errorf("the port must be a number from 1 to 65535")
	}
	return host + ":" + strconv.FormatUint(n, 10), nil
}

// checkName checks that host has the form of a DNS name or an IPv4 address.
func checkName(host string) error {
	if host == "" {
		return fmt.Errorf("the host is empty")
	}
	if len(host) > 253 {
		return fmt.Errorf("the host is longer than 253 characters")
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return fmt.Errorf("each part of the host must have 1 to 63 characters")
		}
		for i := range len(l) {
			if c := l[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return fmt.Errorf("character %q is not allowed in a host", c)
			}
		}
	}
	if c := labels[len(labels)-1][0]; c >= '0' && c <= '9' {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is4() {
			return fmt.Errorf("a host that ends in a number must be an IPv4 address of four decimal parts")
		}
	}
	return nil
}

// String returns the locator in canonical form. [ParseURL] returns the same value for it.
func (u URL) String() string {
	s := u.Scheme + "://"
	if u.Owner != "" {
		s += u.Owner + "@"
	}
	switch {
	case u.Store.IsZero() && u.Prefix != "":
		return s + u.Host + u.Prefix + "/stores"
	case u.Store.IsZero():
		return s + u.Host
	case u.Scheme != "dig":
		return s + u.Host + u.Prefix + "/stores/" + u.Store.String()
	case u.Host == "":
		return s + u.Store.String()
	}
	return s + u.Host + "/" + u.Store.String()
}

// Canonical returns the result of [ParseURL] for u's text. The error is [ErrBadURL] when u was
// built by hand and is no valid locator.
func (u URL) Canonical() (URL, error) {
	c, err := ParseURL(u.String())
	if err == nil && c.Prefix != u.Prefix {
		return URL{}, fmt.Errorf("%w: the host %q has a path", ErrBadURL, shown(u.Host))
	}
	return c, err
}

// Origin returns scheme, host and prefix of the requests, without owner and store. The scheme is
// https for a dig locator.
func (u URL) Origin() string {
	scheme, host := u.Scheme, u.Host
	if scheme == "dig" {
		scheme = "https"
	}
	if host == "" {
		host = DefaultHost
	}
	return scheme + "://" + host + u.Prefix
}

// Endpoint returns the address of requests for the store, or the origin if u names no store.
func (u URL) Endpoint() string {
	if u.Store.IsZero() {
		return u.Origin()
	}
	return u.Origin() + "/stores/" + u.Store.String()
}

// WithStore returns u with the store s. The error is [ErrBadURL] when u names another store: the
// locator must name the local store that is pushed or pulled (remote/PROTOCOL.md 2.2).
func (u URL) WithStore(s auth.StoreID) (URL, error) {
	if !u.Store.IsZero() && u.Store != s {
		return URL{}, fmt.Errorf("%w: %s names another store than the local one, %s", ErrBadURL, u, s)
	}
	u.Store = s
	return u, nil
}

// Loopback reports whether the host is literally loopback: localhost, 127.0.0.0/8 or [::1]. It is
// false for other names that resolve to such an address.
func (u URL) Loopback() bool { return netguard.IsLoopback(u.Hostname()) }

// Hostname returns the host without port and brackets, or [DefaultHost] if u has none.
func (u URL) Hostname() string {
	host := u.Host
	if host == "" {
		return DefaultHost
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}

// Hub reports whether the host belongs to dig.net, where a wallet publishes (remote/PROTOCOL.md
// 9.8).
func (u URL) Hub() bool {
	host := u.Hostname()
	return host == "dig.net" || strings.HasSuffix(host, ".dig.net")
}

// A Resolver returns the origins for a locator, best first, as URLs with the scheme https, or http
// on loopback. discovery.Resolver looks for a local node.
type Resolver interface {
	Resolve(ctx context.Context, u URL) ([]URL, error)
}

// AtOrigin returns u with the scheme and host of its requests: https for dig, [DefaultHost] for a
// URL without a host. The result has no Owner.
func (u URL) AtOrigin() URL {
	if u.Scheme == "dig" {
		u.Scheme = "https"
	}
	if u.Host == "" {
		u.Host = DefaultHost
	}
	u.Owner = ""
	return u
}

// shown returns a locator for errors: without the part before an @, which may hold a password.
func shown(s string) string {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		from := 0
		if i := strings.Index(s[:at], "://"); i >= 0 {
			from = i + len("://")
		}
		s = s[:from] + "…" + s[at:]
	}
	return wire.Clip(s, 200)
}
