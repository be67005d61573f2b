package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"serialhub/internal/client/clienttest"
	"serialhub/internal/testenv"
)

// calls runs a command to its end, with that standard input and those additions to the environment.
func calls(t *testing.T, stdin string, environment []string, args ...string) (code int, out, errs string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// expect runs a command, and says how it has ended otherwise than it should.
func expect(t *testing.T, wantCode int, wantOut, wantErrs string, args ...string) {
	t.Helper()
	code, out, errs := calls(t, "", nil, args...)
	if code != wantCode || out != wantOut || !strings.Contains(errs, wantErrs) || wantErrs == "" && errs != "" {
		t.Errorf("serialhub %q ends with %d and prints %q, and %q; not %d, %q, %q", args, code, out, errs, wantCode, wantOut, wantErrs)
	}
}

// running is a command that has not ended yet.
type running struct {
	t         *testing.T
	cmd       *exec.Cmd
	out, errs safeBuffer
	ended     chan struct{}
}

func launch(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: exec.Command(binary, args...), ended: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errs
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.cmd.Wait(); close(r.ended) }()
	t.Cleanup(func() { r.cmd.Process.Kill(); <-r.ended })
	return r
}

// code waits for the end.
func (r *running) code() int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		r.t.Fatalf("%q goes on; it has printed %q and %q", r.cmd.Args, r.out.String(), r.errs.String())
		return 0
	}
}

func (r *running) prints(buffer *safeBuffer, want string) {
	r.t.Helper()
	testenv.Eventually(r.t, patience, "the output", func() error {
		if got := buffer.String(); !strings.Contains(got, want) {
			return fmt.Errorf("it is %q, without %q", got, want)
		}
		return nil
	})
}

// silent is a tap at which nothing is said after these pieces, that were written by themselves.
func silent(pieces ...string) http.HandlerFunc {
	return clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, _ *http.Request) {
		for _, piece := range pieces {
			clienttest.Say(ctx, conn, piece)
		}
		conn.Read(ctx)
	})
}

// TestHubIsFound by the flag, else by the environment, else by the file.
func TestHubIsFound(t *testing.T) {
	dir := testenv.Dir(t)
	at := func(name string) string {
		hub := clienttest.Start(t, "unix:"+filepath.Join(dir, name), clienttest.Routes{
			"POST /links/dbg/send": func(w http.ResponseWriter, r *http.Request) {
				clienttest.Refuse(http.StatusConflict, "I am "+name+"; "+r.Header.Get("Authorization"))(w, r)
			},
		})
		return hub.Address
	}
	flag, variable, file := at("flag"), "SERIALHUB_API="+at("variable"), filepath.Join(dir, "links.yaml")
	at("file")
	testenv.WriteFile(t, file, "api: {listen: [\"127.0.0.1:0\", unix:nobody, unix:file]}\nlinks: [{name: dbg, a: a, b: b}]\n")
	nowhere := filepath.Join(dir, "nowhere.yaml")
	testenv.WriteFile(t, nowhere, "api: {listen: none}\nlinks: [{name: dbg, a: a, b: b}]\n")
	token := filepath.Join(dir, "token")
	testenv.WriteFile(t, token, "from-a-file\n")
	for _, row := range []struct {
		environment []string
		args        []string
		code        int
		want        string
	}{
		{[]string{variable}, []string{"--api", flag, "-c", file}, 1, "serialhub: I am flag; \n"},
		{[]string{variable}, []string{"-c", file}, 1, "serialhub: I am variable; \n"},
		{nil, []string{"-c", file}, 1, "serialhub: I am file; \n"},
		{nil, []string{"-c", nowhere}, 2, "has no address where a hub can be found"},
		{nil, []string{"-c", filepath.Join(dir, "absent.yaml")}, 2, "no such file"},
		{[]string{variable, "SERIALHUB_TOKEN=from-the-environment"}, nil, 1, "I am variable; Bearer from-the-environment\n"},
		{[]string{variable, "SERIALHUB_TOKEN=from-the-environment"}, []string{"--token-file", token}, 1, "I am variable; Bearer from-a-file\n"},
		{[]string{variable}, []string{"--token-file", "/dev/null"}, 2, "/dev/null: has no token"},
		{[]string{variable, "SERIALHUB_TOKEN=two words"}, nil, 2, "a token is one word"},
		{[]string{"SERIALHUB_API=lab7"}, nil, 2, "SERIALHUB_API: \"lab7\" is not host:port"},
		{nil, []string{"--api", "unix:" + dir + "/nobody"}, 1, "no hub answers at unix:" + dir + "/nobody (by --api): no such file or directory; is it running?"},
		{[]string{"SERIALHUB_API=127.0.0.1:1"}, nil, 1, "no hub answers at 127.0.0.1:1 (by SERIALHUB_API): connection refused"},
	} {
		code, _, errs := calls(t, "", row.environment, append([]string{"send", "dbg", "--to", "a", "x"}, row.args...)...)
		if code != row.code || !strings.Contains(errs, row.want) {
			t.Errorf("%q, %q: %d, %s", row.environment, row.args, code, errs)
		}
	}
}

