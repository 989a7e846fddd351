package rpc

import (
	"encoding/json"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Metadata is the metadata of a generation.
type Metadata struct {
	Manifest    *module.Metadata `json:"manifest"` // nil: none
	ProgramHash merkle.Hash      `json:"program_hash"`
	Root        merkle.Hash      `json:"root"`
}

// States of an execution proof.
const (
	ProofSucceeded = "succeeded"
	ProofRunning   = "running"
	ProofQueued    = "queued"
	ProofNotFound  = "not_found"
	ProofElsewhere = "request_via_control_plane" // this tier does not make proofs
)

// A Proof is the inclusion proof of a resource. Package remote/server/rpc sends no execution proof.
type Proof struct {
	InclusionProof       []byte          `json:"inclusion_proof"` // encoded
	ProgramHash          merkle.Hash     `json:"program_hash"`
	Root                 merkle.Hash     `json:"root"`
	ExecutionProof       json.RawMessage `json:"execution_proof"` // null
	ExecutionProofStatus string          `json:"execution_proof_status"`
	NodeKey              *string         `json:"node_pubkey"`
	BlockHeader          *string         `json:"block_header"`
}

// A ProofStatus is the state of an execution proof.
type ProofStatus struct {
	ProofID     string          `json:"proof_id"`
	Status      string          `json:"status"`
	Receipt     json.RawMessage `json:"receipt"` // null
	NodeKey     *string         `json:"node_pubkey"`
	BlockHeader *string         `json:"block_header"`
	Root        *merkle.Hash    `json:"root"` // nil: the store has no generation
}

// A Capsule is one generation in a list. Members that the node does not know, or cannot compute
// cheaply, are nil.
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

// Health is the state of a node.
type Health struct {
	OK      bool     `json:"ok"`
	Service string   `json:"service"`
	Methods []string `json:"methods"`
	Status  string   `json:"status"`
	Version string   `json:"version"`
}

// MethodList is the names of the methods that a node implements.
type MethodList struct {
	Methods []string `json:"methods"`
}
