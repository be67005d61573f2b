package transcript_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/testenv"
	"serialhub/internal/transcript"
)

// packets are the bytes of the packets of a file, without the tags before them.
func packets(t *testing.T, file string) (said []string) {
	t.Helper()
	options := pcapgo.NgReaderOptions{WantMixedLinkType: true}
	reader, err := pcapgo.NewNgReader(bytes.NewReader([]byte(file)), options)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, err := reader.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return said
		}
		if err != nil {
			t.Fatalf("after %d packets: %v", len(said), err)
		}
		for tag := uint16(1); tag != 0; {
			tag = binary.BigEndian.Uint16(data)
			data = data[4+binary.BigEndian.Uint16(data[2:]):]
		}
		said = append(said, string(data))
	}
}

func TestRotates(t *testing.T) {
	for compress, ending := range map[string]string{"none": "", "gzip": ".gz", "zstd": ".zst"} {
		t.Run(compress, func(t *testing.T) {
			const size, lines = 64 << 10, 40_000
			dir := testenv.Dir(t)
			testenv.NoDescriptorsLeft(t)
			l := start(t, transcript.Config{Path: dir + "/dbg.log", MaxSize: size, Compress: compress})
			l.number(1, lines)
			l.end()
			complete := glob(t, dir, "dbg-*.log"+ending)
			if all := glob(t, dir, "*"); len(all) != len(complete)+1 {
				t.Errorf("also %q", all)
			}
			if n := lines * 19 / size; len(complete) < n || len(complete) > 4*n {
				t.Errorf("%d files", len(complete))
			}
			for _, path := range complete {
				if n := len(read(t, path)); n > size || n == 0 {
					t.Errorf("%s has %d bytes", path, n)
				}
			}
			numbered(t, concatenate(t, append(complete, dir+"/dbg.log")), lines)
		})
	}
}

// Each file can be read alone, whatever its format.
func TestRotatesFormats(t *testing.T) {
	dir := testenv.Dir(t)
	for _, format := range []render.Format{render.PCAPNG, render.Hex, render.JSON, render.Raw} {
		l := start(t, transcript.Config{Path: fmt.Sprintf("%s/%s/dbg", dir, format), Format: format, MaxSize: 4096})
		for n := range 1000 {
			l.say(relay.Side(n%2), fmt.Sprintf("number %06d", n))
		}
		l.end()
	}
	said := ""
	for _, path := range append(glob(t, dir, "pcapng", "dbg-*"), dir+"/pcapng/dbg") {
		said += strings.Join(packets(t, read(t, path)), "")
	}
	if raw := concatenate(t, append(glob(t, dir, "raw", "dbg-*"), dir+"/raw/dbg")); said != raw || len(raw) != 13_000 {
		t.Errorf("%d bytes in packets, %d raw", len(said), len(raw))
	}
	lines := 0
	for _, path := range glob(t, dir, "hex", "dbg*") {
		text := read(t, path)
		if lines += strings.Count(text, "|number"); !strings.HasPrefix(text, "-- ") || !strings.HasSuffix(text, "|\n") {
			t.Errorf("%s begins with %.30q", path, text)
		}
	}
	if lines != 1000 {
		t.Errorf("%d lines of hex", lines)
	}
	for _, path := range glob(t, dir, "json", "dbg*") {
		if text := read(t, path); !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}\n") {
			t.Errorf("%s begins with %.30q", path, text)
		}
	}
}

// What came at once and is larger than a file may be has a file of its own.
func TestRotatesLarge(t *testing.T) {
	dir := testenv.Dir(t)
	l := start(t, transcript.Config{Path: dir + "/dbg.log", Format: render.Raw, MaxSize: 4096})
	for _, letter := range "abc" {
		l.say(relay.A, strings.Repeat(string(letter), 5_000))
		l.written()
	}
	l.end()
	files := append(glob(t, dir, "dbg-*.log"), dir+"/dbg.log")
	if len(files) != 3 {
		t.Fatalf("%q", files)
	}
	for i, path := range files {
		if read(t, path) != strings.Repeat(string("abc"[i]), 5_000) {
			t.Errorf("file %d: %.20q", i, read(t, path))
		}
	}
}

