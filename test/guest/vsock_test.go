package guest

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestVsock moves bytes by splice through the loopback of vsock, looks how a socket tells that its peer has left, and
// logs what else this kernel makes of one. Then the hub goes over it.
func TestVsock(t *testing.T) {
	if inside {
		vsockOfTheKernel(t)
		return
	}
	g := startGuest(t)
	t.Run("kernel", func(t *testing.T) { g.runInside(t, "TestVsock") })
	t.Run("ends", func(t *testing.T) { vsockEnds(t, g) })
	t.Run("errors", func(t *testing.T) { vsockErrors(t, g) })
}

// vsockEnds runs what is tried of every kind of end, for those of vsock.
func vsockEnds(t *testing.T, g *guest) {
	const pairs = "^(vsockc?-unix|unix-vsockc?|vsockc?-vsockc?)$" // with others it is the same again, and takes long here
	output, code := g.runTests(t, "serialhub/test/ends", "-test.v", "-test.run=/^all$/^over$/"+pairs)
	if code != 0 {
		t.Errorf("they ended with %d:\n%s", code, output)
	}
	for _, pair := range []string{"unix-vsock", "unix-vsockc", "vsock-vsockc"} {
		if !strings.Contains(output, "--- PASS: TestExactness/all/over/"+pair+" ") {
			t.Errorf("%s was not tried:\n%s", pair, output)
		}
	}
}

// vsockErrors are what a link says of addresses that it cannot use.
func vsockErrors(t *testing.T, g *guest) {
	h := g.startHub(t, `links:
  - {name: nobody, a: {connect: "vsock:local:4556"}, b: /tmp/b}
  - {name: nowhere, a: {connect: "vsock:77:4556"}, b: /tmp/c}
  - {name: foreign, a: {listen: "vsock:77:4555"}, b: /tmp/d}`)
	for name, want := range map[string]string{
		"nobody":  "nobody listens at vsock:local:4556",
		"nowhere": "there is no VM with the context 77",
		"foreign": "77 is not the context of this machine",
	} {
		h.wantError(t, name, want)
	}
	h.stop(t)
}

func vsockOfTheKernel(t *testing.T) {
	t.Helper()
	here, there := vsockPair(t)
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	wantWritten(t, there, "there and back")
	t.Logf("with bytes to read: %s", poll(t, here, unix.POLLIN))
	_, unread := unix.IoctlGetInt(here, unix.SIOCINQ)
	_, unsent := unix.IoctlGetInt(there, unix.SIOCOUTQ)
	t.Logf("SIOCINQ: %v; SIOCOUTQ: %v", unread, unsent)
	peer, err := unix.GetsockoptUcred(here, unix.SOL_SOCKET, unix.SO_PEERCRED)
	t.Logf("SO_PEERCRED: %+v, %v", peer, err)
	for _, step := range [][2]int{{here, pipe[1]}, {pipe[0], here}} {
		if n, err := unix.Splice(step[0], nil, step[1], nil, 4096, 0); n != int64(len("there and back")) {
			t.Fatalf("splice moved %d bytes, and %v", n, err)
		}
	}
	wantRead(t, there, "there and back")

	if err := unix.Shutdown(there, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	t.Logf("after the peer's shutdown: %s", poll(t, here, unix.POLLRDHUP))
	wantRead(t, here, "")
	wantWritten(t, here, "last words")
	wantRead(t, there, "last words")

	unix.Close(there)
	eventually(t, "waiting until no byte at all can be sent", func() error {
		if _, err := unix.SendmsgN(here, nil, nil, nil, unix.MSG_NOSIGNAL); !errors.Is(err, unix.EPIPE) {
			return errors.New("it still can")
		}
		return nil
	})
	t.Logf("after its close: %s", poll(t, here, unix.POLLRDHUP))
}

// vsockPair are the two ends of a connection, which end with the test binary.
func vsockPair(t *testing.T) (int, int) {
	t.Helper()
	listener := vsock(t)
	if err := unix.Bind(listener, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: unix.VMADDR_PORT_ANY}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(listener, 1); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(listener)
	if err != nil {
		t.Fatal(err)
	}
	there := vsock(t)
	port := name.(*unix.SockaddrVM).Port
	if err := unix.Connect(there, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: port}); err != nil {
		t.Fatal(err)
	}
	here, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	return here, there
}

// vsock is a new socket.
func vsock(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// wantWritten writes a text.
func wantWritten(t *testing.T, fd int, text string) {
	t.Helper()
	if n, err := unix.Write(fd, []byte(text)); n != len(text) {
		t.Fatalf("%d bytes of %q were written, and %v", n, text, err)
	}
}

// wantRead wants a text, or the end, in one read.
func wantRead(t *testing.T, fd int, text string) {
	t.Helper()
	got := make([]byte, 4096)
	if n, err := unix.Read(fd, got); err != nil || string(got[:n]) != text {
		t.Fatalf("%q came, and %v, where %q should", got[:max(n, 0)], err, text)
	}
}

// poll waits for something, and tells all that there is to a socket then.
func poll(t *testing.T, fd int, what int16) string {
	t.Helper()
	waiting := []unix.PollFd{{Fd: int32(fd), Events: what}}
	if n, err := unix.Poll(waiting, int(patience.Milliseconds())); n != 1 {
		t.Fatalf("poll: %d, and %v", n, err)
	}
	waiting[0].Events = unix.POLLIN | unix.POLLOUT | unix.POLLRDHUP
	if n, err := unix.Poll(waiting, 0); n != 1 {
		t.Fatalf("poll: %d, and %v", n, err)
	}
	said := "poll says"
	for _, event := range []struct {
		is   int16
		name string
	}{
		{unix.POLLIN, "IN"}, {unix.POLLOUT, "OUT"}, {unix.POLLRDHUP, "RDHUP"}, {unix.POLLHUP, "HUP"}, {unix.POLLERR, "ERR"},
	} {
		if waiting[0].Revents&event.is != 0 {
			said += " " + event.name
		}
	}
	return said
}
