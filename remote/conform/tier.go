package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/dig-network/digstore/remote/rpc"
)

const knownNode = "a version of the reference's node does so (§10.3)"

// A callReply is the reply to one call.
type callReply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result"`
	Err     *rpc.Error      `json:"error"`
}

// post sends a body to the JSON-RPC tier.
func (s *session) post(ctx context.Context, body string) (*answer, error) {
	p := probe{path: "/"}.asText(body)
	p.most = 64 << 20
	return s.send(ctx, p)
}

// call makes one call. It fails if the answer is not a reply to it.
func (s *session) call(ctx context.Context, method string, params any) (callReply, error) {
	text, err := json.Marshal(params)
	if err != nil {
		return callReply{}, err
	}
	a, err := s.post(ctx, fmt.Sprintf(`{"jsonrpc":"2.0","id":"conform","method":"%s","params":%s}`, method, text))
	if err != nil {
		return callReply{}, err
	}
	return a.reply(`"conform"`)
}

// reply parses the reply to one call with that id.
func (a *answer) reply(id string) (r callReply, err error) {
	if err := a.is(http.StatusOK); err != nil {
		return r, err
	}
	if err := a.decode(&r); err != nil {
		return r, err
	}
	if r.Version != "2.0" || string(r.ID) != id || (r.Err == nil) == (r.Result == nil) {
		return r, found(`"jsonrpc":"2.0", id `+id+` and one of result and error`, "%.120q", a.body)
	}
	return r, nil
}

// code checks that a reply is an error with a code.
func (r callReply) code(want int) error {
	if r.Err == nil {
		return found(fmt.Sprintf("error %d", want), "result %.80s", r.Result)
	}
	if r.Err.Code != want {
		return found(fmt.Sprintf("error %d", want), "error %d %q", r.Err.Code, r.Err.Message)
	}
	return nil
}

// refusedCall makes a call that must be answered by an error.
func (s *session) refusedCall(ctx context.Context, method string, params any, code int) error {
	r, err := s.call(ctx, method, params)
	if err != nil {
		return err
	}
	return r.code(code)
}

// ask calls a method that the origin lists, and parses its result to v.
func (s *session) ask(ctx context.Context, method string, params, v any) error {
	if err := s.lists(ctx, method); err != nil {
		return err
	}
	r, err := s.call(ctx, method, params)
	if err != nil {
		return err
	}
	if r.Err != nil {
		return found("a result of "+method, "error %d %q", r.Err.Code, r.Err.Message)
	}
	if err := json.Unmarshal(r.Result, v); err != nil {
		return found("a result of the shape of "+method, "%v: %.80q", err, r.Result)
	}
	return nil
}

// methods returns the methods of the JSON-RPC tier. If there is no tier, the error is a *skipped.
func (s *session) methods(ctx context.Context) ([]string, error) {
	return s.tier.get(func() ([]string, error) {
		a, err := s.post(ctx, `{"jsonrpc":"2.0","id":"conform","method":"dig.methods"}`)
		if err != nil {
			return nil, skip("there is no JSON-RPC tier: %v", err)
		}
		var r callReply
		var list rpc.MethodList
		if a.status != http.StatusOK || json.Unmarshal(a.body, &r) != nil ||
			json.Unmarshal(r.Result, &list) != nil || len(list.Methods) == 0 {
			return nil, skip("there is no JSON-RPC tier: POST / is answered %.60s", excerpt(a.String()))
		}
		return list.Methods, nil
	})
}

// lists skips a check if the origin does not list a method.
func (s *session) lists(ctx context.Context, method string) error {
	list, err := s.methods(ctx)
	if err == nil && !slices.Contains(list, method) {
		err = skip("the origin does not list %s", method)
	}
	return err
}

// tierCheck is a check of an origin that has the tier.
func tierCheck(name, spec string, level Level,
	run func(ctx context.Context, s *session) error) check {
	return check{name, spec, level, func(ctx context.Context, s *session) error {
		if _, err := s.methods(ctx); err != nil {
			return err
		}
		return run(ctx, s)
	}}
}

const health = `{"jsonrpc":"2.0","id":"conform","method":"dig.health"}`