// A file that is there already is gone on with, until it is full.
func TestRotatesWhatIsThere(t *testing.T) {
	dir := testenv.Dir(t)
	for n := range 300 {
		l := start(t, transcript.Config{Path: dir + "/dbg.log", MaxSize: 4096})
		l.number(n+1, n+1)
		l.end()
	}
	files := append(glob(t, dir, "dbg-*.log"), dir+"/dbg.log")
	if numbered(t, concatenate(t, files), 300); len(files) != 2 {
		t.Errorf("%q", files)
	}
}

// What is removed takes no place on the disk any more.
func TestLetsGo(t *testing.T) {
	dir := testenv.Dir(t)
	l := start(t, transcript.Config{Path: dir + "/dbg.log", MaxSize: 4096, Compress: "gzip"})
	l.number(1, 300)
	l.written()
	if err := os.Remove(dir + "/dbg.log"); err != nil {
		t.Fatal(err)
	}
	l.Reopen()
	testenv.Eventually(t, patience, "nobody has it open", func() error {
		for _, fd := range glob(t, "/proc/self/fd/*") {
			if path, _ := os.Readlink(fd); strings.HasPrefix(path, dir) && strings.HasSuffix(path, "(deleted)") {
				return errors.New(path)
			}
		}
		return nil
	})
	l.number(301, 600)
	l.end()
}

func TestKeeps(t *testing.T) {
	dir := testenv.Dir(t)
	for _, name := range []string{"dbg-notes.log", "dbg2-2001-01-01T00-00-00.000000-size.log", "dbg.log.1"} {
		testenv.WriteFile(t, dir+"/"+name, "not the transcript's")
	}
	l := start(t, transcript.Config{Path: dir + "/dbg.log", MaxSize: 4096, Keep: 3, Compress: "gzip"})
	l.number(1, 5000)
	l.end()
	files := glob(t, dir, "dbg-2*")
	if len(files) != 3 {
		t.Errorf("%q", files)
	}
	text := concatenate(t, append(files, dir+"/dbg.log"))
	lines := strings.Count(text, "\n")
	if !strings.HasSuffix(text, "000005000\n") || !strings.HasPrefix(text, fmt.Sprintf("a> %015d\n", 5000-lines+1)) {
		t.Errorf("%.20q, %d lines", text, lines)
	}
	for _, name := range []string{"dbg-notes.log", "dbg2-2001-01-01T00-00-00.000000-size.log", "dbg.log.1"} {
		if _, err := os.Stat(dir + "/" + name); err != nil {
			t.Error(err)
		}
	}
}

