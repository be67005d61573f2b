package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"serialhub/internal/config"
)

// withKeys is a file of one link with such keys beside its ends.
func withKeys(keys string) string {
	return "links:\n  - name: x\n    a: /a\n    b: /b\n    " + keys + "\n"
}

func TestLoadScrollback(t *testing.T) {
	for text, want := range map[string]int{
		"absent: hold": 0, "scrollback: 0": 0, "scrollback: 64KiB": 64 << 10, "scrollback: 1024": 1024, "scrollback: 16MiB": 16 << 20,
	} {
		c, err := config.Load(write(t, withKeys(text)))
		if err != nil || c.Links[0].Scrollback != want {
			t.Errorf("%s gave %+v, %v; want %d", text, c, err, want)
		}
	}
	c, err := config.Load(write(t, "defaults: {scrollback: 1MiB}\n"+withKeys("scrollback: 0")+"  - {name: y, a: /1, b: /2}"))
	if err != nil || c.Links[0].Scrollback != 0 || c.Links[1].Scrollback != 1<<20 {
		t.Errorf("Load gave %+v, %v", c, err)
	}
}

// day is the unit of max_age.
const day = 24 * time.Hour

// plain is a transcript of which only the file is said.
func plain(file string, about ...func(*config.Transcript)) *config.Transcript {
	t := &config.Transcript{
		File: file, Format: "text", Direction: "both", Timestamps: true, MaxSize: 100 << 20, MaxAge: 30 * day, Keep: 10, Compress: "none",
	}
	for _, change := range about {
		change(t)
	}
	return t
}

func TestLoadTranscript(t *testing.T) {
	tests := []struct {
		name, text string
		want       *config.Transcript
	}{
		{"none", "absent: hold", nil},
		{"that is said not to be", "transcript: none", nil},
		{"the short form", "transcript: /log/{link}.log", plain("/log/{link}.log")},
		{"the long form", "transcript: {file: '/log/{date}/{link}-{end}'}", plain("/log/{date}/{link}-{end}")},
		{"everything", "transcript: {file: /x.zst, format: pcapng, direction: b, timestamps: false, max_size: 4KiB, max_age: 12h, keep: 1, compress: zstd}",
			&config.Transcript{File: "/x.zst", Format: "pcapng", Direction: "b", MaxSize: 4096, MaxAge: 12 * time.Hour, Keep: 1, Compress: "zstd"}},
		{"no limits", "transcript: {file: /x, max_size: 0, max_age: 0, keep: 0}", plain("/x", func(t *config.Transcript) { t.MaxSize, t.MaxAge, t.Keep = 0, 0, 0 })},
		{"the largest limits", "transcript: {file: /x, max_size: 1TiB, max_age: 36500d, keep: 1000000}",
			plain("/x", func(t *config.Transcript) { t.MaxSize, t.MaxAge, t.Keep = 1<<40, 36500*day, 1_000_000 })},
		{"days and hours", "transcript: {file: /x, max_age: 1d12h30m}", plain("/x", func(t *config.Transcript) { t.MaxAge = 36*time.Hour + 30*time.Minute })},
		{"no days", "transcript: {file: /x, max_age: 0d}", plain("/x", func(t *config.Transcript) { t.MaxAge = 0 })},
		{"a path that is not clean", "transcript: //log/./{link}..log", plain("/log/{link}..log")},
		{"in memory", "transcript: /dev/shm/x", plain("/dev/shm/x")},
		{"a file that is called none", "transcript: /log/none", plain("/log/none")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := config.Load(write(t, withKeys(test.text)))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Links[0].Transcript; !reflect.DeepEqual(got, test.want) {
				t.Errorf("Load gave %+v, want %+v", got, test.want)
			}
		})
	}
	path := write(t, withKeys("transcript: logs/x"))
	if c, err := config.Load(path); err != nil || c.Links[0].Transcript.File != filepath.Dir(path)+"/logs/x" {
		t.Errorf("a relative path gave %+v, %v", c, err)
	}
}

