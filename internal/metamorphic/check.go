package metamorphic

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/dig-network/digstore/internal/corpus"
)

// The exit codes that the checks tell apart.
const (
	codeNoStore      = 3
	codeNotFound     = 4
	codeVerification = 5
)

// list returns the history of a replica, oldest first.
func (w *world) list(r *replica) ([]line, error) {
	args := on(r, "log", "--json")
	out, err := w.p.quietly(command{where: r.where, args: args})
	if err != nil {
		return nil, err
	}
	if !r.exists && (out.code == codeNoStore || out.code == codeNotFound) {
		return nil, nil
	}
	if out.code != 0 {
		return nil, fmt.Errorf("log of %s: %v", r, out)
	}
	var answer struct{ Generations []line }
	if err := w.p.object(&answer, r.where, on(r, "log")...); err != nil {
		return nil, err
	}
	slices.Reverse(answer.Generations)
	return answer.Generations, nil
}

// checkAll checks every replica.
func (w *world) checkAll(rnd *rand.Rand) error {
	for _, r := range w.replicas {
		got, err := w.list(r)
		if err != nil {
			return err
		}
		if err := r.observe(got, change{}); err != nil {
			return err
		}
		if err := w.check(rnd, r); err != nil {
			return err
		}
	}
	return nil
}

// check verifies everything that a replica holds, and compares the head and one
// other generation with the model, byte for byte.
func (w *world) check(rnd *rand.Rand, r *replica) error {
	held := r.held()
	if len(held) == 0 {
		return nil
	}
	var answer struct{ Verified []line }
	if err := w.p.object(&answer, r.where, on(r, "verify", "--all", "--deep")...); err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	for _, l := range held {
		if !slices.ContainsFunc(answer.Verified, func(v line) bool { return v.Root == l.Root }) {
			return fmt.Errorf("%s: verify leaves out generation %d, root %s, which is held",
				r, l.Number, l.Root)
		}
	}
	list := []line{held[len(held)-1]}
	if other := held[rnd.IntN(len(held))]; other != list[0] {
		list = append(list, other)
	}
	for _, l := range list {
		if err := w.checkModule(r, l); err != nil {
			return fmt.Errorf("%s: generation %d, root %s: %w", r, l.Number, l.Root, err)
		}
	}
	return nil
}

// checkModule compares the module of a generation, and its files where they can
// be named.
func (w *world) checkModule(r *replica, l line) error {
	out, err := w.p.quietly(command{where: r.where, args: on(r, "export", fmt.Sprint(l.Number), "-")})
	if err != nil {
		return err
	}
	revoked := r.store.isRevoked(l.Root)
	if out.code == codeVerification && revoked {
		return nil
	}
	if out.code != 0 {
		return fmt.Errorf("export: %v", out)
	}
	sum := sha256.Sum256(out.stdout)
	got, want := hex.EncodeToString(sum[:]), r.store.modules[l.Root]
	if want == "" {
		r.store.modules[l.Root] = got
	} else if got != want {
		return fmt.Errorf("its module of %d bytes has the hash %s, expected %s",
			len(out.stdout), got, want)
	}
	if !r.names(l.Root) {
		return nil
	}
	dir := "check"
	args := on(r, "checkout", fmt.Sprint(l.Number), filepath.Join(w.Dir, dir))
	if out, err = w.p.quietly(command{where: r.where, args: args}); err != nil {
		return err
	}
	if out.code == codeVerification && revoked {
		return w.remove(dir)
	}
	if out.code != 0 {
		return fmt.Errorf("checkout: %v", out)
	}
	if err := w.compare(dir, r.store.trees[l.Root]); err != nil {
		return err
	}
	return w.remove(dir)
}

// compare compares a folder with a tree.
func (w *world) compare(dir string, want corpus.Tree) error {
	got, err := corpus.Read(filepath.Join(w.Dir, dir))
	if err != nil {
		return err
	}
	if d := corpus.Diff(publishable(want), publishable(got)); d != "" {
		return fmt.Errorf("the files differ:\n%s", d)
	}
	return nil
}

func (w *world) inDir(dir string) (fs.FileInfo, error) {
	return os.Stat(filepath.Join(w.Dir, dir, ".dig"))
}

func (w *world) remove(dir string) error { return os.RemoveAll(filepath.Join(w.Dir, dir)) }