func TestAges(t *testing.T) {
	dir := testenv.Dir(t)
	name := func(age time.Duration) string {
		return dir + "/dbg-" + time.Now().Add(-age).UTC().Format("2006-01-02T15-04-05.000000") + "-size.log"
	}
	old, older := name(47*time.Hour), name(49*time.Hour)+".gz"
	testenv.WriteFile(t, old, "old")
	testenv.WriteFile(t, older, "older")
	l := start(t, transcript.Config{Path: dir + "/dbg.log", MaxSize: 4096, MaxAge: 25 * time.Hour}) // two days
	l.number(1, 1000)
	l.end()
	if _, err := os.Stat(old); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(older); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// Each day has its file. Those of days before are compressed, and removed when they are too old.
func TestDays(t *testing.T) {
	for name, test := range map[string]struct {
		path, compress string
		keep           int
		age            time.Duration
		left           []string // of days of January, what is not removed
	}{
		"plain":      {"dbg-{date}.log", "none", 0, 0, []string{"01", "02", "03", "04", "05", "06", "07", "08", "09", "10"}},
		"compressed": {"dbg-{date}.log", "zstd", 0, 0, []string{"01", "02", "03", "04", "05", "06", "07", "08", "09", "10"}},
		"kept":       {"dbg-{date}.log", "gzip", 3, 0, []string{"07", "08", "09", "10"}},
		"young":      {"dbg-{date}.log", "none", 0, 2 * 24 * time.Hour, []string{"08", "09", "10"}},
		"folders":    {"{date}/{link}", "gzip", 4, 0, []string{"06", "07", "08", "09", "10"}},
		"brackets":   {"[x]*{date}?/{date}", "zstd", 2, 0, []string{"08", "09", "10"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Dir(t)
			synctest.Test(t, func(t *testing.T) {
				l := start(t, transcript.Config{Path: dir + "/" + test.path, Timestamps: true, MaxSize: 8192, Compress: test.compress, Keep: test.keep, MaxAge: test.age})
				for range 9 {
					l.say(relay.A, "begun\n")
					<-time.After(24*time.Hour - time.Microsecond)
					l.say(relay.A, "over\n")
					<-time.After(time.Microsecond)
				}
				l.say(relay.A, "begun\n")
				l.end()
			})
			var left []string
			walk := func(path string, info os.FileInfo, err error) error {
				if err != nil || info.IsDir() {
					if entries, _ := os.ReadDir(path); len(entries) == 0 {
						t.Errorf("%s is empty", path)
					}
					return err
				}
				text := read(t, path)
				which := text[len("2000-01-"):][:2]
				want := "2000-01-" + which + "T00:00:00.000000Z a> begun\n2000-01-" + which + "T23:59:59.999999Z a> over\n"
				live := which == "10"
				if live {
					want = want[:len(want)/2+1]
				}
				if text != want && !live {
					t.Errorf("%s: %q", path, text)
				}
				if compressed := strings.HasSuffix(path, ".gz") || strings.HasSuffix(path, ".zst"); compressed != (test.compress != "none" && !live) {
					t.Errorf("%s is kept", path)
				}
				if !strings.Contains(path, "2000-01-"+which) {
					t.Errorf("%s has %q", path, text)
				}
				left = append(left, which)
				return nil
			}
			if err := filepath.Walk(dir, walk); err != nil {
				t.Fatal(err)
			}
			if strings.Join(left, " ") != strings.Join(test.left, " ") {
				t.Errorf("%q instead of %q", left, test.left)
			}
		})
	}
}

// What an earlier process has left, also in the middle of compressing, is tidied up by the next one.
func TestDaysLeft(t *testing.T) {
	dir := testenv.Dir(t)
	for _, name := range []string{
		"dbg-1999-12-30.log", "dbg-1999-12-30-1999-12-30T12-00-00.000000-size.log", "dbg-1999-12-31-1999-12-31T12-00-00.000000-size.log",
	} {
		testenv.WriteFile(t, dir+"/"+name, name)
	}
	testenv.WriteFile(t, dir+"/dbg-1999-12-29.log", "")
	synctest.Test(t, func(t *testing.T) {
		start(t, transcript.Config{Path: dir + "/dbg-{date}.log", Compress: "zstd"}).end()
	})
	files := glob(t, dir, "*")
	if text := concatenate(t, files); len(files) != 4 || text != strings.Join([]string{
		"dbg-1999-12-30-1999-12-30T12-00-00.000000-size.log", "dbg-1999-12-30.log", "dbg-1999-12-31-1999-12-31T12-00-00.000000-size.log",
	}, "") {
		t.Errorf("%q: %q", files, text)
	}
}

// Who waits for the transcript to be written does not wait for what is compressed; it is told of that once, when everything is in the files.
func TestDone(t *testing.T) {
	l := start(t, transcript.Config{Path: testenv.Dir(t) + "/dbg.log", MaxSize: 64 << 10, Compress: "gzip"})
	l.number(1, 10_000)
	l.end()
	if len(l.atDone) != 1 || l.atDone[0] != l.said {
		t.Errorf("it was done with %d of %d", l.atDone, l.said)
	}
}
