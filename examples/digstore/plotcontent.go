package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/regular"
	"github.com/dig-network/digstore/plot"
)

func (a *app) plotExtractCommand() *cobra.Command {
	var id string
	var index int64
	cmd := &cobra.Command{
		Use:   "extract PLOT FILE",
		Short: "Write the content of a datastore, or of one capsule, to a file",
		Long: `Extract writes all capsules of a datastore, in order, to FILE. For a generation of
a store the result is its .dig file. Every byte is checked. With --index it writes
one capsule only. FILE must not exist yet.`,
		Example: `  digstore plot extract /plots/dig-….plot site.dig
  digstore plot extract /plots/dig-….plot capsule --datastore ID --index 4`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := openPlot(args[0])
			if err != nil {
				return err
			}
			defer r.Close()
			store, err := pickDatastore(r, id)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("index") {
				index = -1
			} else if index < 0 {
				return usage("give an index from 0 to 4294967295", "--index %d: out of range", index)
			}
			return a.plotExtract(cmd.Context(), r, store, index, args[1])
		},
	}
	cmd.Flags().StringVar(&id, "datastore", "",
		"the datastore, by `ID` (needed when the plot has several)")
	cmd.Flags().Int64Var(&index, "index", 0, "only the capsule with this `INDEX`")
	return cmd
}

// pickDatastore returns the datastore with an id, or the only one of a plot.
func pickDatastore(r *plot.Reader, id string) (auth.StoreID, error) {
	list := r.Info().Datastores
	if id == "" && len(list) == 1 {
		return list[0].Store, nil
	}
	if id == "" {
		return auth.StoreID{}, usage("name one with --datastore ID; digstore plot info PLOT lists them",
			"the plot has %d datastores", len(list))
	}
	store, err := auth.ParseStoreID(id)
	if err != nil {
		return store, usage("digstore plot info PLOT lists the datastores", "%w", err)
	}
	return store, nil
}

