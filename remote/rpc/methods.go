package rpc

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

// Parameters, by name. Pointers that are nil were not given.
type (
	noParams      struct{}
	contentParams struct {
		Store  *auth.StoreID `json:"store_id"`
		Key    *merkle.Hash  `json:"retrieval_key"`
		Root   *string       `json:"root,omitempty"` // 64 hex; "latest", empty or nil: the newest generation
		Offset *uint64       `json:"offset,omitempty"`
		Length *uint64       `json:"length,omitempty"`
	}
	capsuleParams struct {
		Store  *auth.StoreID `json:"store_id"`
		Root   *string       `json:"root,omitempty"`
		Offset *uint64       `json:"offset,omitempty"`
		Length *uint64       `json:"length,omitempty"`
	}
	rootParams struct {
		Store *auth.StoreID `json:"store_id"`
		Root  *string       `json:"root,omitempty"`
	}
	storeParams struct {
		Store *auth.StoreID `json:"store_id"`
	}
	proofParams struct {
		Store   *auth.StoreID `json:"store_id"`
		Key     *merkle.Hash  `json:"retrieval_key"`
		Root    *string       `json:"root,omitempty"`
		ProofID *string       `json:"proof_id,omitempty"`
	}
	statusParams struct {
		Store   *auth.StoreID `json:"store_id"`
		ProofID *string       `json:"proof_id"`
	}
)

// Metadata is what a generation says of itself.
type Metadata struct {
	Manifest    *module.Metadata `json:"manifest"` // nil: nothing
	ProgramHash merkle.Hash      `json:"program_hash"`
	Root        merkle.Hash      `json:"root"`
}

// States of an execution proof.
const (
	ProofSucceeded = "succeeded"
	ProofRunning   = "running"
	ProofQueued    = "queued"
	ProofNotFound  = "not_found"
	ProofElsewhere = "request_via_control_plane" // this tier makes none
)

// A Proof is what a node can prove about a resource: that it is there. It never comes with an execution proof.
type Proof struct {
	InclusionProof       []byte          `json:"inclusion_proof"` // encoded
	ProgramHash          merkle.Hash     `json:"program_hash"`
	Root                 merkle.Hash     `json:"root"`
	ExecutionProof       json.RawMessage `json:"execution_proof"` // null
	ExecutionProofStatus string          `json:"execution_proof_status"`
	NodeKey              *string         `json:"node_pubkey"`
	BlockHeader          *string         `json:"block_header"`
}

// A ProofStatus says how far an execution proof has come.
type ProofStatus struct {
	ProofID     string          `json:"proof_id"`
	Status      string          `json:"status"`
	Receipt     json.RawMessage `json:"receipt"` // null
	NodeKey     *string         `json:"node_pubkey"`
	BlockHeader *string         `json:"block_header"`
	Root        *merkle.Hash    `json:"root"` // nil: the store has no generation
}

// A Capsule is one generation in a list. What is nil is not known to the node, or costs too much to say.
type Capsule struct {
	Seq         uint64       `json:"seq"`
	Root        merkle.Hash  `json:"root"`
	ProgramHash *merkle.Hash `json:"program_hash,omitempty"`
	CoinID      *string      `json:"coin_id,omitempty"`
	AnchoredAt  *int64       `json:"anchored_at,omitempty"`
}

// A CapsuleList is the generations of a store, oldest first.
type CapsuleList struct {
	Store    auth.StoreID `json:"store_id"`
	Capsules []Capsule    `json:"capsules"`
}

// Health is what a node says of itself.
type Health struct {
	OK      bool     `json:"ok"`
	Service string   `json:"service"`
	Methods []string `json:"methods"`
	Status  string   `json:"status"`
	Version string   `json:"version"`
}

// MethodList is the names of what a node implements.
type MethodList struct {
	Methods []string `json:"methods"`
}

// A method is one line of the table.
type method struct {
	params, result reflect.Type
	call           func(h *Handler, c *call, params json.RawMessage) (any, error)
}

// A call is one request on its way.
type call struct {
	context.Context
	budget *int64              // bytes that its whole answer may still bring
	memory *server.MemoryShare // what it holds of the handler's memory
}

// answers makes a method out of a function of typed parameters.
func answers[P, R any](f func(*Handler, *call, *P) (R, error)) method {
	return method{reflect.TypeFor[P](), reflect.TypeFor[R](), func(h *Handler, c *call, text json.RawMessage) (any, error) {
		p := new(P)
		if text != nil && string(text) != "null" {
			if text[0] != '{' {
				return nil, badParams("parameters are given by name")
			}
			if err := json.Unmarshal(text, p); err != nil {
				return nil, badParams("malformed parameters")
			}
		}
		return f(h, c, p)
	}}
}

// table lists what the handler implements (remote-protocol 8.2).
func table() map[string]method {
	return map[string]method{
		"dig.getContent":     answers((*Handler).getContent),
		"dig.getCapsule":     answers((*Handler).getCapsule),
		"dig.getModule":      answers((*Handler).getCapsule),
		"dig.getManifest":    answers((*Handler).getManifest),
		"dig.getMetadata":    answers((*Handler).getMetadata),
		"dig.getProof":       answers((*Handler).getProof),
		"dig.getProofStatus": answers((*Handler).getProofStatus),
		"dig.listCapsules":   answers((*Handler).listCapsules),
		"dig.health":         answers((*Handler).health),
		"dig.methods":        answers((*Handler).methods),
		"rpc.discover":       answers((*Handler).discover),
	}
}

// names lists the methods in order.
func (h *Handler) names() []string {
	var all []string
	for name := range h.table {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func badParams(why string) *Error { return &Error{Code: CodeParams, Message: "invalid params: " + why} }
