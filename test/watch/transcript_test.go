package watch

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"serialhub/internal/testenv"
)

// read is what a file in the hub's folder has in it.
func (h *hub) read(name string) string {
	h.t.Helper()
	text, err := os.ReadFile(h.path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// waitFile waits until a file in the hub's folder is as it should be.
func (h *hub) waitFile(name string, holds func(text string) bool) (text string) {
	h.t.Helper()
	h.eventually(name+" is as it should be", func() error {
		if text = h.read(name); holds(text) {
			return nil
		}
		return fmt.Errorf("it is %d bytes long and ends with %q", len(text), text[max(0, len(text)-100):])
	})
	return text
}

// line is one of the format text.
var line = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ([ab])> (.*)$`)

// Transcripts in every format have what was said, while it is said.
func TestTranscripts(t *testing.T) {
	const lines = 500
	start := func(t *testing.T, transcript string) (*hub, map[string]string) {
		h := startHub(t, link("transcript: {file: DIR/dbg.out, "+transcript+"}"))
		a, b := h.dialBoth()
		said := map[string]string{}
		for n := range lines {
			one, other := fmt.Sprintf("a says %d \x1b[31m\r\n", n), fmt.Sprintf("b says %d\n", n)
			tell(t, a, b, one)
			tell(t, b, a, other)
			said["a"], said["b"] = said["a"]+one, said["b"]+other
		}
		h.waitLink("written", func(s status) bool {
			return s.Transcript != nil && s.Transcript.State == "writing" && s.Transcript.File == h.path("dbg.out") && s.Transcript.Error == ""
		})
		return h, said
	}
	t.Run("text", func(t *testing.T) {
		h, _ := start(t, "format: text")
		text := h.waitFile("dbg.out", func(text string) bool { return strings.Count(text, "\n") == 2*lines })
		n := 0
		for one := range strings.Lines(text) {
			end := []string{"a", "b"}[n%2]
			want := fmt.Sprintf("%s says %d", end, n/2)
			if end == "a" {
				want += ` \x1b[31m`
			}
			if got := line.FindStringSubmatch(strings.TrimSuffix(one, "\n")); got == nil || got[1] != end || got[2] != want {
				t.Fatalf("line %d is %q, want %q", n+1, one, want)
			}
			n++
		}
	})
	t.Run("one end's text without times", func(t *testing.T) {
		h, _ := start(t, "format: text, direction: b, timestamps: false")
		text := h.waitFile("dbg.out", func(text string) bool { return strings.Count(text, "\n") == lines })
		if !strings.HasPrefix(text, "b> b says 0\nb> b says 1\n") {
			t.Errorf("it is %q", text)
		}
	})
	t.Run("json", func(t *testing.T) {
		h, want := start(t, "format: json")
		h.waitFile("dbg.out", func(text string) bool {
			said, missed, err := parts(text)
			return err == nil && missed == 0 && said["a"] == want["a"] && said["b"] == want["b"]
		})
	})
	t.Run("raw", func(t *testing.T) {
		h, want := start(t, "format: raw, direction: a")
		h.waitFile("dbg.out", func(text string) bool { return text == want["a"] })
	})
	t.Run("hex", func(t *testing.T) {
		h, want := start(t, "format: hex")
		h.waitFile("dbg.out", func(text string) bool {
			n := 0
			for _, row := range regexp.MustCompile(`(?m)^.* (a>b|b>a)  [0-9a-f]{8,}  ([0-9a-f ]{48,49}) `).FindAllStringSubmatch(text, -1) {
				n += len(strings.Fields(row[2]))
			}
			return n == len(want["a"])+len(want["b"])
		})
	})
	t.Run("pcapng", func(t *testing.T) {
		tshark := testenv.Program(t, "tshark")
		h, want := start(t, "format: pcapng")
		h.eventually("all packets are there", func() error {
			out, err := exec.Command(tshark, append([]string{"-r", h.path("dbg.out")}, strings.Fields(fields)...)...).Output()
			if err != nil {
				return err
			}
			if n := strings.Count(string(out), "\n"); n < 2*lines {
				return fmt.Errorf("there are %d", n)
			}
			if _, got := packets(t, string(out)); got["a"] != want["a"] || got["b"] != want["b"] {
				t.Errorf("%d and %d bytes, want %d and %d", len(got["a"]), len(got["b"]), len(want["a"]), len(want["b"]))
			}
			return nil
		})
	})
}

// A disk that is full stops the transcript and not the link, which says so; when there is room again the transcript goes on, and has a mark for what it has missed.
func TestTranscriptOnAFullDisk(t *testing.T) {
	disk := testenv.Disk(t)
	h := startHub(t, link("transcript: {file: '"+disk+"/dbg.json', format: json}"))
	a, b := h.dialBoth()
	testenv.WriteFile(t, disk+"/filler", strings.Repeat("x", 45<<10))
	p := newPattern(3)
	const until = 50_000_000
	if err := p.carry(a, b, 0, until); err != nil {
		t.Fatal(err)
	}
	full := h.waitLink("without a transcript", func(s status) bool { return s.Transcript.State == "failing" })
	if want := "no space left on device"; !strings.Contains(full.Transcript.Error, want) || !strings.Contains(full.Transcript.Error, disk) {
		t.Errorf("the status says %+v; want %q", full.Transcript, want)
	}
	if full.Ends["a"].ReceivedBytes != until || full.State != "up" {
		t.Errorf("the link is %+v", full)
	}
	// The room is for what was pending, but not for all that is kept for those who lag behind.
	if err := os.Remove(disk + "/filler"); err != nil {
		t.Fatal(err)
	}
	roomy(t, disk)
	h.waitLink("with a transcript", func(s status) bool { return s.Transcript.State == "writing" && s.Transcript.Error == "" })
	if err := p.carry(b, a, 0, 1000); err != nil {
		t.Fatal(err)
	}
	var text string
	h.eventually("the transcript is complete", func() error {
		data, err := os.ReadFile(disk + "/dbg.json")
		if err != nil {
			return err
		}
		text = string(data)
		said, missed, err := parts(text)
		if all := int64(len(said["a"])) + missed; err != nil || all < until || len(said["b"]) < 1000 {
			return fmt.Errorf("%d bytes of a and %d of b, %w", all, len(said["b"]), err)
		}
		return nil
	})
	end, gaps := map[string]int64{}, 0
	for e := newEvents(strings.NewReader(text)); ; {
		next, err := e.next()
		if err != nil {
			break
		}
		if next.Offset != end[next.End] || !p.holds(next.Offset, next.Data) {
			t.Fatalf("after %d bytes comes what was said at %d, or other bytes", end[next.End], next.Offset)
		}
		end[next.End] += int64(len(next.Data)) + next.Missed
		if next.Missed > 0 {
			gaps++
		}
	}
	if end["a"] != until || end["b"] != 1000 || gaps == 0 {
		t.Errorf("the transcript is of %v bytes, with %d gaps", end, gaps)
	}
	if log := h.read("log"); !strings.Contains(log, "transcript stopped") || !strings.Contains(log, "the transcript is written again") {
		t.Error("the log does not tell of it")
	}
}
