// Package openapi holds the description of the API.
package openapi

import _ "embed" // for the document

//go:embed openapi.yaml
var document []byte

// Document is api/openapi.yaml. It is not to be changed.
func Document() []byte { return document }