// rpcChecks are the checks of JSON-RPC itself, and of the methods that describe the tier.
func rpcChecks() []check {
	list := []check{
		tierCheck("rpc/envelope", "§10.1", Must, rpcEnvelope),
		tierCheck("rpc/parse-error", "§10.1", Must, rpcParseError),
		tierCheck("rpc/invalid-request", "§10.5", Must, rpcInvalidRequest),
		tierCheck("rpc/empty-batch", "§10.5", Must, rpcEmptyBatch),
		tierCheck("rpc/batch", "§10.1", Must, rpcBatch),
		tierCheck("rpc/batch-limit", "§10.1", Extension, rpcBatchLimit),
		tierCheck("rpc/notification", "§10.1", Must, rpcNotification),
		tierCheck("rpc/unknown-method", "§10.5", Must, rpcUnknownMethod),
		tierCheck("rpc/methods", "§10.2", Must, rpcMethods),
		tierCheck("rpc/health", "§10.2", Must, rpcHealth),
		tierCheck("rpc/params", "§10.5", Must, rpcParams),
		tierCheck("rpc/unknown-store", "§10.5", Must, rpcUnknownStore),
		tierCheck("rpc/unknown-root", "§10.5", Must, rpcUnknownRoot),
		tierCheck("rpc/cors", "§10.1", Must, rpcCors),
		tierCheck("rpc/preflight", "§10.1", Must, rpcPreflight),
		tierCheck("rpc/page-headers", "§10.1", Should, rpcPageHeaders),
		tierCheck("rpc/body-limit", "§10.1", Extension, rpcBodyLimit),
		tierCheck("rpc/openrpc", "OpenRPC 1.3, service discovery", Extension, rpcOpenrpc),
	}
	return list
}

func rpcEnvelope(ctx context.Context, s *session) error {
	for _, id := range []string{"7", `"conform"`, "null"} {
		a, err := s.post(ctx, strings.Replace(health, `"conform"`, id, 1))
		if err != nil {
			return err
		}
		if r, err := a.reply(id); err != nil || r.Err != nil {
			return found("a result under id "+id, "%v, %.80q", err, a.body)
		}
	}
	return nil
}

func rpcParseError(ctx context.Context, s *session) error { return s.badBody(ctx, "{", -32700) }

func rpcInvalidRequest(ctx context.Context, s *session) error {
	for _, body := range []string{"1", "{}", `{"jsonrpc":"2.0","method":7}`} {
		if err := s.badBody(ctx, body, -32600); err != nil {
			return err
		}
	}
	return nil
}

func rpcEmptyBatch(ctx context.Context, s *session) error { return s.badBody(ctx, "[]", -32600) }

func rpcBatch(ctx context.Context, s *session) error {
	first := strings.Replace(health, `"conform"`, "1", 1)
	second := strings.Replace(health, `"conform"`, "2", 1)
	note := `{"jsonrpc":"2.0","method":"dig.health"}`
	a, err := s.post(ctx, "["+first+",7,"+note+","+second+"]")
	if err != nil {
		return err
	}
	var all []callReply
	if err := a.decode(&all); err != nil {
		return err
	}
	ids := map[string]bool{}
	for _, r := range all {
		ids[string(r.ID)] = r.Err == nil
	}
	if len(all) != 3 || !ids["1"] || !ids["2"] || ids["null"] {
		return found("two results and an error under id null", "%.120q", a.body)
	}
	return nil
}

func rpcBatchLimit(ctx context.Context, s *session) error {
	a, err := s.post(ctx, "["+strings.TrimSuffix(strings.Repeat(health+",", 1000), ",")+"]")
	if err != nil {
		return err
	}
	if a.status == http.StatusOK && bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("[")) {
		return found("a refusal of a batch of 1000", "%d bytes of answers", a.size)
	}
	return nil
}

func rpcNotification(ctx context.Context, s *session) error {
	a, err := s.post(ctx, `{"jsonrpc":"2.0","method":"dig.health"}`)
	if err != nil {
		return err
	}
	if a.status/100 != 2 || len(bytes.TrimSpace(a.body)) > 0 {
		return found("no reply", "%s, %.80q", a, a.body)
	}
	return nil
}

func rpcUnknownMethod(ctx context.Context, s *session) error {
	return s.refusedCall(ctx, "dig.conform", map[string]any{}, rpc.CodeNoMethod)
}

func rpcMethods(ctx context.Context, s *session) error {
	list, _ := s.methods(ctx)
	for _, name := range list {
		r, err := s.call(ctx, name, map[string]any{})
		if err != nil {
			return err
		}
		if r.Err != nil && r.Err.Code == rpc.CodeNoMethod {
			return found("every method that is listed", "no %s", name)
		}
	}
	for _, name := range []string{"dig.getContent", "dig.getCapsule", "dig.methods"} {
		if !slices.Contains(list, name) {
			return found("dig.getContent, dig.getCapsule and dig.methods in the list", "no %s", name)
		}
	}
	return nil
}

