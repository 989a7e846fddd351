package conform_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

func chosen(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name)
		return ok
	})
}

// options returns the options of the spoiled server.
func (sp spoil) options() *server.Options {
	if sp.check == "module/too-large" {
		return &server.Options{MaxInlineModule: 1 << 10}
	}
	o := &server.Options{Policy: server.RejectUnknown{},
		Credential: server.Credentials{"push": "t0ken"}.Check}
	if sp.check == "push/presigned" {
		o.Objects = newShelf()
	}
	return o
}

// lines changes the history.
func lines(change func(lines []any) []any) func(*reply) {
	return edits("GET", "/roots", func(m map[string]any) {
		if list, ok := m["roots"].([]any); ok {
			m["roots"] = change(list)
		}
	})
}

// eachLine changes the lines one by one.
func eachLine(change func(i int, m map[string]any)) func(*reply) {
	return lines(func(list []any) []any {
		for i := range list {
			change(i, list[i].(map[string]any))
		}
		return list
	})
}

// more adds a line whose root does not exist.
func more(list []any) []any {
	return append(list, map[string]any{"generation": len(list), "root": merkle.Hash{7}.String(),
		"timestamp": time.Now().Unix()})
}

// ofHead reports whether a request is a plain one for the head's module.
func ofHead(w *world, a *reply) bool {
	return a.tail() == "/module" && a.status == 200 &&
		a.URL.RawQuery == "root="+w.heads[2].Root.String() &&
		a.Header.Get("Range") == "" && a.Header.Get("If-None-Match") == ""
}

// decoy computes the reference's decoy (remote/PROTOCOL.md 8.4).
func decoy(sent string) []byte {
	var b struct {
		Key merkle.Hash `json:"retrieval_key"`
	}
	json.Unmarshal([]byte(sent), &b)
	var out []byte
	for i := uint32(0); len(out) < 256<<(b.Key[0]%8); i++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint32(b.Key[:], i))
		out = append(out, sum[:]...)
	}
	return out
}

