package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"serialhub/internal/client"
	"serialhub/internal/client/clienttest"
	"serialhub/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient makes a client of the hubs at these addresses.
func newClient(t *testing.T, token string, addresses ...string) *client.Client {
	t.Helper()
	place := client.Place{By: "by the test"}
	for _, text := range addresses {
		address, err := client.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		place.Addresses = append(place.Addresses, address)
	}
	c := client.New(place, token)
	t.Cleanup(c.Close)
	return c
}

func TestParseAddress(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"127.0.0.1:7373":         "127.0.0.1:7373",
		"localhost:80":           "localhost:80",
		"[::1]:7373":             "[::1]:7373",
		":7373":                  "127.0.0.1:7373",
		"http://127.0.0.1:7373":  "127.0.0.1:7373",
		"http://127.0.0.1:7373/": "127.0.0.1:7373",
		"unix:/run/hub":          "unix:/run/hub",
		"unix:///run/hub":        "unix:/run/hub",
		"unix:hub":               "unix:" + filepath.Join(here, "hub"),
		"":                       "is empty",
		"/run/hub":               "write unix:/run/hub",
		"unix:":                  "names no file",
		"127.0.0.1":              "is not host:port",
		"127.0.0.1:0":            "from 1 to 65535",
		"127.0.0.1:http":         "from 1 to 65535",
		"https://lab7:443":       "https://lab7:443",
		"https://lab7:443/":      "https://lab7:443",
		"tls:[::1]:443":          "https://[::1]:443",
		"https://lab7":           "is not host:port",
		"http://lab7:7373/links": "from 1 to 65535",
	} {
		got, err := client.ParseAddress(text)
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && got.String() != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
}

const upLink = `{"name": "dbg", "state": "up", "ends": {
	"a": {"address": "unix:/a", "state": "connected", "peer": {"pid": 7, "command": "qemu\u001b[2J", "vm": "win7"}},
	"b": {"address": "unix:/b", "state": "waiting", "peer": null}}}`

func TestLink(t *testing.T) {
	dir := testenv.Dir(t)
	for _, address := range []string{"", "unix:" + filepath.Join(dir, "api")} {
		seen := make(chan *http.Request, 1)
		hub := clienttest.Start(t, address, clienttest.Routes{"GET /links/{name}": func(w http.ResponseWriter, r *http.Request) {
			seen <- r
			clienttest.Answer(upLink)(w, r)
		}})
		c := newClient(t, "s3cret", "unix:"+filepath.Join(dir, "nobody"), hub.Address)
		link, err := c.Link(t.Context(), "dbg")
		if err != nil {
			t.Fatal(err)
		}
		if link.State != "up" || client.PeerName(link.Ends["a"].Peer) != "qemu�[2J (win7), pid 7" || client.PeerName(link.Ends["b"].Peer) != "nobody" {
			t.Errorf("%+v", link)
		}
		r := <-seen
		if r.Host != "localhost" || r.Header.Get("Authorization") != "Bearer s3cret" || r.URL.Path != "/links/dbg" {
			t.Errorf("host %q, path %q, header %v", r.Host, r.URL.Path, r.Header)
		}
	}
}

