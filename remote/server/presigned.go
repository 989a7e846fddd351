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
	// Name is the object's: two parts of lower-case hex digits, one slash and one hyphen. The same for
	// each attempt of one identity to push one root to one store.
	Name  string
	Store auth.StoreID
	Root  merkle.Hash
	Size  int64       // bytes, as announced; over 0
	Hash  merkle.Hash // SHA-256 of the module, as announced; zero: not said
}

// An ObjectStore takes modules in a server's place, at addresses to which whoever knows them may
// PUT: push-init hands one out, and push-complete has the object received from there
// (remote/PROTOCOL.md 6.5 to 6.7). What was uploaded is checked like what comes in line. Methods
// may be called concurrently.
//
// Uploads that nobody completes stay behind: the object store has to drop what is older than a day
// or so.
type ObjectStore interface {
	// Presign returns an address that takes one PUT of u.Size bytes without any header of ours, for a
	// quarter of an hour at least. Clients want https and a public host, or the server's own origin.
	// An error has the module come in line.
	Presign(ctx context.Context, u Upload) (url string, err error)
	// Open opens what was uploaded under a name, [fs.ErrNotExist] when nothing was. The caller closes
	// it.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Remove forgets an upload. One that is not there is no error.
	Remove(ctx context.Context, name string) error
}

// objectName is what an upload is called. The identity is in it so that nobody else's upload takes
// its place.
func objectName(p *push) string {
	who := sha256.Sum256(p.by.Identity[:])
	return fmt.Sprintf("%s/%s-%x", p.store, p.root, who[:8])
}

// presign puts an address into the answer to push-init, where there is somebody who hands them out.
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

// postComplete answers POST /stores/{id}/module/complete: it receives what was uploaded elsewhere.
// Statuses are those of PUT. See remote/PROTOCOL.md 6.7.
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
		status, err = s.accept(ctx, p, arrival{place: c.share(s.uploads), body: body, take: func() error {
			if p.again {
				return nil
			}
			return s.receiveObject(ctx, p, body)
		}})
	}
	if err == nil || refusalOf(err).status == http.StatusUnprocessableEntity {
		s.removeObject(ctx, p) // it has been taken, or never will be
	}
	if err != nil {
		return err
	}
	// The announcement stays until its time is over: the answer may be lost, and this request come
	// again.
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

// receiveObject takes a module from the object store. One that is not there any more may be pending
// already.
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

// receivedBefore answers for an upload that is not there: its root may be pending, from a
// completion whose answer was lost, or to be promoted now.
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

// An objectReader says whose fault it is when an upload cannot be read.
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
