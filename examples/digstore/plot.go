package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

func (a *app) plotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plot",
		Short: "Keep generations in plot files, and prove it to validators",
		Long: `A plot file keeps generations in capsules, slices of 16 MiB. It detects any damage
of its content, can be repaired from another copy, and lets its owner prove to a
validator that the content is kept.`,
		Example: `  digstore plot create /plots
  digstore plot list /plots
  digstore plot verify /plots/dig-….plot`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.plotCreateCommand(), a.plotListCommand(), a.plotInfoCommand(),
		a.plotVerifyCommand(), a.plotExtractCommand(),
		a.plotRepairCommand(), a.plotSalvageCommand(), a.plotProveCommand(),
		a.plotCheckProofCommand())
	return cmd
}

// plotProgress shows the progress of a plot operation.
func (p *progress) plot(e plot.Progress) {
	p.stage(map[string]string{"write": "writing", "work": "working", "quick": "checking tables",
		"full":    "checking content",
		"salvage": "searching"}[e.Phase])
	p.set(e.Done, e.Total)
}

// nodeKey reads the node key in path, or else the user's, which is made if there is
// none.
func (a *app) nodeKey(path string) (*auth.NodeKey, error) {
	if path != "" {
		return auth.ReadNodeKey(path)
	}
	path, err := auth.NodeKeyPath()
	if err != nil {
		return nil, err
	}
	_, missing := os.Lstat(path)
	key, err := auth.LoadNodeKey(path)
	if err == nil && errors.Is(missing, fs.ErrNotExist) {
		a.note("made a node key: %s (%s)", path, key.ID())
	}
	return key, err
}

// splitModule returns the manifest of a generation and the source of its
// capsules. The caller closes the source.
func splitModule(ctx context.Context, s *digstore.Store, g *digstore.Generation,
	p *progress) (*capsule.Manifest, *moduleSource, error) {
	opened, err := s.Module(ctx, g.Info().Root)
	if err != nil {
		return nil, nil, err
	}
	rc, ok := opened.(moduleFile)
	if !ok {
		return nil, nil, fmt.Errorf("module %v: %w: it cannot be read at an offset",
			g.Info().Root, errors.Join(errors.ErrUnsupported, opened.Close()))
	}
	p.stage("hashing")
	total, err := rc.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = rc.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(err, rc.Close())
	}
	var done int64
	m, err := capsule.Split(ctx, s.ID(), rc, nil, func(d capsule.Descriptor, _ io.Reader) error {
		done += int64(d.Size)
		p.set(done, total)
		return nil
	})
	if err != nil {
		return nil, nil, errors.Join(err, rc.Close())
	}
	m.Created, m.Generation = uint64(max(0, g.Info().Time.Unix())), g.Info().Number
	return m, &moduleSource{module: rc, manifest: m}, nil
}

// A moduleSource is a capsule.Source of one module.
type moduleSource struct {
	module   moduleFile
	manifest *capsule.Manifest
}

// moduleFile is what digstore.Store.Module returns.
type moduleFile interface {
	io.ReadSeekCloser
	io.ReaderAt
}

func (m *moduleSource) Stat(_ context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	if ref.Store != m.manifest.Store || int64(ref.Index) >= int64(len(m.manifest.Capsules)) {
		return capsule.Descriptor{}, fmt.Errorf("capsule %v: %w", ref, fs.ErrNotExist)
	}
	return m.manifest.Capsules[ref.Index], nil
}

func (m *moduleSource) Open(_ context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	for _, c := range m.manifest.Capsules {
		if c.Hash != d.Hash {
			continue
		}
		content := io.NewSectionReader(m.module, int64(c.Index)*capsule.DefaultSize, int64(c.Size))
		return capsule.VerifyReader(io.NopCloser(content), c), nil
	}
	return nil, fmt.Errorf("capsule with hash %s: %w", d.Hash, fs.ErrNotExist)
}

func (m *moduleSource) Close() error { return m.module.Close() }

// plotInfo is the description of a plot in command output.
type plotInfo struct {
	ID          merkle.Hash      `json:"plot_id"`
	Path        string           `json:"path"`
	Size        int64            `json:"size_bytes"`
	Created     string           `json:"creation_time"`
	Owner       auth.NodeID      `json:"owner"`
	PublicKey   string           `json:"public_key"`
	Capsules    int              `json:"capsule_count"`
	Content     int64            `json:"content_bytes"`
	Compression plot.Compression `json:"compression"`
	Difficulty  int              `json:"difficulty"`
	Datastores  []plotDatastore  `json:"datastores"`
}

type plotDatastore struct {
	ID       auth.StoreID `json:"datastore_id"`
	Root     merkle.Hash  `json:"merkle_root"`
	Capsules uint32       `json:"capsule_count"`
}

