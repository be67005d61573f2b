package access

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"
)

// dial opens a connection to the API, which is closed with the test.
func (h *hub) dial() net.Conn {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.tcp)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

func TestRequestsThatAreTooLong(t *testing.T) {
	h := startHub(t, "token_file: tokens", withTokens)
	long, longest := strings.Repeat("x", 64<<10+1), strings.Repeat("x", 64<<10)
	url := "http://" + h.tcp
	for _, row := range []struct {
		name, body string
		status     int
		args       []string
	}{
		{"a body", long, 413, append(bearer(admin), "--data-binary", "@-", url+"/links/dbg/send?to=a")},
		{"the longest body", longest, 409, append(bearer(admin), "--data-binary", "@-", url+"/links/dbg/send?to=a")},
		{"a body in chunks", long, 413, append(bearer(admin), "-H", "Transfer-Encoding: chunked", "--data-binary", "@-", url+"/links/dbg/send?to=a")},
		{"a body that is not wanted", long, 400, append(bearer(admin), "--data-binary", "@-", url+"/links/dbg/reset")},
		{"a body of a stranger", long, 401, []string{"--data-binary", "@-", url + "/links/dbg/send?to=a"}},
		{"headers", "", 431, append(bearer(admin), "-H", "X-Long: "+long[:16<<10], url+"/links")},
		{"headers of many", "", 200, append(bearer(admin), "-H", "X-Long: "+long[:10<<10], url+"/links")},
	} {
		command := row.args
		got, _ := curlBy(t, withInput(row.body), command...)
		if got.status != row.status || row.status == 413 && !strings.Contains(got.body, `"status": 413`) {
			t.Errorf("%s: %+v", row.name, got)
		}
	}
}

// TestDribblersKeepNobodyOut, in their headers, in bodies, or silent: some of them, and more than there may be connections.
func TestDribblersKeepNobodyOut(t *testing.T) {
	for _, many := range []int{200, 700} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			h := startHub(t, "token_file: tokens", withTokens)
			ctx, cancel := context.WithCancel(t.Context())
			var dribbling sync.WaitGroup
			defer dribbling.Wait()
			defer cancel()
			begins := []string{
				"GET /links HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
				"POST /links/dbg/send?to=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n",
				"POST /links/dbg/reset HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
				"",
			}
			for i := range many {
				conn, begin := h.dial(), begins[i%len(begins)]
				dribbling.Go(func() {
					io.WriteString(conn, begin)
					tick := time.NewTicker(100 * time.Millisecond)
					defer tick.Stop()
					for begin != "" {
						select {
						case <-tick.C:
							if _, err := io.WriteString(conn, "x"); err != nil {
								return
							}
						case <-ctx.Done():
							return
						}
					}
				})
			}
			for i := range 20 {
				begin := time.Now()
				got, code := curl(t, append(bearer(reader), "http://"+h.tcp+"/links/dbg")...)
				if took := time.Since(begin); got.status != 200 || took > patience/3 {
					t.Fatalf("call %d: %+v in %v, and curl ends with %d", i, got, took, code)
				}
			}
		})
	}
}

// TestSlowRequestsEnd within the time of each of their phases.
func TestSlowRequestsEnd(t *testing.T) {
	plain := startHub(t, "token_file: tokens", withTokens)
	secure := startHub(t, encrypted, func(h *hub) { withCertificates(h) })
	for _, row := range []struct {
		name, begin string
		hub         *hub
	}{
		{"silent", "", plain},
		{"headers", "GET /links HTTP/1.1\r\nHost: localhost\r\n", plain},
		{"body", "POST /links/dbg/send?to=a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + admin + "\r\nContent-Length: 100\r\n\r\nx", plain},
		{"body of a stranger", "POST /links/dbg/send?to=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx", plain},
		{"silent before the handshake", "", secure},
		{"in the handshake", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", secure},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			started, conn := time.Now(), row.hub.dial()
			io.WriteString(conn, row.begin)
			conn.SetReadDeadline(time.Now().Add(patience))
			var timeout net.Error
			if _, err := io.Copy(io.Discard, conn); errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("it goes on after %v", time.Since(started))
			}
		})
	}
}

