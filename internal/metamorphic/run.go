package metamorphic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dig-network/digstore/internal/corpus"
)

// A Config says what [Run] runs.
type Config struct {
	Binary    string    // the digstore program
	Env       []string  // variables for it, besides those of this process
	Dir       string    // an empty folder to work in
	Seed      uint64    // decides every step
	Steps     int       // how many to take; 0: 40
	Until     time.Time // the sequence ends early at this time; zero: it does not
	InitArgs  []string  // more arguments for init, such as where to keep the store
	ServeArgs []string  // more arguments for serve
}

// A Failure is a difference from the model, or a command that should not have
// failed.
type Failure struct {
	Seed   uint64
	Step   int
	Err    error
	Script string // what led to it, as lines for a shell
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d, step %d: %v\n\n%s", f.Seed, f.Step, f.Err, f.Script)
}

func (f *Failure) Unwrap() error { return f.Err }

// Run takes one sequence of steps and returns how often each kind was taken.
// The error is a *[Failure], or that of ctx. A failed run leaves everything
// that the script needs in Dir.
func Run(ctx context.Context, c Config) (map[string]int, error) {
	if c.Steps == 0 {
		c.Steps = 40
	}
	w := &world{Config: c, p: &processes{binary: c.Binary, env: c.Env, dir: c.Dir},
		counts: map[string]int{}, took: map[string]time.Duration{}}
	defer w.close()
	step, err := w.all(ctx)
	if err == nil || ctx.Err() != nil {
		return w.counts, err
	}
	return w.counts, &Failure{c.Seed, step, err, w.script()}
}

// world is one run.
type world struct {
	Config
	p        *processes
	stores   []*store
	replicas []*replica
	host     *server
	mirror   *server
	trees    []corpus.Tree // contents that folders had, in the order of the script
	counts   map[string]int
	took     map[string]time.Duration // how long a command of a kind takes
	clones   int
}

// random returns the source of all choices of one step. It does not depend on
// how earlier steps came out.
func (w *world) random(step int) *rand.Rand {
	return rand.New(rand.NewPCG(w.Seed, uint64(step)))
}

// all takes all steps and returns the number of the one that failed.
func (w *world) all(ctx context.Context) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	for n, last := 1, false; !last; n++ {
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
		last = n >= w.Steps || !w.Until.IsZero() && time.Now().After(w.Until)
		r := w.random(n)
		w.p.note("# step %d", n)
		if err := w.step(ctx, n, r); err != nil {
			return n, err
		}
		if n%10 == 0 || last {
			if err := w.checkAll(r); err != nil {
				return n, fmt.Errorf("after all: %w", err)
			}
		}
	}
	for _, s := range []*server{w.host, w.mirror} {
		if err := s.stop(ctx); err != nil {
			return w.Steps, err
		}
	}
	return w.Steps, nil
}

func (w *world) close() {
	for _, s := range []*server{w.host, w.mirror} {
		if s != nil {
			s.kill()
		}
	}
}

// replica returns the replica of s in where.
func (w *world) replica(where string, s *store) *replica {
	for _, r := range w.replicas {
		if r.where == where && r.store == s {
			return r
		}
	}
	r := newReplica(where, s)
	w.replicas = append(w.replicas, r)
	return r
}

// put makes the folder of a publisher hold tree.
func (w *world) put(r *replica, tree corpus.Tree) error {
	w.p.note("put trees/%d %s", len(w.trees), r.site())
	w.trees = append(w.trees, tree)
	r.folder = tree
	return tree.Write(filepath.Join(w.Dir, r.site()))
}

// site is the folder with a publisher's content.
func (r *replica) site() string { return r.where + "/" + r.store.name }

