package config

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/password"
	"github.com/dig-network/digstore/internal/netguard"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/policy/scorer"
)

// placeholder is the text that the old servers had as password in their example.
const placeholder = "CHANGEME"

func (r *reader) warn(format string, args ...any) {
	r.c.Warnings = append(r.c.Warnings, fmt.Sprintf(format, args...))
}

// bad reports a value, with the place where it was set.
func (r *reader) bad(key, format string, args ...any) {
	place := ""
	for prefix := key; place == "" && prefix != ""; {
		place = r.c.origins[prefix].Name
		cut := strings.LastIndexAny(prefix, ".[")
		prefix = prefix[:max(cut, 0)]
	}
	r.fail(key, place, format, args...)
}

// check checks all values, in the order of the table.
func (r *reader) check() {
	for _, l := range r.c.leaves() {
		s, _ := find(l.key)
		if len(s.oneOf) > 0 && !slices.Contains(s.oneOf, l.v.String()) {
			r.bad(l.key, "expected %s (got %q)", strings.Join(present(s.oneOf), ", "), l.v.String())
		}
		if s.bounds != nil {
			r.bounded(l, s.bounds)
		}
	}
	r.checkNode()
	r.checkStorage()
	r.checkNetwork()
	r.checkValidation()
	r.checkPolicy()
	r.checkAuth()
	r.checkChain()
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Compare(a.line(), b.line())
	})
}

// line is the line of a place in a file, for the order of problems.
func (p Problem) line() int {
	n, _ := strconv.Atoi(p.Place[strings.LastIndexByte(p.Place, ':')+1:])
	return n
}

func present(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
}

// bounded checks a number, or each number of a list.
func (r *reader) bounded(l leaf, b *bounds) {
	var got []float64
	switch v := l.v.Interface().(type) {
	case int:
		got = []float64{float64(v)}
	case float64:
		got = []float64{v}
	case Duration:
		got = []float64{time.Duration(v).Seconds()}
	case Amount:
		got = []float64{float64(v) / 1000}
	case *Amount:
		if v != nil {
			got = []float64{float64(*v) / 1000}
		}
	case []int:
		for _, n := range v {
			got = append(got, float64(n))
		}
	}
	for _, n := range got {
		if n < b.least || n > b.most {
			r.bad(l.key, "expected %s to %s (got %s)", number(b.least), number(b.most), number(n))
		}
	}
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func (r *reader) checkNode() {
	id := &r.c.Node.ID
	switch _, err := auth.ParseNodeID(*id); {
	case *id == "" || err == nil:
	case strings.Contains(*id, "..."):
		r.warn("node.id: %q is a placeholder and is ignored; the id follows from the key", *id)
		*id = ""
	default:
		r.bad("node.id", "expected dig1 and 16 hex digits (got %q)", *id)
	}
}

func (r *reader) checkStorage() {
	s := &r.c.Storage
	if len(s.PlotsDir) == 0 {
		r.bad("storage.plots_dir", "expected a folder")
	}
	seen := map[string]bool{}
	for i, dir := range s.PlotsDir {
		key := "storage.plots_dir"
		if len(s.PlotsDir) > 1 {
			key = fmt.Sprintf("%s[%d]", key, i)
		}
		path := filepath.Clean(dir.Path)
		switch {
		case dir.Path == "":
			r.bad(key, "expected the path of a folder")
		case seen[path]:
			r.bad(key, "given twice (got %q)", dir.Path)
		case dir.Class != "" && dir.Class != "ssd" && dir.Class != "hdd":
			r.bad(key+".class", "expected ssd or hdd (got %q)", dir.Class)
		case s.CacheDir != "" && within(s.CacheDir, path):
			r.bad("storage.cache_dir", "expected a folder outside of storage.plots_dir (got %q)", s.CacheDir)
		}
		seen[path] = true
	}
	if p := s.Capacity; p.Bytes == 0 && (p.Percent <= 0 || p.Percent > 100) {
		r.bad("storage.capacity_bytes", "expected 1%% to 100%%, or a size (got %s)", p)
	}
	if s.ScrubInterval < Duration(time.Minute) {
		r.bad("storage.scrub_interval", "expected at least 1m (got %s)", s.ScrubInterval)
	}
}

// within reports whether a folder is another one, or lies in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func (r *reader) checkNetwork() {
	n := &r.c.Network
	r.listenAddress("network.listen_address", n.Listen)
	r.listenAddress("network.api_address", n.API)
	if ip := r.c.Monitoring.MetricsAddress; r.c.Monitoring.MetricsPort != 0 && !isIP(ip) {
		r.bad("monitoring.metrics_address", "expected an IP address (got %q)", ip)
	}
	for i, peer := range n.Bootstrap {
		r.peer(fmt.Sprintf("network.bootstrap_nodes[%d]", i), peer)
	}
	for i, peer := range n.StaticPeers {
		r.peer(fmt.Sprintf("network.static_peers[%d]", i), peer)
	}
	for i, text := range n.GunPeers {
		u, err := url.Parse(text)
		schemes := []string{"http", "https", "ws", "wss"}
		if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
			r.bad(fmt.Sprintf("network.gun_p2p_peers[%d]", i), "expected a URL with http, https, ws or wss "+
				"(got %q)", redact(text))
		}
	}
	for i, text := range n.TrustedProxies {
		if _, err := netip.ParsePrefix(text); err != nil && !isIP(text) {
			r.bad(fmt.Sprintf("network.trusted_proxies[%d]", i), "expected a network such as 10.0.0.0/8 "+
				"(got %q)", text)
		}
	}
	for i, text := range n.CORSAdminOrigins {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != text {
			r.bad(fmt.Sprintf("network.cors_admin_origins[%d]", i), "expected an origin such as "+
				"https://node.example (got %q)", text)
		}
	}
	if n.External != "" && !isHostPort(n.External) {
		r.bad("network.external_address", "expected HOST:PORT (got %q)", n.External)
	}
	if (n.TLS.Cert == "") != (n.TLS.Key == "") {
		r.bad("network.tls", "expected both cert_file and key_file, or none")
	}
	if len(n.ID) == 0 || len(n.ID) > 64 {
		r.bad("network.network_id", "expected 1 to 64 bytes (got %d)", len(n.ID))
	}
}

