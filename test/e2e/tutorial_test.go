package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/testenv"
	"serialhub/test/page"
)

const (
	tutorialPage = "../../docs/tutorial-kgdb.md"
	// prepared is the section of it that setup.sh follows: it installs, and compiles a kernel.
	prepared = "What you need"
)

// TestTutorialOfKgdb does what the tutorial says, word by word: one VM debugs the kernel of another, while their hub is upgraded and killed, and after the
// debuggee was started anew.
func TestTutorialOfKgdb(t *testing.T) {
	needTools(t)
	p, err := page.Read(tutorialPage)
	if err != nil {
		t.Fatal(err)
	}
	needPrepared(t, p)
	r := newReader(t)
	folder := filepath.Join(r.home, "kgdb")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vmlinux", "guest.gz"} {
		made, err := filepath.Abs(artefact("kgdb/" + name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(made, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		log, _ := os.ReadFile(filepath.Join(folder, "hub.log"))
		if t.Failed() {
			t.Logf("the hub's log:\n%s", testenv.Tail(string(log)))
		}
		// Until the page says so itself, the hub runs.
		r.host(context.Background(), `cd ~/kgdb && kill -9 "$(cat hub.pid)"`)
	})

	var shown []linkStatus // whenever the reader looks
	for _, block := range p.Blocks {
		if block.Heading == prepared || !strings.Contains(block.Before, ":") || place.FindString(block.Before) == "" && block.Language == "text" {
			continue
		}
		r.follow(t, p, block)
		if strings.Contains(block.Text, "serialhub status kgdb") {
			var status linkStatus
			output, err := r.host(t.Context(), "cd ~/kgdb && serialhub status kgdb -c links.yaml -o json")
			if err == nil {
				err = json.Unmarshal([]byte(output), &status)
			}
			if err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			shown = append(shown, status)
		}
	}
	if len(shown) != 2 {
		t.Fatalf("the page looks %d times at the link, not at the beginning and at the end", len(shown))
	}
	before, after := shown[0].Ends, shown[1].Ends
	if a, b := before["a"], before["b"]; shown[0].State != "up" || a.Connections != 1 || b.Connections != 1 {
		t.Errorf("at first the link is %+v", shown[0])
	}
	if a, b := after["a"], after["b"]; shown[1].State != "up" || a.Connections != 2 || b.Connections != 1 || a.Peer.PID == before["a"].Peer.PID || b.Peer.PID != before["b"].Peer.PID {
		t.Errorf("the debuggee's VM was started twice, and the debugger's once, and the link is %+v; it was %+v", shown[1], shown[0])
	}
}

// needPrepared wants that setup.sh has followed the page as it is now.
func needPrepared(t *testing.T, p *page.Page) {
	t.Helper()
	var commands strings.Builder
	for _, block := range p.Blocks {
		if block.Heading == prepared && block.Language == "sh" {
			commands.WriteString(block.Text)
		}
	}
	followed, _ := os.ReadFile(artefact("kgdb/commands.sh"))
	if string(followed) != commands.String() {
		testenv.Need(t, "e2e", []string{"the kernel of " + tutorialPage + ", made as it says"})
	}
}
