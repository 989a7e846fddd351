package push_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/push"
	"github.com/dig-network/digstore/node/storage"
)

// A push without its content opens a session, which takes the content and is committed.
func ExampleManager() {
	ctx := context.Background()
	m, err := push.New(push.Options{Storage: storage.NewMemory(nil),
		Find: func(merkle.Hash) (capsule.Descriptor, error) {
			return capsule.Descriptor{}, fs.ErrNotExist // nothing is held elsewhere
		}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close(ctx)
	content := []byte("content")
	manifest, err := capsule.Split(ctx, auth.StoreID{1}, bytes.NewReader(content), nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := &push.Push{Manifest: manifest, LeafCount: 1}
	_, err = m.Push(ctx, p)
	fmt.Println(err)

	p.By = push.Credential{Name: "alice"}
	res, err := m.Push(ctx, p)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("missing:", res.Upload.Missing)
	id := res.Upload.Session
	if err := m.Upload(ctx, id, 0, int64(len(content)), bytes.NewReader(content)); err != nil {
		fmt.Println(err)
		return
	}
	res, err = m.Commit(ctx, id)
	fmt.Println("accepted:", res.Accepted, err)
	// Output:
	// push to store 0100000000000000000000000000000000000000000000000000000000000000, which is not tracked: credential required
	// missing: [0]
	// accepted: true <nil>
}