// TestErrors are those of every call.
func TestErrors(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{
		"/links/none/":     clienttest.Refuse(404, "there is no link \"none\"\x1b[31m; GET /links lists all"),
		"/links/busy/":     clienttest.Refuse(409, strings.Repeat("x", 700)),
		"/links/stranger/": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "I am a teapot", http.StatusTeapot) },
		"/links/rude/":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	})
	c := newClient(t, "", hub.Address)
	for name, want := range map[string]string{
		"none":     "there is no link \"none\"�[31m; GET /links lists all",
		"busy":     strings.Repeat("x", 700),
		"stranger": "is not a hub, or one of another version: it says 418",
		"rude":     "the hub at " + hub.Address + " did not answer: it closed the connection; is that address (by the test) the API's, and not that of a link's end?",
	} {
		_, tap := c.Tap(t.Context(), name, client.TapOptions{Format: "raw"})
		_, attach := c.Attach(t.Context(), name, "a", false)
		for _, err := range []error{tap, attach, c.Send(t.Context(), name, "a", false, []byte("x")), c.Break(t.Context(), name, "a")} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	hub.Stop()
	_, err := newClient(t, "", hub.Address, "unix:/nowhere/api").Link(t.Context(), "dbg")
	if nobody := (*client.NoHubError)(nil); !errors.As(err, &nobody) {
		t.Fatalf("%T", err)
	}
	for _, want := range []string{"no hub answers at " + hub.Address + ", unix:/nowhere/api (by the test)", "connection refused", "no such file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Link(ended, "dbg"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestEndOfALink is what somebody calls who has mistaken its address for the API's.
func TestEndOfALink(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]string{
		"SSH-2.0\r\n": `is not the API of a hub: it says "SSH-2.0"; --api ADDRESS says where that is`,
		"":            "nothing came within 15s; is that address (by the test) the API's, and not that of a link's end?",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(testenv.Dir(t), "end")
			end, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			t.Cleanup(func() { end.Close(); <-served })
			go func() {
				defer close(served)
				for {
					conn, err := end.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					io.WriteString(conn, says)
				}
			}()
			c := newClient(t, "", "unix:"+path)
			var calls sync.WaitGroup
			for name, call := range map[string]func() error{
				"link": func() error { _, err := c.Link(t.Context(), "dbg"); return err },
				"tap":  func() error { _, err := c.Tap(t.Context(), "dbg", client.TapOptions{Format: "raw"}); return err },
			} {
				calls.Go(func() {
					err := call()
					if lost := (*client.LostError)(nil); errors.As(err, &lost) != (says == "") || err == nil || !strings.HasSuffix(err.Error(), want) {
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			calls.Wait()
		})
	}
}

func TestSend(t *testing.T) {
	var query, body string
	hub := clienttest.Start(t, "", clienttest.Routes{"POST /links/dbg/send": func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		query, body = r.URL.RawQuery, string(text)
		clienttest.Answer(`{"sent": 3}`)(w, r)
	}})
	c := newClient(t, "", hub.Address)
	if err := c.Send(t.Context(), "dbg", "a", true, []byte("\x00\xff\r")); err != nil || query != "inject=true&to=a" || body != "\x00\xff\r" {
		t.Errorf("%v, %q, %q", err, query, body)
	}
	if err := c.Send(t.Context(), "dbg", "a", false, []byte("four")); err == nil || query != "to=a" {
		t.Errorf("%v, %q", err, query)
	}
}

func TestTap(t *testing.T) {
	var query string
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /links/dbg/tap": clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, r *http.Request) {
		query = r.URL.RawQuery
		clienttest.Say(ctx, conn, "one")
		conn.Write(ctx, websocket.MessageText, []byte(`{"missed": {"end": "a", "bytes": 4096}}`))
		clienttest.Say(ctx, conn, strings.Repeat("x", 1<<20))
		switch r.URL.Query().Get("end") {
		case "a":
			conn.Close(websocket.StatusNormalClosure, "")
		case "b":
			conn.Write(ctx, websocket.MessageText, []byte(`{"position": {"a": 7, "b": 1052579}}`))
			conn.Close(websocket.StatusGoingAway, "the link was removed")
		}
	})})
	c := newClient(t, "", hub.Address)
	for end, want := range map[string]string{"a": "", "b": "the link was removed", "": "the hub at " + hub.Address + " has gone (the connection was closed without a word)"} {
		tap, err := c.Tap(t.Context(), "dbg", client.TapOptions{Format: "raw", End: end, SinceStart: true, Newest: "4KiB", NoFollow: true, Color: true})
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		err = tap.Copy(t.Context(), &got, func(m client.Missed) {
			if got.String() != "one" || m != (client.Missed{End: "a", Bytes: 4096}) {
				t.Errorf("after %q missed %+v", got.String(), m)
			}
		})
		tap.Close()
		if lost := (*client.LostError)(nil); (err != nil) != (want != "") || want != "" && (!errors.As(err, &lost) || !strings.Contains(err.Error(), want) || lost.Removed != (end == "b")) {
			t.Errorf("end %q: %v", end, err)
		}
		if at := tap.Position(); (at != nil) != (end == "b") || at != nil && *at != (client.Position{A: 7, B: 1052579}) {
			t.Errorf("end %q: it has ended at %+v", end, at)
		}
		if got.Len() != 3+1<<20 && end != "" {
			t.Errorf("%d bytes", got.Len())
		}
	}
	if !strings.Contains(query, "color=true") || !strings.Contains(query, "follow=false") || !strings.Contains(query, "n=4KiB") || !strings.Contains(query, "since_start=true") {
		t.Error(query)
	}
}

