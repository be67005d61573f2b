// Package rest has the types, the routes and the client of the API, as api/openapi.yaml describes them. All but this file is made
// from there; to change it, change that and `make generate`.
package rest

import (
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// Operation is a call of the API.
type Operation struct {
	ID         string // its operationId
	Method     string
	Path       string   // as in the document
	Parameters []string // of the query
	Body       bool     // it takes one
	Role       string   // read or admin: what a token must be good for

	route   string
	handler echo.HandlerFunc
}

// unescape gives what a part of a path stands for. The router splits the path as it was sent, if that is not how it is written usually.
func unescape(part string, address *url.URL) (string, error) {
	if address.RawPath == "" {
		return part, nil
	}
	text, err := url.PathUnescape(part)
	if err != nil {
		return "", echo.ErrNotFound
	}
	return text, nil
}

// RoleFor is the role that a request needs, by its method and its escaped path: read or admin. Of a call that is not documented, it is admin.
func RoleFor(method, path string) string {
	parts := strings.Split(path, "/")
	for _, o := range operations(nil) {
		same := func(documented, part string) bool { return documented == part || strings.HasPrefix(documented, "{") }
		if o.Method == method && slices.EqualFunc(strings.Split(o.Path, "/"), parts, same) {
			return o.Role
		}
	}
	return "admin"
}