func (r *reader) listenAddress(key, address string) {
	if address == "" {
		return
	}
	host, port, err := net.SplitHostPort(address)
	n, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || host != "" && !isIP(host) && host != "localhost" {
		r.bad(key, "expected IP:PORT (got %q)", address)
	} else if n == 0 {
		r.warn("%s: port 0 is any free port", key)
	}
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && n > 0 && host != "" && !strings.ContainsAny(host, "@ \t/")
}

// peer checks HOST:PORT, NODE_ID@HOST:PORT and PUBLIC_KEY@HOST:PORT.
func (r *reader) peer(key, text string) {
	id, address, pinned := strings.Cut(text, "@")
	if !pinned {
		id, address = "", text
	}
	_, idErr := auth.ParseNodeID(id)
	public, keyErr := auth.ParseNodePublicKey(id)
	if keyErr == nil {
		keyErr = public.Check()
	}
	if !isHostPort(address) || pinned && idErr != nil && keyErr != nil {
		r.bad(key, "expected HOST:PORT, NODE_ID@HOST:PORT or PUBLIC_KEY@HOST:PORT (got %q)", text)
	}
}

func (r *reader) checkValidation() {
	for i, text := range r.c.Validation.TrustedValidators {
		k, err := auth.ParseNodePublicKey(text)
		if err == nil {
			err = k.Check()
		}
		if err != nil {
			r.bad(fmt.Sprintf("validation.trusted_validators[%d]", i), "%v", err)
		}
	}
	if v := r.c.Validation; v.WorkBits > v.MaxWorkBits {
		r.bad("validation.work_bits", "expected at most max_work_bits, %d (got %d)",
			v.MaxWorkBits, v.WorkBits)
	}
	prefer := r.c.Economic.TierPreference
	for i, tier := range prefer {
		if slices.Contains(prefer[:i], tier) {
			r.bad("economic.tier_preference", "tier %d is given twice", tier)
		}
	}
}

// checkPolicy has package policy check what is its own.
func (r *reader) checkPolicy() {
	s, err := r.c.Settings()
	if err != nil {
		return // a value that was refused where it was read
	}
	config, err := s.Resolve()
	for _, one := range flatten(err) {
		text := strings.TrimPrefix(one.Error(), policy.ErrSettings.Error()+": ")
		key, text, _ := strings.Cut(text, ": ")
		if key != "mode" { // reported with its key already
			r.bad("policy."+key, "%s", text)
		}
	}
	filter := config.Filter
	_, known := r.c.Policy.Scorers[filter]
	if filter != "" && filter != policy.HeuristicModel && !known {
		r.warn("policy.ai_filter: no scorer %q is configured; %s rates instead", filter,
			policy.HeuristicModel)
	}
	for name, one := range r.c.Policy.Scorers {
		r.scorer("policy.scorers."+name, one)
	}
	if r.c.Policy.ReviewInterval < Duration(time.Minute) {
		r.bad("policy.review_interval", "expected at least 1m (got %s)", r.c.Policy.ReviewInterval)
	}
}

