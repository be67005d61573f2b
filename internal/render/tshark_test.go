package render_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/testenv"
	"serialhub/internal/watch"
)

// capture is a file of what many events have said, and what should be found in it.
type capture struct {
	path    string
	packets []packet
	said    [2][]byte
	missed  [2]uint64
}

// packet is what tshark tells of one.
type packet struct {
	time, iface, direction, protocol, drops, comment, data string
}

// newCapture writes a file of n events, of sections of which each begins with a header.
func newCapture(t *testing.T, n, most, sections int) *capture {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(n)))
	c := &capture{path: filepath.Join(testenv.Dir(t), "dbg.pcapng")}
	r := render.New(render.PCAPNG, render.Options{Link: "dbg"})
	var out []byte
	var offsets [2]uint64
	at := start
	for i := range n {
		if i%(n/sections) == 0 {
			out = r.Header(out)
		}
		e := watch.Event{From: relay.Side(random.IntN(2)), At: at, Data: make([]byte, 1+random.IntN(most))}
		for i := range e.Data {
			e.Data[i] = byte(random.Uint32())
		}
		p := packet{time: fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond()), iface: "dbg " + e.From.String(), direction: strconv.Itoa(int(e.From))}
		if random.IntN(50) == 0 {
			e.Missed = random.Uint64N(1 << 40)
			c.missed[e.From] += e.Missed
			gap := p
			gap.drops, gap.comment = strconv.FormatUint(e.Missed, 10), fmt.Sprintf("%d bytes from %s missed", e.Missed, e.From)
			gap.protocol = gap.comment
			c.packets = append(c.packets, gap)
		}
		e.Offset = offsets[e.From] + e.Missed
		offsets[e.From] = e.Offset + uint64(len(e.Data))
		p.protocol, p.data = "dbg "+e.From.String()+">"+e.From.Other().String(), hex.EncodeToString(e.Data)
		c.packets = append(c.packets, p)
		c.said[e.From] = append(c.said[e.From], e.Data...)
		out = r.Append(out, e)
		at = at.Add(time.Duration(random.IntN(int(time.Second))))
	}
	if err := os.WriteFile(c.path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// output is what a program says of the capture.
func (c *capture) output(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	var complaints bytes.Buffer
	command := exec.Command(testenv.Program(t, program), append(arguments, c.path)...)
	command.Env = append(os.Environ(), "HOME="+testenv.Dir(t), "TZ=UTC")
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, complaints.String())
	}
	return string(out)
}

func TestWiresharkReadsIt(t *testing.T) {
	for _, test := range []struct {
		name              string
		n, most, sections int
	}{
		{"small", 10, 20, 1},
		{"many", 5000, 100, 1},
		{"big", 500, 16 << 10, 1},
		{"sections", 100, 1000, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			testenv.Program(t, "tshark")
			c := newCapture(t, test.n, test.most, test.sections)
			fields := []string{"-T", "fields", "-E", "separator=/t"}
			for _, name := range []string{"frame.time_epoch", "frame.interface_name", "frame.p2p_dir", "exported_pdu.col_proto_str", "frame.drop_count", "frame.comment", "data.data"} {
				fields = append(fields, "-e", name)
			}
			var said [2][]byte
			var got []packet
			for line := range strings.Lines(c.output(t, "tshark", append(fields, "-r")...)) {
				f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
				if len(f) != 7 {
					t.Fatalf("%q", line)
				}
				p := packet{f[0], f[1], f[2], f[3], f[4], f[5], f[6]}
				got = append(got, p)
				data, err := hex.DecodeString(p.data)
				if err != nil {
					t.Fatal(err)
				}
				side := p.direction[0] - '0'
				said[side] = append(said[side], data...)
			}
			if len(got) != len(c.packets) {
				t.Fatalf("tshark sees %d packets, not %d", len(got), len(c.packets))
			}
			for i, p := range got {
				if p != c.packets[i] {
					t.Fatalf("packet %d is\n%+v, not\n%+v", i, p, c.packets[i])
				}
			}
			for side := range said {
				if !bytes.Equal(said[side], c.said[side]) {
					t.Errorf("%c: tshark has %d bytes, not the %d that were said", 'a'+side, len(said[side]), len(c.said[side]))
				}
			}
			count := c.output(t, "capinfos", "-M", "-c")
			if want := len(c.packets); !slices.Contains(strings.Split(count, "\n"), fmt.Sprintf("Number of packets:   %d", want)) {
				t.Errorf("capinfos sees other than %d packets:\n%s", want, count)
			}
			if bad := c.output(t, "tshark", "-Y", "_ws.malformed", "-r"); bad != "" {
				t.Errorf("malformed:\n%s", bad)
			}
		})
	}
}

// TestWiresharkColumns is what a user sees who has set up nothing.
func TestWiresharkColumns(t *testing.T) {
	testenv.Program(t, "tshark")
	c := newCapture(t, 300, 10, 1)
	rows := strings.Split(strings.TrimSpace(c.output(t, "tshark", "-t", "ud", "-r")), "\n")
	for i, row := range rows {
		if p := c.packets[i]; !strings.Contains(row, " "+p.protocol+" ") || i == 0 && !strings.Contains(row, "2026-11-22 23:59:59.123456789") {
			t.Errorf("%+v is shown as %q", p, row)
		}
	}
}
