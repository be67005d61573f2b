package api_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serialhub/internal/api"
	"serialhub/internal/config"
	"serialhub/internal/rest/resttest"
	"serialhub/internal/testenv"
)

// runFront runs a front on unix sockets of these names in a folder of its own, and ends it with the test.
func runFront(t *testing.T, names ...string) (_ *api.Front, at func(names ...string) config.API) {
	t.Helper()
	dir := testenv.Dir(t)
	at = func(names ...string) (c config.API) {
		for _, name := range names {
			address := config.APIAddress{Network: "unix", Address: filepath.Join(dir, name)}
			c.Listen = append(c.Listen, config.APIListener{APIAddress: address, Mode: 0o600})
		}
		return c
	}
	h := newHub()
	front, err := api.NewFront(handler(t, api.Parts{Hub: h, Reloader: h, Log: slog.New(slog.DiscardHandler)}), at(names...), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- front.Run() }()
	t.Cleanup(func() {
		front.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("left behind: %v, %v", entries, err)
		}
	})
	return front, at
}

// answers tells whether the API answers at an address.
func answers(t *testing.T, addr config.APIAddress) bool {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, addr.Network, addr.Address)
	}}
	response, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("http://localhost/links/dbg")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func TestFrontMoves(t *testing.T) {
	front, at := runFront(t, "one", "two")
	if err := front.Move(at("two", "three")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"one": false, "two": true, "three": true} {
		if got := answers(t, at(name).Listen[0].APIAddress); got != want {
			t.Errorf("%s answers: %t, want %t", name, got, want)
		}
	}
}

// TestFrontClosesOnlyItsOwn moves back and forth while other descriptors are opened, and finds each of them open.
func TestFrontClosesOnlyItsOwn(t *testing.T) {
	front, at := runFront(t, "one")
	for i := range 100 {
		if err := front.Move(at([]string{"one", "two"}[i%2])); err != nil {
			t.Fatal(err)
		}
		var fds []int
		for range 50 {
			fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			fds = append(fds, fd)
		}
		for _, fd := range fds {
			if err := unix.Close(fd); err != nil {
				t.Fatalf("somebody else has closed a descriptor: %v", err)
			}
		}
	}
}

// TestFrontStaysWhereItIs cannot open one of two new addresses, and opens neither.
func TestFrontStaysWhereItIs(t *testing.T) {
	front, at := runFront(t, "one")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	next := at("two")
	next.Listen = append(next.Listen, config.APIListener{APIAddress: config.APIAddress{Network: "tcp", Address: taken.Addr().String()}})
	err = front.Move(next)
	if err == nil || !strings.Contains(err.Error(), "address already in use; end the program that does, or set api.listen to another port") {
		t.Errorf("the move gave %v", err)
	}
	if !answers(t, at("one").Listen[0].APIAddress) || answers(t, at("two").Listen[0].APIAddress) {
		t.Error("a move that failed has changed something")
	}
}

func TestFrontOnAUnixSocket(t *testing.T) {
	_, at := runFront(t, "hub.sock")
	if info, err := os.Lstat(at("hub.sock").Listen[0].Address); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	h := newHub()
	_, err := api.NewFront(handler(t, api.Parts{Hub: h, Reloader: h, Log: slog.New(slog.DiscardHandler)}), at("hub.sock"), nil, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "in use by pid") {
		t.Errorf("listening twice gave %v", err)
	}
}

// TestFrontThatIsFull says so to who comes, if all who are there are busy.
func TestFrontThatIsFull(t *testing.T) {
	r := run(t)
	for range 3 {
		r.socket("tap")
	}
	r.front.Limit(3 - 16) // a unix socket has 16 more
	response, err := r.http.Get("http://localhost/links/x/tap")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "urn:serialhub:problem:too-many-connections") {
		t.Errorf("%s, %v: %s, %v", response.Status, response.Header, body, err)
	}
	d, err := document()
	if err == nil { // it has not come to the handler
		err = d.Judge(&resttest.Exchange{Method: "GET", Path: "/links/x/tap", Status: response.StatusCode, Header: response.Header, Body: body, Whole: true})
	}
	if err != nil {
		t.Error(err)
	}
	r.front.Limit(16)
	if response, err := r.http.Get("http://localhost/links/x"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", response, err)
	} else {
		response.Body.Close()
	}
}