func TestLoadTranscriptOfDefaults(t *testing.T) {
	const links = `
links:
  - {name: x, a: /1, b: /2}
  - {name: y, a: /3, b: /4, transcript: none}
  - {name: z, a: /5, b: /6, transcript: {format: hex}}
  - {name: u, a: /7, b: /8, transcript: /u}
`
	json := func(t *config.Transcript) { t.Format = "json" }
	hex := func(t *config.Transcript) { t.Format = "hex" }
	for _, test := range []struct {
		name, defaults, links string
		want                  []*config.Transcript
	}{
		{"with a file", "{file: '/log/{link}', format: json}", links,
			[]*config.Transcript{plain("/log/{link}", json), nil, plain("/log/{link}", hex), plain("/u", json)}},
		{"without", "{format: json}", strings.Replace(links, "{format: hex}", "{file: /z}", 1),
			[]*config.Transcript{nil, nil, plain("/z", json), plain("/u", json)}},
		{"none", "none", strings.Replace(links, "{format: hex}", "{file: /z}", 1),
			[]*config.Transcript{nil, nil, plain("/z"), plain("/u")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := config.Load(write(t, "defaults: {transcript: "+test.defaults+"}"+test.links))
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range test.want {
				if got := c.Links[i].Transcript; !reflect.DeepEqual(got, want) {
					t.Errorf("%s has %+v, want %+v", c.Links[i].Name, got, want)
				}
			}
		})
	}
}

func TestTranscriptPath(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	midnight := noon.In(time.FixedZone("", int(-12.5*3600)))
	for _, test := range []struct {
		file, link, end string
		day             time.Time
		want            string
	}{
		{"/log/x", "dbg", "a", noon, "/log/x"},
		{"/log/{link}/{date}/{link}-{end}.log", "dbg", "b", noon, "/log/dbg/2026-11-23/dbg-b.log"},
		{"/log/{date}", "dbg", "a", midnight, "/log/2026-11-22"},
		{"/log/.{link}", "a..b", "a", noon, "/log/.a..b"},
	} {
		if got := plain(test.file).Path(test.link, test.end, test.day); got != test.want {
			t.Errorf("%s is %s, want %s", test.file, got, test.want)
		}
	}
}

