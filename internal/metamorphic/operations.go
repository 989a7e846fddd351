package metamorphic

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dig-network/digstore/internal/corpus"
)

// A step is one command with what the model says of it.
type step struct {
	kind    string
	prepare func() error // what comes before the command; nil: nothing
	command command
	codes   []int               // exit codes to expect
	changes map[*replica]change // what it may change
	// done checks what holds after exit code 0 when nothing ran beside the step;
	// the changes are in the model by then. nil checks nothing.
	done func(o outcome) error
	// always runs after the step, however it ended. nil does nothing.
	always func() error
}

// A maker makes a step for the replica r, or returns nil where the state does not
// permit one.
type maker func(rnd *rand.Rand, r *replica) *step

// ready runs what comes before the command.
func (s *step) ready() error {
	if s.prepare == nil {
		return nil
	}
	return s.prepare()
}

// operations are the kinds of steps with how often each is drawn, and which
// replicas it is for.
func (w *world) operations() []operation {
	return []operation{
		{10, publishers, w.commit},
		{4, publishers, w.add},
		{10, publishers, w.push},
		{3, publishers, w.pushPending},
		{4, publishers, w.promote},
		{8, synced, w.pull},
		{2, anywhere, w.gc},
		{5, anywhere, w.gcKeep},
		{1, publishers, w.revoke},
		{4, anywhere, w.importElsewhere},
		{6, servers, w.cloneFresh},
		{3, servers, w.catFrom},
		{3, anywhere, w.checkout},
	}
}

type operation struct {
	weight  int
	replica func(*replica) bool
	make    maker
}

func publishers(r *replica) bool { return r.publishes }
func anywhere(r *replica) bool   { return len(r.lines) > 0 }
func servers(r *replica) bool    { return r.where == "host" || r.where == "mirror" }

// synced are the replicas that pull.
func synced(r *replica) bool { return r.publishes || r.where == "mirror" }

// draw makes a random step.
func (w *world) draw(rnd *rand.Rand) *step {
	list := w.operations()
	total := 0
	for _, o := range list {
		total += o.weight
	}
	for {
		n := rnd.IntN(total)
		i := 0
		for ; n >= list[i].weight; i++ {
			n -= list[i].weight
		}
		var fit []*replica
		for _, r := range w.replicas {
			if list[i].replica(r) {
				fit = append(fit, r)
			}
		}
		if len(fit) == 0 {
			continue
		}
		if s := list[i].make(rnd, fit[rnd.IntN(len(fit))]); s != nil {
			return s
		}
	}
}

// step takes the n-th step: a command, two at once, one that is killed or whose
// server is, or a restart of a server.
func (w *world) step(ctx context.Context, n int, rnd *rand.Rand) error {
	switch how := rnd.IntN(20); {
	case how == 0:
		return w.restart(ctx, rnd)
	case how < 4:
		return w.pair(rnd)
	case how < 8:
		s := w.draw(rnd)
		return w.takeKilled(rnd, s, nil)
	case how < 10:
		s := w.draw(rnd)
		return w.takeKilled(rnd, s, w.serverOf(s))
	default:
		return w.take(rnd, w.draw(rnd))
	}
}

// serverOf returns a server that a step talks to, or nil.
func (w *world) serverOf(s *step) *server {
	for _, a := range s.command.args {
		for _, at := range []*server{w.host, w.mirror} {
			if strings.HasPrefix(a, at.url()) {
				return at
			}
		}
	}
	return nil
}

func (w *world) restart(ctx context.Context, rnd *rand.Rand) error {
	s := []*server{w.host, w.mirror}[rnd.IntN(2)]
	w.counts["restart"]++
	if err := s.stop(ctx); err != nil {
		return err
	}
	return s.begin()
}

// take runs a step to its end.
func (w *world) take(rnd *rand.Rand, s *step) error {
	w.counts[s.kind]++
	if err := s.ready(); err != nil {
		return err
	}
	out, err := w.p.run(s.command)
	if err != nil {
		return err
	}
	w.took[s.kind] = out.took
	if !slices.Contains(s.codes, out.code) {
		return fmt.Errorf("%s: expected exit code %v: %v", s.command.shell(), s.codes, out)
	}
	changes := s.changes
	if out.code != 0 {
		changes = unchanged(changes)
	}
	if err := w.observe(changes); err != nil {
		return fmt.Errorf("%s: %w", s.command.shell(), err)
	}
	if out.code == 0 && s.done != nil {
		if err := s.done(out); err != nil {
			return fmt.Errorf("%s: acknowledged, and %w", s.command.shell(), err)
		}
	}
	return w.after(rnd, s)
}

