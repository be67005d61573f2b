package main_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"serialhub/internal/client/clienttest"
	"serialhub/internal/testenv"
)

// echoQuery is a tap that says what it was asked for, and is over.
func echoQuery() http.HandlerFunc {
	return clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, r *http.Request) {
		clienttest.Say(ctx, conn, r.URL.RawQuery+"\n")
		conn.Close(websocket.StatusNormalClosure, "")
	})
}

func TestTap(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{
		"GET /links/dbg/tap":  echoQuery(),
		"GET /links/none/tap": clienttest.Refuse(http.StatusNotFound, `there is no link "none"`),
		"GET /links/odd/tap":  clienttest.Refuse(http.StatusBadRequest, "there is no parameter"),
		"GET /links/bare/tap": clienttest.Refuse(http.StatusConflict, "link bare keeps no scrollback"),
	})
	file := filepath.Join(t.TempDir(), "tapped")
	for _, row := range []struct {
		args      string
		code      int
		out, errs string
	}{
		{"dbg", 0, "format=hex\n", ""},
		{"dbg --format raw --end b --since-start --no-follow", 0, "end=b&follow=false&format=raw&since_start=true\n", ""},
		{"dbg --format pcapng -n 4KiB", 0, "format=pcapng&n=4KiB\n", ""},
		{"dbg -w -", 0, "format=hex\n", ""},
		{"dbg --format json -w " + file, 0, "", ""},
		{"dbg -n 4KiB --since-start", 2, "", "serialhub: --since-start shows all that the hub has kept, and -n the newest of it: write one of them\n"},
		{"dbg --no-follow", 0, "follow=false&format=hex&since_start=true\n", ""},
		{"dbg --no-follow -n 0", 0, "follow=false&format=hex&n=0\n", ""},
		{"bare --no-follow", 1, "", "serialhub: link bare keeps no scrollback\n"},
		{"dbg -n 5x", 2, "", `serialhub: -n: "5x" is not a number of bytes; write it as in 4096 or 4KiB`},
		{"dbg console", 2, "", `serialhub: tap takes one link, and "console" is one word too many`},
		{"dbg --format xml", 2, "", "there are hex, text, raw, json, pcapng"},
		{"dbg --end c", 2, "", `no end "c"`},
		{"odd", 2, "", "there is no parameter"},
		{"none -w " + file, 1, "", `there is no link "none"`}, // and the file stays as it is
		{"dbg -w /nowhere/file", 1, "", "no such file"},
		{"", 2, "", "which link?"},
	} {
		expect(t, row.code, row.out, row.errs, append([]string{"tap", "--api", hub.Address}, strings.Fields(row.args)...)...)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "format=json\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestTapOfTerminal asks for colours, if the person wants any, and keeps pcapng away from the terminal.
func TestTapOfTerminal(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /links/dbg/tap": echoQuery()})
	for _, row := range []struct{ args, variable, want string }{
		{"", "NO_COLOR=", "color=true&format=hex\r\n"},
		{"--format text", "NO_COLOR=", "color=true&format=text\r\n"},
		{"--format raw", "NO_COLOR=", "\nformat=raw\r\n"},
		{"", "NO_COLOR=1", "\nformat=hex\r\n"},
		{"", "TERM=dumb", "\nformat=hex\r\n"},
		{"--format pcapng", "NO_COLOR=", "write it to a file (-w FILE)"},
	} {
		keys, path := testenv.NewTerminal(t)
		slave, err := testenv.OpenTerminal(path)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, append([]string{"tap", "dbg", "--api", hub.Address}, strings.Fields(row.args)...)...)
		cmd.Env = append(os.Environ(), "TERM=xterm", row.variable)
		cmd.Stdout, cmd.Stderr = slave.File, slave.File
		slave.WriteString("\n")
		var screen safeBuffer
		go io.Copy(&screen, keys)
		cmd.Run()
		testenv.Eventually(t, patience, row.args+" with "+row.variable, func() error {
			if got := screen.String(); !strings.Contains(got, row.want) {
				return errors.New(got)
			}
			return nil
		})
		slave.Close()
	}
}

// TestTapMissed tells on the side what raw has no place for.
func TestTapMissed(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{
		"GET /links/dbg/tap": clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, _ *http.Request) {
			clienttest.Say(ctx, conn, "\x00\xff")
			conn.Write(ctx, websocket.MessageText, []byte(`{"missed": {"end": "a", "bytes": 4096}}`))
			clienttest.Say(ctx, conn, "\x1b")
			conn.Close(websocket.StatusNormalClosure, "")
		}),
	})
	expect(t, 0, "\x00\xff\x1b", "serialhub: missed 4096 bytes from end a\n", "tap", "dbg", "--format", "raw", "--api", hub.Address)
}