func describePlot(i *plot.Info) plotInfo {
	out := plotInfo{ID: i.ID, Path: i.Path, Size: i.Size,
		Created: i.Created.Format("2006-01-02T15:04:05Z"), Owner: i.Key.ID(),
		PublicKey: i.Key.String(), Capsules: i.Capsules, Content: i.Content,
		Compression: i.Compression, Difficulty: i.Difficulty}
	for _, d := range i.Datastores {
		out.Datastores = append(out.Datastores, plotDatastore{d.Store, d.Root, d.Capsules})
	}
	return out
}

func (a *app) plotCreateCommand() *cobra.Command {
	var root, compression, keyFile string
	var difficulty int
	cmd := &cobra.Command{
		Use:   "create DIR",
		Short: "Write a generation into a plot file",
		Long: `Create cuts the module of the head, or of --root, into capsules and writes them to
a new plot file in DIR, owned by the node key. After an interrupt, run the same
command again to continue.`,
		Example: `  digstore plot create /plots
  digstore plot create /plots --root 3 --compression none --difficulty 0`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := plot.ParseCompression(compression)
			if err != nil {
				return usage("use none, lz4 or zstd", "--compression: %w", err)
			}
			if difficulty < 0 || difficulty > plot.MaxDifficulty {
				return usage(fmt.Sprintf("give a number from 0 to %d", plot.MaxDifficulty),
					"--difficulty %d: out of range", difficulty)
			}
			o := &plot.Options{Compression: c, Difficulty: difficulty, Resume: true}
			if difficulty == 0 {
				o.Difficulty = plot.NoWork
			}
			return a.withStore(func(s *digstore.Store) error {
				return a.plotCreate(cmd.Context(), s,
					args[0], root, keyFile, o)
			})
		},
	}
	cmd.Flags().StringVar(&root, "root", "",
		"the generation: a `ROOT`, its first digits, or a number (default: the head)")
	cmd.Flags().StringVar(&compression, "compression", string(plot.Zstd), "none, lz4 or zstd")
	cmd.Flags().IntVar(&difficulty, "difficulty", plot.DefaultDifficulty,
		"difficulty of the plot's proof of work, in leading zero `BITS`; 0: none")
	cmd.Flags().StringVar(&keyFile, "key", "",
		"the `FILE` with the node key (default: your node key, made if missing)")
	return cmd
}

func (a *app) plotCreate(ctx context.Context, s *digstore.Store, dir, which, keyFile string,
	o *plot.Options) error {
	g, err := a.generation(ctx, s, which)
	if err != nil {
		return err
	}
	key, err := a.nodeKey(keyFile)
	if err != nil {
		return err
	}
	a.resume = "run the same command again to continue"
	p := a.progress("hashing")
	defer p.stop()
	m, src, err := splitModule(ctx, s, g, p)
	if err != nil {
		return err
	}
	defer src.Close()
	o.Progress = p.plot
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	w, err := plot.Create(ctx, dir, []*capsule.Manifest{m}, key, o)
	var exists *plot.ExistsError
	if errors.As(err, &exists) {
		p.stop()
		return a.plotExists(exists)
	}
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.AddFrom(ctx, src); err != nil {
		return err
	}
	info, err := w.Seal(ctx)
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	p.stop()
	return a.done(describePlot(info), "%s: %s of generation %d in %s, %s", info.Path,
		plural(info.Capsules, "capsule", "capsules"),
		g.Info().Number, size(info.Size), info.Compression)
}

// plotExists describes the plot that is there already.
func (a *app) plotExists(e *plot.ExistsError) error {
	r, err := openPlot(e.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	return a.done(describePlot(r.Info()), "this plot is there already: %s", e.Path)
}

func (a *app) plotListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list DIR...",
		Short: "List the plots in folders",
		Long: `List opens the plots in folders, checks the header and the signature of each, and
names the files that are not valid plots.`,
		Example: `  digstore plot list /plots`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.plotList(cmd.Context(),
				args)
		},
	}
}

func (a *app) plotList(ctx context.Context, dirs []string) error {
	set, err := openPlots(ctx, dirs...)
	if err != nil {
		return err
	}
	defer set.Close()
	list := []plotInfo{}
	rows := [][]string{{"PLOT", "CAPSULES", "SIZE", "CREATED", "FILE"}}
	for h := range set.Plots() {
		d := describePlot(h.Info)
		list = append(list, d)
		rows = append(rows, []string{d.ID.String()[:16], fmt.Sprint(d.Capsules), size(d.Size),
			d.Created, d.Path})
	}
	type badPlot struct {
		Path  string `json:"path"`
		Error string `json:"error"`
	}
	bad := []badPlot{}
	for b := range set.Bad() {
		bad = append(bad, badPlot{b.Path, b.Err.Error()})
		a.warn("%v", b.Err)
	}
	return a.answer(struct {
		Plots []plotInfo `json:"plots"`
		Bad   []badPlot  `json:"bad"`
	}{list, bad}, func(w io.Writer) { table(w, rows) })
}

// openPlots opens the plots in folders and files.
func openPlots(ctx context.Context, dirs ...string) (*plot.Set, error) {
	var list []plot.Dir
	for _, d := range dirs {
		list = append(list, plot.Dir{Path: d})
	}
	set, err := plot.OpenSet(ctx, nil, list...)
	return set, noPlot(err)
}