// TestTapFrom goes on where another has ended, and begins with nothing else.
func TestTapFrom(t *testing.T) {
	var query string
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /links/dbg/tap": clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, r *http.Request) {
		query = r.URL.RawQuery
		conn.Write(ctx, websocket.MessageText, []byte(`{"riddle": {}}`))
		conn.Read(ctx)
	})})
	tap, err := newClient(t, "", hub.Address).Tap(t.Context(), "dbg", client.TapOptions{Format: "raw", SinceStart: true, Newest: "4KiB", From: &client.Position{A: 123, B: 456}})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	if err := tap.Copy(t.Context(), io.Discard, nil); err == nil || !strings.Contains(err.Error(), "does not understand") {
		t.Errorf("%v", err)
	}
	if query != "format=raw&from=123%2C456" {
		t.Errorf("it asks for %s", query)
	}
}

// TestTapEnds with the context, and with whom it writes to.
func TestTapEnds(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /links/dbg/tap": clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, _ *http.Request) {
		clienttest.Say(ctx, conn, "one")
		conn.Read(ctx)
	})})
	c := newClient(t, "", hub.Address)
	full := errors.New("no space")
	for _, want := range []error{context.Canceled, full} {
		tap, err := c.Tap(t.Context(), "dbg", client.TapOptions{Format: "raw"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = tap.Copy(ctx, writer(func([]byte) error {
			cancel()
			if want == full { //nolint:errorlint // it is this one
				return full
			}
			return nil
		}), nil)
		tap.Close()
		cancel()
		if !errors.Is(err, want) {
			t.Errorf("%v, not %v", err, want)
		}
	}
}

type writer func([]byte) error

func (w writer) Write(p []byte) (int, error) { return len(p), w(p) }

// TestAttach carries bytes both ways, whatever they are, until one side leaves.
func TestAttach(t *testing.T) {
	left := make(chan websocket.StatusCode, 1)
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /links/dbg/attach": clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, r *http.Request) {
		for {
			_, p, err := conn.Read(ctx)
			switch {
			case err != nil:
				left <- websocket.CloseStatus(err)
				return
			case string(p) == "throw me out":
				conn.Close(websocket.StatusGoingAway, "another peer has taken end "+r.URL.Query().Get("end")+"; replace="+r.URL.Query().Get("replace"))
				return
			}
			clienttest.Say(ctx, conn, string(p))
		}
	})})
	c := newClient(t, "", hub.Address)
	line, err := c.Attach(t.Context(), "dbg", "b", true)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]byte, 100_000)
	for i := range all {
		all[i] = byte(i)
	}
	if _, err := line.Write(all); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(all))
	if _, err := io.ReadFull(line, got); err != nil || !bytes.Equal(got, all) {
		t.Errorf("other bytes have come back; %v", err)
	}
	if err := flush(line); err != nil {
		t.Error(err)
	}
	line.Leave()
	if status := <-left; status != websocket.StatusNormalClosure {
		t.Errorf("it has left with %v", status)
	}
	if line, err = c.Attach(t.Context(), "dbg", "b", true); err != nil {
		t.Fatal(err)
	}
	line.Write([]byte("throw me out"))
	if _, err := line.Read(got); err == nil || err.Error() != "another peer has taken end b; replace=true" {
		t.Errorf("%v", err)
	}
	line.Leave()
}

// flush waits until the hub has read everything, and reads meanwhile.
func flush(line *client.Attachment) error {
	go io.Copy(io.Discard, line)
	return line.Flush()
}

// TestLeaveDeafHub does not take longer than a person waits.
func TestLeaveDeafHub(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{"GET /links/dbg/attach": clienttest.Talk(func(ctx context.Context, _ *websocket.Conn, _ *http.Request) {
		<-ctx.Done()
	})})
	c := newClient(t, "", hub.Address)
	line, err := c.Attach(t.Context(), "dbg", "b", false)
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := line.Write(make([]byte, 64<<20)) // more than any socket holds
		wrote <- err
	}()
	began := time.Now()
	line.Leave()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("leaving takes %v", took)
	}
	if err := <-wrote; err == nil {
		t.Error("all was written")
	}
}
