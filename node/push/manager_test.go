package push_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/push"
	"github.com/dig-network/digstore/node/storage"
)

// blocked is a body of which nothing comes until it is let go.
type blocked struct {
	entered func()
	open    chan struct{}
	rest    io.Reader
}

func (b *blocked) Read(p []byte) (int, error) {
	b.entered()
	<-b.open
	return b.rest.Read(p)
}

// A session that is aborted while content comes leaves nothing of it, and has a bounded number of
// uploads at the same time.
func TestUploadsInProgress(t *testing.T) {
	ctx := context.Background()
	st := storage.NewMemory(nil)
	m, err := push.New(push.Options{Storage: st, Find: func(merkle.Hash) (capsule.Descriptor, error) {
		return capsule.Descriptor{}, fs.ErrNotExist
	}})
	if err != nil {
		t.Fatal(err)
	}
	g := capsuletest.Of(t, 1, []byte("first"), []byte("second"))
	res, err := m.Push(ctx, &push.Push{Manifest: g.Manifest, LeafCount: 2,
		By: push.Credential{Name: "alice"}})
	if err != nil {
		t.Fatal(err)
	}
	id := res.Upload.Session
	upload := func(i uint32, body io.Reader) error {
		return m.Upload(ctx, id, i, int64(len(g.Content[i])), body)
	}
	if err := upload(1, bytes.NewReader(g.Content[1])); err != nil {
		t.Fatal(err)
	}
	const most = 8
	var entered, ended sync.WaitGroup
	open := make(chan struct{})
	errs := make(chan error, most)
	for range most {
		entered.Add(1)
		b := &blocked{entered: sync.OnceFunc(entered.Done), open: open,
			rest: bytes.NewReader(g.Content[0])}
		ended.Go(func() { errs <- upload(0, b) })
	}
	entered.Wait()
	if err := upload(0, bytes.NewReader(g.Content[0])); !errors.Is(err, push.ErrBusy) {
		t.Errorf("upload %d: %v, expected ErrBusy", most+1, err)
	}
	if err := m.Abort(ctx, id); err != nil {
		t.Fatal(err)
	}
	close(open)
	ended.Wait()
	close(errs)
	for err := range errs {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("upload to a session that was aborted meanwhile: %v", err)
		}
	}
	if u, err := st.Usage(ctx); err != nil || u.Capsules != 0 {
		t.Errorf("%d capsules are left: %v", u.Capsules, err)
	}
	if n, bytes := m.Stats(); n != 0 || bytes != 0 {
		t.Errorf("%d sessions, %d bytes", n, bytes)
	}
}
