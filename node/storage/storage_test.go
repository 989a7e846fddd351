package storage_test

import (
	"testing"

	"github.com/dig-network/digstore/node/nodetest"
	"github.com/dig-network/digstore/node/storage"
)

func openDir(t *testing.T, dir string, o *storage.DirOptions) *storage.Dir {
	t.Helper()
	s, err := storage.OpenDir(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMemory(t *testing.T) {
	nodetest.TestStorage(t, func(*testing.T) nodetest.Storage {
		s := storage.NewMemory(nil)
		return nodetest.Storage{Open: func(*testing.T) storage.Storage { return s }}
	})
}

func TestDir(t *testing.T) {
	nodetest.TestStorage(t, func(t *testing.T) nodetest.Storage {
		dir := t.TempDir()
		return nodetest.Storage{
			Open: func(t *testing.T) storage.Storage { return openDir(t, dir, nil) },
			OpenReader: func(t *testing.T) storage.Storage {
				return openDir(t, dir, &storage.DirOptions{ReadOnly: true})
			},
		}
	})
}
