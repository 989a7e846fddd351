package server

import (
	"context"
	"net/http"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A Prover makes execution proofs for POST /stores/{id}/proof. The package has no implementation.
// Without a Prover the response is the empty proof: "no execution proof" (remote/PROTOCOL.md 8.3).
type Prover interface {
	// Prove returns a proof that key was served with served, or nil for no proof. served may be a
	// decoy: a Prover that treats decoys differently reveals them. The caller closes served.
	Prove(ctx context.Context, id module.ID, key merkle.Hash,
		served *SealedResource) (*module.ExecutionProof, error)
}

// postProof answers POST /stores/{id}/proof. See remote/PROTOCOL.md 8.3.
func (s *Server) postProof(w http.ResponseWriter, c *call) error {
	l, content, err := s.lookUp(c, "body is not a proof request")
	if err != nil {
		return err
	}
	defer content.Close()
	answer := wire.ProofAnswer{Proof: []byte{}, Root: l.id.Root.String()}
	if s.opt.Prover != nil {
		proof, err := s.opt.Prover.Prove(c.Context(), l.id, l.key, content)
		if err != nil {
			return &refusal{status: http.StatusInternalServerError,
				text: "internal server error", cause: err}
		}
		if proof != nil {
			if answer.Proof, err = proof.MarshalBinary(); err != nil {
				return err
			}
		}
	}
	return writeJSON(w, c.Request, answer)
}
