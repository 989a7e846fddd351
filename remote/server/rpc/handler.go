package rpc

import (
	"context"
	_ "embed" // for openrpc.json
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
)

// document is the OpenRPC 1.3 document of the methods.
//
//go:embed openrpc.json
var document json.RawMessage

// Options configures a [Handler]. Fields that are nil or not positive take their defaults.
type Options struct {
	// MaxBatch is how many requests a batch may have. Default 16.
	MaxBatch int
	// MaxAnswer is how many bytes of modules and resources one response has, before base64. Default
	// 16 MiB.
	MaxAnswer int64
	// PerIP limits the HTTP requests of one address. Requests over it get status 429. Default 50 a
	// second, burst 200.
	PerIP server.Rate
	// Tracked is how many addresses are tracked. Default 16,384.
	Tracked int
	// TrustedProxies are the peers whose X-Forwarded-For is trusted. Default none.
	TrustedProxies []netip.Prefix
	// MaxMemory bounds the bytes that requests and responses hold in total, MaxMemoryPerIP those of
	// one address. A response of any length counts 128 KiB while it is sent. A request over a limit
	// gets status 429. Defaults 64 MiB and 8 MiB.
	MaxMemory      int64
	MaxMemoryPerIP int64
	// Patience is how long a client may be idle while it sends a request or reads a response; see
	// [server.CloseSlow]. Default 1 minute.
	Patience time.Duration
	// Version is the version in the result of dig.health. Default "1".
	Version string
	// Now is the clock of PerIP. Default [time.Now].
	Now func() time.Time
	// Logger logs errors that responses do not contain. Default: discarded.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.MaxBatch <= 0 {
		d.MaxBatch = 16
	}
	if d.MaxAnswer <= 0 {
		d.MaxAnswer = 16 << 20
	}
	if d.MaxMemory <= 0 {
		d.MaxMemory = 64 << 20
	}
	if d.MaxMemoryPerIP <= 0 {
		d.MaxMemoryPerIP = 8 << 20
	}
	if d.Version == "" {
		d.Version = "1"
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

// A Handler serves the dig.* methods by POST / and their OpenRPC document by GET /openrpc.json.
// Clients are anonymous, and CORS allows every web page. It is an [http.Handler] and safe for
// concurrent use.
type Handler struct {
	opt      Options
	contents *server.ResourceIndex
	limit    *server.AddressLimit
	memory   *server.MemoryLimit
	table    map[string]method
	programs *programs
	paced    http.Handler // serve, with server.CloseSlow
}

// NewHandler returns a Handler over c. Beside a [server.Server] pass its [server.Server.Resources],
// so that both serve the same stores and decoys. o may be nil. It starts no goroutines and needs no
// closing.
func NewHandler(c *server.ResourceIndex, o *Options) *Handler {
	opt := o.withDefaults()
	h := &Handler{opt: opt, contents: c, table: table(),
		limit:  server.NewAddressLimit(opt.PerIP, opt.Tracked, opt.TrustedProxies),
		memory: server.NewMemoryLimit(opt.MaxMemory, opt.MaxMemoryPerIP, opt.TrustedProxies)}
	h.programs = newPrograms(func(ctx context.Context, id module.ID) (io.ReadSeekCloser, error) {
		return c.Module(ctx, id.Store, id.Root)
	})
	h.paced = server.CloseSlow(http.HandlerFunc(h.serve), opt.Patience)
	return h
}

// ServeHTTP implements [http.Handler]. Every complete body gets status 200, even if it is no JSON.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.paced.ServeHTTP(w, r) }

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Access-Control-Allow-Origin", "*")
	head.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
	head.Set("Access-Control-Allow-Headers", "content-type")
	head.Set("Access-Control-Max-Age", "86400")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")

	describes := r.URL.Path == "/openrpc.json"
	switch {
	case r.URL.Path != "/" && r.URL.Path != "" && !describes:
		refuse(w, http.StatusNotFound, "not found")
		return
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case describes && r.Method != http.MethodGet && r.Method != http.MethodHead:
		head.Set("Allow", "GET, HEAD, OPTIONS")
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	case !describes && r.Method != http.MethodPost:
		head.Set("Allow", "POST, OPTIONS")
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	if wait := h.limit.Take(r, h.opt.Now()); wait > 0 {
		head.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		refuse(w, http.StatusTooManyRequests, "rate limited")
		return
	}
	head.Set("Content-Type", "application/json")
	if describes {
		head.Set("Content-Length", strconv.Itoa(len(document)))
		if r.Method == http.MethodGet {
			w.Write(document)
		}
		return
	}
	memory := h.memory.For(r)
	defer memory.Release()
	body, status := readRequest(r.Body, memory)
	switch status {
	case http.StatusOK:
		h.answer(w, r, body, memory)
	case http.StatusTooManyRequests:
		head.Set("Retry-After", "1")
		refuse(w, status, "rate limited")
	case http.StatusRequestEntityTooLarge:
		refuse(w, status, "body too large: over "+strconv.Itoa(maxBody)+" bytes")
	default:
		refuse(w, status, "bad request: body broke off")
	}
}

// readRequest reads the body of a request, up to maxBody. It takes answerMemory first and memory
// for the body as it arrives. It returns the status of the refusal, or 200.
func readRequest(from io.Reader, memory *server.MemoryShare) (body []byte, status int) {
	if !memory.Grow(answerMemory) {
		return nil, http.StatusTooManyRequests
	}
	for size := 64 << 10; ; size = min(2*size, maxBody) {
		more := size + 1 - len(body) // one byte more, to detect a longer body
		if len(body) > 0 && !memory.Grow(int64(more)) {
			return nil, http.StatusTooManyRequests
		}
		text, err := io.ReadAll(io.LimitReader(from, int64(more)))
		if body = append(body, text...); err != nil {
			return nil, http.StatusBadRequest
		}
		if len(body) <= size {
			return body, http.StatusOK
		}
		if size == maxBody {
			return nil, http.StatusRequestEntityTooLarge
		}
	}
}

// answer writes the replies to a body. It writes each before it computes the next, so that only one
// is in memory.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, body []byte,
	memory *server.MemoryShare) {
	messages, batch, bad := parseBody(body, h.opt.MaxBatch)
	if bad != nil {
		write(w, &reply{Err: bad})
		return
	}
	budget := h.opt.MaxAnswer
	open := "["
	for _, text := range messages {
		answer := h.reply(&call{r.Context(), &budget, memory}, text)
		if answer == nil {
			continue
		}
		if batch {
			io.WriteString(w, open)
			open = ","
		}
		if h.write(r.Context(), w, answer) != nil {
			return // the client has disconnected
		}
	}
	if batch && open == "," {
		io.WriteString(w, "]")
	}
}

// reply returns the reply to one message, or nil for a notification.
func (h *Handler) reply(c *call, text json.RawMessage) *reply {
	m, bad := parseMessage(text)
	if bad != nil {
		return &reply{ID: m.ID, Err: bad}
	}
	if m.ID == nil {
		return nil // no method has side effects
	}
	method, ok := h.table[*m.Method]
	if !ok {
		return &reply{ID: m.ID, Err: &rpc.Error{Code: rpc.CodeNoMethod, Message: "method not found"}}
	}
	result, err := method.call(h, c, m.Params)
	if err != nil {
		return &reply{ID: m.ID, Err: h.fail(c, *m.Method, err)}
	}
	return &reply{ID: m.ID, Result: result}
}

// write writes a reply. It streams the bytes of a window.
func (h *Handler) write(ctx context.Context, w io.Writer, r *reply) error {
	if v, ok := r.Result.(interface{ stream() *source }); ok {
		if from := v.stream(); from != nil {
			return h.writeStream(ctx, w, r, from)
		}
	}
	return write(w, r)
}

func write(w io.Writer, r *reply) error {
	text, err := r.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	io.WriteString(w, text)
}
