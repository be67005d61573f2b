package api_test

import (
	"context"
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
	"serialhub/internal/testenv"
)

// runFront runs a front on unix sockets of these names in a folder of its own, and ends it with the test.
func runFront(t *testing.T, names ...string) (_ *api.Front, at func(names ...string) []config.APIAddress) {
	t.Helper()
	dir := testenv.Dir(t)
	at = func(names ...string) (list []config.APIAddress) {
		for _, name := range names {
			list = append(list, config.APIAddress{Network: "unix", Address: filepath.Join(dir, name)})
		}
		return list
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
		if got := answers(t, at(name)[0]); got != want {
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
	err = front.Move(append(at("two"), config.APIAddress{Network: "tcp", Address: taken.Addr().String()}))
	if err == nil || !strings.Contains(err.Error(), "address already in use; end the program that does, or set api.listen to another port") {
		t.Errorf("the move gave %v", err)
	}
	if !answers(t, at("one")[0]) || answers(t, at("two")[0]) {
		t.Error("a move that failed has changed something")
	}
}

func TestFrontOnAUnixSocket(t *testing.T) {
	_, at := runFront(t, "hub.sock")
	if info, err := os.Lstat(at("hub.sock")[0].Address); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	h := newHub()
	_, err := api.NewFront(handler(t, api.Parts{Hub: h, Reloader: h, Log: slog.New(slog.DiscardHandler)}), at("hub.sock"), nil, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "in use by pid") {
		t.Errorf("listening twice gave %v", err)
	}
}