// flatten returns the errors that errors.Join joined.
func flatten(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

func (r *reader) scorer(key string, s Scorer) {
	switch s.Kind {
	case "http":
		made, err := scorer.NewHTTP(s.URL, nil)
		if err != nil {
			r.bad(key+".url", "%v", err)
		} else {
			made.Close()
		}
	case "exec":
		if _, err := scorer.NewExec(s.Argv, nil); err != nil {
			r.bad(key+".argv", "%v", err)
		}
	default:
		r.bad(key+".kind", "expected http or exec (got %q)", s.Kind)
	}
	if s.Threshold < 0 || s.Threshold > 1 {
		r.bad(key+".threshold", "expected 0 to 1 (got %v)", s.Threshold)
	}
	switch s.OnError {
	case "", policy.UseHeuristic, policy.Reject, policy.Accept:
	default:
		r.bad(key+".on_error", "expected heuristic, reject or accept (got %q)", string(s.OnError))
	}
}

// userFrom adds the credential of the environment.
func (r *reader) userFrom(user, pass string) {
	switch {
	case user == "" && pass == "":
	case user == placeholder || pass == placeholder:
		r.warn("%s and %s: %s is a placeholder; the credential is not used", UsernameVar, PasswordVar,
			placeholder)
	case user == "" || pass == "":
		r.fail("", UsernameVar, "expected both %s and %s, or none", UsernameVar, PasswordVar)
	default:
		one := Credential{Username: user, Password: Secret(pass)}
		r.c.Auth.Credentials = append(r.c.Auth.Credentials, one)
	}
}

func (r *reader) checkAuth() {
	a := &r.c.Auth
	seen := map[string]bool{}
	kept := a.Credentials[:0:0]
	for i, one := range a.Credentials {
		key := fmt.Sprintf("auth.credentials[%d]", i)
		if one.Username == placeholder || one.PasswordHash == placeholder || one.Token == placeholder {
			r.warn("%s: %s is a placeholder; the credential is not used", key, placeholder)
			continue
		}
		if seen[one.Username] && one.Username != "" {
			r.bad(key+".username", "given twice (got %q)", one.Username)
		}
		seen[one.Username] = true
		r.credential(key, one)
		kept = append(kept, one)
	}
	a.Credentials = kept
	for i, one := range a.APIKeys {
		if n := len(one.Key); n == 0 || n > 128 {
			r.bad(fmt.Sprintf("auth.api_keys[%d].key", i), "expected 1 to 128 bytes (got %d)", n)
		}
		if one.Multiplier < 0 || one.Multiplier > 1e6 {
			r.bad(fmt.Sprintf("auth.api_keys[%d].multiplier", i), "expected 0 to 1000000 (got %v)",
				one.Multiplier)
		}
	}
	for i, one := range a.Admins {
		key := fmt.Sprintf("auth.admins[%d]", i)
		if one.Username == "" || strings.Contains(one.Username, ":") {
			r.bad(key+".username", "expected a name without a colon (got %q)", one.Username)
		}
		if _, err := password.Parse(string(one.PasswordHash)); err != nil {
			r.bad(key+".password_hash", "%v", err)
		}
	}
}

func (r *reader) credential(key string, one Credential) {
	switch {
	case one.Password != "":
	case (one.PasswordHash == "") == (one.Token == ""):
		r.bad(key, "expected password_hash or token_sha256")
	case one.PasswordHash != "":
		if _, err := password.Parse(string(one.PasswordHash)); err != nil {
			r.bad(key+".password_hash", "%v", err)
		}
	default:
		if sum, err := hex.DecodeString(string(one.Token)); err != nil || len(sum) != 32 {
			r.bad(key+".token_sha256", "expected 64 hex digits: the SHA-256 of a token")
		}
	}
	if one.Token == "" && (one.Username == "" || strings.Contains(one.Username, ":")) {
		r.bad(key+".username", "expected a name without a colon (got %q)", one.Username)
	}
	if _, err := (policy.Settings{Whitelist: one.Stores}).Resolve(); err != nil {
		_, text, _ := strings.Cut(err.Error(), "whitelist")
		r.bad(key+".stores", "%s", text)
	}
}

func (r *reader) checkChain() {
	c := r.c.Chain
	if c.Source != "rpc" && c.Source != "full_node" {
		return
	}
	u, err := url.Parse(c.URL)
	loopback := err == nil && (netguard.IsLoopback(u.Hostname()))
	good := err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback)
	if !good && !(c.Source == "full_node" && c.URL == "") {
		r.bad("chain.url", "expected an https URL (got %q)", redact(c.URL))
	}
}

// redact returns a URL without what may be secret in it.
func redact(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "a malformed URL"
	}
	return u.Redacted()
}

// IsProblems reports whether an error is about settings.
func IsProblems(err error) bool {
	var p Problems
	return errors.As(err, &p)
}
