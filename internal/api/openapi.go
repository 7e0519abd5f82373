package api

import (
	_ "embed" // for openapi.json
	"net/http"
)

// openAPI describes every route (OpenAPI 3.1).
//
//go:embed openapi.json
var openAPI string

func (h *handler) openAPI(w http.ResponseWriter, _ *request) {
	write(w, http.StatusOK, "application/json", []byte(openAPI))
}