// openPlot opens the plot file at path.
func openPlot(path string) (*plot.Reader, error) {
	r, err := plot.Open(path, nil)
	return r, noPlot(err)
}

// noPlot adds a hint to the error of a missing file or folder.
func noPlot(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return &hinted{err, "check the path; digstore plot list FOLDER lists the plots in a folder"}
}

func (a *app) plotInfoCommand() *cobra.Command {
	var manifest string
	cmd := &cobra.Command{
		Use:   "info PLOT",
		Short: "Show the header and the contents of a plot",
		Long: `Info checks the header, the tables and the signature of a plot, and prints what
the plot contains. With --manifest it prints the manifest of a datastore as JSON,
if the plot has all of its capsules.`,
		Example: `  digstore plot info /plots/dig-….plot
  digstore plot info /plots/dig-….plot --manifest DATASTORE >manifest.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := openPlot(args[0])
			if err != nil {
				return err
			}
			defer r.Close()
			if manifest != "" {
				return a.plotManifest(r, manifest)
			}
			return a.plotShow(r)
		},
	}
	cmd.Flags().StringVar(&manifest, "manifest", "",
		"print the manifest of the datastore with this `ID`")
	return cmd
}

func (a *app) plotShow(r *plot.Reader) error {
	d := describePlot(r.Info())
	return a.answer(d, func(w io.Writer) {
		table(w, [][]string{
			{"plot", d.ID.String()}, {"owner",
				fmt.Sprintf("%s (%s)", d.Owner, d.PublicKey)}, {"created", d.Created},
			{"size", fmt.Sprintf("%s, %s of content", size(d.Size),
				size(d.Content))}, {"compression", string(d.Compression)},
			{"difficulty", fmt.Sprint(d.Difficulty)}, {"capsules", fmt.Sprint(d.Capsules)},
		})
		for _, ds := range d.Datastores {
			fmt.Fprintf(w, "datastore    %s\n  capsule root %s over %s\n", ds.ID, ds.Root,
				plural(int(ds.Capsules), "capsule", "capsules"))
		}
	})
}

func (a *app) plotManifest(r *plot.Reader, id string) error {
	store, err := auth.ParseStoreID(id)
	if err != nil {
		return usage("digstore plot info PLOT lists the datastores", "%w", err)
	}
	m, err := r.Manifest(store)
	if err != nil {
		return err
	}
	text, err := m.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = a.out.Write(escapeJSON(append(text, '\n')))
	return err
}

func (a *app) plotVerifyCommand() *cobra.Command {
	var quick, full bool
	cmd := &cobra.Command{
		Use:   "verify PLOT",
		Short: "Check every byte of a plot, or only its tables",
		Long: `Verify checks every byte of a plot and names the damaged capsules. With --quick it
checks the header, footer and tables, but not the content.`,
		Example: `  digstore plot verify /plots/dig-….plot
  digstore plot verify --quick /plots/dig-….plot`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if quick && full {
				return usage("usage: "+cmd.UseLine(), "--quick and --full cannot be combined")
			}
			level := plot.Full
			if quick {
				level = plot.Quick
			}
			return a.plotVerify(cmd.Context(), args[0], level)
		},
	}
	cmd.Flags().BoolVar(&quick, "quick", false, "check the tables only, not the content")
	cmd.Flags().BoolVar(&full, "full", false, "check everything (the default)")
	return cmd
}

func (a *app) plotVerify(ctx context.Context, path string, level plot.Level) error {
	r, err := openPlot(path)
	if err != nil {
		return err
	}
	defer r.Close()
	p := a.progress("checking tables")
	defer p.stop()
	report, err := r.Verify(ctx, level, p.plot)
	p.stop()
	for _, d := range report.Damaged {
		a.warn("capsule %d of datastore %s at offset %d: %v%s", d.Index, d.Store, d.Offset, d.Err,
			blockList(d.Blocks))
	}
	if len(report.Damaged) > 0 {
		return &hinted{err,
			"repair it from other plots with: digstore plot repair PLOT --from DIR"}
	}
	if err != nil {
		return err
	}
	what := "every byte"
	if level == plot.Quick {
		what = "all tables, not the content"
	}
	return a.done(struct {
		ID    merkle.Hash `json:"plot_id"`
		Full  bool        `json:"full"`
		Bytes int64       `json:"content_bytes_checked"`
	}{r.ID(), level == plot.Full, report.Bytes}, "plot %s is whole: %s checked", r.ID(), what)
}

func blockList(blocks []int) string {
	if len(blocks) < 2 {
		return ""
	}
	text := make([]string, 0, 8)
	for _, b := range blocks[:min(len(blocks), 8)] {
		text = append(text, fmt.Sprint(b))
	}
	return fmt.Sprintf(" (%d damaged blocks: %s …)", len(blocks), strings.Join(text, ", "))
}