// spoils returns faults, one for each check.
func spoils(w *world) []spoil {
	var list []spoil
	during := func(check string, change func(a *reply)) {
		list = append(list, spoil{check: check, change: change})
	}
	always := func(check string, change func(a *reply)) {
		list = append(list, spoil{check, true, change})
	}
	each := func(change func(a *reply), checks ...string) {
		for _, c := range checks {
			during(c, change)
		}
	}

	// Requests that must be refused but are accepted.
	each(accepted, "route/bad-id", "route/unknown-path", "route/unknown-method",
		"auth/missing-identity", "auth/missing-timestamp", "auth/missing-nonce", "auth/missing-signature",
		"auth/malformed-identity", "auth/infinity", "auth/malformed-timestamp", "auth/plus-timestamp",
		"auth/malformed-nonce",
		"auth/malformed-signature", "auth/duplicate-header", "auth/stale", "auth/future",
		"auth/binds-route", "auth/binds-store", "auth/binds-timestamp", "auth/binds-nonce",
		"auth/binds-identity",
		"auth/replay", "auth/replay-with-another-query", "auth/replay-in-parallel",
		"auth/unsigned-descriptor", "auth/unsigned-roots", "auth/unsigned-module",
		"auth/unsigned-content", "auth/unsigned-proof",
		"auth/unsigned-get-delta", "auth/unsigned-post-delta", "auth/unsigned-head-descriptor",
		"auth/unsigned-head-roots",
		"auth/unsigned-head-module", "auth/unsigned-head-delta", "auth/unsigned-push",
		"auth/unsigned-push-init",
		"auth/unsigned-push-complete", "auth/unsigned-tombstone",
		"descriptor/unknown-store", "roots/unknown-store", "module/bad-root", "module/unknown-root",
		"module/unknown-store",
		"module/head-unknown-root", "range/not-satisfiable", "content/backward-range",
		"content/unknown-root",
		"content/unknown-store", "content/head-method", "content/bad-key", "content/bad-root",
		"content/not-json", "content/wrong-shape",
		"content/content-type", "proof/unknown-root", "proof/bad-key", "proof/bad-root", "proof/not-json",
		"proof/wrong-shape", "proof/content-type",
		"delta/unknown-root", "delta/missing-argument", "delta/bad-argument",
		"tombstone/bad-hex", "tombstone/malformed", "tombstone/trailing-bytes",
		"tombstone/bad-signature-hex", "tombstone/another-store",
		"tombstone/another-key", "rpc/body-limit", "limits/body",
		"refuse/init-without-a-body", "refuse/init-on-another-parent", "refuse/init-by-another-key",
		"refuse/complete-without-an-upload",
		"refuse/without-a-token")
	each(taken, "refuse/another-parent", "refuse/no-parent-at-all", "refuse/rollback",
		"refuse/another-key", "refuse/signature-of-another-root",
		"refuse/signature-of-another-store", "refuse/wrong-tagged-signature",
		"refuse/malformed-tagged-signature", "refuse/no-signature",
		"refuse/malformed-signature", "refuse/malformed-parent", "refuse/missing-parent",
		"refuse/unknown-mode", "refuse/two-roots",
		"refuse/missing-root", "refuse/malformed-root", "refuse/body-of-another-root",
		"refuse/body-with-a-flipped-bit", "refuse/body-cut-short",
		"refuse/body-of-another-store", "refuse/body-with-another-key",
		"refuse/recipe-on-an-unknown-base", "refuse/recipe-with-another-chunk",
		"refuse/not-the-announced-bytes", "refuse/too-large",
		"revoke/push-of-a-revoked-root", "revoke/store")

	// Requests that must be answered but are refused.
	each(withStatus(http.StatusTeapot), "route/upper-case-id", "module/without-root",
		"module/upper-case-root", "range/unknown-unit",
		"content/unknown-members", "content/miss", "proof/miss", "revoke/in-advance")
	during("auth/signed", withStatus(http.StatusForbidden))
	always("auth/window", func(a *reply) {
		at, _ := strconv.ParseInt(a.Header.Get(request.HeaderTimestamp), 10, 64)
		if time.Since(time.Unix(at, 0)).Abs() > 100*time.Second {
			withStatus(http.StatusUnauthorized)(a)
		}
	})
	always("auth/upper-case", func(a *reply) {
		if key := a.Header.Get(request.HeaderIdentity); key == strings.ToUpper(key) {
			withStatus(http.StatusUnauthorized)(a)
		}
	})

	// Paths and connections.
	always("route/clock", setHeader("Date", "Mon, 01 Jan 2024 00:00:00 GMT"))
	during("route/no-redirect", func(a *reply) {
		a.status = http.StatusMovedPermanently
		a.header.Set("Location", "/")
	})
	always("route/no-compression", func(a *reply) {
		if strings.Contains(a.Header.Get("Accept-Encoding"), "gzip") {
			a.header.Set("Content-Encoding", "gzip")
		}
	})

	// Descriptor and history.
	during("descriptor/shape", edits("GET", "", func(m map[string]any) { delete(m, "public_key") }))
	always("descriptor/lower-case", edits("GET", "", func(m map[string]any) {
		m["public_key"] = strings.ToUpper(m["public_key"].(string))
	}))
	always("descriptor/signed", edits("GET", "", set("push_sig", "")))
	always("descriptor/signature", edits("GET", "", func(m map[string]any) {
		m["push_sig"], m["push_sig_untagged"] = w.heads[0].Tagged, w.heads[0].Untagged
	}))
	always("descriptor/key", edits("GET", "", set("public_key", writeKey().PublicKey())))
	always("descriptor/size", edits("GET", "", set("size", 12345)))
	always("descriptor/tombstones", edits("GET", "", func(m map[string]any) {
		t := auth.Tombstone{Store: w.id, NotAfter: 1}
		record, _ := t.MarshalBinary()
		m["tombstones"] = []any{map[string]any{"record": hex.EncodeToString(record),
			"signature": w.heads[0].Tagged}}
	}))
	during("descriptor/head", answers("HEAD", "", setHeader("Content-Type", "text/html")))
	during("roots/shape", eachLine(func(_ int, m map[string]any) { delete(m, "timestamp") }))
	always("roots/order", eachLine(func(i int, m map[string]any) { m["generation"] = i + 1 }))
	always("roots/ends-with-head", lines(more))
	always("roots/times", eachLine(func(i int, m map[string]any) { m["timestamp"] = 1000 + i }))
	during("roots/head", answers("HEAD", "/roots", setHeader("Content-Type", "text/html")))

	// Modules.
	always("module/get", func(a *reply) {
		if ofHead(w, a) && a.Method == "GET" {
			a.status, a.body = http.StatusNotFound, []byte("unknown root")
		}
	})
	always("module/too-large", func(a *reply) {
		if a.status == http.StatusRequestEntityTooLarge {
			a.body = []byte("{}")
		}
	})
	always("module/content-type", func(a *reply) {
		if ofHead(w, a) {
			a.header.Set("Content-Type", "application/octet-stream")
		}
	})
	always("module/etag", func(a *reply) {
		if ofHead(w, a) {
			a.header.Set("ETag", w.heads[2].Root.String())
		}
	})
	always("module/verifies", func(a *reply) {
		if ofHead(w, a) && a.Method == "GET" {
			a.body[len(a.body)/2] ^= 1
		}
	})
	during("module/root-selects", answers("GET", "/module", setHeader("ETag", `"`+w.heads[2].Root.String()+`"`)))
	during("module/not-modified", func(a *reply) { a.status = http.StatusOK })
	during("module/not-modified-list", func(a *reply) { a.status = http.StatusOK })
	during("module/head-not-modified", func(a *reply) { a.status = http.StatusOK })
	during("module/modified", func(a *reply) { a.status = http.StatusNotModified })
	during("module/head", setHeader("Content-Length", "7"))
	during("range/part", func(a *reply) {
		if a.status == http.StatusPartialContent {
			a.body[0] ^= 1
		}
	})
	always("range/advertised", func(a *reply) { a.header.Del("Accept-Ranges") })
	during("range/if-range", func(a *reply) { a.status = http.StatusPartialContent })
	during("range/head", setHeader("Content-Length", "1"))

	// Recipes.
	ofRecipe := func(change func(a *reply)) func(*reply) {
		return func(a *reply) {
			if a.header.Get("Content-Type") == "application/vnd.dig.recipe" {
				change(a)
			}
		}
	}
	during("recipe/alone", ofRecipe(setHeader("ETag", `"x"`)))
	during("recipe/against-a-base", func(a *reply) {
		if a.Header.Get("X-Dig-Recipe-Base") != "" {
			ofRecipe(func(a *reply) { a.body[len(a.body)-1] ^= 1 })(a)
		}
	})
	during("recipe/bad-base", accepted)
	during("recipe/invisible", setHeader("ETag", `"x"`))
	always("recipe/vary", func(a *reply) { a.header.Del("Vary") })
	during("recipe/several-ranges", func(a *reply) {
		if a.status == http.StatusPartialContent {
			a.header.Set("Content-Type", "application/wasm")
		}
	})

	// Single resources.
	empty := edits("POST", "/content", set("ciphertext_b64", ""))
	during("content/older-root", answers("POST", "/content", withStatus(http.StatusTeapot)))
	during("content/hit", edits("POST", "/content", set("roothash", merkle.Hash{}.String())))
	during("content/range", func(a *reply) {
		if strings.Contains(a.sent, "range") {
			empty(a)
		}
	})
	during("content/miss-looks-like-hit", func(a *reply) {
		if a.nth == 2 {
			a.edit(set("decoy", true))
		}
	})
	during("content/miss-has-proof", edits("POST", "/content", set("merkle_proof_b64", "")))
	during("content/miss-is-secret", func(a *reply) { a.edit(set("ciphertext_b64", decoy(a.sent))) })
	during("content/miss-is-stable", edits("POST", "/content", func(m map[string]any) {
		b := make([]byte, 16)
		rand.Read(b)
		m["ciphertext_b64"] = b
	}))
	during("content/miss-has-ranges", func(a *reply) {
		if strings.Contains(a.sent, "range") {
			empty(a)
		}
	})
	during("proof/answer", edits("POST", "/proof", set("roothash", merkle.Hash{}.String())))
	chunk := []any{map[string]any{"hash": merkle.Sum([]byte("x")), "data_b64": []byte("x")}}
	during("delta/same", edits("GET", "/delta", set("chunks", chunk)))
	during("delta/between", edits("GET", "/delta", set("chunks", chunk)))
	during("delta/have", edits("POST", "/delta", set("chunks", []any{})))

	list = append(list, tierSpoils()...)
	list = append(list, writeSpoils()...)

	// Refusals.
	during("errors/no-reflection", func(a *reply) {
		if a.status >= 400 {
			a.body = append(a.body, a.URL.Path...)
		}
	})
	always("errors/form", func(a *reply) {
		if a.status >= 400 {
			a.header.Set("Content-Type", "text/html")
		}
	})
	always("errors/texts", func(a *reply) {
		if a.status == http.StatusBadRequest {
			a.body = []byte("no")
		}
	})
	during("errors/in-json", func(a *reply) { a.body = []byte("unknown store") })
	always("errors/nosniff", func(a *reply) { a.header.Del("X-Content-Type-Options") })
	always("errors/internal", func(a *reply) {
		if strings.Contains(a.URL.Path, "cAnArY") {
			a.status = http.StatusInternalServerError
		}
	})
	always("limits/retry-after", func(a *reply) {
		if a.nth == 2 {
			a.status, a.body = http.StatusTooManyRequests, []byte("rate limited")
		}
	})
	return list
}

