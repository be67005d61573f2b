package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"serialhub/internal/testenv"
)

// TestPromtool holds the files that users copy, and what a hub answers, against
// the rules of Prometheus' own tool.
func TestPromtool(t *testing.T) {
	needTools(t)
	h := startHub(t, "dbg")
	answer, err := h.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	tool, err := filepath.Abs(artefact("promtool"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ args, stdin, says string }{
		{"check metrics", string(answer), ""},
		{"check rules alerts.yaml", "", "SUCCESS"},
		{"test rules alerts_test.yaml", "", "SUCCESS"},
		{"check config prometheus.yaml", "", "SUCCESS"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			check := exec.Command(tool, strings.Fields(test.args)...)
			check.Dir, check.Stdin = configs, strings.NewReader(test.stdin)
			out, err := check.CombinedOutput()
			if err != nil || test.says == "" && len(out) > 0 || !strings.Contains(string(out), test.says) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestPrometheus has a Prometheus scrape a hub: it sees every series, bytes while a
// session lasts, and what becomes of links; and the alerts fire.
func TestPrometheus(t *testing.T) {
	needTools(t)
	h := newHub(t)
	h.start(t, "  - {name: dbg, a: dbg.a, b: dbg.b}\n  - {name: spare, a: spare.a, b: spare.b}\n  - {name: held, a: c, b: d, disabled: true}\n")
	h.waitState(t, "spare", "waiting")
	m := startMonitor(t, h)
	a, b := connect(t, h.socket("dbg", "a")), connect(t, h.socket("dbg", "b"))
	h.waitState(t, "dbg", "up")

	whole := t // a peer that comes in one part stays for the next
	t.Run("every series", func(t *testing.T) { everySeries(t, h, m) })
	t.Run("live bytes", func(t *testing.T) {
		for _, sum := range []string{"5", "10"} {
			say(t, a, b, "hello")
			m.wait(t, `serialhub_end_received_bytes_total{link="dbg",end="a"}`, sum)
			m.wait(t, `serialhub_end_sent_bytes_total{link="dbg",end="b"} and on (link) serialhub_link_state{state="up"} == 1`, sum)
		}
	})
	t.Run("the dashboard", func(t *testing.T) { everyPanel(t, m) })

	t.Run("a peer leaves", func(t *testing.T) {
		m.waitAlert(t, "SerialhubLinkNotUp", "dbg", "")
		b.Close()
		m.wait(t, `serialhub_link_state{link="dbg",state="half"}`, "1")
		m.waitAlert(t, "SerialhubLinkNotUp", "dbg", "pending")
		m.waitAlert(t, "SerialhubLinkNotUp", "dbg", "firing")
		m.waitAlert(t, "SerialhubLinkNotUp", "held", "")
		if _, err := a.Write([]byte("is anybody there?")); err != nil {
			t.Fatal(err)
		}
		m.waitAlert(t, "SerialhubBytesDiscarded", "dbg", "firing")
		b = connect(whole, h.socket("dbg", "b"))
		m.waitAlert(t, "SerialhubLinkNotUp", "dbg", "")
	})

	reload := func(text string) {
		t.Helper()
		testenv.WriteFile(t, filepath.Join(h.dir, "links.yaml"), "api:\n  listen: "+strings.TrimPrefix(h.api, "http://")+"\nlinks:\n"+text)
		if err := h.process.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a reload that is refused", func(t *testing.T) {
		since, err := m.query("serialhub_config_last_reload_success_timestamp_seconds")
		if err != nil || len(since) != 1 {
			t.Fatalf("%v, %v", since, err)
		}
		reload("  - {name: dbg, a: dbg.a}\n")
		m.waitAlert(t, "SerialhubReloadFailed", "", "firing")
		m.wait(t, "serialhub_config_last_reload_success_timestamp_seconds", since[0].text)
		m.wait(t, `count(serialhub_link_sessions_total)`, "3")
	})
	t.Run("links removed and renamed", func(t *testing.T) {
		reload("  - {name: debugger, a: dbg.a, b: dbg.b}\n  - {name: missing, a: {device: /dev/none}, b: b, restart: {policy: always, max_failures: 1}}\n")
		m.waitAlert(t, "SerialhubReloadFailed", "", "")
		m.wait(t, `{__name__=~"serialhub_.+",link=~"dbg|spare|held"}`)
		m.wait(t, `serialhub_end_received_bytes_total{link="debugger",end="a"}`, "27")
		m.wait(t, `serialhub_link_sessions_total{link="debugger"}`, "2")
		say(t, a, b, "still there")
		m.waitAlert(t, "SerialhubLinkFailed", "missing", "firing")
	})
	t.Run("the hub goes", func(t *testing.T) {
		h.stop(t)
		m.waitAlert(t, "SerialhubDown", "", "pending")
		m.waitAlert(t, "SerialhubDown", "", "firing")
		m.waitAlert(t, "SerialhubLinkFailed", "missing", "")
	})
}

// everySeries asks Prometheus for each series that the hub has now.
func everySeries(t *testing.T, h *hub, m *monitor) {
	answer, err := h.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, found := range regexp.MustCompile(`(?m)^(\w+(?:\{.*\})?) `).FindAllStringSubmatch(string(answer), -1) {
		series := found[1]
		if !strings.HasPrefix(series, "serialhub_") && strings.Contains(series, "{") {
			continue // of Go's summaries
		}
		if strings.HasPrefix(series, "serialhub_") {
			own++
		}
		eventually(t, "waiting for "+series, func() error {
			values, err := m.query(series)
			if err == nil && (len(values) != 1 || values[0].labels["job"] != "serialhub") {
				err = fmt.Errorf("it is %v", values)
			}
			return err
		})
	}
	if want := 3*22 + 3; own != want {
		t.Errorf("the hub has %d series of its own, not %d", own, want)
	}
}

// everyPanel evaluates what the dashboard shows: each panel shows something.
func everyPanel(t *testing.T, m *monitor) {
	text, err := os.ReadFile(filepath.Join(configs, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$job", "serialhub", "$instance", ".*", "$link", ".*")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			eventually(t, panel.Title, func() error {
				values, err := m.query(variables.Replace(target.Expr))
				if err == nil && len(values) == 0 {
					err = fmt.Errorf("nothing comes of %s", target.Expr)
				}
				return err
			})
		}
	}
}

// connect connects to an end of a link until the test is over.
func connect(t *testing.T, socket string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// say sends a text from one peer to the other.
func say(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v", got, err)
	}
}