func (a *app) plotExtract(ctx context.Context, r *plot.Reader, store auth.StoreID, index int64,
	file string) error {
	var list []capsule.Descriptor
	if index >= 0 {
		if index > 1<<32-1 {
			return usage("give an index from 0 to 4294967295", "--index %d: out of range", index)
		}
		rec, err := r.Lookup(store, uint32(index))
		if errors.Is(err, fs.ErrNotExist) {
			return &hinted{err, "digstore plot info PLOT shows how many capsules there are"}
		}
		if err != nil {
			return err
		}
		d, err := r.Descriptor(rec)
		if err != nil {
			return err
		}
		list = append(list, d)
	} else {
		m, err := r.Manifest(store)
		if err != nil {
			return err
		}
		list = m.Capsules
	}
	p := a.progress("extracting")
	defer p.stop()
	n, err := createFile(file, func(w io.Writer) (n int64, err error) {
		for i, d := range list {
			if err := ctx.Err(); err != nil {
				return n, err
			}
			c, err := r.Capsule(d, plot.Verified)
			if err != nil {
				return n, err
			}
			m, err := c.WriteTo(w)
			n += m
			if err != nil {
				return n, err
			}
			p.set(int64(i+1), int64(len(list)))
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	p.stop()
	return a.done(struct {
		Store    auth.StoreID `json:"datastore_id"`
		File     string       `json:"file"`
		Size     int64        `json:"size"`
		Capsules int          `json:"capsules"`
	}{store, file, n, len(list)}, "%s: %s of datastore %s", file, size(n), store)
}

func (a *app) plotRepairCommand() *cobra.Command {
	var from []string
	cmd := &cobra.Command{
		Use:   "repair PLOT",
		Short: "Repair damaged parts of a plot in place",
		Long: `Repair checks every byte of a plot and writes damaged parts again, from the plots
that --from names, or from the generations of the local store. It checks what it
reads before it writes it: content against the hashes of the plot, and a header,
footer or table with the signature of the plot's owner.

Content can be repaired from any plot or store that has the same capsules. A
header, footer or table can only be repaired from a copy of the same file.`,
		Example: `  digstore plot repair /plots/dig-….plot
  digstore plot repair /plots/dig-….plot --from /backup
  digstore plot repair /plots/dig-….plot --from /backup/copy.plot`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(from) > 0 {
				set, err := openPlots(cmd.Context(), from...)
				if err != nil {
					return err
				}
				defer set.Close()
				return a.plotRepair(cmd.Context(), args[0], set)
			}
			return a.withStore(func(s *digstore.Store) error {
				src, err := a.modulesOf(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				defer src.Close()
				return a.plotRepair(cmd.Context(), args[0], src)
			})
		},
	}
	cmd.Flags().StringArrayVar(&from, "from", nil,
		"a `PLOT` or a folder of plots; may be repeated (default: the local store)")
	return cmd
}

// modulesOf returns the generation of a store that a plot holds.
func (a *app) modulesOf(
	ctx context.Context, s *digstore.Store, path string,
) (*moduleSource, error) {
	r, err := openPlot(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	d, err := r.Datastore(s.ID())
	if err != nil {
		return nil, &hinted{err, "name another plot, or a folder of plots, with --from PLOT"}
	}
	return a.findModule(ctx, s, func(m *capsule.Manifest) bool { return m.Root == d.Root })
}

// findModule returns the newest generation for which wanted returns true.
func (a *app) findModule(ctx context.Context, s *digstore.Store,
	wanted func(*capsule.Manifest) bool) (*moduleSource, error) {
	lines, err := s.Generations(ctx)
	if err != nil {
		return nil, err
	}
	p := a.progress("hashing")
	defer p.stop()
	for i := len(lines) - 1; i >= 0; i-- {
		g, err := s.At(lines[i].Root)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m, src, err := splitModule(ctx, s, g, p)
		if err != nil {
			return nil, err
		}
		if wanted(m) {
			return src, nil
		}
		src.Close()
	}
	return nil, fmt.Errorf("generation of this plot in store %s: %w", s.Name(), os.ErrNotExist)
}

func (a *app) plotRepair(ctx context.Context, path string, src capsule.Source) error {
	a.resume = "run the same command again"
	p := a.progress("checking tables")
	defer p.stop()
	report, err := plot.Repair(ctx, path, src, p.plot)
	p.stop()
	if report != nil {
		for _, d := range report.Remaining {
			a.warn("capsule %d of datastore %s is still damaged: %v", d.Index, d.Store, d.Err)
		}
	}
	if err != nil {
		return err
	}
	return a.done(struct {
		Pages   int `json:"pages"`
		Blocks  int `json:"blocks"`
		Extents int `json:"extents"`
	}{report.Pages, report.Blocks, report.Extents},
		"the plot is whole: %s of tables, %s and %s written again",
		plural(report.Pages, "page", "pages"), plural(report.Blocks, "block",
			"blocks"), plural(report.Extents, "extent", "extents"))
}

func (a *app) plotSalvageCommand() *cobra.Command {
	var keyFile string
	var manifests []string
	cmd := &cobra.Command{
		Use:   "salvage PLOT DIR",
		Short: "Copy undamaged capsules of a damaged file to a new plot",
		Long: `Salvage searches a file for capsules, even if its header, footer or tables are
lost, and writes the undamaged ones to a new plot in DIR. The list of capsules of
a datastore is read from manifests (--manifest), or from the generations of the
local store. The damaged file is not changed.`,
		Example: `  digstore plot salvage damaged.plot /plots
  digstore plot salvage damaged.plot /plots --manifest manifest.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := a.nodeKey(keyFile)
			if err != nil {
				return err
			}
			f, err := regular.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			found, err := a.plotSearch(cmd.Context(), f)
			if err != nil {
				return err
			}
			if !found.Any() {
				err := fmt.Errorf("salvage %s: whole capsules: %w", args[0], fs.ErrNotExist)
				return &hinted{err, "the file is no plot, or nothing of its content is left"}
			}
			if len(manifests) == 0 {
				return a.withStore(func(s *digstore.Store) error {
					src, err := a.findModule(cmd.Context(), s,
						func(m *capsule.Manifest) bool { return hasAny(found, m) })
					if err != nil {
						return &hinted{err, "give the manifest of the datastore with --manifest FILE"}
					}
					defer src.Close()
					return a.plotSalvage(cmd.Context(), found, args[1],
						[]*capsule.Manifest{src.manifest}, key)
				})
			}
			list, err := readManifests(manifests)
			if err != nil {
				return err
			}
			return a.plotSalvage(cmd.Context(), found, args[1], list, key)
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "the `FILE` with the node key (default: your node key)")
	cmd.Flags().StringArrayVar(&manifests, "manifest", nil,
		"the manifest of a datastore, as JSON in `FILE`; may be repeated")
	return cmd
}

func readManifests(files []string) (list []*capsule.Manifest, err error) {
	for _, name := range files {
		m, err := readManifest(name)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

func readManifest(name string) (*capsule.Manifest, error) {
	f, err := regular.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := capsule.ReadManifest(f, capsule.MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return m, nil
}

func hasAny(s *plot.Salvaged, m *capsule.Manifest) bool {
	for _, d := range m.Capsules {
		if s.Has(d) {
			return true
		}
	}
	return false
}

func (a *app) plotSearch(ctx context.Context, f *os.File) (*plot.Salvaged, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, usage("name a plot file", "%s is not a regular file", f.Name())
	}
	p := a.progress("searching")
	defer p.stop()
	return plot.Salvage(ctx, f, info.Size(), p.plot)
}

func (a *app) plotSalvage(ctx context.Context, found *plot.Salvaged, dir string,
	list []*capsule.Manifest, key *auth.NodeKey) error {
	damaged, total := 0, 0
	for _, x := range found.Extents {
		if x.Err != nil {
			damaged++
			a.warn("capsule %d of datastore %s at offset %d: %v", x.Descriptor.Index, x.Store,
				x.Offset, x.Err)
		}
	}
	for _, m := range list {
		total += len(m.Capsules)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	p := a.progress("writing")
	defer p.stop()
	w, err := plot.Create(ctx, dir, list, key, &plot.Options{
		Resume: true, Progress: p.plot,
		Keep: func(_ auth.StoreID, d capsule.Descriptor) bool { return found.Has(d) },
	})
	var exists *plot.ExistsError
	if errors.As(err, &exists) {
		p.stop()
		return a.plotExists(exists)
	}
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.AddFrom(ctx, found); err != nil {
		return err
	}
	info, err := w.Seal(ctx)
	if err != nil {
		return err
	}
	p.stop()
	return a.done(struct {
		plotInfo
		Damaged int `json:"damaged"`
		Missing int `json:"missing"`
	}{describePlot(info), damaged, total - info.Capsules}, "%s: %d of %s saved", info.Path,
		info.Capsules, plural(total, "capsule", "capsules"))
}
