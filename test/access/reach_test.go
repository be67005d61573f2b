package access

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// outside is an address of this machine that other machines could reach.
func outside(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil && !prefix.Addr().IsLoopback() && !prefix.Addr().IsLinkLocalUnicast() {
			return prefix.Addr().String()
		}
	}
	t.Skip("this machine has loopback addresses only")
	return ""
}

// TestConnectionFromOutside does not get in when a reload takes the API back to loopback, where no token is wanted: it is not from there.
func TestConnectionFromOutside(t *testing.T) {
	ip := outside(t)
	h := startHub(t, "")
	_, port, _ := net.SplitHostPort(h.tcp)
	far := net.JoinHostPort(ip, port)
	h.configure("listen: ['" + far + "', 'unix:api'], token_file: tokens")
	withTokens(h)
	h.reload(200)
	headers := []string{"", "Authorization: Bearer " + reader + "\r\n"}
	var conns []net.Conn
	ask := func(conn net.Conn, header string) (answer, bool) {
		t.Helper()
		fmt.Fprintf(conn, "POST /links/dbg/reset HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n%s\r\n", far, header)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return read(response), response.Close
	}
	for i, header := range headers {
		conn, err := net.Dial("tcp", far)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
		if got, closed := ask(conn, header); got.status != []int{401, 403}[i] || closed {
			t.Errorf("before the reload, with %q: %+v", header, got)
		}
	}
	h.configure("")
	h.reload(200)
	for i, header := range headers {
		if got, closed := ask(conns[i], header); got.status != 403 || !strings.Contains(got.body, "loopback") || !closed { // a client that keeps it would never be let in
			t.Errorf("after the reload, with %q: %+v", header, got)
		}
	}
	if got := call(t, http.DefaultClient, "GET", "http://"+h.tcp+"/links", ""); got.status != 200 {
		t.Errorf("from this machine: %+v", got)
	}
	http.DefaultClient.CloseIdleConnections()
}
