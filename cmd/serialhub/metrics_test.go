package main_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// metrics are what the hub tells Prometheus now.
func (p *process) metrics() string {
	p.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.dir, "api"))
	}}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://localhost/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return "\n" + string(body)
}

// measures waits until the metrics have each of the lines.
func (p *process) measures(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		p.until("measuring "+line, func() bool { return strings.Contains(p.metrics(), "\n"+line+"\n") })
	}
}

// TestMetricsAreLive while a session lasts, and follow the config.
func TestMetricsAreLive(t *testing.T) {
	p := start(t)
	a, b := p.dial("a"), p.dial("b")
	p.measures(`serialhub_link_state{link="dbg",state="up"} 1`, `serialhub_end_connected{end="b",link="dbg"} 1`, `serialhub_config_last_reload_successful 1`)
	for _, sum := range []string{"5", "10"} {
		if _, err := a.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(b, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		p.measures(`serialhub_end_received_bytes_total{end="a",link="dbg"} `+sum, `serialhub_end_sent_bytes_total{end="b",link="dbg"} `+sum)
	}

	p.write("  - {name: debugger, a: a, b: b}\n  - {name: more, a: c, b: d}\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.measures(`serialhub_link_state{link="more",state="waiting"} 1`, `serialhub_end_received_bytes_total{end="a",link="debugger"} 10`)
	p.write("  - {name: debugger, a: a, b: b, c: d}\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.measures(`serialhub_config_last_reload_successful 0`, `serialhub_link_sessions_total{link="debugger"} 1`)
	p.write("  - {name: debugger, a: a, b: b}\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.measures(`serialhub_config_last_reload_successful 1`)
	if text := p.metrics(); strings.Contains(text, `"more"`) || strings.Contains(text, `"dbg"`) {
		t.Errorf("links that are not there any more are measured:\n%s", text)
	}
}
