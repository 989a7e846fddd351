package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/examples/dig-node/internal/keyfile"
)

// maxAnswer is the size in bytes of the longest answer of a node.
const maxAnswer = 16 << 20

// remote is the API of the node that runs here, with its token.
type remote struct {
	base  string
	token keyfile.Token
	http  *http.Client
}

// remote returns the API of the node of the configuration.
func (a *app) remote(c *config.Config) (*remote, error) {
	token, err := keyfile.ReadToken(c.Node.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &hinted{err, "start the node, or name its folder with --data DIR"}
	}
	if err != nil {
		return nil, err
	}
	base, err := localURL(c.Network.API, c.Network.TLS.Cert != "")
	if err != nil {
		return nil, err
	}
	return &remote{base, token, localClient()}, nil
}

// localURL returns the URL of a listener of this machine. For an unspecified address it returns
// loopback.
func localURL(address string, secure bool) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", usage("set network.api_address", "the node has no API: %q", address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}
	if secure {
		u.Scheme = "https"
	}
	return u.String(), nil
}

// localClient returns a client that uses no proxy and follows no redirect.
func localClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// refusal is an error response of the node.
type refusal struct {
	Status int
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Title  string `json:"title"`
}

func (e *refusal) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	return strings.TrimSpace(fmt.Sprintf("the node answers %d %s: %s", e.Status, e.Code, text))
}

// do sends a request, and decodes the answer into to, unless that is nil.
func (r *remote) do(ctx context.Context, method, path string, body, to any) error {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, sent)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+r.token.Text())
	res, err := r.http.Do(req)
	if err != nil {
		return notRunning(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return notRunning(err)
	}
	if res.StatusCode >= 300 {
		e := &refusal{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}
		_ = json.Unmarshal(text, e) // not every refusal has a body
		return e
	}
	if to == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, to)
}

// notRunning is the error of a node that does not answer.
func notRunning(err error) error {
	return &checkFailed{fmt.Sprintf("ask the node: %v", err), "start it with: dig-node run"}
}

// jobPause is the time between two requests for the state of a job.
const jobPause = 200 * time.Millisecond

// job is work that the node does in the background.
type job struct {
	ID       string          `json:"id"`
	State    string          `json:"state"`
	Progress float64         `json:"progress"`
	Result   json.RawMessage `json:"result"`
	Error    json.RawMessage `json:"error"`
}

// await starts a job and waits for its end.
func (r *remote) await(ctx context.Context, path string) (json.RawMessage, error) {
	var j job
	if err := r.do(ctx, http.MethodPost, path, nil, &j); err != nil {
		return nil, err
	}
	for j.State != "done" {
		if j.State == "failed" || j.State == "cancelled" {
			e := &refusal{Status: http.StatusInternalServerError, Title: j.State}
			_ = json.Unmarshal(j.Error, e)
			return nil, e
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(jobPause):
		}
		if err := r.do(ctx, http.MethodGet, "/admin/jobs/"+url.PathEscape(j.ID), nil, &j); err != nil {
			return nil, err
		}
	}
	return j.Result, nil
}

// storeID reads the id of a datastore, or the end of a locator.
func storeID(text string) (auth.StoreID, error) {
	digits := strings.TrimPrefix(text, "0x")
	if i := strings.LastIndexByte(text, '/'); i >= 0 {
		digits = text[i+1:]
	}
	if b, err := hex.DecodeString(digits); err != nil || len(b) != len(auth.StoreID{}) {
		return auth.StoreID{}, usage("a store id has 64 hex digits",
			"expected the id of a store (got %q)", text)
	}
	return auth.ParseStoreID(digits)
}
