package digstore_test

import (
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/digstore"
)

// A folder becomes a generation, and the generation is an fs.FS.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(filepath.Join(dir, "site", "posts"), 0o755); err != nil {
		log.Fatal(err)
	}
	for name, text := range map[string]string{"index.html": "<h1>hello</h1>",
		"posts/1.txt": "first post"} {
		if err := os.WriteFile(filepath.Join(dir, "site", filepath.FromSlash(name)), []byte(text),
			0o644); err != nil {
			log.Fatal(err)
		}
	}

	w, err := digstore.Init(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	s, err := w.Create(ctx, digstore.StoreID{},
		&digstore.StoreOptions{Name: "site", ContentRoot: "site"})
	if err != nil {
		log.Fatal(err)
	}
	r, err := s.Commit(context.Background(), nil, &digstore.CommitOptions{Message: "first"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("generation", r.Generation.Info().Number, r.Generation.Message())
	err = fs.WalkDir(r.Generation, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			fmt.Println(name)
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// generation 0 first
	// index.html
	// posts/1.txt
}

func ExampleStore_Stage() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	w, err := digstore.Init(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	s, err := w.Create(ctx, digstore.StoreID{}, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := s.Stage(ctx, "notes/today.txt", strings.NewReader("buy milk")); err != nil {
		log.Fatal(err)
	}
	r, err := s.Commit(ctx, nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	text, err := fs.ReadFile(r.Generation, "notes/today.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", text)
	// Output: buy milk
}

func ExampleParseNames() {
	names, err := digstore.ParseNames(strings.NewReader("index.html\turn:dig:chia:…\nposts/1.txt\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(names), names[1])
	// Output: 2 posts/1.txt
}
