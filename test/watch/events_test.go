package watch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// happened is a line of `serialhub events -o json`, in short.
func happened(t *testing.T, output string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(output) {
		var e struct{ Type, Link, End, State, Reason string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if e.Type == "reset" {
			continue // by it is seen that somebody listens
		}
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprint(e.Type, " ", e.Link, " ", e.End, e.State)), " "))
	}
	return lines
}

// The command events tells what happens, also over an upgrade and a reload, and of one link that alone.
func TestEvents(t *testing.T) {
	h := startHub(t, link()+"  - {name: other, a: DIR/c, b: DIR/d}\n")
	all, one := h.command("events", "-o", "json").start(), h.command("events", "dbg", "-o", "json").start()
	text := h.command("events", "dbg").start()
	h.eventually("they listen", func() error {
		for _, c := range []*command{all, one, text} {
			if c.out.String() == "" {
				return errors.Join(errors.New("one tells nothing"), h.get("/links/dbg/reset", nil))
			}
		}
		return nil
	})
	h.dial("a")
	h.waitState("half")
	h.dial("c")
	text.showsText("dbg a  peer connected: watch.test, pid ")
	all.showsText(`"link":"other","state":"half"`)
	h.cmd.Process.Signal(unix.SIGUSR2)
	for _, c := range []*command{all, one, text} {
		h.eventually("it is back", func() error {
			if errs := c.errs.String(); errs != "serialhub: the hub is being upgraded; trying again for 30s\nserialhub: the hub is back\n" {
				return fmt.Errorf("it complains %q", errs)
			}
			return nil
		})
	}
	h.dial("b")
	h.waitState("up")
	h.write("links.yaml", "links: 1\n")
	response, err := h.http.Post("http://localhost/reload", "", nil)
	if err != nil || response.StatusCode != http.StatusUnprocessableEntity {
		t.Fatal(response, err)
	}
	response.Body.Close()
	h.reload("  - {name: other, a: DIR/c, b: DIR/d}\n")
	all.showsText(`"removed":["dbg"]`)
	one.showsText(`"link_removed"`)
	text.showsText("dbg  removed\n")
	common := []string{"peer_connected dbg a", "state dbg half"}
	end := []string{"peer_connected dbg b", "state dbg up"}
	gone := []string{"peer_left dbg a", "state dbg half", "peer_left dbg b", "state dbg waiting", "state dbg stopped", "link_removed dbg"}
	if got, want := happened(t, one.out.String()), slices.Concat(common, end, gone); !slices.Equal(got, want) {
		t.Errorf("of dbg it tells %q, want %q", got, want)
	}
	if got, want := happened(t, all.out.String()), slices.Concat(common, []string{"peer_connected other a", "state other half"}, end, []string{"reload"}, gone, []string{"reload"}); !slices.Equal(got, want) {
		t.Errorf("it tells %q, want %q", got, want)
	}
	for _, c := range []*command{all, one, text} {
		c.Process.Signal(unix.SIGINT)
		if code := c.code(); code != 0 {
			t.Errorf("after Ctrl-C it ends with %d", code)
		}
	}
}

// Events end when nobody reads them any more, also if nothing happens.
func TestEventsIntoHead(t *testing.T) {
	h := startHub(t, link())
	c := h.command("events").start()
	defer c.kill()
	done := make(chan string, 1)
	go func() {
		out, errs, code := h.shell("serialhub events dbg | head -n 1")
		done <- fmt.Sprint(strings.Count(out, "\n"), errs, code)
	}()
	for {
		select {
		case got := <-done:
			if got != "10" {
				t.Errorf("lines, complaints and code are %s", got)
			}
			return
		case <-time.After(5 * time.Millisecond):
			h.dial("a").Close()
		}
	}
}
