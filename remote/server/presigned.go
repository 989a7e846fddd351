package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// An Upload is a module on its way through an [ObjectStore].
type Upload struct {
	// Name is the name of the object: lower-case hex digits, one slash and one hyphen. It is the same
	// for each attempt of one identity to push one root to one store.
	Name  string
	Store auth.StoreID
	Root  merkle.Hash
	Size  int64       // declared size in bytes; positive
	Hash  merkle.Hash // declared SHA-256 of the module; zero: none
}

// An ObjectStore takes module uploads in place of the server, by PUT to presigned URLs. push-init
// returns a URL, and push-complete receives the object from the store (remote/PROTOCOL.md 6.5 to
// 6.7). An uploaded module is checked like an inline one. Methods may be called concurrently.
//
// The server does not remove uploads that are never completed: the object store must drop those
// older than about a day.
type ObjectStore interface {
	// Presign returns a URL that takes one PUT of u.Size bytes without dig headers, for at least 15
	// minutes. Clients require https and a public host, or the server's own origin. After an error
	// the client uploads through the server.
	Presign(ctx context.Context, u Upload) (url string, err error)
	// Open opens an upload; a missing one is [fs.ErrNotExist]. The caller closes it.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Remove removes an upload. A missing one is no error.
	Remove(ctx context.Context, name string) error
}

// objectName returns the name of an upload. It includes the identity, so that another identity
// cannot overwrite the upload.
func objectName(p *push) string {
	identity := sha256.Sum256(p.by.Identity[:])
	return fmt.Sprintf("%s/%s-%x", p.store, p.root, identity[:8])
}

// presign adds an upload URL to the response of push-init, if there is an ObjectStore.
func (s *Server) presign(ctx context.Context, p *push, answer *wire.InitAnswer) {
	if s.opt.Objects == nil || p.decl.size == 0 || p.again {
		return
	}
	url, err := s.opt.Objects.Presign(ctx, Upload{
		Name: objectName(p), Store: p.store, Root: p.root, Size: p.decl.size, Hash: p.decl.program,
	})
	if err != nil {
		s.log.ErrorContext(ctx, "no upload address: the upload goes through the server", "store", p.store,
			"root", p.root, "err", err)
		return
	}
	answer.Mode, answer.URL = wire.ModePresigned, url
}

// postComplete answers POST /stores/{id}/module/complete: it receives a module from the
// ObjectStore. The statuses are those of PUT. See remote/PROTOCOL.md 6.7.
func (s *Server) postComplete(w http.ResponseWriter, c *call) error {
	if s.opt.Objects == nil {
		return invalid("this node serves inline uploads; PUT the module to /module?root= instead")
	}
	ctx := c.Context()
	text, err := s.readBody(c, wire.MaxRequestJSON)
	if err != nil {
		return err
	}
	p := newPush(c)
	done, err := s.prepare(ctx, p, pushForm{
		target: func() error {
			err := p.readComplete(text)
			s.readDeclaration(p)
			return cmp.Or(err, p.decl.readKey(c.Request))
		},
		statements: func() error { return s.readStatements(c, p) },
		key: func() (auth.PublicKey, error) {
			return auth.PublicKey{}, invalid("no public key is known; announce the push with push-init")
		},
	})
	c.root = p.root
	if err != nil {
		return err
	}
	status := http.StatusOK
	if !done {
		body := &upload{length: -1, max: s.opt.MaxModule}
		status, err = s.accept(ctx, p, arrival{slot: c.share(s.uploads), body: body, take: func() error {
			if p.again {
				return nil
			}
			return s.receiveObject(ctx, p, body)
		}})
	}
	if err == nil || refusalOf(err).status == http.StatusUnprocessableEntity {
		s.removeObject(ctx, p) // received, or invalid
	}
	if err != nil {
		return err
	}
	// Keep the declaration until it expires: the response may be lost and the client may retry.
	return answerPush(w, p, status)
}

// readComplete reads the body of a push-complete.
func (p *push) readComplete(text []byte) error {
	var b wire.CompleteBody
	if err := json.Unmarshal(text, &b); err != nil {
		return invalid("bad push-complete body")
	}
	root, err := merkle.ParseHash(b.NewRoot)
	if err != nil || root.IsZero() {
		return invalid("malformed new_root")
	}
	if p.root = root; b.UploadID != "" && !strings.EqualFold(b.UploadID, root.String()) {
		return invalid("unknown upload_id")
	}
	return nil
}

// receiveObject receives a module from the object store. If the object is missing, the root may
// already be pending.
func (s *Server) receiveObject(ctx context.Context, p *push, body *upload) error {
	object, err := s.opt.Objects.Open(ctx, objectName(p))
	if errors.Is(err, fs.ErrNotExist) {
		return s.receivedBefore(ctx, p)
	}
	if err != nil {
		return unreadable(err)
	}
	defer object.Close()
	body.body = objectReader{object}
	return s.receive(ctx, p, body)
}

// receivedBefore handles a missing upload. If its root is pending, an earlier push-complete
// received it: a pending push succeeds again, any other push promotes the root.
func (s *Server) receivedBefore(ctx context.Context, p *push) error {
	nothing := invalid("nothing was uploaded")
	if s.promoter == nil {
		return nothing
	}
	s.trimPending(ctx, p.store)
	all, err := s.promoter.Pending(ctx, p.store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch {
	case !slices.ContainsFunc(all, func(g module.Generation) bool { return g.Root == p.root }):
		return nothing
	case p.pending:
		p.unchanged = true
		return nil
	}
	return s.promoter.Promote(ctx, p.store, p.root)
}

func (s *Server) removeObject(ctx context.Context, p *push) {
	if err := s.opt.Objects.Remove(context.WithoutCancel(ctx), objectName(p)); err != nil {
		s.log.ErrorContext(ctx, "cannot remove an upload", "store", p.store, "root", p.root, "err", err)
	}
}

// An objectReader turns read errors of an upload into status 503.
type objectReader struct{ r io.Reader }

func (o objectReader) Read(b []byte) (int, error) {
	n, err := o.r.Read(b)
	if err != nil && err != io.EOF {
		err = unreadable(err)
	}
	return n, err
}

func unreadable(cause error) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, text: "the upload cannot be read now",
		retry: time.Second, cause: cause}
}
