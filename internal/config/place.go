package config

import (
	"fmt"
	"path/filepath"
)

// Place is what the file says of how the API is called. It is for those who call it, who may not be allowed to read every file that it names.
type Place struct {
	Listen    []APIAddress
	TokenFile string // absolute, not read; "" if there is none
	Cert      string // likewise, the hub's certificate; "" if it does not speak TLS
}

// LoadPlace reads how the API is called. Of the file it checks no more than the shape, and the addresses of the API. Its errors are those of Load.
func LoadPlace(path string) (*Place, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	text, err := read(path, maxSize)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	written, found, err := decode(path, text)
	if err != nil {
		return nil, err
	}
	c := newChecker(filepath.Dir(path), found)
	place := &Place{}
	for _, l := range c.apiListeners(written.API.Listen) {
		place.Listen = append(place.Listen, l.APIAddress)
	}
	if written.API.TokenFile != "" {
		place.TokenFile = c.path(written.API.TokenFile)
	}
	if written.API.TLS.Cert != "" {
		place.Cert = c.path(written.API.TLS.Cert)
	}
	return place, found.err()
}
