package config_test

import (
	"fmt"
	"testing"

	"serialhub/internal/address"
	"serialhub/internal/config"
)

// link makes a link from "name a b", with something about it that can be changed.
func link(t *testing.T, name, a, b string, about ...func(*config.Link)) config.Link {
	t.Helper()
	end := func(text string) config.End {
		addr, err := address.Parse(text, "/")
		if err != nil {
			t.Fatal(err)
		}
		return config.End{Address: addr, Mode: 0o600}
	}
	l := config.Link{Name: name, A: end(a), B: end(b)}
	for _, change := range about {
		change(&l)
	}
	return l
}

func TestDiff(t *testing.T) {
	type links = []config.Link
	x, y, z := link(t, "x", "/1", "/2"), link(t, "y", "/3", "/4"), link(t, "z", "/5", "/6")
	hold := func(l *config.Link) { l.Absent = config.AbsentHold }
	uids := func(l *config.Link) { l.A.AllowUIDs = []int{0} }
	dialled := func(l *config.Link) { l.A.Connects = true }
	scrollback := func(l *config.Link) { l.Scrollback = 1024 }
	transcript := func(format string) func(*config.Link) {
		return func(l *config.Link) {
			l.Transcript = plain("/log/{link}", func(t *config.Transcript) { t.Format = format })
		}
	}
	certificate := func(text string) func(*config.Link) {
		return func(l *config.Link) { l.A.TLS = config.TLS{Cert: text, Key: "key"} }
	}
	tests := []struct {
		name      string
		old, next links
		want      string // added, removed, changed, unchanged, renamed
	}{
		{"nothing", nil, nil, "[] [] [] [] map[]"},
		{"the same", links{x, y}, links{x, y}, "[] [] [] [x y] map[]"},
		{"another order", links{x, y}, links{y, x}, "[] [] [] [y x] map[]"},
		{"one more", links{x}, links{z, x, y}, "[z y] [] [] [x] map[]"},
		{"fewer", links{x, y, z}, links{y}, "[] [x z] [] [y] map[]"},
		{"another behaviour", links{x, y}, links{link(t, "x", "/1", "/2", hold), y}, "[] [] [x] [y] map[]"},
		{"other uids", links{link(t, "x", "/1", "/2", uids)}, links{x}, "[] [] [x] [] map[]"},
		{"another address", links{x}, links{link(t, "x", "/1", "/9")}, "[] [] [x] [] map[]"},
		{"ends changed places", links{x}, links{link(t, "x", "/2", "/1")}, "[] [] [x] [] map[]"},
		{"addresses changed places", links{x, y}, links{link(t, "x", "/3", "/2"), link(t, "y", "/1", "/4")}, "[] [] [x y] [] map[]"},
		{"renamed", links{x, y}, links{link(t, "n", "/1", "/2"), y}, "[n] [x] [] [y] map[n:x]"},
		{"renamed, and changed", links{x}, links{link(t, "n", "/1", "/2", hold)}, "[n] [x] [] [] map[n:x]"},
		{"renamed, with another address", links{x}, links{link(t, "n", "/1", "/9")}, "[n] [x] [] [] map[]"},
		{"names changed places", links{x, y}, links{link(t, "y", "/1", "/2"), link(t, "x", "/3", "/4")}, "[] [] [y x] [] map[]"},
		{"an address of a removed link", links{x, y}, links{y, link(t, "n", "/1", "/7")}, "[n] [x] [] [y] map[]"},
		{"an end that is dialled now", links{x}, links{link(t, "x", "/1", "/2", dialled)}, "[] [] [x] [] map[]"},
		{"renamed, and an end is dialled now", links{x}, links{link(t, "n", "/1", "/2", dialled)}, "[n] [x] [] [] map[]"},
		{"renamed, and an end is dialled as before", links{link(t, "x", "/1", "/2", dialled)}, links{link(t, "n", "/1", "/2", dialled)}, "[n] [x] [] [] map[n:x]"},
		{"a renewed certificate", links{link(t, "x", "tls::1", "/2", certificate("old"))}, links{link(t, "x", "tls::1", "/2", certificate("new"))}, "[] [] [x] [] map[]"},
		{"a scrollback", links{x}, links{link(t, "x", "/1", "/2", scrollback)}, "[] [] [x] [] map[]"},
		{"a transcript", links{x}, links{link(t, "x", "/1", "/2", transcript("hex"))}, "[] [] [x] [] map[]"},
		{"the same transcript", links{link(t, "x", "/1", "/2", transcript("hex"))}, links{link(t, "x", "/1", "/2", transcript("hex"))}, "[] [] [] [x] map[]"},
		{"another transcript", links{link(t, "x", "/1", "/2", transcript("hex"))}, links{link(t, "x", "/1", "/2", transcript("raw"))}, "[] [] [x] [] map[]"},
		{"renamed, and no transcript any more", links{link(t, "x", "/1", "/2", transcript("hex"))}, links{link(t, "n", "/1", "/2")}, "[n] [x] [] [] map[n:x]"},
		{"with TLS now", links{link(t, "x", "tcp::1", "/2")}, links{link(t, "x", "tls::1", "/2")}, "[] [] [x] [] map[]"},
		{"another case of the name", links{x}, links{link(t, "X", "/1", "/2")}, "[X] [x] [] [] map[X:x]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := config.Diff(test.old, test.next)
			if got := fmt.Sprint(c.Added, c.Removed, c.Changed, c.Unchanged, c.Renamed); got != test.want {
				t.Errorf("Diff gave %s, want %s", got, test.want)
			}
		})
	}
}
