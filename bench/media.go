package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// medium is what a client and a relay, or two clients, have between them. One of the two makes a place and the other goes there:
// it connects to who listens there, or opens the terminal of who made it.
type medium int

const (
	unixSocket medium = iota
	tcp
	encrypted // TLS over TCP
	terminal
)

// certificateName is the file, in the folder of some wires, with the certificate of whoever listens with TLS, and its key.
const certificateName = "tls.pem"

// place is one where nobody is yet. Files are in the folder dir.
func (m medium) place(dir, name string) (string, error) {
	switch m {
	case tcp:
		return freePort()
	case encrypted:
		if err := writeCertificate(filepath.Join(dir, certificateName)); err != nil {
			return "", err
		}
		return freePort()
	default:
		return filepath.Join(dir, name), nil
	}
}

// freePort is a port of a host that nobody else uses: 127.0.0.0/8 has 16 million of them.
func freePort() (string, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)))
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// create makes a place for a client, who inherits the file and calls meet.
func (m medium) create(place string) (*os.File, error) {
	if m == terminal {
		return newTerminal(place)
	}
	return listen(place)
}

// meet waits until somebody has come to a place that was made, and returns the descriptor for talking to him. Who opens a terminal
// need not be waited for.
func (m medium) meet(fd int) (int, error) {
	if m == terminal {
		return fd, nil
	}
	return accept(fd)
}

// join goes to a place, as soon as it is there.
func (m medium) join(place string) (int, error) {
	if m == terminal {
		return openTerminal(place)
	}
	return connect(place)
}

// end is a kind of end of a link. The zero end is a unix socket that listens.
type end struct {
	medium medium
	goes   bool // the relay goes to the place that the client has made, with connect or device; else it is the other way round
}

// String is what the end is called in the hub's config.
func (e end) String() string {
	switch {
	case e.medium == terminal && e.goes:
		return "device"
	case e.medium == terminal:
		return "pty"
	case e.goes:
		return "connect " + e.medium.String()
	default:
		return "listen " + e.medium.String()
	}
}

func (m medium) String() string {
	return [...]string{unixSocket: "unix", tcp: "tcp", encrypted: "tls", terminal: "terminal"}[m]
}

// hub is what the hub's config says of the end.
func (e end) hub(dir, place string) string {
	told := map[end]string{
		{unixSocket, false}: `{listen: "PLACE"}`,
		{unixSocket, true}:  `{connect: "PLACE"}`,
		{tcp, false}:        `{listen: "tcp:PLACE"}`,
		{tcp, true}:         `{connect: "tcp:PLACE"}`,
		{encrypted, false}:  `{listen: "tls:PLACE", cert: "CERT", key: "CERT"}`,
		{encrypted, true}:   `{connect: "tls:PLACE", ca: "CERT", server_name: localhost}`,
		{terminal, false}:   `{pty: "PLACE"}`,
		{terminal, true}:    `{device: "PLACE"}`,
	}
	return fillIn(told[e], dir, place)
}

// socat is what socat's command line says of the end.
func (e end) socat(dir, place string) string {
	told := map[end]string{
		{unixSocket, false}: "UNIX-LISTEN:PLACE",
		{unixSocket, true}:  "UNIX-CONNECT:PLACE",
		{tcp, false}:        "TCP-LISTEN:PORT,bind=HOST",
		{tcp, true}:         "TCP:PLACE",
		{encrypted, false}:  "OPENSSL-LISTEN:PORT,bind=HOST,cert=CERT,verify=0",
		{encrypted, true}:   "OPENSSL:PLACE,cafile=CERT,commonname=localhost",
		{terminal, false}:   "PTY,link=PLACE,raw,echo=0",
		{terminal, true}:    "PLACE,raw,echo=0",
	}
	return fillIn(told[e], dir, place)
}

// ser2net is what ser2net's config says of the end: of one that listens as its accepter, of any other as its connector.
func (e end) ser2net(dir, place string) string {
	told := map[end]string{
		{unixSocket, false}: "unix,PLACE",
		{unixSocket, true}:  "unix,PLACE",
		{tcp, false}:        "tcp,HOST,PORT",
		{tcp, true}:         "tcp,HOST,PORT",
		{terminal, true}:    "serialdev,PLACE,115200n81,local",
	}
	return fillIn(told[e], dir, place)
}

func fillIn(text, dir, place string) string {
	host, port, _ := strings.Cut(place, ":") // of no use, and not used, if it is a path
	return strings.NewReplacer("PLACE", place, "HOST", host, "PORT", port, "CERT", filepath.Join(dir, certificateName)).Replace(text)
}
