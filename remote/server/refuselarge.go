package server

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// refuseLarge answers a GET of a module that is longer than Options.MaxInlineModule.
func (s *Server) refuseLarge(w http.ResponseWriter, id module.ID, size int64) error {
	body, err := json.Marshal(wire.TooLargeBody{Error: wire.TooLargeForGet, Total: size,
		Method: "dig.getCapsule",
		Store:  id.Store.String(), Root: id.Root.String()})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", wire.TypeJSON)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	w.Write(body)
	return nil
}
