package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/client/clienttest"
)

// TestReset, stop and start say how the link is then.
func TestReset(t *testing.T) {
	p := startLinks(t)
	p.dial("a")
	p.until("half", func() bool { return strings.Contains(p.body("/links/dbg"), `"half"`) })
	p.says(0, `dbg: half, [a-z.]+ \d+ at a, waiting for a peer at b\n`, ``, "reset", "dbg", "--end", "b")
	p.says(0, `dbg: waiting for both peers\n`, ``, "reset", "dbg", "--end", "a")
	p.says(0, `dbg: waiting for both peers\n`, ``, "reset", "dbg")
	p.says(0, ``, ``, "reset", "dbg", "-q")
	p.says(0, `\{\n  "name": "dbg",\n  "state": "waiting",.*"resets": 5,.*\}\n`, ``, "reset", "dbg", "-o", "json")
	p.says(2, ``, `serialhub: --end: a link has no end "c"; write a or b\n`, "reset", "dbg", "--end", "c")
	p.says(2, ``, `serialhub: which end\? Write --end a or --end b\n`, "reset", "dbg", "--end", "")
	p.says(2, ``, `serialhub: which link\? Name it: serialhub reset LINK \[flags\]\n`, "reset")
	p.says(2, ``, `serialhub: reset takes one link, and "console1" is one word too many\n`, "reset", "dbg", "console1")
	p.says(1, ``, `serialhub: there is no link "dgb"; did you mean dbg\?\n`, "reset", "dgb")

	p.says(0, `dbg: stopped\nconsole1: stopped\n`, ``, "stop", "dbg", "console1")
	p.says(1, `dbg: stopped\n`, `serialhub: there is no link "consle2"; did you mean console2\?\n`, "stop", "consle2", "dbg")
	p.says(1, `dbg: stopped\n`, `serialhub: there is no link "xyz".*\nserialhub: there is no link "dgb"; did you mean dbg\?\n`, "stop", "xyz", "dbg", "dgb", "-o", "text")
	p.says(0, `(dbg|console[12]): (starting|waiting for both peers)\n(dbg|console[12]): (starting|waiting for both peers)\n`, ``, "start", "console2", "dbg")
	p.says(0, `\{\n  "links": \[\n    \{\n      "name": "dbg",.*"name": "console1",.*`, ``, "start", "dbg", "console1", "-o", "json")
	p.says(2, ``, `serialhub: which link\? Name it: serialhub stop LINK… \[flags\]\n`, "stop")
	p.says(2, ``, `serialhub: --output: "table" is not one; there are text and json\n`, "stop", "dbg", "-o", "table")
	p.until("failed", func() bool { return strings.Contains(p.body("/links/broken"), `"failed"`) })
	p.says(0, `broken: stopped\n`, ``, "stop", "broken")
}

// TestNoHub is told once, whatever the number of links, with where it was looked for and by whose word.
func TestNoHub(t *testing.T) {
	for _, line := range []string{"status", "status dbg -o json", "reset dbg", "stop dbg console", "start dbg console", "reload", "tap dbg", "attach dbg --end a", "send dbg --to a x"} {
		code, out, errs := calls(t, "", []string{"SERIALHUB_API=unix:/nonexistent/api"}, strings.Fields(line)...)
		if want := "serialhub: no hub answers at unix:/nonexistent/api (by SERIALHUB_API): no such file or directory; is it running? --api ADDRESS says where it is\n"; code != 1 || out != "" || errs != want {
			t.Errorf("%s: %d, %s, %s", line, code, out, errs)
		}
	}
	for _, thing := range []string{"--for up", "--text x"} {
		expect(t, 1, "", "trying again for 300ms\nserialhub: the hub has not answered within 300ms\n", strings.Fields("wait dbg --timeout 300ms --api unix:/nonexistent/api "+thing)...)
	}
}

// TestNoSuchLink is told in the same words by every command.
func TestNoSuchLink(t *testing.T) {
	p := start(t)
	for _, line := range []string{"status %", "status % -o json", "status % --watch", "reset %", "stop %", "start %", "tap %", "attach % --end a", "send % --to a x", "events %", "wait % --for up", "wait % --text x"} {
		p.says(1, ``, `serialhub: there is no link "dbbg"; did you mean dbg\?\n`, strings.Fields(strings.ReplaceAll(line, "%", "dbbg"))...)
	}
	p.says(1, ``, `serialhub: there is no link "else"; the only one is dbg\n`, "tap", "else")
	p.write("  []\n")
	p.says(0, `removed dbg; 0 unchanged\n`, ``, "reload")
	p.says(1, ``, `serialhub: there is no link "dbg"; the hub has none\n`, "reset", "dbg")
	p.says(0, `NAME  STATE  A  B  A→B  B→A  SINCE\n`, ``, "status")
}

func TestReload(t *testing.T) {
	p := start(t)
	file := filepath.Join(p.dir, "links.yaml")
	p.says(0, `no link has changed; 1 link is as before\n`, ``, "reload")
	p.write("  - {name: dbg, a: a, b: b, absent: hold}\n  - {name: more, a: c, b: d}\n")
	p.says(0, `\{\n  "added": \[\n    "more"\n  \],\n  "removed": \[\],\n  "changed": \[\n    "dbg"\n  \],\n  "unchanged": \[\]\n\}\n`, ``, "reload", "-o", "json")
	p.write("  - {name: dbg, a: a, b: b}\n  - {name: new, a: c, b: e}\n")
	p.says(0, `added new; removed more; changed dbg; 0 unchanged\n`, ``, "reload")
	p.says(0, ``, ``, "reload", "--quiet")

	// Faults are shown as check shows them.
	p.write("  - {name: dbg, a: a, b: b, absnt: hold}\n  - {name: dbg, a: x,\tb: y, restart: x}\n")
	checkCode, _, checked := calls(t, "", nil, "check", "-c", file)
	code, out, errs := calls(t, "", nil, "reload", p.at())
	if code != 2 || code != checkCode || out != "" || errs != checked || strings.Count(errs, "^") != 3 || !strings.Contains(errs, file+":4:29: links[0].absnt: unknown key; did you mean absent?") {
		t.Errorf("%d, %s, %s; check says %d, %s", code, out, errs, checkCode, checked)
	}
	// What is not the file's fault is a failure.
	if err := os.WriteFile(file, []byte("api: {listen: [unix:api, unix:/nonexistent/api]}\nlinks: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.says(1, ``, `serialhub: not reloaded, and nothing was changed: the API cannot listen: the folder /nonexistent does not exist.*\n`, "reload")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.says(1, ``, `serialhub: not reloaded, and nothing was changed: config: open .*: no such file or directory\n`, "reload")
	p.says(2, ``, `serialhub: reload takes no arguments, and "dbg" is one\n`, "reload", "dbg")

	hub := clienttest.Start(t, "", clienttest.Routes{"POST /reload": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		w.Write([]byte(`{"type": "urn:serialhub:problem:reload-failed", "detail": "faults", "faults": [{"line": 3, "column": 2, "key": "\u001b[2J", "message": "\u001b[31mbad", "source": "\ta\u001b"}]}`))
	}})
	expect(t, 2, "", "the hub's file:3:2: \ufffd[2J: \ufffd[31mbad\n    3 | \ta\ufffd\n      | \t^\n", "reload", "--api", hub.Address)
}
