package sealer

import (
	"bytes"
	"encoding/binary"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/cdc"
	"github.com/dig-network/digstore/merkle"
)

// seal appends the frame of one chunk.
func (u *unit) seal(key *urn.Key, plain []byte) {
	at := len(u.frames)
	u.frames = append(u.frames, 0, 0, 0, 0)
	u.frames = key.Seal(u.frames, plain)
	sealed := u.frames[at+4:]
	binary.BigEndian.PutUint32(u.frames[at:], uint32(len(sealed)))
	u.chunks = append(u.chunks, module.Chunk{ID: merkle.Sum(sealed), Len: uint32(len(sealed))})
}

func (p *Sealer) doSmall(u *unit, j *Job, scratch []byte) error {
	plain, err := j.readSmall(scratch)
	if err != nil || plain == nil {
		return err
	}
	if p.HashPlain {
		j.Plain = merkle.Sum(plain)
	}
	j.Bytes = int64(len(plain))
	j.key = urn.NewKey(p.Store, j.Name, p.Salt)
	j.Entry.Key = urn.RetrievalKey(p.Store, j.Name)
	first, at := len(u.chunks), len(u.frames)
	for rest := plain; ; {
		n := len(rest)
		if n > cdc.DefaultMin {
			n = cdc.Next(cdc.Params{}, rest, true)
		}
		u.seal(j.key, rest[:n])
		if rest = rest[n:]; len(rest) == 0 {
			break // an empty resource is one empty chunk
		}
	}
	j.Entry.Chunks = u.chunks[first:len(u.chunks):len(u.chunks)]
	if len(j.Entry.Chunks) == 1 {
		j.Entry.Leaf = j.Entry.Chunks[0].ID
	} else {
		h := newLeafHash()
		h.frames(u.frames[at:])
		j.Entry.Leaf = h.sum()
	}
	j.key, j.Read = nil, true
	return nil
}

// readSmall reads a whole resource. It returns nil if the resource is gone or no longer small.
func (j *Job) readSmall(scratch []byte) ([]byte, error) {
	r, err := j.openJob()
	if err != nil || r == nil {
		return nil, err
	}
	defer r.Close()
	if j.Stat.Size > smallSize {
		return nil, nil
	}
	n := 0
	for most := int(j.length()); n < most; {
		m, err := r.ReadAt(scratch[n:most], int64(n))
		if err != nil {
			return nil, err
		}
		if m == 0 {
			break // the file was truncated
		}
		n += m
	}
	plain := scratch[:n:n]
	if err := j.finish(r); err != nil || !j.still || j.sure {
		return plain, err
	}
	same, err := reads(r, plain)
	if err != nil || !same {
		return plain, err
	}
	err = j.finish(r)
	j.sure = j.still
	return plain, err
}

// reads reports whether a content begins with want.
func reads(r Content, want []byte) (bool, error) {
	var buf [32 << 10]byte
	for n := 0; n < len(want); {
		m, err := r.ReadAt(buf[:min(len(buf), len(want)-n)], int64(n))
		if err != nil || m == 0 || !bytes.Equal(buf[:m], want[n:n+m]) {
			return false, err
		}
		n += m
	}
	return true, nil
}
