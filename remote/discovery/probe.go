package discovery

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/dig-network/digstore/internal/strictjson"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Probe sends dig.health of the JSON-RPC tier, which needs no identity, to an origin through t. It
// returns nil if a node of this protocol answers that it is healthy.
func Probe(ctx context.Context, t http.RoundTripper, origin string) error {
	if err := probe(ctx, t, origin); err != nil {
		return fmt.Errorf("remote: probe %s: %w", origin, err)
	}
	return nil
}

func probe(ctx context.Context, t http.RoundTripper, origin string) error {
	body := `{"jsonrpc":"2.0","id":1,"method":"dig.health","params":{}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+"/", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", wire.TypeJSON)
	r.Header.Set("User-Agent", "digstore-go/1")
	resp, err := t.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: status %d", remote.ErrProtocol, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, wire.MaxAnswerJSON+1))
	if err != nil {
		return err
	}
	if len(text) > wire.MaxAnswerJSON {
		return fmt.Errorf("%w: answer of more than %d bytes", remote.ErrProtocol, wire.MaxAnswerJSON)
	}
	var answer struct {
		Result struct {
			OK     bool   `json:"ok"`
			Status string `json:"status"`
		} `json:"result"`
	}
	if err := strictjson.Unmarshal(text, &answer); err != nil {
		return err
	}
	if !answer.Result.OK && answer.Result.Status != "ok" {
		return fmt.Errorf("%w: health check: not ok", remote.ErrProtocol)
	}
	return nil
}