// TestHubIsClosedToOthers says who keeps one out, and who may come in.
func TestHubIsClosedToOthers(t *testing.T) {
	dir := testenv.Dir(t)
	socket := filepath.Join(dir, "in", "api")
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	clienttest.Start(t, "unix:"+socket, nil)
	line := []string{binary, "send", "dbg", "--to", "a", "x", "--api", "unix:" + socket}
	if os.Geteuid() == 0 {
		line = append([]string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"}, line...) // root may go everywhere
	}
	for _, row := range []struct {
		path string
		mode os.FileMode
		want string
	}{
		{socket, 0o000, " and has mode 0000; run this as root\n"},
		{socket, 0o020, " and has mode 0020; run this as a member of the group "},
		{filepath.Dir(socket), 0o010, " and has mode 0010; run this as a member of the group "},
	} {
		if err := os.Chmod(row.path, row.mode); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
		os.Chmod(row.path, 0o700)
		begin := fmt.Sprintf("serialhub: you may not connect to unix:%s (by --api): %s belongs to ", socket, row.path)
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasPrefix(string(out), begin) || !strings.Contains(string(out), row.want) {
			t.Errorf("%v, %s; want %s…%s", err, out, begin, row.want)
		}
	}
}

func TestSend(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{
		"POST /links/dbg/send": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			switch text := string(body); {
			case r.URL.RawQuery == "to=a" && text == "root\r\x1b\x00\\", r.URL.RawQuery == "inject=true&to=b" && text == "\\r", len(text) == 65536:
				fmt.Fprintf(w, `{"sent": %d}`, len(body))
			default:
				clienttest.Refuse(http.StatusConflict, "nobody is at end a of dbg")(w, r)
			}
		},
		"POST /links/none/send": clienttest.Refuse(http.StatusNotFound, `there is no link "none"; GET /links lists all`),
		"POST /links/odd/send":  clienttest.Refuse(http.StatusBadRequest, "there is no parameter"),
	})
	expect(t, 0, "", "", "send", "dbg", "--api", hub.Address, "--to", "a", `root\r\e\0\\`)
	expect(t, 0, "", "", "send", "dbg", "--api", hub.Address, "--to", "b", "--inject", `\\r`)
	expect(t, 1, "", "serialhub: nobody is at end a of dbg\n", "send", "dbg", "--api", hub.Address, "--to", "a", "x")
	expect(t, 1, "", "serialhub: there is no link \"none\"", "send", "none", "--api", hub.Address, "--to", "a", "x")
	expect(t, 2, "", "there is no parameter", "send", "odd", "--api", hub.Address, "--to", "a", "x")
	expect(t, 2, "", `byte 2 of the text: \q is no escape`, "send", "dbg", "--api", hub.Address, "--to", "a", `a\q`)
	expect(t, 2, "", "nothing to send", "send", "dbg", "--api", hub.Address, "--to", "a", "")
	expect(t, 2, "", "quote it", "send", "dbg", "--api", hub.Address, "--to", "a", "two", "words")
	expect(t, 2, "", `no end "c"`, "send", "dbg", "--api", hub.Address, "--to", "c", "x")
	expect(t, 2, "", "Write --to a or --to b", "send", "dbg", "--api", hub.Address, "x")
	expect(t, 2, "", `".." is not the name`, "send", "..", "--api", hub.Address, "--to", "a", "x")
	args := []string{"send", "dbg", "--api", hub.Address, "--to", "a", "-"}
	for stdin, want := range map[string]int{strings.Repeat("x", 65536): 0, strings.Repeat("x", 65537): 2, "": 2} {
		if code, _, errs := calls(t, stdin, nil, args...); code != want {
			t.Errorf("%d bytes: %d, %s", len(stdin), code, errs)
		}
	}
}

