package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"serialhub/internal/client/clienttest"
	"serialhub/internal/testenv"
)

// startLinks runs a hub with links of all sorts.
func startLinks(t *testing.T) *process {
	t.Helper()
	file := writeConfig(t, `api: {listen: unix:api}
log: {format: json}
links:
  - {name: dbg, a: a, b: b}
  - {name: console1, a: c, b: d}
  - {name: console2, a: e, b: f, disabled: true}
  - {name: broken, a: g, b: {connect: "unix:nobody"}, restart: {policy: always, max_failures: 1}}
`)
	p := spawn(t, filepath.Dir(file), binary, "-c", file)
	// Not every link can be open, so the hub is never ready.
	p.until("there", func() bool {
		return p.get("/healthz") == http.StatusOK && strings.Contains(p.body("/links/dbg"), `"waiting"`) && strings.Contains(p.body("/links/console1"), `"waiting"`)
	})
	return p
}

// at is the flag that names the hub.
func (p *process) at() string { return "--api=unix:" + filepath.Join(p.dir, "api") }

// says runs a command on the hub, and compares what it says with expressions for the whole of it.
func (p *process) says(wantCode int, wantOut, wantErrs string, args ...string) {
	p.t.Helper()
	code, out, errs := calls(p.t, "", nil, append(args, p.at())...)
	if code != wantCode || !regexp.MustCompile("^(?s:"+wantOut+")$").MatchString(out) || !regexp.MustCompile("^(?s:"+wantErrs+")$").MatchString(errs) {
		p.t.Errorf("serialhub %q ends with %d and says\n%s%s\nnot %d,\n%s%s", args, code, out, errs, wantCode, wantOut, wantErrs)
	}
}

func TestStatus(t *testing.T) {
	p := startLinks(t)
	p.dial("a")
	p.until("half", func() bool { return strings.Contains(p.body("/links/dbg"), `"half"`) })
	p.until("failed", func() bool { return strings.Contains(p.body("/links/broken"), `"failed"`) })
	const rest = ` +0 B +0 B +\d+s\n`
	head := `NAME +STATE +A +B +A→B +B→A +SINCE\n`
	dbg := `dbg +half +[a-z.]+ \d+ +-` + rest
	broken := `broken +failed +- +-` + rest
	why := `    end b, \d+s ago: [^\n]*nobody does not exist[^\n]*\n`
	p.says(0, head+dbg+`console1 +waiting +- +-`+rest+`console2 +stopped +- +-`+rest+broken+why, ``, "status")
	p.says(0, head+broken+why+dbg, ``, "status", "broken", "dbg")
	p.says(0, head+dbg+`\nhalf since .*a: listens at unix:.*/a\n.*peer: .*pid.*b: listens at unix:.*/b\n.*`, ``, "status", "dbg")
	p.says(0, head+broken+`\n.*last error: end b, \d+s ago: .*`, ``, "status", "broken")
	p.says(1, ``, `serialhub: there is no link "console"; did you mean console1 or console2\?\n`, "status", "console")
	p.says(1, ``, `serialhub: there is no link "DGB"; did you mean dbg\?\n`, "status", "dbg", "DGB")
	p.says(1, ``, "serialhub: there is no link \"nothing\"; there are 4, and `serialhub status` lists them\n", "status", "nothing", "-o", "json")
	p.says(2, ``, `serialhub: "\.\." is not the name of a link\n`, "status", "..")
	p.says(2, ``, `serialhub: --output: "yaml" is not one; there are table and json\n`, "status", "-o", "yaml")
	p.says(2, ``, `serialhub: --watch is for people; .*events -o json\n`, "status", "-o", "json", "--watch")
	p.says(2, ``, `serialhub: --interval is for --watch\n`, "status", "--interval", "2s")
	p.says(2, ``, `serialhub: --interval: 10ms is too short; 100ms is the shortest\n`, "status", "--watch", "--interval", "10ms")
	p.says(2, ``, `serialhub: --interval: "2" is not a time; write a number with its unit, such as 500ms or 2s\n`, "status", "--watch", "--interval", "2")
}