// TestManyStreams are served beside as many calls; more than that are refused, and say why.
func TestManyStreams(t *testing.T) {
	h := startHub(t, "")
	client := &http.Client{}
	defer client.CloseIdleConnections()
	watch := func() (*websocket.Conn, *http.Response, error) {
		return websocket.Dial(t.Context(), "ws://"+h.tcp+"/links/dbg/tap", nil)
	}
	for i := range 200 {
		conn, _, err := watch()
		if err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		defer conn.CloseNow()
	}
	var calls sync.WaitGroup
	for i := range 200 {
		calls.Go(func() {
			if got := call(t, client, "GET", "http://"+h.tcp+"/links/dbg", ""); got.status != 200 {
				t.Errorf("call %d: %+v", i, got)
			}
		})
	}
	calls.Wait()
	for i := 200; ; i++ {
		conn, response, err := watch()
		if err == nil {
			defer conn.CloseNow()
			if i > 300 {
				t.Fatal("there is no limit")
			}
			continue
		}
		if i > 256 || response == nil || response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
			t.Errorf("stream %d: %v, %v", i, response, err)
		}
		break
	}
	if got := call(t, client, "GET", "http://"+h.tcp+"/links/dbg", ""); got.status != 200 {
		t.Errorf("a call beside them: %+v", got)
	}
	if got, _ := curl(t, "http://"+h.tcp+"/links/dbg/tap"); got.status != 503 || !strings.Contains(got.body, "too many streams") {
		t.Errorf("curl gets %+v", got)
	}
}

// TestSlowReaderOfAnAnswer has its connection for a time only. Nobody else waits for it.
func TestSlowReaderOfAnAnswer(t *testing.T) {
	h := startHub(t, "")
	conn := h.dial()
	for range 200 {
		if _, err := io.WriteString(conn, "GET /links HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			break
		}
	}
	if got, _ := curl(t, "http://"+h.tcp+"/links/dbg"); got.status != 200 {
		t.Errorf("%+v", got)
	}
	if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != 200 {
		t.Errorf("%v, %v", response, err)
	}
}

// TestFewDescriptors leaves the links theirs, however many connect to the API.
func TestFewDescriptors(t *testing.T) {
	h := startHub(t, "", func(h *hub) { h.limit = 130 }) // a link needs 105, and 109 while it is held up
	for range 200 {
		h.dial()
	}
	for _, end := range []string{"a", "b"} {
		peer := h.connect(end)
		defer peer.Close()
	}
	h.eventually("the link is up", func() error {
		got, _ := curl(t, "http://"+h.tcp+"/links/dbg")
		if !strings.Contains(got.body, `"state": "up"`) {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	if log := h.log(); strings.Contains(log, "too many open files") {
		t.Error("there were not descriptors enough")
	}
}

// TestNoDescriptorForACaller is told by the log, whatever its level is by default: nobody gets in.
func TestNoDescriptorForACaller(t *testing.T) {
	h := startHub(t, "")
	var was unix.Rlimit
	if err := unix.Prlimit(h.cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: 3, Max: was.Max}
	if err := unix.Prlimit(h.cmd.Process.Pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.dial()
	}
	h.logs(`"level":"WARN"`, "the API cannot take a connection", "too many open files")
	if err := unix.Prlimit(h.cmd.Process.Pid, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
}

// TestStrangersKeepNobodyFromTheSocket nor put out whom it has let in, however many come by the network.
func TestStrangersKeepNobodyFromTheSocket(t *testing.T) {
	h := startHub(t, "token_file: tokens", withTokens)
	conn, err := net.Dial("unix", h.path("api"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	ask := func(when string) {
		t.Helper()
		io.WriteString(conn, "GET /links/dbg HTTP/1.1\r\nHost: localhost\r\n\r\n")
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if got := read(response); got.status != 200 {
			t.Errorf("%s: %+v", when, got)
		}
	}
	ask("before")
	for range 600 {
		h.dial()
	}
	if got, _ := curl(t, append(bearer(reader), "http://"+h.tcp+"/links/dbg")...); got.status != 200 { // all of them have been taken
		t.Errorf("behind them: %+v", got)
	}
	ask("after")
}