// TestWaitForState follows the events from before it looks at the link, also of a hub that is not there yet.
func TestWaitForState(t *testing.T) {
	var asked atomic.Int64
	routes := clienttest.Routes{
		"GET /links/dbg": func(w http.ResponseWriter, r *http.Request) {
			if asked.Load() == 0 {
				t.Error("the link is looked at before its events are heard")
			}
			clienttest.Answer(`{"name": "dbg", "state": "waiting"}`)(w, r)
		},
		"GET /links/fast":  clienttest.Answer(`{"name": "fast", "state": "up"}`),
		"GET /links/brief": clienttest.Answer(`{"name": "brief", "state": "waiting"}`),
		"GET /links/short": clienttest.Answer(`{"name": "short", "state": "waiting"}`),
		"GET /links/gone":  clienttest.Answer(`{"name": "gone", "state": "waiting"}`),
		"GET /events": func(w http.ResponseWriter, r *http.Request) {
			link, n := r.URL.Query().Get("link"), asked.Add(1)
			last := r.Header.Get("Last-Event-ID")
			if (last != "") != (n%2 == 0 && (link == "dbg" || link == "brief")) {
				t.Errorf("it asks %d times for %s, for what comes after %q", n, link, last)
			}
			switch link {
			case "none":
				clienttest.Refuse(http.StatusNotFound, `there is no link "none"`)(w, r)
				return
			case "dbg":
				if n%2 == 1 { // the first stream is lost
					happens(w, `{"type":"state","state":"half"}`)
					return
				}
				happens(w, `{"type":"peer_connected","state":"up"}`, `{"type":"state","state":"half"}`, `{"type":"state","state":"up"}`)
			case "brief": // in the state for a moment, while the hub is replaced
				if n%2 == 1 {
					happens(w, `{"type":"state","state":"half"}`)
					return
				}
				if last != "x-1" {
					t.Errorf("it asks for what comes after %q", last)
				}
				happens(w, `{"type":"state","state":"up"}`, `{"type":"state","state":"waiting"}`)
			case "short": // in the state for a moment
				happens(w, `{"type":"state","state":"up"}`, `{"type":"state","state":"waiting"}`)
			case "gone":
				happens(w, `{"type":"state","state":"stopped"}`, `{"type":"link_removed"}`)
			case "fast":
				happens(w)
			}
			<-r.Context().Done()
		},
	}
	hub := clienttest.Start(t, "", routes)
	for _, link := range []string{"fast", "short"} {
		expect(t, 0, "", "", "wait", link, "--api", hub.Address, "--for", "up")
	}
	for _, link := range []string{"dbg", "brief"} {
		asked.Store(0)
		expect(t, 0, "", "the hub is back\n", "wait", link, "--api", hub.Address, "--for", "up")
	}
	expect(t, 1, "", "serialhub: the link was removed\n", "wait", "gone", "--api", hub.Address, "--for", "up")
	expect(t, 1, "", "serialhub: fast has not been half within 300ms; it is up\n", "wait", "fast", "--api", hub.Address, "--for", "half", "--timeout", "300ms")
	expect(t, 1, "", "there is no link \"none\"", "wait", "none", "--api", hub.Address, "--for", "up")
	expect(t, 2, "", "it is starting, waiting, half, up, retrying, failed or stopped", "wait", "dbg", "--api", hub.Address, "--for", "upp")
	expect(t, 2, "", "wait for what?", "wait", "dbg", "--api", hub.Address)
	expect(t, 2, "", "serialhub: wait waits for one thing, not for --for and --text: write one of them\n", "wait", "dbg", "--api", hub.Address, "--for", "up", "--text", "x")
	expect(t, 2, "", "serialhub: --end is for what is said", "wait", "dbg", "--api", hub.Address, "--for", "up", "--end", "a")
	expect(t, 2, "", "serialhub: --since-start is for what is said", "wait", "dbg", "--api", hub.Address, "--for", "up", "--since-start")
	expect(t, 2, "", `serialhub: --timeout: "5" is not a time; write a number with its unit, such as 5s`, "wait", "dbg", "--api", hub.Address, "--for", "up", "--timeout", "5")
	expect(t, 2, "", "unknown flag: --until", "wait", "dbg", "--api", hub.Address, "--until", "up")
	expect(t, 2, "", "less than 0", "wait", "dbg", "--api", hub.Address, "--for", "up", "--timeout", "-1s")

	address := "unix:" + filepath.Join(testenv.Dir(t), "api")
	wait := launch(t, "wait", "fast", "--api", address, "--for", "up", "--timeout", "0")
	wait.prints(&wait.errs, "no hub answers at "+address)
	clienttest.Start(t, address, routes)
	if code := wait.code(); code != 0 {
		t.Errorf("%d: %s", code, wait.errs.String())
	}
}

