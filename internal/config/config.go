// Package config reads the file of links: its keys, its defaults and every check that needs no socket.
package config

import (
	"log/slog"

	"serialhub/internal/address"
)

// Config is a file that passed every check.
type Config struct {
	Path  string // absolute
	API   API
	Log   Log
	Links []Link // in the order of the file
}

// API says where the REST API listens; without an address there is none.
type API struct {
	Listen []APIAddress
}

// APIAddress is what net.Listen takes: "tcp" with a loopback host and port, or "unix" with an absolute path.
type APIAddress struct {
	Network, Address string
}

func (a APIAddress) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Address
	}
	return a.Address
}

// Log says how much is logged, and in which shape.
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"
}

// Link is a named virtual serial cable with two ends.
type Link struct {
	Name string
	A, B End
}

// End is one side of a link.
type End struct {
	Listen address.Address
}