// TestTapIsLeft by Ctrl-C, and when nobody reads it any more, though nothing is said then.
func TestTapIsLeft(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /links/dbg/tap": silent("one\n")})
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		tap := launch(t, "tap", "dbg", "--api", hub.Address)
		tap.prints(&tap.out, "one")
		tap.cmd.Process.Signal(signal)
		if code := tap.code(); code != 0 || tap.errs.String() != "" {
			t.Errorf("%v: %d, %s", signal, code, tap.errs.String())
		}
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "tap", "dbg", "--api", hub.Address)
	cmd.Stdout = write
	var errs safeBuffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	if line, err := bufio.NewReader(read).ReadString('\n'); line != "one\n" {
		t.Errorf("%q, %v", line, err)
	}
	read.Close()
	if err := cmd.Wait(); err != nil || errs.String() != "" {
		t.Errorf("%v, %s", err, errs.String())
	}
}

// TestTapOutlivesTheHub, but not the link.
func TestTapOutlivesTheHub(t *testing.T) {
	address := "unix:" + filepath.Join(testenv.Dir(t), "api")
	asked := make(chan string, 2)
	talk := func(word, reason string) clienttest.Routes {
		return clienttest.Routes{"GET /links/dbg/tap": clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, r *http.Request) {
			asked <- r.URL.RawQuery
			clienttest.Say(ctx, conn, word)
			if reason != "" {
				conn.Close(websocket.StatusGoingAway, reason)
			}
			<-ctx.Done()
		})}
	}
	hub := clienttest.Start(t, address, talk("one ", ""))
	tap := launch(t, "tap", "dbg", "--api", address, "--since-start")
	tap.prints(&tap.out, "one ")
	hub.Stop()
	tap.prints(&tap.errs, "trying again for 30s\n")
	hub = clienttest.Start(t, address, talk("two ", ""))
	tap.prints(&tap.out, "one two ")
	tap.prints(&tap.errs, "the hub is back; what was said meanwhile is not shown\n")
	if first, second := <-asked, <-asked; first != "format=hex&since_start=true" || second != "format=hex" {
		t.Errorf("asked for %q, then for %q", first, second)
	}
	hub.Stop()
	clienttest.Start(t, address, clienttest.Routes{"GET /links/dbg/tap": clienttest.Refuse(http.StatusNotFound, "there is no link dbg")})
	if code := tap.code(); code != 1 || !strings.HasSuffix(tap.errs.String(), "serialhub: there is no link dbg\n") {
		t.Errorf("%d, %s", code, tap.errs.String())
	}
}

// TestTapGoesOn where the hub says that it has ended, and only after that.
func TestTapGoesOn(t *testing.T) {
	address := "unix:" + filepath.Join(testenv.Dir(t), "api")
	asked := make(chan string, 64)
	serve := func(word, position string) *clienttest.Hub {
		return clienttest.Start(t, address, clienttest.Routes{"GET /links/dbg/tap": clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, r *http.Request) {
			asked <- r.URL.Query().Get("from") + " " + r.URL.Query().Get("n")
			clienttest.Say(ctx, conn, word)
			if position == "" {
				conn.Read(ctx)
				return
			}
			conn.Write(ctx, websocket.MessageText, []byte(position))
			conn.Close(websocket.StatusGoingAway, "the hub stops")
		})})
	}
	hub := serve("one ", `{"position": {"a": 123, "b": 18446744073709551615}}`)
	tap := launch(t, "tap", "dbg", "--api", address, "-n", "4KiB")
	tap.prints(&tap.errs, "serialhub: the hub stops; trying again for 30s\n")
	hub.Stop()
	for len(asked) > 0 { // it may have asked again before that
		<-asked
	}
	hub = serve("two ", "")
	tap.prints(&tap.errs, "serialhub: the hub is back\n")
	tap.prints(&tap.out, "two ")
	if from := <-asked; from != "123,18446744073709551615 " {
		t.Errorf("it goes on at %q", from)
	}
	hub.Stop()
	tap.prints(&tap.errs, "has gone (the connection was closed without a word); trying again for 30s\n")
	serve("three ", "")
	tap.prints(&tap.errs, "serialhub: the hub is back; what was said meanwhile is not shown\n")
	tap.prints(&tap.out, "three ")
	if from := <-asked; from != " " {
		t.Errorf("it goes on at %q", from)
	}
}

// TestTapOfRemovedLink ends with the link, and asks no more.
func TestTapOfRemovedLink(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /links/dbg/tap": clienttest.Talk(func(_ context.Context, conn *websocket.Conn, _ *http.Request) {
		conn.Close(websocket.StatusGoingAway, "the link was removed")
	})})
	for _, args := range []string{"tap dbg", "tap dbg --no-follow", "wait dbg --text x", "wait dbg --text x --end a --timeout 0"} {
		expect(t, 1, "", "serialhub: the link was removed\n", append(strings.Fields(args), "--api", hub.Address)...)
	}
	if err := hub.Called(6); err == nil { // a wait without --end listens twice
		t.Error("it has asked again")
	}
}
