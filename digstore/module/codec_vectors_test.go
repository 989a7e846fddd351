package module_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// A structureCase is one case of store/codec.json.
type structureCase struct {
	Type    string          `json:"type"`
	Name    string          `json:"name"`
	Fields  json.RawMessage `json:"fields"`
	Encoded vectors.Hex     `json:"encoded"`
}

// decimal is a u64 that the vectors spell as a string.
type decimal uint64

func (d *decimal) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 10, 64)
	*d = decimal(v)
	return err
}

// empty returns a value of the case's type, nil for one that is not ours.
func (c *structureCase) empty() module.Structure {
	switch c.Type {
	case "key_table_entry":
		return new(module.KeyTableRow)
	case "path_walk":
		return new(module.PathWalk)
	case "metadata_manifest":
		return new(module.Metadata)
	case "authentication_info":
		return new(module.AuthInfo)
	case "trusted_keys":
		return new(module.TrustedKeys)
	case "chain_state":
		return new(module.ChainState)
	case "content_response":
		return new(module.ContentResponse)
	case "execution_proof":
		return new(module.ExecutionProof)
	case "proof_response":
		return new(module.ProofResponse)
	case "public_input":
		return new(module.PublicInput)
	case "attestation_challenge":
		return new(module.AttestationChallenge)
	case "content_request":
		return new(module.ContentRequest)
	case "proof_request":
		return new(module.ProofRequest)
	case "public_manifest":
		return new(module.PublicManifest)
	}
	return nil
}

// lens is the encoding of the chunk lengths that end a content response.
func (c *structureCase) lens() []byte {
	var f struct {
		ChunkLens []uint32 `json:"chunk_lens"`
	}
	if json.Unmarshal(c.Fields, &f) != nil {
		return nil
	}
	return make([]byte, 4+4*len(f.ChunkLens))
}

type rowFields struct {
	Key        merkle.Hash `json:"static_key"`
	Generation merkle.Hash `json:"generation"`
	Indices    []uint32    `json:"chunk_indices"`
	TotalSize  decimal     `json:"total_size"`
}

type walkFields struct {
	Key     merkle.Hash `json:"resource_key"`
	Indices []uint32    `json:"chunk_indices"`
	Cursor  decimal     `json:"cursor"`
}

type keysFields struct {
	Keys []struct {
		PublicKey auth.PublicKey `json:"public_key"`
		Label     string         `json:"label"`
	} `json:"keys"`
}

type chainFields struct {
	Version    uint8       `json:"version"`
	Network    string      `json:"network"`
	LauncherID merkle.Hash `json:"launcher_id"`
	CoinID     merkle.Hash `json:"coin_id"`
	Height     uint32      `json:"confirmed_height"`
	TxID       string      `json:"tx_id"`
	CoinsetURL string      `json:"coinset_url"`
}

func (c *chainFields) value() *module.ChainState {
	return &module.ChainState{
		Version: c.Version, Network: c.Network, LauncherID: c.LauncherID, CoinID: c.CoinID,
		ConfirmedHeight: c.Height, TxID: c.TxID, CoinsetURL: c.CoinsetURL,
	}
}

type responseFields struct {
	Sealed    vectors.Hex  `json:"ciphertext"`
	Proof     merkle.Proof `json:"merkle_proof"`
	Root      merkle.Hash  `json:"roothash"`
	ChunkLens []uint32     `json:"chunk_lens"`
}

type blockFields struct {
	HeaderHash merkle.Hash `json:"header_hash"`
	Height     uint32      `json:"height"`
	Timestamp  decimal     `json:"timestamp"`
}

func (b blockFields) value() module.ChiaBlockRef {
	return module.ChiaBlockRef{HeaderHash: b.HeaderHash, Height: b.Height,
		Timestamp: uint64(b.Timestamp)}
}

type executionFields struct {
	ProgramHash   merkle.Hash    `json:"program_hash"`
	PublicInput   vectors.Hex    `json:"public_input"`
	PublicOutput  merkle.Hash    `json:"public_output"`
	Proof         vectors.Hex    `json:"proof"`
	Block         blockFields    `json:"chia_block"`
	NodeKey       auth.PublicKey `json:"node_pubkey"`
	NodeSignature auth.Signature `json:"node_signature"`
}

func (e *executionFields) value() module.ExecutionProof {
	return module.ExecutionProof{
		ProgramHash: e.ProgramHash, PublicInput: e.PublicInput,
		PublicOutput: e.PublicOutput, Proof: e.Proof,
		Block: e.Block.value(), NodeKey: e.NodeKey, NodeSignature: e.NodeSignature,
	}
}