// takeKilled kills a step, or the server that it talks to, at a random time.
func (w *world) takeKilled(rnd *rand.Rand, s *step, at *server) error {
	w.counts[s.kind]++
	if err := s.ready(); err != nil {
		return err
	}
	within := max(w.took[s.kind], 20*time.Millisecond) * 5 / 4
	s.command.kill, s.command.stops = time.Duration(1+rnd.Int64N(int64(within))), at
	if at != nil {
		w.counts["kill server"]++
	} else {
		w.counts["kill"]++
	}
	out, err := w.p.run(s.command)
	if err != nil {
		return err
	}
	if at != nil {
		at.kill() // it may have been too late
		if err := at.begin(); err != nil {
			return err
		}
	}
	acknowledged := !out.killed && out.code == 0
	if !acknowledged && !out.killed && at == nil && !slices.Contains(s.codes, out.code) {
		return fmt.Errorf("%s: ended before it was killed, expected exit code %v: %v",
			s.command.shell(), s.codes, out)
	}
	for r := range s.changes {
		r.ahead = r.ahead || s.kind == "pull" && !acknowledged
	}
	if err := w.observe(s.changes); err != nil {
		return fmt.Errorf("%s: %w", s.command.shell(), err)
	}
	if acknowledged && s.done != nil {
		if err := s.done(out); err != nil {
			return fmt.Errorf("%s: acknowledged, and %w", s.command.shell(), err)
		}
	}
	return errorsIn(w.settle(s), w.after(rnd, s))
}

// pair runs two steps at the same time. What each prints is not judged, what
// they leave is.
func (w *world) pair(rnd *rand.Rand) error {
	a, b := w.draw(rnd), w.draw(rnd)
	for tries := 0; !compatible(a, b); tries++ {
		if tries == 20 {
			return w.take(rnd, a)
		}
		b = w.draw(rnd)
	}
	w.counts["pair"]++
	if err := errorsIn(a.ready(), b.ready()); err != nil {
		return err
	}
	a.command.next, b.command.next = true, true
	w.p.note("# at the same time:")
	var outs [2]outcome
	var errs [2]error
	var wg sync.WaitGroup
	for i, s := range []*step{a, b} {
		w.counts[s.kind]++
		delay := time.Duration(rnd.Int64N(int64(50 * time.Millisecond)))
		wg.Go(func() {
			time.Sleep(delay)
			outs[i], errs[i] = w.p.run(s.command)
		})
	}
	wg.Wait()
	w.p.note("sleep 2 # for both")
	if err := errorsIn(errs[0], errs[1]); err != nil {
		return err
	}
	changes := maps.Clone(a.changes)
	for r, c := range b.changes {
		changes[r] = changes[r].merge(c)
	}
	for i, s := range []*step{a, b} {
		if !slices.Contains(s.codes, outs[i].code) &&
			!slices.Contains([]int{0, 1, 4, 5, 6, 7, 17}, outs[i].code) {
			return fmt.Errorf("%s: beside another command: %v", s.command.shell(), outs[i])
		}
		for r := range s.changes {
			r.ahead = r.ahead || s.kind == "pull" && outs[i].code != 0
		}
	}
	if err := w.observe(changes); err != nil {
		return fmt.Errorf("%s and %s: %w", a.command.shell(), b.command.shell(), err)
	}
	for _, s := range []*step{a, b} {
		if err := errorsIn(w.settle(s), w.after(rnd, s)); err != nil {
			return fmt.Errorf("%s: beside another command: %w", s.command.shell(), err)
		}
	}
	return nil
}

// compatible reports whether the model can tell what two steps at once may do:
// they do not both commit to one replica.
func compatible(a, b *step) bool {
	for r, c := range a.changes {
		if d, ok := b.changes[r]; ok && c.commits != nil && d.commits != nil {
			return false
		}
	}
	return a.kind != "add" && b.kind != "add"
}

// unchanged forbids every change.
func unchanged(changes map[*replica]change) map[*replica]change {
	out := map[*replica]change{}
	for r := range changes {
		out[r] = change{}
	}
	return out
}