func rpcHealth(ctx context.Context, s *session) error {
	var h struct {
		OK      bool    `json:"ok"`
		Service string  `json:"service"`
		Status  *string `json:"status"`
	}
	if err := s.ask(ctx, "dig.health", map[string]any{}, &h); err != nil {
		return err
	}
	if (!h.OK || h.Service != "dig-rpc") && (h.Status == nil || *h.Status != "ok") {
		return found(`"ok":true,"service":"dig-rpc", or "status":"ok"`, "%+v", h)
	}
	return nil
}

func rpcParams(ctx context.Context, s *session) error {
	for _, params := range []any{
		map[string]any{},
		map[string]any{"store_id": "x", "retrieval_key": random()},
		map[string]any{"store_id": s.store, "retrieval_key": random(), "root": "x"},
		[]string{"x"},
	} {
		if err := s.refusedCall(ctx, "dig.getContent", params, rpc.CodeParams); err != nil {
			return err
		}
	}
	return nil
}

func rpcUnknownStore(ctx context.Context, s *session) error {
	for _, method := range []string{"dig.getContent", "dig.getCapsule"} {
		params := map[string]any{"store_id": nowhere(), "root": random(), "retrieval_key": random()}
		if err := s.refusedCall(ctx, method, params, rpc.CodeUnavailable); err != nil {
			return err
		}
	}
	return nil
}

func rpcUnknownRoot(ctx context.Context, s *session) error {
	for _, method := range []string{"dig.getContent", "dig.getCapsule"} {
		params := map[string]any{"store_id": s.store, "root": random(), "retrieval_key": random()}
		if err := s.refusedCall(ctx, method, params, rpc.CodeUnavailable); err != nil {
			return err
		}
	}
	return nil
}

func rpcCors(ctx context.Context, s *session) error {
	a, err := s.post(ctx, health)
	if err != nil {
		return err
	}
	return cors(a)
}

func rpcPreflight(ctx context.Context, s *session) error {
	p := probe{method: http.MethodOptions, path: "/"}.with("Origin", "https://example.org")
	a, err := s.expect(ctx, p.with("Access-Control-Request-Method", "POST"), http.StatusNoContent)
	if err != nil {
		return err
	}
	return cors(a)
}

func rpcPageHeaders(ctx context.Context, s *session) error {
	a, err := s.post(ctx, health)
	if err != nil {
		return err
	}
	if a.header.Get("X-Content-Type-Options") != "nosniff" ||
		a.header.Get("Content-Security-Policy") == "" {
		return found("nosniff and a Content-Security-Policy", "%q and %q",
			a.header.Get("X-Content-Type-Options"), a.header.Get("Content-Security-Policy"))
	}
	return nil
}

func rpcBodyLimit(ctx context.Context, s *session) error {
	a, err := s.post(ctx, `{"x":"`+strings.Repeat("x", 1<<20)+`"}`)
	if err != nil {
		return nil // closing the connection is a refusal too
	}
	return a.is(http.StatusRequestEntityTooLarge)
}

func rpcOpenrpc(ctx context.Context, s *session) error {
	var doc struct {
		Version string `json:"openrpc"`
		Methods []struct {
			Name string `json:"name"`
		} `json:"methods"`
	}
	if err := s.ask(ctx, "rpc.discover", map[string]any{}, &doc); err != nil {
		return err
	}
	var described []string
	for _, m := range doc.Methods {
		described = append(described, m.Name)
	}
	list, _ := s.methods(ctx)
	described, list = slices.Sorted(slices.Values(described)), slices.Sorted(slices.Values(list))
	if doc.Version == "" || !slices.Equal(described, list) {
		return found("a description of what dig.methods lists", "one of %v", described)
	}
	return nil
}

// badBody sends a body that is not a request. The reply must be an error with id null.
func (s *session) badBody(ctx context.Context, body string, code int) error {
	a, err := s.post(ctx, body)
	if err != nil {
		return err
	}
	r, err := a.reply("null")
	if err != nil {
		return err
	}
	return r.code(code)
}

// cors checks the CORS headers of an answer.
func cors(a *answer) error {
	for name, value := range map[string]string{"Access-Control-Allow-Origin": "*",
		"Access-Control-Allow-Credentials": ""} {
		if got := a.header.Get(name); got != value {
			return found(fmt.Sprintf("%s %q", name, value), "%q", got)
		}
	}
	if !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") ||
		!strings.Contains(strings.ToLower(a.header.Get("Access-Control-Allow-Headers")), "content-type") {
		return found("POST and content-type allowed", "%q and %q",
			a.header.Get("Access-Control-Allow-Methods"), a.header.Get("Access-Control-Allow-Headers"))
	}
	return nil
}