// script writes the trees that the script needs and returns it.
func (w *world) script() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# seed %d; the work folder is %s
W=$(mktemp -d); TREES=%s
dig() { (cd "$W" && DIG_IDENTITY_DIR="$W/identity/${1%%%%/*}" ${KILL:+timeout -s KILL $KILL} digstore -C "$@"); }
serve() { cd "$W"; DIG_IDENTITY_DIR="$W/identity/$1" exec digstore -C "$@"; }
put() { rm -rf "$W/$2" && mkdir -p "$W/$2" && cp -R "$TREES/$1/." "$W/$2/"; }
id() { sed -n 's/.*"store_id":"\([0-9a-f]*\)".*/\1/p'; }
mkdir -p "$W"/p0 "$W"/p1 "$W"/host "$W"/mirror "$W"/archive
`, w.Seed, w.Dir, w.Dir)
	for _, l := range w.p.script {
		for _, s := range w.stores {
			if s.id != "" {
				l = strings.ReplaceAll(l, s.id, "$"+strings.ToUpper(s.name))
			}
		}
		l = strings.ReplaceAll(l, w.Dir, "$W")
		b.WriteString(l + "\n")
	}
	for i, t := range w.trees {
		if err := t.Write(filepath.Join(w.Dir, "trees", fmt.Sprint(i))); err != nil {
			fmt.Fprintf(&b, "# tree %d: %v\n", i, err)
		}
	}
	// it is printed as well
	_ = os.WriteFile(filepath.Join(w.Dir, "script.sh"), []byte(b.String()), 0o666)
	return b.String()
}

// begin makes the stores, the host and the mirror.
func (w *world) begin() error {
	for _, name := range []string{"p0", "p1", "host", "mirror", "archive", "temporary"} {
		if err := os.MkdirAll(filepath.Join(w.Dir, name), 0o777); err != nil {
			return err
		}
	}
	r := w.random(0)
	shared, own := newStore("shared"), newStore("own")
	w.stores = []*store{shared, own}
	w.host = &server{p: w.p, where: "host", args: append([]string{"--allow-any"}, w.ServeArgs...)}
	if err := w.host.begin(); err != nil {
		return err
	}
	// The shared store is listed, so that every replica can name its files. The
	// other one is private at times.
	secret := []string{"--private"}[:r.IntN(2)]
	for i, s := range w.stores {
		p := w.replica(fmt.Sprint("p", i), s)
		p.publishes, p.root = true, true
		if err := w.put(p, corpus.Small(r.Uint64())); err != nil {
			return err
		}
		args := append([]string{"init", s.name, "--dir", s.name}, w.InitArgs...)
		if s == shared {
			args, p.listed = append(args, "--listed"), true
		} else {
			args = append(args, secret...)
		}
		w.p.note("%s=$(dig %s %s --json | id)", strings.ToUpper(s.name), p.where, strings.Join(args, " "))
		var made struct {
			StoreID string `json:"store_id"`
		}
		if err := w.p.object(&made, p.where, args...); err != nil {
			return err
		}
		s.id, p.exists = made.StoreID, true
		for _, make := range []func(*rand.Rand, *replica) *step{w.commit, w.push} {
			if err := w.take(r, make(r, p)); err != nil {
				return err
			}
		}
	}
	for _, s := range w.stores {
		if err := w.take(r, w.cloneInto(r, w.replica("mirror", s))); err != nil {
			return err
		}
		w.replica("archive", s)
	}
	w.mirror = &server{p: w.p, where: "mirror", args: w.ServeArgs}
	if err := w.mirror.begin(); err != nil {
		return err
	}
	// The second publisher of the shared store.
	second := w.replica("p1", shared)
	if err := w.take(r, w.cloneInto(r, second)); err != nil {
		return err
	}
	for _, c := range []command{
		{where: "p0", args: []string{"--store", shared.id, "key", "export", filepath.Join(w.Dir, "shared.key")}},
		{where: "p1", args: []string{"--store", shared.id, "key", "import", filepath.Join(w.Dir, "shared.key")}},
	} {
		out, err := w.p.run(c)
		if err != nil {
			return err
		}
		if out.code != 0 {
			return fmt.Errorf("%v: %v", c.args, out)
		}
	}
	second.publishes, second.listed = true, true // it goes on as the generations that it has
	return w.put(second, corpus.Small(r.Uint64()))
}
