package conform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/rpc"
)

// A window is the chunk object of remote/PROTOCOL.md 10.3. Members that were not sent are nil.
type window struct {
	Sealed   []byte       `json:"ciphertext"`
	Total    *int64       `json:"total_length"`
	Offset   *int64       `json:"offset"`
	Length   *int64       `json:"length"`
	Complete *bool        `json:"complete"`
	Next     *int64       `json:"next_offset"`
	Proof    []byte       `json:"inclusion_proof"`
	Lens     []int64      `json:"chunk_lens"`
	Root     *merkle.Hash `json:"root"`
	Program  *merkle.Hash `json:"program_hash"`
	Decoy    *bool        `json:"decoy"`
	Key      *merkle.Hash `json:"retrieval_key"`
}

// named returns the parameters of a call about a generation.
func (s *session) named(root merkle.Hash, more ...any) map[string]any {
	p := map[string]any{"store_id": s.store, "root": root}
	for i := 0; i+1 < len(more); i += 2 {
		p[more[i].(string)] = more[i+1]
	}
	return p
}

// check checks a window against remote/PROTOCOL.md 10.3. offset and length are those of the
// request; length < 0: it had none.
func (w window) check(total, offset, length int64) error {
	const block, most = rpc.Block, rpc.MaxWindow
	span := int64(most)
	if length >= 0 {
		span = min(max(length, 1), most)
	}
	start := offset / block * block
	end := min(total, start+(span+block-1)/block*block)
	if offset >= total {
		start, end = total, total
	}
	asked := fmt.Sprintf("offset %d, length %d of %d", offset, length, total)
	switch {
	case w.Total == nil || w.Offset == nil || w.Length == nil || w.Complete == nil || w.Root == nil:
		return as(knownNode,
			found("total_length, offset, length, complete and root", "some of them missing"))
	case *w.Total != total:
		return found(fmt.Sprintf("total_length %d", total), "%d", *w.Total)
	case *w.Offset != start || *w.Length != end-start || int64(len(w.Sealed)) != end-start:
		return as(knownNode, found(fmt.Sprintf("bytes %d to %d for %s", start, end, asked),
			"%d bytes from %d, said to be %d", len(w.Sealed), *w.Offset, *w.Length))
	case *w.Complete != (end == total):
		return found("complete at the end and only there, for "+asked, "%v", *w.Complete)
	case (w.Next == nil) != *w.Complete || w.Next != nil && *w.Next != end:
		return found(fmt.Sprintf("next_offset %d, or null at the end, for %s", end, asked), "%v", w.Next)
	}
	return nil
}

// rpcWindowChecks are the checks of the methods that return content.
func rpcWindowChecks() []check {
	return []check{
		{"rpc/content", "§10.5", Must, rpcContent},
		{"rpc/content-window", "§10.3", Must, rpcContentWindow},
		{"rpc/proof-on-every-window", "§10.3", Should, rpcProofOnEveryWindow},
		{"rpc/miss", "§10.5", Must, rpcMiss},
		{"rpc/capsule", "§10.3", Must, rpcCapsule},
		{"rpc/module-alias", "§10.2", Should, rpcModuleAlias},
		{"rpc/latest", "§10.1", Must, rpcLatest},
		{"rpc/program-hash", "§10.3", Should, rpcProgramHash},
		{"rpc/manifest", "§10.2", Must, rpcManifest},
		{"rpc/metadata", "§10.2", Must, rpcMetadata},
		{"rpc/proof", "§10.2", Must, rpcProof},
		{"rpc/proof-status", "§10.2", Must, rpcProofStatus},
		{"rpc/capsules", "§10.2", Must, rpcCapsules},
	}
}

func rpcContent(ctx context.Context, s *session) error {
	key, root, sealed, err := s.hit(ctx)
	if err != nil {
		return err
	}
	var got []byte
	var first window
	for next := int64(0); ; {
		var w window
		params := s.named(root, "retrieval_key", key, "offset", next)
		if err := s.ask(ctx, "dig.getContent", params, &w); err != nil {
			return err
		}
		if next == 0 {
			first = w
		}
		got = append(got, w.Sealed...)
		if w.Next == nil || *w.Next <= next || int64(len(got)) > int64(len(sealed)) {
			break
		}
		next = *w.Next
	}
	if !bytes.Equal(got, sealed) {
		return found("the resource's sealed bytes, as in the module", "%d others", len(got))
	}
	sum := int64(0)
	for _, n := range first.Lens {
		sum += n
	}
	if len(first.Lens) > 0 && sum != int64(len(sealed)) {
		return found(fmt.Sprintf("chunk_lens that add up to %d", len(sealed)), "%d", sum)
	}
	return reply{sealed: got, proof: first.Proof}.genuine(root)
}