func TestLoadRefusesTranscripts(t *testing.T) {
	tests := []struct {
		name, text string
		says       []string // one for each fault, as line:column: key: message
	}{
		{"a small scrollback", "scrollback: 1023", []string{"5:17: links[0].scrollback: 1023 is out of range; it can be 0 (none), or from 1 KiB to 16 MiB"}},
		{"a large scrollback", "scrollback: 17MiB", []string{"17MiB is out of range"}},
		{"a scrollback that is none", "scrollback: much", []string{`links[0].scrollback: "much" is not a size`}},
		{"nothing", "transcript:", []string{"5:16: links[0].transcript: has no value, but must be the path of a file, none, or {file: …, format: …}"}},
		{"true", "transcript: true", []string{"links[0].transcript: is true (bool), but must be the path of a file"}},
		{"braces that are YAML's", "transcript: {link}", []string{"5:18: links[0].transcript.link: unknown key; known here: file, format, direction, timestamps, max_size, max_age, keep, compress",
			"5:17: links[0].transcript.file: the file is missing"}},
		{"braces in YAML's", "transcript: {file: /log/{link}.log}", []string{"5:29: did not find expected ',' or '}' (while parsing a flow mapping); put a name with braces in quotes"}},
		{"braces that come first", "transcript: {date}.log", []string{"; put a name with braces in quotes"}},
		{"no file", "transcript: {format: hex}", []string{"5:17: links[0].transcript.file: the file is missing; write the path of one"}},
		{"an empty file", "transcript: ''", []string{"5:17: links[0].transcript: is empty; write the path of a file, such as /var/log/serialhub/{link}.log, or none"}},
		{"a file that is a number", "transcript: {file: 5}", []string{"5:24: links[0].transcript.file: is 5 (int), but must be a text"}},
		{"out of the folder", "transcript: {file: '/log/{link}/../x'}", []string{"5:24: links[0].transcript.file: \"/log/{link}/../x\" has “..” in it"}},
		{"out of the config's folder", "transcript: ../x", []string{"5:17: links[0].transcript: \"../x\" has “..” in it"}},
		{"a folder", "transcript: /log/", []string{`"/log/" names a folder; write the path of a file, such as /log/{link}.log`}},
		{"this folder", "transcript: ./.", []string{`"./." names a folder; write the path of a file, such as ./{link}.log`}},
		{"a NUL byte", `transcript: "/log/\0"`, []string{"a path cannot contain a NUL byte"}},
		{"an unknown placeholder", "transcript: /log/{name}", []string{"{name} stands for nothing known; a name can have {link}, {end} and {date} in it"}},
		{"a placeholder in capitals", "transcript: /log/{Link}", []string{"{Link} stands for nothing known"}},
		{"an empty placeholder", "transcript: /log/{}", []string{"{} stands for nothing known"}},
		{"a brace that is not closed", "transcript: /log/{link", []string{`"/log/{link" has a single brace; they come in pairs, and can be those of {link}, {end} and {date}`}},
		{"a brace that is not opened", "transcript: /log/link}", []string{"has a single brace"}},
		{"a brace in braces", "transcript: /log/{{link}}", []string{"has a single brace"}},
		{"a device", "transcript: /dev/ttyS0", []string{"links[0].transcript: /dev/ttyS0 is where devices are, and a transcript is a file"}},
		{"a long name", "transcript: /log/{link}" + strings.Repeat("n", 200), []string{"links[0].transcript: the name xnnnnnnnnnnnnnnnnnnn… is 201 bytes long, and can have 200"}},
		{"a long path", "transcript: " + strings.Repeat("/n", 2001), []string{"the path is 4002 bytes long, and can have 4000"}},
		{"wrong words", "transcript: {file: /x, format: xml, direction: c, compress: bzip2}", []string{
			`links[0].transcript.format: "xml" is not one of text, raw, hex, json, pcapng`,
			`links[0].transcript.direction: "c" is not one of both, a, b`,
			`links[0].transcript.compress: "bzip2" is not one of none, gzip, zstd`}},
		{"timestamps that are a text", "transcript: {file: /x, timestamps: iso}", []string{`is the text "iso", but must be true or false`}},
		{"small files", "transcript: {file: /x, max_size: 4095}", []string{"links[0].transcript.max_size: 4095 is out of range; it can be 0 (never rotated), or from 4 KiB to 1 TiB"}},
		{"large files", "transcript: {file: /x, max_size: 2TiB}", []string{"max_size: 2TiB is out of range"}},
		{"an age without a unit", "transcript: {file: /x, max_age: 30}", []string{`links[0].transcript.max_age: "30" is not a time, such as 30d or 12h`}},
		{"an age that is none", "transcript: {file: /x, max_age: 1dd}", []string{`"1dd" is not a time`}},
		{"an age of a sum", "transcript: {file: /x, max_age: 1d-1h}", []string{`"1d-1h" is not a time`}},
		{"an age of broken days", "transcript: {file: /x, max_age: 1.5d}", []string{`"1.5d" is not a time`}},
		{"a negative age", "transcript: {file: /x, max_age: -1h}", []string{"-1h is out of range; it can be 0 (for ever), or from 1s to 36500d"}},
		{"a short age", "transcript: {file: /x, max_age: 1ms}", []string{"1ms is out of range"}},
		{"a great age", "transcript: {file: /x, max_age: 36500d1s}", []string{"36500d1s is out of range"}},
		{"the greatest age", "transcript: {file: /x, max_age: 999999999d2562047h}", []string{"is out of range"}},
		{"an age in a list", "transcript: {file: /x, max_age: [30d]}", []string{"is a list, but must be a time, such as 30d or 12h, or 0"}},
		{"less than none to keep", "transcript: {file: /x, keep: -1}", []string{"links[0].transcript.keep: -1 is negative; 0 keeps all"}},
		{"the place of a socket", "transcript: /b", []string{"5:17: links[0].transcript: /b is already the address of links[0].b; a transcript needs a file of its own"}},
		{"the place of an end's socket", "transcript: '/{end}'", []string{"/a is already the address of links[0].a"}},
		{"the place of a pseudo-terminal", "transcript: /pty\n  - {name: y, a: {pty: /pty}, b: {device: /port}}", []string{"/pty is already the address of links[1].a"}},
		{"the place of a device", "transcript: {file: /port}\n  - {name: y, a: {pty: /pty}, b: {device: /port}}", []string{"5:24: links[0].transcript.file: /port is already the address of links[1].b"}},
		{"in an end", "absent: hold\n  - {name: y, a: {listen: /1, transcript: /x}, b: /2}", []string{"links[1].a.transcript: transcript is a key of the link, beside a and b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { refuses(t, write(t, withKeys(test.text)), test.says) })
	}
	t.Run("a folder with braces", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "{link}")
		if err := os.Rename(filepath.Dir(write(t, withKeys("transcript: x"))), path); err != nil {
			t.Fatal(err)
		}
		refuses(t, path+"/links.yaml", []string{`5:17: links[0].transcript: "x" would be in ` + path + ", and braces can only be around"})
	})
}