// body is what the API itself says.
func (p *process) body(path string) string {
	p.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.dir, "api"))
	}}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://localhost" + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// TestStatusInJSON says what the API says, to the byte.
func TestStatusInJSON(t *testing.T) {
	p := start(t)
	p.dial("b")
	p.until("half", func() bool { return strings.Contains(p.body("/links"), `"half"`) })
	for line, path := range map[string]string{"status -o json": "/links", "status dbg -o json": "/links/dbg"} {
		if code, out, errs := calls(t, "", nil, append(strings.Fields(line), p.at())...); code != 0 || errs != "" || out != p.body(path) {
			t.Errorf("%s: %d, %s, %s; the API says %s", line, code, errs, out, p.body(path))
		}
	}
}

const hostileName = "\x1b]2;owned\x07\x1b[2J\u009b2J\u202e🙂\U000e0001"

// TestStatusOfHostileLinks passes nothing on that a terminal obeys, in no format, and JSON stays what it was.
func TestStatusOfHostileLinks(t *testing.T) {
	name, _ := json.Marshal(hostileName)
	link := fmt.Sprintf(`{"name": %[1]s, "state": %[1]s, "ends": {"a": {"error": %[1]s, "peer": {"command": %[1]s}}}, "last_error": {"message": %[1]s}}`, name)
	hub := clienttest.Start(t, "", clienttest.Routes{
		"GET /links":            clienttest.Answer(`{"links": [` + link + `]}`),
		"GET /links/dbg":        clienttest.Answer(link),
		"POST /links/dbg/reset": clienttest.Answer(link),
		"POST /reload":          clienttest.Answer(fmt.Sprintf(`{"added": [%s], "unchanged": []}`, name)),
	})
	for _, line := range []string{"status", "status dbg", "status -o json", "status dbg -o json", "reset dbg", "reset dbg -o json", "reload", "reload -o json"} {
		code, out, errs := calls(t, "", nil, append(strings.Fields(line), "--api", hub.Address)...)
		if code != 0 || errs != "" || strings.ContainsAny(out, "\x1b\x07\u009b\u202e\U000e0001") {
			t.Errorf("%s: %d, %q, %q", line, code, errs, out)
		}
		if strings.HasSuffix(line, "json") && !strings.Contains(fmt.Sprint(decode(t, out)), hostileName) {
			t.Errorf("%s: the name is another one: %s", line, out)
		}
	}
}

func decode(t *testing.T, text string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err, text)
	}
	return value
}

// refuse answers with a problem of a type.
func refuse(kind string, status int, detail string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"type": "urn:serialhub:problem:" + kind, "status": status, "detail": detail})
	}
}