type requestFields struct {
	Key    merkle.Hash  `json:"retrieval_key"`
	Root   *merkle.Hash `json:"root_hash"`
	Range  *[2]decimal  `json:"range"`
	JWT    *vectors.Hex `json:"jwt"`
	Window *[2]decimal  `json:"window"`
}

func pair(p *[2]decimal) *[2]uint64 {
	if p == nil {
		return nil
	}
	return &[2]uint64{uint64(p[0]), uint64(p[1])}
}

type publicFields struct {
	SchemaVersion uint32 `json:"schema_version"`
	Entries       []struct {
		Path            string      `json:"path"`
		LatestRoot      merkle.Hash `json:"latest_root"`
		GenerationIndex decimal     `json:"generation_index"`
		SHA256Latest    merkle.Hash `json:"sha256_latest"`
		VersionCount    uint32      `json:"version_count"`
	} `json:"entries"`
}

// structure returns the value that the fields spell.
func (c *structureCase) structure(t *testing.T) (module.Structure, bool) {
	t.Helper()
	read := func(v any) {
		t.Helper()
		d := json.NewDecoder(bytes.NewReader(c.Fields))
		if err := d.Decode(v); err != nil {
			t.Fatalf("%s %s: %v", c.Type, c.Name, err)
		}
	}
	switch s := c.empty().(type) {
	case *module.KeyTableRow:
		var f rowFields
		read(&f)
		*s = module.KeyTableRow{Key: f.Key, Generation: f.Generation, ChunkIndices: f.Indices,
			TotalSize: uint64(f.TotalSize)}
		return s, true
	case *module.PathWalk:
		var f walkFields
		read(&f)
		*s = module.PathWalk{Key: f.Key, ChunkIndices: f.Indices, Cursor: uint64(f.Cursor)}
		return s, true
	case *module.Metadata:
		var f metadataFields
		read(&f)
		return f.value(t), true
	case *module.AuthInfo:
		var f authInfoFields
		read(&f)
		*s = f.value()
		return s, true
	case *module.TrustedKeys:
		var f keysFields
		read(&f)
		for _, k := range f.Keys {
			*s = append(*s, module.TrustedKey(k))
		}
		return s, true
	case *module.ChainState:
		var f chainFields
		read(&f)
		*s = *f.value()
		return s, true
	case *module.ContentResponse:
		var f responseFields
		read(&f)
		*s = module.ContentResponse{Sealed: f.Sealed, Proof: f.Proof, Root: f.Root,
			ChunkLens: f.ChunkLens}
		return s, true
	case *module.ExecutionProof:
		var f executionFields
		read(&f)
		*s = f.value()
		return s, true
	case *module.ProofResponse:
		var f struct {
			Proof executionFields `json:"proof"`
			Root  merkle.Hash     `json:"roothash"`
		}
		read(&f)
		*s = module.ProofResponse{Proof: f.Proof.value(), Root: f.Root}
		return s, true
	case *module.PublicInput:
		var f struct {
			Nonce merkle.Hash `json:"client_nonce"`
			Block blockFields `json:"chia_block"`
		}
		read(&f)
		*s = module.PublicInput{Nonce: f.Nonce, Block: f.Block.value()}
		return s, true
	case *module.AttestationChallenge:
		var f struct {
			Nonce     merkle.Hash  `json:"nonce"`
			Store     auth.StoreID `json:"store_id"`
			Timestamp decimal      `json:"timestamp"`
		}
		read(&f)
		*s = module.AttestationChallenge{Nonce: f.Nonce, Store: f.Store, Timestamp: uint64(f.Timestamp)}
		return s, true
	case *module.ContentRequest:
		var f requestFields
		read(&f)
		*s = module.ContentRequest{Key: f.Key, Root: f.Root, Range: pair(f.Range), JWT: (*[]byte)(f.JWT),
			Window: pair(f.Window)}
		return s, true
	case *module.ProofRequest:
		var f struct {
			Key   merkle.Hash  `json:"retrieval_key"`
			Root  *merkle.Hash `json:"root_hash"`
			Nonce merkle.Hash  `json:"client_nonce"`
		}
		read(&f)
		*s = module.ProofRequest{Key: f.Key, Root: f.Root, Nonce: f.Nonce}
		return s, true
	case *module.PublicManifest:
		var f publicFields
		read(&f)
		s.SchemaVersion = f.SchemaVersion
		for _, e := range f.Entries {
			s.Entries = append(s.Entries, module.PublicEntry{Path: e.Path, LatestRoot: e.LatestRoot,
				GenerationIndex: uint64(e.GenerationIndex), SHA256Latest: e.SHA256Latest,
				VersionCount: e.VersionCount})
		}
		return s, true
	}
	return nil, false
}
