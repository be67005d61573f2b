package access

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"serialhub/internal/testenv"
)

// routes are calls, with the status that each role gets.
func routes() []struct {
	method, path  string
	reader, admin int
} {
	return []struct {
		method, path  string
		reader, admin int
	}{
		{"GET", "/links", 200, 200},
		{"HEAD", "/links/dbg", 200, 200},
		{"GET", "/status", 200, 200},
		{"GET", "/healthz", 200, 200},
		{"GET", "/readyz", 200, 200},
		{"GET", "/links/none", 404, 404},
		{"GET", "/nothing", 404, 404},
		{"GET", "/openapi.yaml", 200, 200},
		{"POST", "/links/dbg/reset", 403, 200},
		{"GET", "/links/dbg/reset", 403, 200},
		{"POST", "/links/dbg/reset?end=a", 403, 200},
		{"POST", "/links/none/reset", 403, 404},
		{"POST", "/links/dbg/stop", 403, 200},
		{"POST", "/links/dbg/start", 403, 200},
		{"POST", "/links/dbg/break?end=a", 403, 409},
		{"POST", "/links/dbg/send?to=a", 403, 400},
		{"GET", "/links/dbg/attach?end=a", 403, 426},
		{"POST", "/reload", 403, 200},
		{"DELETE", "/links/dbg", 405, 405},
	}
}

// TestTokens lets nobody in on TCP without one, and everybody whom the file's mode lets in at the unix socket.
func TestTokens(t *testing.T) {
	h := startHub(t, "token_file: tokens", withTokens)
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	for _, route := range routes() {
		name, url := route.method+" "+route.path, "http://"+h.tcp+route.path
		for token, want := range map[string]string{"": `Bearer realm="serialhub"`, "wrong": `Bearer realm="serialhub", error="invalid_token"`, admin + "x": `Bearer realm="serialhub", error="invalid_token"`} {
			got := call(t, client, route.method, url, token)
			if got.status != 401 || got.header.Get("WWW-Authenticate") != want || got.header.Get("Content-Type") != "application/problem+json" || strings.Contains(got.body, "dbg") {
				t.Errorf("%s with the token %q: %+v", name, token, got)
			}
		}
		if got := call(t, client, route.method, url, reader); got.status != route.reader || got.status == 403 && !strings.Contains(got.body, "takes a token with the role admin, and that of grafana has the role read") {
			t.Errorf("%s by a reader: %+v", name, got)
		}
		if got := call(t, client, route.method, url, admin); got.status != route.admin {
			t.Errorf("%s by an admin: %+v", name, got)
		}
		if got := h.ask(route.method, route.path); got.status != route.admin {
			t.Errorf("%s at the socket: %+v", name, got)
		}
	}
	if got := call(t, client, "GET", "http://"+h.tcp+"/links?access_token="+admin, ""); got.status != 401 {
		t.Errorf("a token in the query: %+v", got)
	}
	if log := h.log(); strings.Contains(log, admin) || strings.Contains(log, reader) {
		t.Error("the log has a token")
	}
}

// TestCurlShowsTokens asks as the documentation says it.
func TestCurlShowsTokens(t *testing.T) {
	h := startHub(t, "token_file: tokens", withTokens)
	url := "http://" + h.tcp + "/links/dbg"
	for _, row := range []struct {
		status int
		args   []string
	}{
		{401, []string{url}},
		{200, append(bearer(reader), url)},
		{200, append(bearer(admin), "-X", "POST", url+"/reset")},
		{403, append(bearer(reader), "-X", "POST", url+"/reset")},
		{401, []string{"-u", "ops:" + admin, url}},
		{401, append(bearer(admin), append(bearer(reader), url)...)},
		{200, []string{"--oauth2-bearer", reader, url}},
		{200, []string{"--unix-socket", h.path("api"), "-X", "POST", "http://localhost/links/dbg/reset"}},
		{200, append(bearer("wrong"), "--unix-socket", h.path("api"), "http://localhost/links")},
	} {
		if got, _ := curl(t, row.args...); got.status != row.status {
			t.Errorf("curl %q: %+v, want %d", row.args, got, row.status)
		}
	}
}