// tierSpoils returns faults of the JSON-RPC tier.
func tierSpoils() []spoil {
	var list []spoil
	during := func(check string, change func(a *reply)) {
		list = append(list, spoil{check: check, change: func(a *reply) {
			if !strings.Contains(a.sent, `"dig.methods"`) { // the checks find the tier by it
				change(a)
			}
		}})
	}
	during("rpc/envelope", func(a *reply) { a.edit(set("id", 0)) })
	during("rpc/parse-error", code(-32600))
	during("rpc/invalid-request", code(-32700))
	during("rpc/empty-batch", code(-32700))
	during("rpc/batch", func(a *reply) { a.body = []byte("[]") })
	during("rpc/batch-limit", func(a *reply) { a.body = []byte("[]") })
	during("rpc/notification", func(a *reply) { a.body = []byte("{}") })
	during("rpc/unknown-method", code(-32600))
	during("rpc/methods", func(a *reply) { code(-32601)(a) })
	during("rpc/health", calls(func(m map[string]any) { m["ok"], m["status"] = false, "ill" }))
	during("rpc/params", code(-32603))
	during("rpc/unknown-store", code(-32603))
	during("rpc/unknown-root", code(-32603))
	during("rpc/cors", func(a *reply) { a.header.Del("Access-Control-Allow-Origin") })
	during("rpc/preflight", setHeader("Access-Control-Allow-Credentials", "true"))
	during("rpc/page-headers", func(a *reply) { a.header.Del("Content-Security-Policy") })
	during("rpc/openrpc", calls(set("methods", []any{})))
	during("rpc/content", calls(set("inclusion_proof", "")))
	during("rpc/content-window", calls(set("total_length", 7)))
	during("rpc/proof-on-every-window", calls(set("inclusion_proof", "")))
	during("rpc/miss", calls(set("decoy", true)))
	during("rpc/capsule", calls(func(m map[string]any) {
		if text, ok := m["ciphertext"].(string); ok && text != "" {
			m["ciphertext"] = strings.Repeat("A", strings.Index(text+"=", "=")) +
				strings.Repeat("=", strings.Count(text, "="))
		}
	}))
	during("rpc/module-alias", func(a *reply) {
		if strings.Contains(a.sent, "dig.getModule") {
			a.result(set("ciphertext", ""))
		}
	})
	during("rpc/latest", calls(set("root", merkle.Hash{7})))
	during("rpc/program-hash", calls(set("program_hash", merkle.Hash{7})))
	during("rpc/manifest", calls(set("retrieval_key", merkle.Hash{7})))
	during("rpc/metadata", calls(set("root", merkle.Hash{7})))
	during("rpc/proof", calls(set("inclusion_proof", "")))
	during("rpc/proof-status", calls(set("status", "succeeded")))
	during("rpc/capsules", calls(set("capsules", []any{})))
	return list
}