func TestLoadRefusesTranscriptsTwice(t *testing.T) {
	tests := []struct {
		name, defaults, x, y string // transcripts
		says                 string // "" if both can be
	}{
		{"one file", "none", "/log", "/log", "4:39: links[1].transcript: /log would be the file of both links[0] and links[1]; put {link} into the name"},
		{"one file of defaults", "/log", "", "", "1:24: defaults.transcript: /log would be the file of both links[0] and links[1]; put {link} into the name"},
		{"one file of defaults, in the long form", "{file: /log}", "{format: hex}", "{format: raw}", "1:31: defaults.transcript.file: /log would be the file of both"},
		{"the file of defaults", "/log", "/log", "none", ""},
		{"the file of defaults, and one's own", "/log", "", "/./log", "4:39: links[1].transcript: /log would be the file of both"},
		{"a name like another link's", "none", "'/{link}y'", "/xy", "/xy would be the file of both links[0] and links[1]; put {link}"},
		{"names that come to the same", "none", "'/{link}.{link}y'", "'/x.x{link}'", "/x.xy would be the file of both links[0] and links[1]; each link needs its own"},
		{"one end's file", "none", "'/x-{end}'", "/x-b", "/x-b would be the file"},
		{"one end's file that is not written", "none", "{file: '/x-{end}', direction: a}", "/x-b", ""},
		{"both ends' files", "'/{end}.log'", "{direction: a}", "{direction: b}", ""},
		{"one day's file", "'/{date}'", "", "", "1:24: defaults.transcript: /{date} would be the file of both"},
		{"a socket", "'/{link}'", "", "none", "1:24: defaults.transcript: /x is already the address of links[2].a"},
		{"files of their own", "'/log/{link}'", "", "", ""},
		{"a wrong file of defaults", "'/log/{lnk}'", "", "{format: hex}", "1:24: defaults.transcript: {lnk} stands for nothing known"},
		{"a file of defaults that does not fit", "{file: 5}", "", "{format: hex}", "1:31: defaults.transcript.file: is 5 (int)"},
		{"wrong defaults", "5", "", "{format: hex}", "defaults.transcript: is 5 (int)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := "defaults: {transcript: " + test.defaults + "}\nlinks:\n"
			for _, link := range []struct{ name, a, b, transcript string }{{"x", "/1", "/2", test.x}, {"y", "/3", "/4", test.y}, {"z", "/x", "/y.", "none"}} {
				text += "- {name: " + link.name + ", a: " + link.a + ", b: " + link.b
				if link.transcript != "" {
					text += ", transcript: " + link.transcript
				}
				text += "}\n"
			}
			path := write(t, text)
			if test.says != "" {
				refuses(t, path, []string{test.says})
			} else if _, err := config.Load(path); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("of links of one name", func(t *testing.T) {
		refuses(t, write(t, withKeys("transcript: '/{link}.log'")+"  - {name: x, a: /1, b: /2, transcript: '/{link}.log'}"), []string{`links[1].name: "x" is already the name of links[0]`})
	})
	t.Run("the API's", func(t *testing.T) {
		refuses(t, write(t, "api: {listen: unix:/api}\n"+withKeys("transcript: /api")), []string{"links[0].transcript: /api is already the address of api.listen"})
	})
}
