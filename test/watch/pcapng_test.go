package watch

import (
	"encoding/hex"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/testenv"
)

// fields asks tshark for each packet's interface and bytes.
const fields = "-T fields -e frame.interface_name -e data.data"

// packets adds up what tshark says of packets.
func packets(t *testing.T, text string) (count int, said map[string]string) {
	t.Helper()
	said = map[string]string{}
	for line := range strings.Lines(text) {
		end, data, _ := strings.Cut(strings.TrimSpace(line), "\t")
		bytes, err := hex.DecodeString(data)
		if err != nil || !strings.HasPrefix(end, "dbg ") {
			t.Fatalf("tshark says %q, %v", line, err)
		}
		said[strings.TrimPrefix(end, "dbg ")] += string(bytes)
		count++
	}
	return count, said
}

// A capture that is written to a file, or read by tshark as it is made, has a packet for each piece and every byte.
func TestPcapng(t *testing.T) {
	tshark := testenv.Program(t, "tshark")
	h := startHub(t, link("scrollback: 64KiB"))
	a, b := h.dialBoth()
	tell(t, a, b, "begin")
	pieces := newEvents(h.stream("format=json&since_start"))
	file := h.path("dbg.pcapng")
	toFile := h.tap("--format", "pcapng", "--since-start", "-w", file)
	h.eventually("the file begins", func() error { // the head, and the first packet
		info, err := os.Stat(file)
		if err == nil && info.Size() == 0 {
			err = os.ErrNotExist
		}
		return err
	})
	shell := exec.Command("sh", "-c", `"$0" tap dbg --format pcapng --since-start | "$1" -l -r - `+fields, program, tshark)
	shell.Env = h.environment()
	piped := &command{Cmd: shell, h: h, ended: make(chan struct{})}
	shell.Stdout, shell.Stderr = &piped.out, &piped.errs
	shell.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	piped.start()
	piped.showsText("dbg a")
	const size = 20_000
	said := chat(t, a, b, size)
	said["a"] = "begin" + said["a"]
	_, in, err := pieces.all(map[string]int{"a": size + 5, "b": size})
	if err != nil {
		t.Fatal(err)
	}
	compare := func(name, text string) {
		t.Helper()
		if count, got := packets(t, text); count != len(in) || got["a"] != said["a"] || got["b"] != said["b"] {
			t.Errorf("%s: %d packets with %d and %d bytes; %d pieces were said, of %d and %d", name, count, len(got["a"]), len(got["b"]), len(in), len(said["a"]), len(said["b"]))
		}
	}
	piped.shows("all packets", func(text string) bool { return strings.Count(text, "\n") == len(in) && strings.HasSuffix(text, "\n") })
	compare("to a pipe", piped.out.String())
	unix.Kill(-piped.Process.Pid, unix.SIGINT)
	piped.code()

	read := func() string {
		run := exec.Command(tshark, append([]string{"-r", file}, strings.Fields(fields)...)...)
		run.Env = h.environment()
		out, err := run.Output()
		if err != nil {
			return "" // it may end in the middle of a packet
		}
		return string(out)
	}
	h.eventually("the file is complete", func() error {
		if n := strings.Count(read(), "\n"); n < len(in) {
			return os.ErrNotExist
		}
		return nil
	})
	toFile.Process.Signal(unix.SIGINT)
	if code := toFile.code(); code != 0 || toFile.errs.String() != "" {
		t.Errorf("tap ended with %d: %s", code, toFile.errs.String())
	}
	compare("to a file", read())
}