// writeSpoils returns faults with pushes and tombstones that must be accepted.
func writeSpoils() []spoil {
	var list []spoil
	during := func(check string, change func(a *reply)) {
		list = append(list, spoil{check: check, change: change})
	}
	put := func(status int) func(a *reply) {
		return answers("PUT", "/module", func(a *reply) { a.status = status })
	}
	during("push/first", put(http.StatusAccepted))
	during("push/second", func(a *reply) { a.header.Del("ETag") })
	during("push/descriptor", edits("GET", "", set("size", 7)))
	during("push/both-forms-served", edits("GET", "", func(m map[string]any) {
		delete(m, "push_sig_untagged")
	}))
	flip := answers("GET", "/module", func(a *reply) { a.body[9] ^= 1 })
	during("push/served", flip)
	during("push/older-served", flip)
	during("push/history", lines(more))
	during("push/time", eachLine(func(i int, m map[string]any) { m["timestamp"] = 1000 + i }))
	during("push/init", edits("POST", "/module/upload", set("mode", "somehow")))
	during("push/init-of-the-head", edits("POST", "/module/upload", func(m map[string]any) {
		delete(m, "status")
	}))
	during("push/again", put(http.StatusConflict))
	during("push/seed-form", put(http.StatusForbidden))
	during("push/tagged-form", put(http.StatusForbidden))
	during("push/parent-from-init", put(http.StatusUnprocessableEntity))
	during("push/by-recipe", put(http.StatusUnsupportedMediaType))
	during("push/presigned", answers("POST", "/module/complete", func(a *reply) {
		a.header.Del("ETag")
	}))
	during("push/race", func(a *reply) {
		if a.status == http.StatusConflict {
			a.status = http.StatusCreated
		}
	})
	during("push/pending", func(a *reply) {
		if a.status == http.StatusAccepted {
			a.header.Set("ETag", `"pending"`)
		}
	})
	during("push/promote", func(a *reply) {
		if a.status == http.StatusCreated {
			a.status = http.StatusNotFound
		}
	})
	during("refuse/before-the-body", func(a *reply) { io.Copy(io.Discard, a.Body) })
	during("refuse/leaves-no-trace", lines(more))
	during("revoke/root", edits("GET", "", set("tombstones", []any{})))
	during("revoke/again", edits("GET", "", func(m map[string]any) {
		ts := m["tombstones"].([]any)
		m["tombstones"] = append(ts, ts...)
	}))
	return list
}
