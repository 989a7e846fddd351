package chain

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A PushAnswer is a node's answer to push_tx.
type PushAnswer struct {
	Outcome PushOutcome
	// Name is the name of the error of a refused bundle, such as DOUBLE_SPEND, or the text of
	// another error. It is at most 200 bytes.
	Name string
}

// A PushOutcome is what a node did with a bundle.
type PushOutcome uint8

const (
	// PushFailed: the request itself failed. The node did not check the bundle.
	PushFailed PushOutcome = iota
	// PushAccepted: the bundle is in the mempool of the node.
	PushAccepted
	// PushConflict: another bundle in the mempool spends one of the coins, or a time lock is not
	// over. The node keeps the bundle and tries again.
	PushConflict
	// PushRefused: the node refuses the bundle. Next returns what to do.
	PushRefused
)

// String returns failed, in_mempool, conflict or refused.
func (o PushOutcome) String() string {
	return [...]string{"error", "in_mempool", "conflict", "refused"}[min(o, PushRefused)]
}

// A PushNext is what a sender should do after a refusal.
type PushNext uint8

const (
	// NextGiveUp: the bundle is permanently invalid.
	NextGiveUp PushNext = iota
	// NextCheckCoins: a coin is spent, or the node has seen the bundle. The coins that the bundle
	// makes show whether it was confirmed.
	NextCheckCoins
	// NextResolve: a coin is not on the chain of this node, or not yet.
	NextResolve
	// NextRaiseFee: the mempool is full, and the fee is too low for it.
	NextRaiseFee
	// NextLater: the node is not ready.
	NextLater
)

// Next returns what a sender should do after a refusal with this name. An unknown name is
// NextGiveUp.
func (a *PushAnswer) Next() PushNext {
	switch a.Name {
	case "DOUBLE_SPEND", "ALREADY_INCLUDING_TRANSACTION":
		return NextCheckCoins
	case "UNKNOWN_UNSPENT":
		return NextResolve
	case "INVALID_FEE_LOW_FEE", "INVALID_FEE_TOO_CLOSE_TO_ZERO":
		return NextRaiseFee
	case "NO_TRANSACTIONS_WHILE_SYNCING", "MEMPOOL_NOT_INITIALIZED":
		return NextLater
	}
	return NextGiveUp
}

const maxPushName = 200

// ReadPushAnswer reads the body of an answer to push_tx. A body of another form is [ErrMalformed].
func ReadPushAnswer(body []byte) (*PushAnswer, error) {
	var w struct {
		Success    *bool  `json:"success"`
		Status     string `json:"status"`
		Error      string `json:"error"`
		Structured struct {
			Code string `json:"code"`
			Data struct {
				Error string `json:"error"`
			} `json:"data"`
		} `json:"structuredError"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, fmt.Errorf("read the answer to push_tx: %w: %w", ErrMalformed, err)
	}
	switch {
	case w.Success == nil:
		return nil, fmt.Errorf("read the answer to push_tx: %w: success is missing", ErrMalformed)
	case *w.Success && w.Status == "SUCCESS":
		return &PushAnswer{Outcome: PushAccepted}, nil
	case *w.Success && w.Status == "PENDING":
		return &PushAnswer{Outcome: PushConflict}, nil
	case *w.Success:
		return nil, fmt.Errorf("read the answer to push_tx: %w: unknown status %.40q", ErrMalformed,
			w.Status)
	case w.Structured.Data.Error != "":
		return &PushAnswer{PushRefused, cut(w.Structured.Data.Error)}, nil
	case strings.HasPrefix(w.Error, "Failed to include transaction "):
		words := strings.Fields(w.Error)
		return &PushAnswer{PushRefused, cut(words[len(words)-1])}, nil
	}
	return &PushAnswer{PushFailed, cut(w.Error)}, nil
}

func cut(s string) string {
	if len(s) > maxPushName {
		return strings.ToValidUTF8(s[:maxPushName], "")
	}
	return s
}
