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

// A declaration is what a push-init declares for the PUT that follows it.
type declaration struct {
	parent  merkle.Hash
	key     auth.PublicKey // zero: not declared
	program merkle.Hash    // SHA-256 of the module; zero: not declared
	size    int64          // of the module; 0: not declared
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

// declarations is a bounded table of push-inits. Safe for concurrent use.
type declarations struct {
	byKey *lru.Cache[declarationKey, declaration]
}

func newDeclarations() declarations {
	return declarations{newLRU[declarationKey, declaration](maxDeclarations)}
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

// postInit answers POST /stores/{id}/module/upload: it checks a push before the module is sent. See
// remote/PROTOCOL.md 6.5.
func (s *Server) postInit(w http.ResponseWriter, c *call) error {
	text, err := s.readBody(c, wire.MaxRequestJSON)
	if err != nil {
		return err
	}
	p := newPush(c)
	done, err := s.prepare(c.Context(), p, pushForm{
		target: func() error { return cmp.Or(p.readInit(text), p.decl.readKey(c.Request)) },
		statements: func() (err error) {
			p.sigs, err = parseSignatures(c.Header)
			return err
		},
		key: func() (auth.PublicKey, error) { return auth.PublicKey{}, invalid("missing store_pubkey") },
	})
	c.root = p.root
	if err != nil {
		return err
	}
	if !done && !p.again {
		room, err := s.room(c.Context(), p)
		if err != nil {
			return err
		}
		if p.decl.size > room {
			return noRoom()
		}
	}
	answer := wire.InitAnswer{Mode: wire.ModeInline, UploadID: p.root.String()}
	if done {
		answer.Status = wire.StatusAdvanced
	} else {
		p.decl.until = s.opt.Now().Add(declarationLife)
		s.declarations.put(p.declarationKey(), p.decl)
		s.presign(c.Context(), p, &answer)
	}
	return writeJSON(w, c.Request, answer)
}

// readInit reads the body of a push-init: root, parent, and declarations about the module. Members
// that the reference ignores may be missing, but not malformed.
func (p *push) readInit(text []byte) (err error) {
	bad := invalid("bad push-init body")
	var b wire.InitBody
	if err := json.Unmarshal(text, &b); err != nil || b.SizeBytes < 0 {
		return bad
	}
	var root, parent, program merkle.Hash
	if root, err = merkle.ParseHash(b.NewRoot); err != nil || root.IsZero() {
		return invalid("malformed new_root")
	}
	if parent, err = wire.Optional(b.ParentRoot, merkle.ParseHash); err != nil {
		return invalid("malformed parent_root")
	}
	if program, err = wire.Optional(b.ProgramHash, merkle.ParseHash); err != nil {
		return invalid("malformed program_hash")
	}
	if p.decl.key, err = wire.Optional(b.StorePubkey, auth.ParsePublicKey); err != nil {
		return invalid("malformed store_pubkey")
	}
	p.root, p.parent = root, parent
	p.decl.parent, p.decl.program, p.decl.size = parent, program, b.SizeBytes
	return nil
}
