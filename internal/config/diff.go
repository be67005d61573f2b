package config

import (
	"reflect"

	"serialhub/internal/address"
)

// Changes are what differs between two sets of links, by name. Each list is in the order of its file.
type Changes struct {
	Added     []string
	Removed   []string
	Changed   []string
	Unchanged []string
	// Renamed has the old name of each link that has got another one and has kept both of its addresses, and how it comes to
	// its peers there. It is among Added by its new name, and among Removed by its old one.
	Renamed map[string]string
}

// Diff compares the links that are with those that shall be.
func Diff(old, next []Link) Changes {
	changes := Changes{Renamed: map[string]string{}}
	before, after := map[string]Link{}, map[string]bool{}
	for _, link := range old {
		before[link.Name] = link
	}
	for _, link := range next {
		after[link.Name] = true
	}
	removed := map[[2]where]string{}
	for _, link := range old {
		if !after[link.Name] {
			changes.Removed = append(changes.Removed, link.Name)
			removed[link.wheres()] = link.Name
		}
	}
	for _, link := range next {
		was, known := before[link.Name]
		switch {
		case !known:
			changes.Added = append(changes.Added, link.Name)
			if name := removed[link.wheres()]; name != "" {
				changes.Renamed[link.Name] = name
			}
		case was.Equal(link):
			changes.Unchanged = append(changes.Unchanged, link.Name)
		default:
			changes.Changed = append(changes.Changed, link.Name)
		}
	}
	return changes
}

// Equal tells whether the file says the same of both links.
func (l Link) Equal(other Link) bool { return reflect.DeepEqual(l, other) }

// where is what has to stay the same of an end for its peer to stay.
type where struct {
	address  address.Address
	connects bool
}

func (l Link) wheres() [2]where {
	return [2]where{{l.A.Address, l.A.Connects}, {l.B.Address, l.B.Connects}}
}

// Ends are both ends, a first.
func (l Link) Ends() [2]End { return [2]End{l.A, l.B} }
