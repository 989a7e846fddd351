package api

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openAPIText []byte

// OpenAPI returns the description of all routes that a Server can have, as OpenAPI 3.1.
func OpenAPI() []byte { return append([]byte(nil), openAPIText...) }

// openAPI answers GET /openapi.json.
func (s *Server) openAPI(w *answer, c *call) error {
	w.Header().Set("Cache-Control", shortly)
	return s.sendText(w, c, http.StatusOK, openAPIText)
}