// TestSocketsTakeTokens refuses and lets in who asks for a WebSocket.
func TestSocketsTakeTokens(t *testing.T) {
	h := startHub(t, "token_file: tokens", withTokens)
	for _, row := range []struct {
		call   string
		header http.Header
		status int
	}{
		{"tap", http.Header{}, 401},
		{"tap?token=" + admin, http.Header{}, 401},
		{"tap", http.Header{"Authorization": {"Bearer " + reader}}, 101},
		{"tap", http.Header{"Authorization": {"Bearer " + admin}, "Origin": {"http://evil.example"}}, 403},
		{"tap", http.Header{"Authorization": {"Bearer " + admin}, "Sec-Fetch-Site": {"cross-site"}}, 403},
		{"tap", http.Header{"Authorization": {"Bearer " + admin}, "Host": {"evil.example"}}, 403},
		{"attach?end=a", http.Header{}, 401},
		{"attach?end=a", http.Header{"Authorization": {"Bearer " + reader}}, 403},
		{"attach?end=a", http.Header{"Authorization": {"Bearer " + admin}}, 101},
		{"attach?end=b", http.Header{"Authorization": {"Bearer " + admin}, "Origin": {"http://evil.example"}}, 403},
	} {
		options := &websocket.DialOptions{HTTPHeader: row.header, Host: row.header.Get("Host")}
		conn, response, err := websocket.Dial(t.Context(), "ws://"+h.tcp+"/links/dbg/"+row.call, options)
		if response == nil || response.StatusCode != row.status {
			t.Errorf("%s with %v: %v, %v", row.call, row.header, response, err)
		}
		if err == nil {
			conn.Close(websocket.StatusNormalClosure, "")
		}
	}
}

// TestTokensAreChanged on a connection that is kept alive, and under a stream. A file with a fault changes nothing.
func TestTokensAreChanged(t *testing.T) {
	h := startHub(t, "token_file: tokens", withTokens)
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	ask := func(token string) (status int) {
		t.Helper()
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }})
		request, err := http.NewRequestWithContext(ctx, "GET", "http://"+h.tcp+"/links", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(response); got.status != 401 && got.status != 200 {
			t.Errorf("%+v", got)
		}
		if !reused {
			t.Log("a new connection")
			status = 1000
		}
		return status + response.StatusCode
	}
	if status := ask(reader); status != 1200 {
		t.Fatalf("the first call: %d", status)
	}
	watch := func(token string) *websocket.Conn {
		conn, _, err := websocket.Dial(t.Context(), "ws://"+h.tcp+"/links/dbg/tap", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	goes, stays := watch(reader), watch(admin)
	defer goes.CloseNow()
	defer stays.CloseNow()

	h.write("tokens", "read "+reader+" one\nread "+reader+" two\n")
	h.cmd.Process.Signal(unix.SIGHUP)
	h.logs("fault in the config", "api.token_file", "line 2 has the same token as line 1")
	if got := h.ask("POST", "/reload"); got.status != 422 || !strings.Contains(got.body, "line 2 has the same token as line 1") || strings.Contains(got.body, reader) {
		t.Errorf("the reload: %+v", got)
	}
	if status := ask(reader); status != 200 {
		t.Errorf("after a reload that failed: %d", status)
	}

	const renewed = "renewed-0123456789abcdef"
	h.write("tokens", admin+"\nread "+renewed+" grafana\n")
	h.cmd.Process.Signal(unix.SIGHUP)
	h.logs("config reloaded")
	h.logs("the API takes other tokens", `"tokens":2`)
	if status := ask(reader); status != 401 {
		t.Errorf("the old token: %d", status)
	}
	if status := ask(renewed); status != 200 {
		t.Errorf("the new token: %d", status)
	}
	_, _, err := goes.Read(t.Context())
	if websocket.CloseStatus(err) != websocket.StatusGoingAway || !strings.Contains(err.Error(), "may not see this any more") {
		t.Errorf("who watches with the old token hears %v", err)
	}
	go stays.Read(t.Context()) // the answers to pings
	if err := stays.Ping(t.Context()); err != nil {
		t.Errorf("who watches with a token that has stayed hears %v", err)
	}
}

// TestBadFilesOfTokens keep a hub from starting, and are told by check.
func TestBadFilesOfTokens(t *testing.T) {
	dir := testenv.Dir(t)
	file := filepath.Join(dir, "links.yaml")
	testenv.WriteFile(t, file, "api: {listen: '0.0.0.0:0', token_file: tokens}\nlinks: []\n")
	for text, want := range map[string]string{
		"":          "tokens: has no token",
		"a b":       "tokens: line 1 names neither the role",
		"a\nread a": "tokens: line 2 has the same token as line 1",
		admin:       "tokens is open to everybody on this machine (mode 0604)",
	} {
		tokens, mode := filepath.Join(dir, "tokens"), os.FileMode(0o600)
		if text == admin {
			mode = 0o604
		}
		testenv.WriteFile(t, tokens, text)
		if err := os.Chmod(tokens, mode); err != nil { // a file that is there keeps its mode
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-c", file}, {"check", "-c", file}} {
			out, err := exec.Command(program, args...).CombinedOutput()
			exit := (*exec.ExitError)(nil)
			if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "links.yaml:1:40: api.token_file: ") || !strings.Contains(string(out), want) {
				t.Errorf("%q with %q: %v, %s", args, text, err, out)
			}
		}
	}
}