// TestNoRight says what to give, and of which role.
func TestNoRight(t *testing.T) {
	unknown, forbidden := refuse("unauthorized", 401, "no token"), refuse("forbidden", 403, "this token may only read")
	hub := clienttest.Start(t, "", clienttest.Routes{
		"GET /links": unknown, "GET /status": unknown, "POST /links/dbg/reset": unknown, "GET /links/dbg/tap": unknown, "GET /events": unknown,
		"POST /links/dbg/stop": forbidden, "POST /reload": forbidden, "GET /links/dbg/attach": forbidden,
	})
	const token = "--token-file FILE or SERIALHUB_TOKEN"
	for _, row := range []struct{ line, variable, want string }{
		{"status", "", "the hub at ADDRESS wants a token with the role read: give it by " + token},
		{"status --watch", "", "the hub at ADDRESS wants a token with the role read: give it by " + token},
		{"tap dbg", "", "the hub at ADDRESS wants a token with the role read: give it by " + token},
		{"reset dbg", "", "the hub at ADDRESS wants a token with the role admin: give it by " + token},
		{"reset dbg", "SERIALHUB_TOKEN=x", "the hub at ADDRESS does not know the token from SERIALHUB_TOKEN; it wants one with the role admin, by " + token},
		{"stop dbg", "SERIALHUB_TOKEN=x", "this token may only read; the token is from SERIALHUB_TOKEN, and another one can be given by " + token},
		{"reload", "SERIALHUB_TOKEN=x", "this token may only read; the token is from SERIALHUB_TOKEN, and another one can be given by " + token},
		{"attach dbg --end a", "", "this token may only read"},
		{"events", "", "the hub at ADDRESS wants a token with the role read: give it by " + token},
	} {
		code, out, errs := calls(t, "", []string{row.variable + "="}, append(strings.Fields(row.line), "--api", hub.Address)...)
		if want := "serialhub: " + strings.ReplaceAll(row.want, "ADDRESS", hub.Address) + "\n"; code != 1 || out != "" || errs != want {
			t.Errorf("%s: %d, %q, %s; want %s", row.line, code, out, errs, want)
		}
	}
	file := filepath.Join(testenv.Dir(t), "links.yaml")
	testenv.WriteFile(t, file, "api: {listen: '"+hub.Address+"', token_file: /nonexistent/tokens}\nlinks: []\n")
	want := "serialhub: the hub at " + hub.Address + " wants a token with the role read, and /nonexistent/tokens cannot be read: give it by " + token + "\n"
	if code, out, errs := calls(t, "", nil, "status", "-c", file); code != 1 || out != "" || errs != want {
		t.Errorf("%d, %q, %s; want %s", code, out, errs, want)
	}
}

// TestWatchOnAPipe writes a table each time, with rates from the second one on, and outlives the hub.
func TestWatchOnAPipe(t *testing.T) {
	address := "unix:" + filepath.Join(testenv.Dir(t), "api")
	var sent, pid atomic.Int64
	routes := clienttest.Routes{
		"GET /status": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"pid": %d}`, 1+pid.Load()) },
		"GET /links": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"links": [{"name": "dbg", "state": "up", "ends": {"b": {"sent_bytes": %d}}}]}`, sent.Add(1<<20))
		},
	}
	hub := clienttest.Start(t, address, routes)
	watch := launch(t, "status", "--watch", "--interval", "100ms", "--api", address)
	watch.prints(&watch.out, "1.0 MiB  0 B      -      -")
	watch.prints(&watch.out, "2.0 MiB  0 B  ")
	watch.prints(&watch.out, "MiB/s  0 B/s")
	hub.Stop()
	watch.prints(&watch.errs, "trying again until it answers\n")
	pid.Add(1)
	before := len(watch.out.String())
	clienttest.Start(t, address, routes)
	watch.prints(&watch.errs, "serialhub: the hub is back\n")
	testenv.Eventually(t, patience, "the output", func() error {
		if text := watch.out.String()[before:]; !strings.Contains(text, "0 B      -      -") || !strings.Contains(text, "/s  0 B/s") {
			return fmt.Errorf("it is %q", text)
		}
		return nil
	})
	watch.cmd.Process.Signal(syscall.SIGTERM)
	if code := watch.code(); code != 0 {
		t.Errorf("%d: %s", code, watch.errs.String())
	}
	expect(t, 1, "", "no hub answers at 127.0.0.1:1 (by --api)", "status", "--watch", "--api", "127.0.0.1:1")
}

// TestWatchedLinkIsRemoved ends it, in the words of any command.
func TestWatchedLinkIsRemoved(t *testing.T) {
	p := start(t)
	watch := launch(t, "status", "dbg", "--watch", p.at())
	watch.prints(&watch.out, "dbg   waiting")
	p.write("  - {name: dbg2, a: a, b: b}\n")
	p.says(0, `added dbg2; removed dbg; 0 unchanged\n`, ``, "reload")
	watch.prints(&watch.errs, "serialhub: there is no link \"dbg\"; did you mean dbg2?\n")
	if code := watch.code(); code != 1 {
		t.Errorf("%d", code)
	}
}
