package guest

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
)

// connectCommand has this test binary be a program in the guest that connects to a socket.
const connectCommand = "connect"

// peerDevice is the second port of the guest's virtio-serial device.
const peerDevice = "/dev/vport0p2"

// carry carries bytes between the host's side of the peer line and a unix socket, until either ends.
func carry(path string) error {
	socket, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	line, err := os.OpenFile(peerDevice, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	fmt.Println("connected")
	ended := make(chan error, 2)
	for _, way := range []struct {
		to   io.Writer
		from io.Reader
	}{{line, socket}, {socket, line}} {
		go func() {
			_, err := io.Copy(way.to, way.from)
			ended <- err
		}()
	}
	return <-ended
}

// connect connects g.peer to a unix socket in the guest, until the program that it returns is killed or the socket is
// closed. There can be one at a time.
func (g *guest) connect(t *testing.T, path string) *process {
	t.Helper()
	p := g.start(t, "/init", connectCommand, path)
	p.hear(t, "connected\n")
	return p
}
