package wire

// ContentRequest is the request of POST /stores/{id}/content (remote/PROTOCOL.md 8.1); without a
// range, of POST /stores/{id}/proof (8.3).
type ContentRequest struct {
	Key   *string       `json:"retrieval_key"`
	Root  *string       `json:"root"`
	Range *ContentRange `json:"range,omitempty"`
}

// ContentRange is half-open and clamped to the length.
type ContentRange struct {
	Start *uint64 `json:"start"`
	End   *uint64 `json:"end"`
}

// ContentAnswer is the answer of POST /stores/{id}/content. The server streams its members in this
// order.
type ContentAnswer struct {
	Ciphertext  []byte   `json:"ciphertext_b64"`
	Proof       []byte   `json:"merkle_proof_b64"`
	Root        string   `json:"roothash"`
	ChunkLens   []uint32 `json:"chunk_lens"`   // of the whole resource; only package server sends it
	TotalLength *int64   `json:"total_length"` // of the whole resource; only package server sends it
}

// DeltaRequest is the request of POST /stores/{id}/delta.
type DeltaRequest struct {
	To   *string  `json:"to"`
	Have []string `json:"have"`
}

// DeltaChunk is one sealed chunk of a delta; DeltaRow is one row of the key table, encoded as in
// digstore/module/FORMAT.md 5.5.
type (
	DeltaChunk struct {
		Hash string `json:"hash"`
		Data []byte `json:"data_b64"`
	}
	DeltaRow struct {
		Entry []byte `json:"entry_b64"`
	}
)

// TooLargeForGet is the "error" member of a 413 answer to GET /module.
const TooLargeForGet = "capsule_too_large_for_get"

// TooLargeBody is the body of that answer.
type TooLargeBody struct {
	Error  string `json:"error"`
	Total  int64  `json:"total_length"`
	Method string `json:"rpc_method"`
	Store  string `json:"store_id"`
	Root   string `json:"root"`
}

// ProofAnswer is the answer of POST /stores/{id}/proof.
type ProofAnswer struct {
	Proof []byte `json:"proof_b64"`
	Root  string `json:"roothash"`
}
