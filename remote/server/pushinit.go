package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A declaration is what a push-init announced for the PUT that follows it.
type declaration struct {
	parent  merkle.Hash
	key     auth.PublicKey // zero: not said
	program merkle.Hash    // SHA-256 of the module; zero: not said
	size    int64          // of the module; 0: not said
	until   time.Time
}

type declarationKey struct {
	store    auth.StoreID
	root     merkle.Hash
	identity auth.PublicKey
}

const (
	declarationLife = 15 * time.Minute // remote/PROTOCOL.md 6.2
	maxDeclarations = 4096
)

// declarations remembers push-inits, in bounded memory. Safe for concurrent use.
type declarations struct {
	byKey *lru.Cache[declarationKey, declaration]
}

func newDeclarations() declarations {
	return declarations{remembering[declarationKey, declaration](maxDeclarations)}
}

func (d declarations) get(k declarationKey, now time.Time) (declaration, bool) {
	decl, ok := d.byKey.Get(k)
	if !ok || now.After(decl.until) {
		d.byKey.Remove(k)
		return declaration{}, false
	}
	return decl, true
}

func (d declarations) put(k declarationKey, decl declaration) { d.byKey.Add(k, decl) }

func (d declarations) drop(k declarationKey) { d.byKey.Remove(k) }

// postInit answers POST /stores/{id}/module/upload: would a push like this be taken? See remote/PROTOCOL.md 6.5.
func (s *Server) postInit(w http.ResponseWriter, c *call) error {
	text, err := s.readBody(c, wire.MaxRequestJSON)
	if err != nil {
		return err
	}
	p := &push{request: c.Request, store: c.store, identity: c.identity}
	decl, bodyErr := p.readInit(text)
	keyErr := decl.readKey(c.Request)
	if err := s.find(c.Context(), p, decl.key); err != nil {
		return err
	}
	if err := cmp.Or(bodyErr, keyErr); err != nil {
		return err
	}
	if p.sigs, err = parseSignatures(c.Header); err != nil {
		return err
	}
	if decl.size > s.opt.MaxModule {
		return tooLarge(decl.size)
	}
	if err := s.checkBearer(c, p); err != nil {
		return err
	}
	if p.key.IsZero() {
		return invalid("missing store_pubkey")
	}
	done, err := s.judge(c.Context(), p)
	if err != nil {
		return err
	}
	if !done && !p.again {
		brings := decl.size
		if !p.isNew() {
			brings = 0 // a module has much that is here
		}
		if err := s.checkQuota(c.Context(), p, brings); err != nil {
			return err
		}
	}
	answer := wire.InitAnswer{Mode: wire.ModeInline, UploadID: p.root.String()}
	if done {
		answer.Status = wire.StatusAdvanced
	} else {
		decl.until = s.opt.Now().Add(declarationLife)
		s.inits.put(declarationKey{c.store, p.root, c.identity}, decl)
		s.presign(c.Context(), p, decl, &answer)
	}
	return writeJSON(w, c.Request, answer)
}

// readInit reads the body of a push-init: root and parent into p, what else it announces into the declaration.
// Members that the reference ignores may be missing, but not malformed.
func (p *push) readInit(text []byte) (decl declaration, err error) {
	bad := invalid("bad push-init body")
	var b wire.InitBody
	if err := json.Unmarshal(text, &b); err != nil || b.SizeBytes < 0 {
		return decl, bad
	}
	var root, parent, program merkle.Hash
	if root, err = merkle.ParseHash(b.NewRoot); err != nil || root.IsZero() {
		return decl, invalid("malformed new_root")
	}
	if parent, err = wire.Optional(b.ParentRoot, merkle.ParseHash); err != nil {
		return decl, invalid("malformed parent_root")
	}
	if program, err = wire.Optional(b.ProgramHash, merkle.ParseHash); err != nil {
		return decl, invalid("malformed program_hash")
	}
	if decl.key, err = wire.Optional(b.StorePubkey, auth.ParsePublicKey); err != nil {
		return decl, invalid("malformed store_pubkey")
	}
	p.root, p.parent = root, parent
	decl.parent, decl.program, decl.size = parent, program, b.SizeBytes
	return decl, nil
}
