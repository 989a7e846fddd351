package sealer

import (
	"context"

	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/cdc"
)

// feedLarge reads and cuts a large resource.
func (p *Sealer) feedLarge(ctx context.Context, j *Job, emit func(*unit) error) error {
	r, err := j.openJob()
	if err != nil || r == nil {
		return err
	}
	defer r.Close()
	if j.Stat.Size <= smallSize {
		return nil // the next attempt reads it as a small one
	}
	length := j.length()
	if p.CheckSize != nil {
		if err := p.CheckSize(length); err != nil {
			return err
		}
	}
	j.key = urn.NewKey(p.Store, j.Name, p.Salt)
	j.Entry.Key = urn.RetrievalKey(p.Store, j.Name)
	j.hash, j.large, j.Read, j.Bytes = newLeafHash(), true, true, 0
	var plain *leafHash
	if p.HashPlain {
		plain = newLeafHash()
	}
	var carry []byte
	for eof := false; !eof; {
		var win *window
		select {
		case win = <-p.windows:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if win == nil {
			win = &window{buf: make([]byte, windowSize)}
		}
		n := copy(win.buf, carry)
		for n < len(win.buf) && !eof {
			most := min(int64(len(win.buf)-n), length-j.Bytes)
			m, err := r.ReadAt(win.buf[n:n+int(most)], j.Bytes)
			if err != nil {
				return err
			}
			if m == 0 { // the file was truncated
				eof = true
				break
			}
			if plain != nil {
				plain.add(win.buf[n : n+m])
			}
			n += m
			j.Bytes += int64(m)
			eof = j.Bytes == length
		}
		used, err := p.emitWindow(j, win, n, eof, emit)
		if err != nil {
			return err
		}
		carry = append(carry[:0], win.buf[used:n]...)
		free := p.windows
		go func() { // frees the buffer after its units are sealed
			win.units.Wait()
			free <- win
		}()
	}
	if plain != nil {
		j.Plain = plain.sum()
	}
	return j.finish(r)
}

// emitWindow cuts n bytes of a window into chunks, groups these into units, and returns how many
// bytes it used.
func (p *Sealer) emitWindow(j *Job, win *window, n int, eof bool,
	emit func(*unit) error) (used int, err error) {
	start := 0
	var cuts []int
	send := func(last bool) error {
		u := &unit{jobs: []*Job{j}, plain: win.buf[start:used], cuts: cuts, win: win, last: last}
		start, cuts = used, nil
		win.units.Add(1)
		if err := emit(u); err != nil {
			win.units.Done()
			return err
		}
		return nil
	}
	win.ends = cdc.CutsParallel(win.buf[:n], cdc.Params{}, win.ends[:0], p.Workers)
	for _, end := range win.ends {
		if !eof && n-used < cdc.DefaultMax { // more data may move this cut
			break
		}
		cuts = append(cuts, end-used)
		used = end
		if used-start >= unitSize {
			if err := send(eof && used == n); err != nil {
				return used, err
			}
		}
	}
	if len(cuts) > 0 || eof && start == used && used == n && n == 0 {
		err = send(eof && used == n)
	}
	return used, err
}
