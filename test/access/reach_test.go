package access

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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

// TestPortThatOthersReach is closed to them, and opened, while the port stays: by a reload, which may fail, and by an upgrade.
func TestPortThatOthersReach(t *testing.T) {
	const closed, open = "listen: ['TCP', 'unix:api'], token_file: tokens", "listen: ['0.0.0.0:PORT', 'unix:api'], token_file: tokens"
	h := startHub(t, closed, withTokens)
	answers := func(what string) {
		t.Helper()
		client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
		if got := call(t, client, "GET", "http://"+h.tcp+"/links", reader); got.status != 200 {
			t.Errorf("%s: %+v", what, got)
		}
	}
	for _, api := range []string{open, closed} {
		h.configure(api)
		h.reload(200)
		answers(api)
	}
	_, port, _ := net.SplitHostPort(h.tcp)
	other, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	h.configure(open)
	h.reload(422)
	other.Close()
	answers("after a reload that has failed")
	h.cmd.Process.Signal(unix.SIGUSR2)
	h.eventually("it is replaced", func() error {
		if n := strings.Count(h.log(), `"msg":"started"`); n != 2 || h.ask("GET", "/readyz").status != http.StatusOK {
			return fmt.Errorf("it was started %d times", n)
		}
		return nil
	})
	answers("after an upgrade")
}

// TestFormsOfRequests that are not those of a client of the hub.
func TestFormsOfRequests(t *testing.T) {
	open, guarded := startHub(t, ""), startHub(t, "token_file: tokens", withTokens)
	_, port, _ := net.SplitHostPort(open.tcp)
	for _, row := range []struct {
		hub    *hub
		text   string
		status int
	}{
		{guarded, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 401},
		{guarded, "OPTIONS /links HTTP/1.1\r\nHost: localhost\r\n\r\n", 401},
		{guarded, "CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 401},
		{guarded, "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 401},
		{guarded, "GET http://localhost/links HTTP/1.1\r\nHost: localhost\r\n\r\n", 401},
		{guarded, "GET //links HTTP/1.1\r\nHost: localhost\r\n\r\n", 401},
		{guarded, "GET /links HTTP/1.0\r\n\r\n", 403},
		{guarded, "GET /links HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400},
		{guarded, "GET http://evil.example/links HTTP/1.1\r\nHost: localhost\r\n\r\n", 403},
		{guarded, "POST /links/dbg/%72eset HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + reader + "\r\n\r\n", 404},
		{guarded, "GET /links%2fdbg/reset HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + reader + "\r\n\r\n", 404},
		{guarded, "GET /links/dbg/reset/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + reader + "\r\n\r\n", 403},
		{guarded, "GET /links/dbg/reset%2f HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + reader + "\r\n\r\n", 404},
		{guarded, "GET /links/x/../dbg/reset HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + reader + "\r\n\r\n", 404},
		{guarded, "HEAD /links/dbg/reset HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + reader + "\r\n\r\n", 405},
		{guarded, "GET /links HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + reader + ", Bearer " + admin + "\r\n\r\n", 401},
		{guarded, "GET /links HTTP/1.1\r\nHost: localhost\r\nAuthorization:\r\n\r\n", 401},
		{guarded, "GET /links HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer\r\n\r\n", 401},
		{guarded, "GET /links HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \t \r\n\r\n", 401},
		// A page can have a browser ask so without a word of where it comes from, for the address is not one that the browser trusts.
		{open, "GET /links/dbg/reset HTTP/1.1\r\nHost: [::ffff:7f00:1]:" + port + "\r\n\r\n", 403},
		{open, "GET /links/dbg/reset HTTP/1.1\r\nHost: 127.0.0.1:" + port + "\r\n\r\n", 200},
	} {
		conn := row.hub.dial()
		fmt.Fprint(conn, row.text)
		method, _, _ := strings.Cut(row.text, " ")
		response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			t.Errorf("%q: %v", row.text, err)
			continue
		}
		if got := read(response); got.status != row.status {
			t.Errorf("%q: %+v, want %d", row.text, got, row.status)
		}
	}
}