func rpcContentWindow(ctx context.Context, s *session) error {
	key, root, sealed, err := s.hit(ctx)
	if err != nil {
		return err
	}
	n := int64(len(sealed))
	for _, at := range [][2]int64{{0, -1}, {0, 0}, {1, 1}, {n - 1, 1}, {n, 1}, {n + 1, -1}} {
		p := s.named(root, "retrieval_key", key, "offset", at[0])
		if at[1] >= 0 {
			p["length"] = at[1]
		}
		var w window
		if err := s.ask(ctx, "dig.getContent", p, &w); err != nil {
			return err
		}
		if err := w.check(n, at[0], at[1]); err != nil {
			return err
		}
	}
	return nil
}

func rpcProofOnEveryWindow(ctx context.Context, s *session) error {
	m, err := s.opened(ctx)
	if err != nil {
		return err
	}
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	for r, err := range m.Resources() {
		if err != nil {
			return skip("the key table cannot be read: %v", err)
		}
		if r.SealedSize() <= rpc.Block {
			continue
		}
		var w window
		params := s.named(root, "retrieval_key", r.Key(), "offset", rpc.Block, "length", 1)
		if err := s.ask(ctx, "dig.getContent", params, &w); err != nil {
			return err
		}
		if len(w.Proof) == 0 {
			return as(knownNode, found("the proof on the second window too", "none"))
		}
		return nil
	}
	return skip("no resource has more than one window")
}

func rpcMiss(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	var w window
	if err := s.ask(ctx, "dig.getContent", s.named(root, "retrieval_key", random()), &w); err != nil {
		return err
	}
	if w.Decoy != nil {
		return as(knownNode, found("no marker of decoys", "decoy %v", *w.Decoy))
	}
	if (reply{sealed: w.Sealed, proof: w.Proof}).genuine(root) == nil {
		return found("bytes that no proof holds for", "a proof that holds")
	}
	return nil
}

func rpcCapsule(ctx context.Context, s *session) error {
	h, err := s.module(ctx)
	if err != nil {
		return err
	}
	root, _ := s.head(ctx)
	n := h.size
	const block, most = rpc.Block, rpc.MaxWindow
	for _, at := range [][2]int64{
		{0, 1}, {1, 0}, {block - 1, 1}, {block, 2}, {0, block + 1},
		{0, most - 1}, {most - 1, 1}, {most, 1}, {most + 1, 1},
		{n - 1, 1}, {n, 1}, {n + 1, 1},
	} {
		var w window
		params := s.named(root, "offset", at[0], "length", at[1])
		if err := s.ask(ctx, "dig.getCapsule", params, &w); err != nil {
			return err
		}
		if err := w.check(n, at[0], at[1]); err != nil {
			return err
		}
		wanted := make([]byte, len(w.Sealed))
		if _, err := h.file.ReadAt(wanted, *w.Offset); err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(wanted, w.Sealed) {
			return found("the bytes of the module", "others at %d", *w.Offset)
		}
	}
	return nil
}

func rpcModuleAlias(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	var a, b window
	if err := s.ask(ctx, "dig.getCapsule", s.named(root, "length", 1), &a); err != nil {
		return err
	}
	if err := s.ask(ctx, "dig.getModule", s.named(root, "length", 1), &b); err != nil {
		return err
	}
	if !bytes.Equal(a.Sealed, b.Sealed) {
		return found("what dig.getCapsule answers", "something else")
	}
	return nil
}

func rpcLatest(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	for _, name := range []any{"latest", "", nil} {
		p := map[string]any{"store_id": s.store, "root": name, "length": 1}
		if name == nil {
			delete(p, "root")
		}
		var w window
		if err := s.ask(ctx, "dig.getCapsule", p, &w); err != nil {
			return err
		}
		if w.Root == nil || *w.Root != root {
			return found(fmt.Sprintf("the head for root %v", name), "%v", w.Root)
		}
	}
	return nil
}

