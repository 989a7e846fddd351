// Package jsonrpc has the parameters of the dig.* methods, for the client in remote/rpc and the
// handler in remote/server/rpc. Package rpc has the results and errors.
package jsonrpc

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Parameters, by name. Absent ones are nil.
type (
	NoParams      struct{}
	ContentParams struct {
		Store  *auth.StoreID `json:"store_id"`
		Key    *merkle.Hash  `json:"retrieval_key"`
		Root   *string       `json:"root,omitempty"` // 64 hex; "latest", empty or nil: the newest generation
		Offset *uint64       `json:"offset,omitempty"`
		Length *uint64       `json:"length,omitempty"`
	}
	CapsuleParams struct {
		Store  *auth.StoreID `json:"store_id"`
		Root   *string       `json:"root,omitempty"`
		Offset *uint64       `json:"offset,omitempty"`
		Length *uint64       `json:"length,omitempty"`
	}
	RootParams struct {
		Store *auth.StoreID `json:"store_id"`
		Root  *string       `json:"root,omitempty"`
	}
	StoreParams struct {
		Store *auth.StoreID `json:"store_id"`
	}
	ProofParams struct {
		Store   *auth.StoreID `json:"store_id"`
		Key     *merkle.Hash  `json:"retrieval_key"`
		Root    *string       `json:"root,omitempty"`
		ProofID *string       `json:"proof_id,omitempty"`
	}
	StatusParams struct {
		Store   *auth.StoreID `json:"store_id"`
		ProofID *string       `json:"proof_id"`
	}
)