// observe takes over what the workspaces show.
func (w *world) observe(changes map[*replica]change) error {
	for _, r := range w.replicas { // in a fixed order
		if c, ok := changes[r]; ok {
			got, err := w.list(r)
			if err != nil {
				return err
			}
			if err := r.observe(got, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle empties the staging area after a step that may have been stopped while
// it staged.
func (w *world) settle(s *step) error {
	for r := range s.changes {
		if !r.publishes || s.kind != "commit" && s.kind != "add" {
			continue
		}
		if err := w.unstage(r); err != nil {
			return err
		}
	}
	return nil
}

// after checks deeply what a step touched.
func (w *world) after(rnd *rand.Rand, s *step) error {
	if s.always != nil {
		if err := s.always(); err != nil {
			return err
		}
	}
	for _, r := range w.replicas {
		if _, ok := s.changes[r]; ok {
			if err := w.check(rnd, r); err != nil {
				return fmt.Errorf("after %s: %w", s.command.shell(), err)
			}
		}
	}
	for _, at := range []*server{w.host, w.mirror} {
		if at != nil && at.cmd != nil {
			if err := at.check(); err != nil {
				return err
			}
		}
	}
	if name, err := w.p.leftover(); name != "" || err != nil {
		return fmt.Errorf("%s leaves the temporary file %s (%v)", s.command.shell(), name, err)
	}
	return nil
}

func errorsIn(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// on returns the arguments for a command on a replica.
func on(r *replica, args ...string) []string {
	return append([]string{"--store", r.store.id}, args...)
}

// edit returns a changed copy of a publisher's folder.
func (w *world) edit(rnd *rand.Rand, r *replica) corpus.Tree {
	tree := corpus.RandomEdit(r.folder, rnd.Uint64())
	if rnd.IntN(4) == 0 { // the changes that fixtures of few files do not make
		list := corpus.Edits()
		tree = list[1+rnd.IntN(4)].Apply(r.folder, rnd.Uint64())
	}
	if size := tree.Size(); size > 8<<20 || size < 1<<20 || len(tree) < 20 {
		tree = corpus.Small(rnd.Uint64())
	}
	return tree
}

// add changes the folder and stages all of it.
func (w *world) add(rnd *rand.Rand, r *replica) *step {
	if r.staged {
		return nil
	}
	content := w.edit(rnd, r)
	return &step{kind: "add", command: command{where: r.site(), args: on(r, "add", ".")},
		prepare: func() error { return w.put(r, content) },
		codes:   []int{0}, changes: map[*replica]change{r: {}},
		done: func(outcome) error {
			r.staged = true
			return nil
		}}
}

// commit commits what is staged, or else changes the folder and commits it.
func (w *world) commit(rnd *rand.Rand, r *replica) *step {
	if !r.staged && !r.root {
		return w.add(rnd, r)
	}
	content, staged := r.folder, r.staged
	if !staged && rnd.IntN(10) > 0 {
		content = w.edit(rnd, r)
	}
	codes := []int{0}
	if r.had(content) != "" {
		codes = []int{1}
	}
	args := on(r, "commit", "--json", "-m", fmt.Sprint("generation ", len(r.lines)))
	return &step{kind: "commit", command: command{where: r.where, args: args}, codes: codes,
		prepare: func() error {
			if staged {
				return nil
			}
			return w.put(r, content)
		},
		changes: map[*replica]change{r: {commits: content}},
		done: func(o outcome) error {
			r.staged = false
			var made struct{ Root string }
			if err := json.Unmarshal(o.stdout, &made); err != nil {
				return err
			}
			if r.head() != made.Root {
				return fmt.Errorf("the head is %q, expected %q", r.head(), made.Root)
			}
			return nil
		},
		always: func() error {
			if !staged || !r.staged {
				return nil
			}
			return w.unstage(r) // it was refused
		}}
}

// unstage empties the staging area.
func (w *world) unstage(r *replica) error {
	r.staged = false
	out, err := w.p.run(command{where: r.where, args: on(r, "unstage", "--all")})
	if err != nil {
		return err
	}
	if out.code != 0 {
		return fmt.Errorf("unstage in %s: %v", r.where, out)
	}
	return nil
}

// pushCodes says how a push of the head of r to the host ends.
func (w *world) pushCodes(r, host *replica) []int {
	switch {
	case r.store.isRevoked(r.head()) && !r.store.arrived:
		return []int{0, 5, 7}
	case r.store.isRevoked(r.head()):
		return []int{5}
	case host.head() != "" && r.find(host.head()) < 0:
		return []int{7}
	}
	return []int{0}
}

func (w *world) push(rnd *rand.Rand, r *replica) *step {
	host := w.replica("host", r.store)
	if r.head() == "" {
		return nil
	}
	before := len(host.lines)
	args := on(r, "push", w.host.url())
	if rnd.IntN(6) == 0 {
		args = append(args, "--head-only")
	}
	return &step{
		kind:    "push",
		command: command{where: r.where, args: args},
		codes:   w.pushCodes(r, host),
		changes: map[*replica]change{host: {appends: true, holds: true}, r: {}},
		done: func(outcome) error {
			if host.head() != r.head() {
				return fmt.Errorf("the host's head is %q, expected %q", host.head(), r.head())
			}
			place := -1
			for _, l := range host.lines[before:] {
				at := r.find(l.Root)
				if at <= place {
					return fmt.Errorf("the host took root %s out of order", l.Root)
				}
				place = at
			}
			return nil
		},
	}
}

func (w *world) pushPending(rnd *rand.Rand, r *replica) *step {
	host := w.replica("host", r.store)
	if r.head() == "" || host.head() == "" {
		return nil
	}
	return &step{
		kind:    "push pending",
		command: command{where: r.where, args: on(r, "push", "--pending", w.host.url())},
		codes:   w.pushCodes(r, host),
		changes: map[*replica]change{host: {}, r: {}},
	}
}

func (w *world) promote(rnd *rand.Rand, r *replica) *step {
	host := w.replica("host", r.store)
	if r.head() == "" || host.head() == "" {
		return nil
	}
	last := r.lines[len(r.lines)-1].Number
	return &step{
		kind:    "promote",
		command: command{where: r.where, args: on(r, "promote", fmt.Sprint(last), w.host.url())},
		codes:   w.pushCodes(r, host),
		changes: map[*replica]change{host: {appends: true, holds: true}, r: {}},
		done: func(outcome) error {
			if host.head() != r.head() {
				return fmt.Errorf("the host's head is %q, expected %q", host.head(), r.head())
			}
			return nil
		},
	}
}

// origin picks a server that has the store.
func (w *world) origin(rnd *rand.Rand, s *store, except string) (*server, *replica) {
	at := w.host
	if w.mirror != nil && except != "mirror" && rnd.IntN(4) == 0 {
		at = w.mirror
	}
	return at, w.replica(at.where, s)
}

// readable adds how reading a head ends that may be revoked. Only the host is
// sure to know a tombstone.
func readable(from *replica, codes []int) []int {
	switch {
	case !from.store.isRevoked(from.head()):
		return codes
	case from.where == "host" && from.store.arrived:
		return []int{5}
	default:
		return append(codes, 5)
	}
}

func (w *world) pull(rnd *rand.Rand, r *replica) *step {
	at, from := w.origin(rnd, r.store, r.where)
	if from.head() == "" || r.head() == "" {
		return nil
	}
	args, codes := on(r, "pull", at.url()), []int{0}
	if from.find(r.head()) < 0 {
		codes = []int{5}
		if rnd.IntN(2) == 0 {
			args = append(args, "--accept-head", from.head())
			if r.find(from.head()) < 0 {
				codes = []int{0}
			}
		}
	}
	all := rnd.IntN(3) == 0
	if all {
		args = append(args, "--all")
	}
	codes = readable(from, codes)
	if r.ahead || r.store.isRevoked(r.head()) && from.where != "host" {
		codes = append(codes, 5)
	}
	return &step{kind: "pull", command: command{where: r.where, args: args}, codes: codes,
		changes: map[*replica]change{r: {appends: true, holds: true}, from: {}},
		done: func(outcome) error {
			if r.head() != from.head() {
				return fmt.Errorf("the head is %q, expected %q", r.head(), from.head())
			}
			r.ahead = r.ahead && from.where != "host"
			if !all {
				return nil
			}
			for _, l := range from.held() {
				if at := r.find(l.Root); !r.store.isRevoked(l.Root) && (at < 0 || !r.lines[at].Held) {
					return fmt.Errorf("root %s is not held", l.Root)
				}
			}
			return nil
		}}
}

// cloneInto clones a store from the host into an existing workspace.
func (w *world) cloneInto(rnd *rand.Rand, r *replica) *step {
	from := w.replica("host", r.store)
	return &step{
		kind:    "clone",
		command: command{where: r.where, args: []string{"clone", w.host.url() + "/stores/" + r.store.id}},
		codes:   []int{0},
		changes: map[*replica]change{r: {appends: true, holds: true}},
		done: func(outcome) error {
			r.exists = true
			if r.head() != from.head() {
				return fmt.Errorf("the head is %q, expected %q", r.head(), from.head())
			}
			return nil
		},
	}
}

func (w *world) gc(rnd *rand.Rand, r *replica) *step {
	return &step{kind: "gc", command: command{where: r.where, args: on(r, "gc")},
		codes: []int{0}, changes: map[*replica]change{r: {}}}
}

func (w *world) gcKeep(rnd *rand.Rand, r *replica) *step {
	keep := 1 + rnd.IntN(3)
	return &step{
		kind:    "gc keep",
		command: command{where: r.where, args: on(r, "gc", "--yes", "--keep", fmt.Sprint(keep))},
		codes:   []int{0},
		changes: map[*replica]change{r: {keep: keep}},
		done: func(outcome) error {
			for i, l := range r.lines {
				if l.Held && i < len(r.lines)-keep {
					return fmt.Errorf("generation %d is still held", l.Number)
				}
			}
			return nil
		},
	}
}

// revoke takes back one generation that the host holds. The head is left alone
// most of the time, as the store can only be read again after another push.
func (w *world) revoke(rnd *rand.Rand, r *replica) *step {
	host := w.replica("host", r.store)
	var fit []line
	for _, l := range r.lines {
		if host.find(l.Root) >= 0 && !r.store.isRevoked(l.Root) &&
			(l.Root != host.head() || rnd.IntN(3) == 0) {
			fit = append(fit, l)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	l := fit[rnd.IntN(len(fit))]
	acknowledged := false
	what, gone := []string{"--root", fmt.Sprint(l.Number)}, rnd.IntN(12) == 0
	if gone {
		what = []string{"--all"}
	}
	return &step{kind: "revoke", command: command{where: r.where,
		args: on(r, append(append([]string{"revoke", "--yes"}, what...), w.host.url())...)},
		codes: []int{0}, changes: map[*replica]change{r: {}, host: {}},
		done: func(outcome) error {
			acknowledged = true
			return nil
		},
		always: func() error { // also when it was killed: it may have arrived
			r.store.arrived = r.store.arrived && acknowledged
			r.store.revoked[l.Root] = r.store.revoked[l.Root] || !gone
			r.store.gone = r.store.gone || gone
			return nil
		}}
}

// importElsewhere exports a generation that is held, and imports it in the
// archive, or where its line is known and its content is not held.
func (w *world) importElsewhere(rnd *rand.Rand, r *replica) *step {
	held := r.held()
	l := held[rnd.IntN(len(held))]
	to := w.replica("archive", r.store)
	for _, other := range w.replicas {
		if at := other.find(l.Root); other.store == r.store && at >= 0 && !other.lines[at].Held {
			to = other
			break
		}
	}
	if to == r || r.store.isRevoked(l.Root) {
		return nil
	}
	w.clones++
	file := filepath.Join(w.Dir, fmt.Sprintf("module-%d.dig", w.clones))
	codes := []int{0}
	if at := to.find(l.Root); at >= 0 && to.lines[at].Held {
		codes = []int{2} // it exists
	}
	return &step{
		kind:    "import",
		command: command{where: to.where, args: []string{"import", file}},
		codes:   codes,
		prepare: func() error {
			out, err := w.p.run(command{where: r.where, args: on(r, "export", fmt.Sprint(l.Number), file)})
			if err != nil {
				return err
			}
			if out.code != 0 {
				return fmt.Errorf("export generation %d of %s: %v", l.Number, r, out)
			}
			return nil
		},
		changes: map[*replica]change{to: {appends: true, holds: true}, r: {}},
		done: func(outcome) error {
			to.exists = true
			if at := to.find(l.Root); at < 0 || !to.lines[at].Held {
				return fmt.Errorf("root %s is not held", l.Root)
			}
			return nil
		},
	}
}

// cloneFresh clones into a new workspace, checks it and removes it.
func (w *world) cloneFresh(rnd *rand.Rand, from *replica) *step {
	if from.head() == "" {
		return nil
	}
	at := w.host
	if from.where == "mirror" {
		at = w.mirror
	}
	w.clones++
	dir := fmt.Sprintf("clone-%d", w.clones)
	args := []string{"clone", at.url() + "/stores/" + from.store.id, dir}
	codes := readable(from, []int{0})
	all := rnd.IntN(2) == 0
	if all {
		args = append(args, "--all")
	}
	other := w.replica("mirror", from.store)
	several := w.mirror != nil && other != from && other.head() != "" && rnd.IntN(3) == 0
	if several {
		args = append(args, "--from", w.mirror.url())
		if from.store.isRevoked(from.head()) || other.store.isRevoked(other.head()) {
			codes = []int{0, 5}
		}
	}
	fresh := newReplica(dir, from.store)
	look := func(acknowledged bool) error {
		if _, err := w.inDir(dir); err != nil {
			if acknowledged {
				return err
			}
			return nil // killed before it made anything
		}
		got, err := w.list(fresh)
		if err == nil {
			err = fresh.observe(got, change{appends: true, holds: true})
		}
		if err == nil {
			err = w.check(rnd, fresh)
		}
		return err
	}
	run := func() (outcome, error) { return w.p.run(command{where: ".", args: args}) }
	return &step{kind: "clone", command: command{where: ".", args: args}, codes: codes,
		changes: map[*replica]change{from: {}},
		done: func(outcome) error {
			if err := look(true); err != nil {
				return err
			}
			if fresh.head() != from.head() && !(several && fresh.head() == other.head()) {
				return fmt.Errorf("the clone's head is %q, expected %q", fresh.head(), from.head())
			}
			for _, l := range from.held() {
				if at := fresh.find(l.Root); all && !several && !from.store.isRevoked(l.Root) &&
					(at < 0 || !fresh.lines[at].Held) {
					return fmt.Errorf("root %s is not held", l.Root)
				}
			}
			return nil
		},
		always: func() error {
			// After a kill the clone continues where it stopped.
			if fresh.head() == "" && slices.Equal(codes, []int{0}) {
				if err := look(false); err != nil {
					return err
				}
				out, err := run()
				if err != nil {
					return err
				}
				if out.code != 0 && !(out.code == 2 && fresh.head() != "") {
					return fmt.Errorf("clone again: %v", out)
				}
				if err := look(true); err != nil {
					return fmt.Errorf("clone again: %w", err)
				}
			}
			return w.remove(dir)
		}}
}

// catFrom reads one file of a generation over the network.
func (w *world) catFrom(rnd *rand.Rand, from *replica) *step {
	s := from.store
	held := from.held()
	if len(held) == 0 {
		return nil
	}
	l := held[rnd.IntN(len(held))]
	if !s.named[l.Root] {
		return nil
	}
	name, text := pick(rnd, s.trees[l.Root])
	at := w.host
	if from.where == "mirror" {
		at = w.mirror
	}
	codes := []int{0}
	if s.isRevoked(l.Root) || s.isRevoked(from.head()) {
		codes = []int{0, 5}
	}
	return &step{
		kind: "cat",
		command: command{
			where: ".",
			args: []string{"cat", "urn:dig:chia:" + s.id + ":" + l.Root + "/" + name,
				"--from", at.url()},
		},
		codes:   codes,
		changes: map[*replica]change{from: {}},
		done: func(o outcome) error {
			if string(o.stdout) != string(text) {
				return fmt.Errorf("%q has %d bytes that differ from the %d expected",
					name, len(o.stdout), len(text))
			}
			return nil
		},
	}
}

// pick returns a file of a tree, a large one every other time.
func pick(rnd *rand.Rand, tree corpus.Tree) (string, []byte) {
	names := tree.Names()
	if rnd.IntN(2) == 0 {
		large := slices.DeleteFunc(slices.Clone(names),
			func(n string) bool { return len(tree[n]) < 150_000 })
		if len(large) > 0 {
			names = large
		}
	}
	name := names[rnd.IntN(len(names))]
	return name, tree[name]
}

// checkout writes a generation out. When it is killed the store must be whole,
// and another folder must come out right.
func (w *world) checkout(rnd *rand.Rand, r *replica) *step {
	held := r.held()
	l := held[rnd.IntN(len(held))]
	if !r.names(l.Root) {
		return nil
	}
	w.clones++
	dir := fmt.Sprintf("out-%d", w.clones)
	codes := []int{0}
	if r.store.isRevoked(l.Root) {
		codes = []int{0, 5}
	}
	return &step{
		kind: "checkout",
		command: command{
			where: r.where,
			args:  on(r, "checkout", fmt.Sprint(l.Number), filepath.Join(w.Dir, dir)),
		},
		codes:   codes,
		changes: map[*replica]change{r: {}},
		done:    func(outcome) error { return w.compare(dir, r.store.trees[l.Root]) },
		always:  func() error { return w.remove(dir) },
	}
}