func rpcProgramHash(ctx context.Context, s *session) error {
	h, err := s.module(ctx)
	if err != nil {
		return err
	}
	root, _ := s.head(ctx)
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(h.file, 0, h.size)); err != nil {
		return err
	}
	var w window
	if err := s.ask(ctx, "dig.getCapsule", s.named(root, "length", 1), &w); err != nil {
		return err
	}
	if w.Program == nil || *w.Program != merkle.Hash(sum.Sum(nil)) {
		return as(knownNode, found("program_hash, the SHA-256 of the module", "%v", w.Program))
	}
	return nil
}

func rpcManifest(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	var w window
	if err := s.ask(ctx, "dig.getManifest", s.named(root), &w); err != nil {
		return err
	}
	if want := urn.RetrievalKey(s.store, rpc.ManifestName); w.Key == nil || *w.Key != want {
		return found("retrieval_key "+want.String(), "%v", w.Key)
	}
	return nil
}

func rpcMetadata(ctx context.Context, s *session) error {
	root, err := s.head(ctx)
	if err != nil {
		return err
	}
	var m struct {
		Manifest json.RawMessage `json:"manifest"`
		Root     *merkle.Hash    `json:"root"`
	}
	if err := s.ask(ctx, "dig.getMetadata", s.named(root), &m); err != nil {
		return err
	}
	if m.Root == nil || *m.Root != root {
		return found("root "+root.String(), "%v", m.Root)
	}
	if string(m.Manifest) != "null" && json.Unmarshal(m.Manifest, new(module.Metadata)) != nil {
		return found("a manifest or null", "%.80q", m.Manifest)
	}
	return nil
}

func rpcProof(ctx context.Context, s *session) error {
	key, root, sealed, err := s.hit(ctx)
	if err != nil {
		return err
	}
	var p struct {
		Inclusion []byte          `json:"inclusion_proof"`
		Execution json.RawMessage `json:"execution_proof"`
		Status    string          `json:"execution_proof_status"`
	}
	if err := s.ask(ctx, "dig.getProof", s.named(root, "retrieval_key", key), &p); err != nil {
		return err
	}
	if !slices.Contains(proofStates(), p.Status) {
		return found(fmt.Sprintf("execution_proof_status, one of %v", proofStates()), "%q", p.Status)
	}
	return reply{sealed: sealed, proof: p.Inclusion}.genuine(root)
}

func rpcProofStatus(ctx context.Context, s *session) error {
	var p struct {
		ID      string          `json:"proof_id"`
		Status  string          `json:"status"`
		Receipt json.RawMessage `json:"receipt"`
	}
	id := random().String()
	params := map[string]any{"store_id": s.store, "proof_id": id}
	if err := s.ask(ctx, "dig.getProofStatus", params, &p); err != nil {
		return err
	}
	if !slices.Contains(proofStates(), p.Status) || p.Status == rpc.ProofSucceeded ||
		len(p.Receipt) > 0 && string(p.Receipt) != "null" {
		return found("no receipt of a proof that nobody made", "status %q, receipt %.80q", p.Status,
			p.Receipt)
	}
	return nil
}

func rpcCapsules(ctx context.Context, s *session) error {
	lines, err := s.lines(ctx)
	if err != nil {
		return err
	}
	var list struct {
		Capsules []struct {
			Seq  *int64  `json:"seq"`
			Root *string `json:"root"`
		} `json:"capsules"`
	}
	if err := s.ask(ctx, "dig.listCapsules", map[string]any{"store_id": s.store}, &list); err != nil {
		return err
	}
	if len(list.Capsules) != len(lines) {
		return found(fmt.Sprintf("the %d generations of /roots", len(lines)), "%d", len(list.Capsules))
	}
	for i, c := range list.Capsules {
		if c.Seq == nil || c.Root == nil || *c.Root != lines[i].Root ||
			i > 0 && *c.Seq <= *list.Capsules[i-1].Seq {
			return found("the generations of /roots, ordered by seq", "line %d is another", i)
		}
	}
	return nil
}

// proofStates returns the values of execution_proof_status.
func proofStates() []string {
	return []string{rpc.ProofSucceeded, rpc.ProofRunning, rpc.ProofQueued, rpc.ProofNotFound,
		rpc.ProofElsewhere}
}
