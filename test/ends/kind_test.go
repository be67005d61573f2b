package ends

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// peer is what the program at an end has in its hands. Close is its departure.
type peer interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// site is the place where the peers of one end come to the hub, or the hub to them.
type site interface {
	end() string                 // what the file of links says of the end
	open(*testing.T)             // makes a server or a device be there that the hub comes to; does nothing where peers come to the hub
	arrive(*testing.T) peer      // a peer comes, by itself or because the hub does; what the hub comes to is opened, if it was not
	again(*testing.T, peer) peer // the hub has let go of a peer, and the end is open: whom it has next
	closed() error               // nil if nobody can come; the hub has to have closed the end
}

// kind is a kind of end, and what it promises.
type kind struct {
	name string
	make func(t *testing.T, dir, name string) site
	lack func() string // why this machine does not have it; "" if it does; nil for a kind that every machine has

	fetched bool // the hub comes to its peers, so an end without one is tried again and again
	tcp     bool // it is over TCP
	tls     bool // and encrypted
	file    bool // that is at a path, which the hub watches
	tty     bool // it is slower, and has small buffers

	stays bool // its peer cannot be hung up on while the end is open: when it is let go of, it is there again at once
	// forgetful: what its peer has said and the hub has not read is lost when the peer leaves. So does the master of a pseudo-terminal, and a device.
	forgetful bool
	// cuts: what is being written when its peer closes the connection may not arrive even in part. TLS has a seal on each piece.
	cuts bool
	// loses is how much of what the hub has passed on can be lost when the hub closes the end: what the line discipline and the buffer before it hold of a
	// terminal that stands for a serial port, for it does not say how much that is. A socket's buffer is read after the other side has closed.
	loses int
}

// allKinds are all of them, and kinds those that this machine has.
func allKinds() []kind {
	return []kind{unixListen(), unixConnect(), tcpListen(), tcpConnect(), tlsListen(), tlsConnect(), vsockListen(), vsockConnect(), pty(), device()}
}

func kinds() []kind {
	return slices.DeleteFunc(allKinds(), func(k kind) bool { return k.lack != nil && k.lack() != "" })
}

// Each kind carries a word, or says why this machine does not have it; no other test tells.
func TestKinds(t *testing.T) {
	for _, k := range allKinds() {
		t.Run(k.name, func(t *testing.T) {
			if k.lack != nil && k.lack() != "" {
				t.Skip(k.lack())
			}
			noDescriptorsLeft(t)
			a, b := startHub(t, pair{k, unixListen()}, eager).up()
			carry(t, "from a", a, b, "a word")
			carry(t, "to a", b, a, "and another")
		})
	}
}

// with is the same kind with other keys beside its address.
func (k kind) with(keys string) kind {
	plain := k.make
	k.make = func(t *testing.T, dir, name string) site { return &keyed{plain(t, dir, name), keys} }
	return k
}

// keyed is a site for which the file has more keys.
type keyed struct {
	site
	keys string
}

func (s *keyed) end() string { return strings.TrimSuffix(s.site.end(), "}") + ", " + s.keys + "}" }

// pair is a link with an end of each of two kinds.
type pair struct{ a, b kind }

func (p pair) name() string { return fmt.Sprintf("%s-%s", p.a.name, p.b.name) }

func (p pair) tty() bool { return p.a.tty || p.b.tty }

// orderedPairs are all pairs, for bodies in which the ends differ.
func orderedPairs() (list []pair) {
	for _, a := range kinds() {
		for _, b := range kinds() {
			list = append(list, pair{a, b})
		}
	}
	return list
}

// plainPairs are all pairs without regard to which is a, for bodies that do the same at both ends.
func plainPairs() (list []pair) {
	all := kinds()
	for i, a := range all {
		for _, b := range all[i:] {
			list = append(list, pair{a, b})
		}
	}
	return list
}

// pairsWith are pairs of every kind that fits, and a unix socket, for bodies that ask what becomes of a's peer.
func pairsWith(fits func(kind) bool) (list []pair) {
	for _, a := range kinds() {
		if fits(a) {
			list = append(list, pair{a, unixListen()})
		}
	}
	return list
}

// orderedPairsOf are all pairs of which a fits.
func orderedPairsOf(fits func(kind) bool) []pair {
	return slices.DeleteFunc(orderedPairs(), func(p pair) bool { return !fits(p.a) })
}

func any(kind) bool { return true }

func fetched(k kind) bool { return k.fetched }

// body is what is tried over pairs.
type body struct {
	name string
	try  func(*testing.T, pair)
}

// over runs a body over pairs, several at a time, and then looks whether a descriptor is left.
func over(t *testing.T, pairs []pair, try func(*testing.T, pair)) {
	t.Helper()
	allOver(t, pairs, body{"over", try})
}

// allOver runs several bodies at the same time, for those that wait long.
func allOver(t *testing.T, pairs []pair, bodies ...body) {
	t.Helper()
	noDescriptorsLeft(t)
	t.Run("all", func(t *testing.T) {
		for _, body := range bodies {
			for _, p := range pairs {
				t.Run(body.name+"/"+p.name(), func(t *testing.T) {
					t.Parallel()
					body.try(t, p)
				})
			}
		}
	})
}
