package rpc

import (
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/rpc"
)

// A servedWindow is an [rpc.Window] whose bytes are read when it is sent.
type servedWindow struct {
	rpc.Window
	from *source // of Ciphertext
}

// A servedManifest is an [rpc.Manifest] whose bytes are read when it is sent.
type servedManifest struct {
	servedWindow
	RetrievalKey merkle.Hash `json:"retrieval_key"`
}

// span returns the start and the end of the window for a request. length is nil if the request has
// none.
func span(total int64, offset uint64, length *uint64) (start, end int64) {
	if offset >= uint64(total) {
		return total, total
	}
	size := uint64(rpc.MaxWindow)
	if length != nil {
		size = min(max(*length, 1), rpc.MaxWindow)
	}
	start = int64(offset) / rpc.Block * rpc.Block
	return start, min(total, start+int64((size+rpc.Block-1)/rpc.Block*rpc.Block))
}

// cut returns the window for a request, without its bytes.
func cut(total int64, offset uint64, length *uint64) *servedWindow {
	start, end := span(total, offset, length)
	w := &servedWindow{Window: rpc.Window{TotalLength: total, Offset: start, Length: end - start,
		Complete: end >= total, InclusionProof: []byte{}}}
	if !w.Complete {
		w.NextOffset = &end
	}
	return w
}
