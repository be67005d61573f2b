package watch

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A text is found wherever the pieces of it begin and end.
func TestWaitAcrossPieces(t *testing.T) {
	const text = "login: "
	h := startHub(t, link("scrollback: 4KiB"))
	a, b := h.dialBoth()
	for _, way := range [][]string{{"--text", text}, {"--regex", "^l[a-z]+: $"}} {
		for cut := 1; cut < len(text); cut++ {
			h.get("/links/dbg/reset", nil)
			a.Close()
			b.Close()
			a, b = h.dialBoth()
			stream := h.stream("format=raw")
			tell(t, a, b, "\r\nlogout\r\n"+text[:cut])
			hearStream(t, stream, "\r\nlogout\r\n"+text[:cut])
			c := h.command(append([]string{"wait", "dbg", "--end", "a", "--since-start"}, way...)...).start()
			tell(t, b, a, text[cut:]) // the other end completes it, which is nothing
			tell(t, a, b, text[cut:])
			if code := c.code(); code != 0 || c.out.String()+c.errs.String() != "" {
				t.Errorf("%v, cut after %d: ended with %d: %s%s", way, cut, code, c.out.String(), c.errs.String())
			}
			tell(t, a, b, strings.Repeat("\r\n", 2100)) // nothing of it is kept
		}
	}
}

// Wait ends as it should, and says why if that is a failure.
func TestWaitEnds(t *testing.T) {
	h := startHub(t, link("scrollback: 4KiB"))
	a, b := h.dialBoth()
	tell(t, a, b, "from a: login: ")
	tell(t, b, a, "from b: root\r")
	for _, test := range []struct {
		arguments string
		code      int
		errs      string
	}{
		{"--for up", 0, ""},
		{"--for half --timeout 300ms", 1, "serialhub: dbg has not been half within 300ms; it is up"},
		{"--for nowhere", 2, "serialhub: --for: a link is never \"nowhere\""},
		{"--text login: --since-start", 0, ""},
		{"--text login: --since-start --end a", 0, ""},
		{"--text login: --since-start --end b --timeout 300ms", 1, `serialhub: "login:" has not come from end b of dbg within 300ms`},
		{"--text login: --timeout 300ms", 1, `serialhub: "login:" has not come from dbg within 300ms`}, // that was before
		{`--text root\r --since-start`, 0, ""},
		{"--regex r.{2}t --since-start", 0, ""},
		{"--regex a.*from --since-start --timeout 300ms", 1, "serialhub: a match of"}, // of both ends
		{"--regex ( --since-start", 2, "serialhub: --regex: "},
	} {
		out, errs, code := h.run(append([]string{"wait", "dbg"}, strings.Fields(test.arguments)...)...)
		if code != test.code || out != "" || !strings.HasPrefix(errs, test.errs) || test.errs == "" && errs != "" {
			t.Errorf("wait %s ended with %d: %s%s", test.arguments, code, out, errs)
		}
	}
	if _, errs, code := h.run("wait", "nosuch", "--for", "up"); code != 1 || !strings.Contains(errs, "nosuch") {
		t.Errorf("a link that is not there: %d, %s", code, errs)
	}
	c := h.command("wait", "dbg", "--for", "half").start()
	b.Close()
	if code := c.code(); code != 0 {
		t.Errorf("wait for half ended with %d: %s", code, c.errs.String())
	}
}

// Wait listens to what is said after it has begun, and goes on listening while the hub is not there.
func TestWaitForAHub(t *testing.T) {
	h := startHub(t, link())
	c := h.command("wait", "dbg", "--for", "up", "--api", "unix:"+h.path("later")).start()
	h.eventually("it complains", func() error {
		if !strings.Contains(c.errs.String(), "no hub") {
			return errors.New(c.errs.String())
		}
		return nil
	})
	h.dialBoth()
	h.write("links.yaml", "api: {listen: 'unix:DIR/later'}\nlinks:\n"+link())
	h.cmd.Process.Signal(unix.SIGHUP)
	if code := c.code(); code != 0 {
		t.Errorf("it ended with %d: %s", code, c.errs.String())
	}
}

// A state that a link is in for a moment only is not missed.
func TestWaitForAMoment(t *testing.T) {
	h := startHub(t, link())
	for range 10 {
		c := h.command("wait", "dbg", "--for", "half", "-c", h.path("links.yaml")).start()
		h.eventually("it is there", func() error {
			select {
			case <-c.ended:
				return nil
			default:
			}
			h.dial("a").Close()
			return errors.New("it waits")
		})
		if code := c.code(); code != 0 || c.errs.String() != "" {
			t.Fatalf("it ended with %d: %s", code, c.errs.String())
		}
	}
}
