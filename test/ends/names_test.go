package ends

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"serialhub/internal/relay"
	"serialhub/internal/supervisor"
)

// twoAddresses is a host with two addresses, ::1 and 127.0.0.1, as the stand-in for the DNS has it that TestMain sets up.
const twoAddresses = "both.test"

// standInDNS is a resolver that asks nobody outside of this process.
func standInDNS() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answer(server)
		return client, nil
	}}
}

// answer answers questions as DNS over TCP has them, each with its length before it (RFC 1035, 4.2.2).
func answer(conn net.Conn) {
	defer conn.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply := replyTo(query)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// replyTo makes the reply to a query with one question.
func replyTo(query []byte) []byte {
	const header, typeA, typeAAAA = 12, 1, 28
	end := header
	var labels []string
	for query[end] != 0 {
		size := int(query[end])
		labels = append(labels, string(query[end+1:end+1+size]))
		end += 1 + size
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	end += 5 // the root, the type and the class
	flags, answers := uint16(0x8180), uint16(0)
	var record []byte
	switch {
	case !strings.HasPrefix(strings.Join(labels, ".")+".", twoAddresses+"."):
		flags |= 3 // no such name
	case kind == typeA:
		record = net.IPv4(127, 0, 0, 1).To4()
	case kind == typeAAAA:
		record = net.IPv6loopback
	}
	if record != nil {
		answers = 1
	}
	reply := append([]byte(nil), query[:2]...)
	for _, field := range []uint16{flags, 1, answers, 0, 0} {
		reply = binary.BigEndian.AppendUint16(reply, field)
	}
	reply = append(reply, query[header:end]...)
	if record == nil {
		return reply
	}
	reply = append(reply, 0xc0, header) // the name is the one of the question
	reply = binary.BigEndian.AppendUint16(reply, kind)
	reply = append(reply, 0, 1, 0, 0, 0, 0) // in the internet, for no longer than now
	reply = binary.BigEndian.AppendUint16(reply, uint16(len(record)))
	return append(reply, record...)
}

func needIPv6(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	listener.Close()
}

// A name may have an address at which nobody listens, as localhost often has.
func TestConnectToNameWithTwoAddresses(t *testing.T) {
	needIPv6(t)
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			noDescriptorsLeft(t)
			k := kind{name: "tcpc", fetched: true, make: func(t *testing.T, _, _ string) site {
				address := freeAddress(t, host)
				_, port, _ := net.SplitHostPort(address)
				return &connectSite{socket: ofNetwork("tcp", address), text: fmt.Sprintf("{connect: %q}", "tcp:"+twoAddresses+":"+port)}
			}}
			h := startHub(t, pair{k, unixListen()}, eager)
			h.waitState(supervisor.LinkRetrying)
			a, b := h.up()
			carry(t, "to the only one who listens", b, a, "found")
		})
	}
}

func TestListenAtNameAndEverywhere(t *testing.T) {
	needIPv6(t)
	for _, test := range []struct{ listen, dial string }{
		{twoAddresses, "127.0.0.1"}, {"[::1]", "::1"}, {"", "::1"}, {"", "127.0.0.1"}, {"0.0.0.0", "127.0.0.1"},
	} {
		t.Run(fmt.Sprintf("%s from %s", test.listen, test.dial), func(t *testing.T) {
			noDescriptorsLeft(t)
			k := kind{name: "tcp", make: func(t *testing.T, _, _ string) site {
				address := freeAddress(t, test.dial)
				_, port, _ := net.SplitHostPort(address)
				return &listenSite{ofNetwork("tcp", address), fmt.Sprintf("{listen: %q}", "tcp:"+test.listen+":"+port)}
			}}
			h := startHub(t, pair{k, unixListen()}, eager)
			a, b := h.up()
			carry(t, "from there", a, b, "found")
		})
	}
}

// A host that is not known is an error that says so, and no more.
func TestUnknownHost(t *testing.T) {
	noDescriptorsLeft(t)
	k := kind{name: "tcpc", fetched: true, make: func(*testing.T, string, string) site {
		return &connectSite{text: `{connect: "tcp:nowhere.test:4555"}`}
	}}
	h := startHub(t, pair{k, unixListen()}, eager)
	l := h.waitState(supervisor.LinkRetrying)
	if l.Last == nil || l.Last.End != "a" || !strings.Contains(l.Last.Message, "nowhere.test") {
		t.Errorf("the last error should name the host: %s", describe(l))
	}
	h.arrive(relay.B)
}
