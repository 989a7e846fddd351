package history

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/digstore/internal/rootlog"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

// Unproven computes the proofs of all lines of roots.log, with Signed unset. Lines that already
// have a proof must agree with it.
func (l *Log) Unproven() ([]rootlog.Proof, error) {
	text, err := diskfs.ReadFile(l.fs, l.Path(), rootlog.MaxSize)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	p, err := l.openProofs()
	if err != nil && !errors.Is(err, module.ErrDamaged) {
		return nil, err
	}
	if p != nil {
		defer p.close()
		if _, err := p.Check(text, 0, 0, p.Confirmed, false); err != nil {
			return nil, err
		}
	}
	var list []rootlog.Proof
	size, _, err := rootlog.Lines(text, 0, func(g module.Generation, off int) bool {
		if n := len(list); n > 0 {
			list[n-1].End = int64(off)
		}
		list = append(list, rootlog.Proof{Line: g})
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.Path(), err)
	}
	begin := int64(0)
	for i := range list {
		if i == len(list)-1 {
			list[i].End = int64(size)
		}
		list[i].Sum = rootlog.Sum(text[begin:list[i].End])
		begin = list[i].End
	}
	return list, nil
}

// Adopt writes, durably, the proofs of all lines and the list of lines whose generations were
// dropped.
func (l *Log) Adopt(list []rootlog.Proof, dropped rootlog.Dropped) error {
	if err := l.SetDropped(dropped); err != nil {
		return err
	}
	size := list[len(list)-1].End
	if err := l.cutTail(&History{log: l, size: size, past: uint64(len(list))}); err != nil {
		return err
	}
	b := rootlog.AppendBlocks(rootlog.Header(uint64(len(list))), 0, list)
	if err := diskfs.WriteFile(l.fs, l.proofName(), b, 0o644); err != nil {
		return err
	}
	return l.noteProven()
}