// TestWaitForText finds what one of the peers says, wherever the pieces end.
func TestWaitForText(t *testing.T) {
	hub := clienttest.Start(t, "", clienttest.Routes{
		"GET /links/dbg/tap": clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, r *http.Request) {
			query := r.URL.Query()
			if query.Get("format") != "raw" || query.Has("follow") {
				return
			}
			if query.Get("since_start") == "true" {
				clienttest.Say(ctx, conn, "kept")
			}
			for _, piece := range map[string][]string{"a": {"Debian\r\nlo", "gin", ": "}, "b": {"se", "cret"}}[query.Get("end")] {
				clienttest.Say(ctx, conn, piece)
			}
			if query.Get("end") == "a" {
				clienttest.Say(ctx, conn, "ga")
				conn.Write(ctx, websocket.MessageText, []byte(`{"missed": {"end": "a", "bytes": 10}}`))
				clienttest.Say(ctx, conn, "p")
			}
			conn.Read(ctx)
		}),
		"GET /links/none/tap": clienttest.Refuse(http.StatusNotFound, `there is no link "none"`),
		"GET /links/bare/tap": clienttest.Refuse(http.StatusConflict, "link bare keeps no scrollback"),
	})
	for _, row := range []struct {
		args string
		code int
		want string
	}{
		{`--text login:\x20`, 0, ""},
		{`--text secret`, 0, ""},
		{`--end b --text secret`, 0, ""},
		{`--end a --text secret`, 1, `"secret" has not come from end a of dbg within 500ms`},
		{`--text kept`, 1, "has not come from dbg within 500ms"},
		{`--text kept --since-start`, 0, ""},
		{`--text gap`, 1, "has not come"}, // bytes are missing in between
		{`--regex ^login:.$`, 1, "has not come"},
		{`--regex ^login:.ga$`, 0, ""},
		{`--regex se(cret|same)`, 0, ""},
		{`--regex gap`, 1, `a match of "gap" has not come`},
		{`--regex x*`, 2, "matches where nothing is"},
		{`--regex (`, 2, "missing closing )"},
		{`--text \q`, 2, `--text: byte 1 of the text: \q is no escape`},
	} {
		args := append([]string{"wait", "dbg", "--api", hub.Address, "--timeout", "500ms"}, strings.Fields(row.args)...)
		expect(t, row.code, "", row.want, args...)
	}
	expect(t, 2, "", "an empty text is everywhere", "wait", "dbg", "--api", hub.Address, "--text", "")
	expect(t, 1, "", `there is no link "none"`, "wait", "none", "--api", hub.Address, "--text", "x")
	expect(t, 1, "", "serialhub: link bare keeps no scrollback\n", "wait", "bare", "--api", hub.Address, "--text", "x", "--since-start")
}

// TestWaitOutlivesTheHub goes on searching, but not across the gap.
func TestWaitOutlivesTheHub(t *testing.T) {
	address := "unix:" + filepath.Join(testenv.Dir(t), "api")
	hub := clienttest.Start(t, address, clienttest.Routes{"GET /links/dbg/tap": silent("log")})
	wait := launch(t, "wait", "dbg", "--api", address, "--text", "login")
	testenv.Eventually(t, patience, "the hub is not called", func() error { return hub.Called(2) })
	hub.Stop()
	wait.prints(&wait.errs, "trying again for 1m0s\n")
	hub = clienttest.Start(t, address, clienttest.Routes{"GET /links/dbg/tap": silent("in")})
	wait.prints(&wait.errs, "the hub is back\n")
	hub.Stop()
	clienttest.Start(t, address, clienttest.Routes{"GET /links/dbg/tap": silent("login")})
	if code := wait.code(); code != 0 {
		t.Errorf("%d: %s", code, wait.errs.String())
	}
}

// TestWaitGoesOn where the hub says that it has ended, unless all that was kept is searched again anyway.
func TestWaitGoesOn(t *testing.T) {
	for flag, want := range map[string]string{"--end=a": " 5,6", "--since-start": "true "} {
		var again atomic.Bool
		asked := make(chan string, 4)
		hub := clienttest.Start(t, "", clienttest.Routes{"GET /links/dbg/tap": clienttest.Talk(func(ctx context.Context, conn *websocket.Conn, r *http.Request) {
			if again.Swap(true) {
				asked <- r.URL.Query().Get("since_start") + " " + r.URL.Query().Get("from")
				clienttest.Say(ctx, conn, "login")
				conn.Read(ctx)
				return
			}
			conn.Write(ctx, websocket.MessageText, []byte(`{"position": {"a": 5, "b": 6}}`))
			conn.Close(websocket.StatusGoingAway, "the hub stops")
		})})
		expect(t, 0, "", "the hub is back\n", "wait", "dbg", "--text", "login", "--end", "a", flag, "--api", hub.Address)
		if got := <-asked; got != want {
			t.Errorf("%s: it asks for %q", flag, got)
		}
	}
}
