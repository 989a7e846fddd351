package index

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/plot"
)

// PlotSource is the Source of directories of plots. Each file is an item, under its path. The
// tables of a plot are verified when they are read; the content is not read.
type PlotSource struct {
	name string
	dirs []plot.Dir
}

// NewPlotSource returns the source of directories, or files, of plots under a name.
func NewPlotSource(name string, dirs ...plot.Dir) *PlotSource { return &PlotSource{name, dirs} }

// plotSuffix is the suffix of the names of plots.
const plotSuffix = ".plot"

// Name implements Source.
func (s *PlotSource) Name() string { return s.name }

// Items implements Source. While a directory cannot be read, there is an error.
func (s *PlotSource) Items(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for _, d := range s.dirs {
			files, err := plotFiles(d.Path)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for path, info := range files {
				if ctx.Err() != nil {
					yield(Item{}, context.Cause(ctx))
					return
				}
				it := Item{Name: path, Size: info.Size(), Modified: info.ModTime()}
				if !yield(it, nil) {
					return
				}
			}
		}
	}
}

// plotFiles returns the regular files of a directory that have the name of a plot, or the one file
// at path.
func plotFiles(path string) (map[string]fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := map[string]fs.FileInfo{}
	if !info.IsDir() {
		files[filepath.Clean(path)] = info
		return files, nil
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), plotSuffix) {
			continue
		}
		info, err := e.Info()
		if os.IsNotExist(err) {
			continue // removed since it was listed
		}
		if err != nil {
			return nil, err
		}
		files[filepath.Join(path, e.Name())] = info
	}
	return files, nil
}

// Read implements Source.
func (s *PlotSource) Read(ctx context.Context, it Item) iter.Seq2[Holding, error] {
	return func(yield func(Holding, error) bool) {
		r, err := plot.Open(it.Name, nil)
		if err != nil {
			yield(Holding{}, fmt.Errorf("open plot %s: %w", it.Name, err))
			return
		}
		defer r.Close()
		roots := map[auth.StoreID]plot.Datastore{}
		for _, d := range r.Info().Datastores {
			roots[d.Store] = d
		}
		var h Holding
		for rec, err := range r.Records() { // ascending by datastore and index
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				yield(Holding{}, err)
				return
			}
			if rec.Store != h.Store || h.Count == 0 {
				if h.Count > 0 && !yield(h, nil) {
					return
				}
				d := roots[rec.Store]
				h = Holding{Key: Key{rec.Store, d.Root}, Count: d.Capsules}
			}
			d, err := r.Descriptor(rec)
			if err != nil {
				yield(Holding{}, err)
				return
			}
			h.Capsules = append(h.Capsules, d)
		}
		if h.Count > 0 {
			yield(h, nil)
		}
	}
}
