package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"serialhub/internal/address"
	"serialhub/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write puts text into a file of links, in a folder of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "links.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const twoLinks = `links:
  - name: dbg
    a: /run/dbg-a
    b: /run/dbg-b
  - name: Console.1
    a: {listen: unix:@console}
    b:
      listen: console.sock
`

func TestLoad(t *testing.T) {
	path := write(t, twoLinks)
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	end := func(text string) config.End {
		addr, err := address.Parse(text, filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		end := config.End{Address: addr, Mode: 0o600, WhenBusy: config.BusyReject}
		if addr.Path() == "" {
			end.Mode = 0 // an abstract socket has no file
		}
		return end
	}
	link := func(name, a, b string) config.Link {
		return config.Link{
			Name: name, A: end(a), B: end(b),
			Restart:    config.Restart{Policy: config.Always, Delay: 200 * time.Millisecond, MaxDelay: 30 * time.Second},
			Absent:     config.AbsentDiscard,
			BufferSize: 65536, OnDisconnect: config.OnDisconnectKeep,
		}
	}
	want := &config.Config{
		Path: path,
		API:  config.API{Listen: []config.APIListener{{APIAddress: config.APIAddress{Network: "tcp", Address: "127.0.0.1:7373"}}}},
		Log:  config.Log{Level: slog.LevelInfo, Format: "text"},
		Links: []config.Link{
			link("dbg", "/run/dbg-a", "/run/dbg-b"),
			link("Console.1", "unix:@console", "console.sock"),
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("Load gave\n%+v, want\n%+v", c, want)
	}
}

func TestLoadValues(t *testing.T) {
	tests := []struct {
		name, text string
		want       func(*config.Config) bool
	}{
		{"no links", "links: []", func(c *config.Config) bool { return len(c.Links) == 0 }},
		{"an API elsewhere", "api: {listen: '[::1]:80'}\nlinks: []", func(c *config.Config) bool {
			return c.API.Listen[0].APIAddress == config.APIAddress{Network: "tcp", Address: "[::1]:80"}
		}},
		{"an API on several addresses", "api: {listen: [localhost:0, unix:/run/hub.sock]}\nlinks: []", func(c *config.Config) bool {
			return len(c.API.Listen) == 2 && c.API.Listen[1].String() == "unix:/run/hub.sock"
		}},
		{"no API", "api: {listen: none}\nlinks: []", func(c *config.Config) bool { return len(c.API.Listen) == 0 }},
		{"log", "log: {level: debug, format: json}\nlinks: []", func(c *config.Config) bool {
			return c.Log == config.Log{Level: slog.LevelDebug, Format: "json"}
		}},
		{"anchors and merges", "links:\n- &x {name: one, a: /1, b: /2}\n- {<<: *x, name: two, a: /3, b: /4}", func(c *config.Config) bool {
			return c.Links[1].Name == "two" && c.Links[1].B.Address.Path() == "/4"
		}},
		{"everything about a link", `
links:
  - name: x
    a: {listen: /1, mode: "0660", owner: root, group: 108, allow_uids: [0, 64055], when_busy: replace}
    b: {listen: /2, when_busy: queue}
    restart: {policy: on-failure, delay: 1s, max_delay: 1m, max_failures: 5}
    absent: buffer
    buffer_size: 1MiB
    on_disconnect: close
    disabled: true
`, func(c *config.Config) bool {
			l := c.Links[0]
			return l.A.Mode == 0o660 && l.A.Owner == "root" && l.A.Group == "108" && slices.Equal(l.A.AllowUIDs, []int{0, 64055}) &&
				l.A.WhenBusy == config.BusyReplace && l.B.WhenBusy == config.BusyQueue && l.B.Mode == 0o600 &&
				l.Restart == config.Restart{Policy: config.OnFailure, Delay: time.Second, MaxDelay: time.Minute, MaxFailures: 5} &&
				l.Absent == config.AbsentBuffer && l.BufferSize == 1<<20 && l.OnDisconnect == config.OnDisconnectClose && l.Disabled
		}},
		{"defaults, and a link that has its own", `
defaults: {restart: {policy: never, delay: 1s}, absent: hold, buffer_size: 100}
links:
  - {name: x, a: /1, b: /2}
  - {name: y, a: /3, b: /4, restart: always, absent: discard, disabled: true}
  - {name: z, a: /5, b: /6, restart: {max_failures: 2}}
`, func(c *config.Config) bool {
			x, y, z := c.Links[0], c.Links[1], c.Links[2]
			return x.Restart.Policy == config.Never && x.Restart.Delay == time.Second && x.Absent == config.AbsentHold && x.BufferSize == 100 && !x.Disabled &&
				y.Restart.Policy == config.Always && y.Restart.Delay == time.Second && y.Absent == config.AbsentDiscard && y.Disabled &&
				z.Restart.Policy == config.Never && z.Restart.MaxFailures == 2 && z.A.Address.Path() == "/5"
		}},
		{"the longest name", "links: [{name: " + strings.Repeat("x", 63) + ", a: /1, b: /2}]", func(c *config.Config) bool { return len(c.Links[0].Name) == 63 }},
		{"a byte order mark", "\ufefflinks: []", func(c *config.Config) bool { return len(c.Links) == 0 }},
		{"Windows line ends", "links:\r\n- name: x\r\n  a: /1\r\n  b: /2\r\n", func(c *config.Config) bool { return c.Links[0].B.Address.Path() == "/2" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := config.Load(write(t, test.text))
			if err != nil {
				t.Fatal(err)
			}
			if !test.want(c) {
				t.Errorf("Load gave %+v", c)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	link := func(keys string) string { return "links:\n  - " + strings.ReplaceAll(keys, "\n", "\n    ") }
	good := "name: x\na: /1\nb: /2"
	tests := []struct {
		name, text string
		says       []string // one for each fault, as line:column: key: message
	}{
		{"empty", "", []string{"the file is empty"}},
		{"only comments", "# nothing\n", []string{"the file is empty"}},
		{"only a null", "~", []string{"the file is empty"}},
		{"text", "hello", []string{"1:1: is the text"}},
		{"a list", "- links", []string{"1:1: is a list, but must be a mapping"}},
		{"not YAML", "links: [", []string{":1:"}},
		{"a tab", "links:\n\t- name: x", []string{"2:1: the line is indented with a tab; YAML is indented with spaces"}},
		{"two documents", "links: []\n---\nlinks: []", []string{"2:1: a second document"}},
		{"NUL bytes", "links: []\x00", []string{"NUL"}},
		{"too large", "#" + strings.Repeat("x", 16<<20), []string{"larger than 16 MiB"}},
		{"a mapping that merges itself", "links: [&x {<<: *x, name: x, a: /1, b: /2}]", []string{"1:9: links[0]: the mapping merges itself"}},
		{"an unknown anchor", "links: *x", []string{"unknown anchor"}},
		{"no links", "log: {}", []string{"1:1: links: the key is missing"}},
		{"links without a value", "links:", []string{"1:7: links: has no value, but must be a list"}},
		{"unknown keys", "lonks: []\nfoo:\nlinks: []", []string{"1:1: lonks: unknown key; did you mean links?\n    1 | lonks: []\n      | ^\n", "2:1: foo: unknown key; known here: api, log, defaults, links"}},
		{"an unknown key of a link", link(good + "\nc: /3"), []string{"5:5: links[0].c: unknown key; known here: name, a, b, restart, absent, buffer_size, on_disconnect, scrollback, transcript, disabled"}},
		{"an unknown key of an end", link("name: x\na: {listen: /1, mod: 1}\nb: /2"), []string{"3:21: links[0].a.mod: unknown key"}},
		{"a key twice", link(good + "\na: /3"), []string{"5:5: links[0].a: the key is there twice, first in line 3"}},
		{"a key in capitals", link("Name: x\na: /1\nb: /2"), []string{"2:5: links[0].Name: unknown key; did you mean name?", "links[0].name: a link needs a name"}},
		{"no name", link("a: /1\nb: /2"), []string{"2:5: links[0].name: a link needs a name"}},
		{"a number as a name", link("name: 5\na: /1\nb: /2"), []string{"2:11: links[0].name: is 5 (int), but must be a text (put it in quotes)"}},
		{"a name with a slash", link("name: x/y\na: /1\nb: /2"), []string{`links[0].name: "x/y" is not a name`}},
		{"a name that starts with a dot", link("name: .x\na: /1\nb: /2"), []string{"is not a name"}},
		{"a name that is too long", link("name: " + strings.Repeat("x", 64) + "\na: /1\nb: /2"), []string{"1 to 63"}},
		{"a name with a line feed", link("name: \"x\\n\"\na: /1\nb: /2"), []string{"is not a name"}},
		{"a name twice", link(good) + "\n  - {name: x, a: /3, b: /4}", []string{`5:12: links[1].name: "x" is already the name of links[0]`}},
		{"no end", link("name: x\na: /1"), []string{"2:5: links[0].b: the end is missing"}},
		{"an end without a value", link("name: x\na:\nb: /2"), []string{"links[0].a: has no value, but must be the path of a socket"}},
		{"an empty end", link("name: x\na: ''\nb: {}"), []string{"links[0].a: the end is missing", "links[0].b: the end is missing"}},
		{"a list as an end", link("name: x\na: [/1]\nb: /2"), []string{"links[0].a: is a list, but must be the path of a socket"}},
		{"an address twice in a link", link("name: x\na: /1\nb: unix:///1"), []string{"4:8: links[0].b: unix:/1 is already the address of links[0].a"}},
		{"an address of another link", link(good) + "\n  - {name: y, a: /3, b: /1}", []string{"links[1].b: unix:/1 is already the address of links[0].a"}},
		{"the API's address", "api: {listen: unix:/1}\n" + link(good), []string{"links[0].a: unix:/1 is already the address of api.listen"}},
		{"a path that is too long", link("name: x\na: /" + strings.Repeat("x", 107) + "\nb: /2"), []string{"3:8: links[0].a: "}},
		{"another kind of address", link("name: x\na: udp:x:1\nb: /2"), []string{`"udp" is not a kind of address`}},
		{"a mode that is a number", link("name: x\na: {listen: /1, mode: 0660}\nb: /2"), []string{"3:27: links[0].a.mode: is 0660 (int), but must be a text (put it in quotes)"}},
		{"a mode that is none", link("name: x\na: {listen: /1, mode: '0980'}\nb: /2"), []string{`links[0].a.mode: "0980" is not a mode`}},
		{"a mode with more than permissions", link("name: x\na: {listen: /1, mode: '4755'}\nb: /2"), []string{"is not a mode"}},
		{"a mode of an abstract socket", link("name: x\na: {listen: 'unix:@x', mode: '0660', group: kvm}\nb: /2"), []string{"3:34: links[0].a.mode: does not go with “listen: unix:@x”: an abstract socket has no file", "links[0].a.group: does not"}},
		{"a uid that is a name", link("name: x\na: {listen: /1, allow_uids: [root]}\nb: /2"), []string{`links[0].a.allow_uids[0]: is the text "root", but must be a number`}},
		{"a uid that is none", link("name: x\na: {listen: /1, allow_uids: [-1, 0]}\nb: /2"), []string{"links[0].a.allow_uids[0]: -1 is not a uid"}},
		{"what to do when busy", link("name: x\na: {listen: /1, when_busy: wait}\nb: /2"), []string{`links[0].a.when_busy: "wait" is not one of reject, replace, queue`}},
		{"a wrong policy", link(good + "\nrestart: sometimes"), []string{`5:14: links[0].restart: "sometimes" is not one of always, on-failure, never`}},
		{"a wrong policy in the long form", link(good + "\nrestart: {policy: no}"), []string{`links[0].restart.policy: "no" is not one of`}},
		{"a policy that is a list", link(good + "\nrestart: [always]"), []string{"links[0].restart: is a list, but must be always, on-failure or never"}},
		{"a delay without a unit", link(good + "\nrestart: {delay: '5'}"), []string{`links[0].restart.delay: "5" is not a time`}},
		{"delays out of range", link(good + "\nrestart: {delay: 1ms, max_delay: 25h}"), []string{"links[0].restart.delay: 1ms is out of range", "links[0].restart.max_delay: 25h is out of range"}},
		{"a delay above its maximum", link(good + "\nrestart: {delay: 1m}"), []string{"links[0].restart.delay: 1m0s is longer than max_delay, which is 30s"}},
		{"a negative limit", link(good + "\nrestart: {max_failures: -1}"), []string{"max_failures: -1 is negative"}},
		{"a limit that is not whole", link(good + "\nrestart: {max_failures: 1.5}"), []string{"is 1.5 (float), but must be a number"}},
		{"an owner that is none", link("name: x\na: {listen: /1, owner: -1, group: 4294967295}\nb: /2"), []string{"links[0].a.owner: -1 is not the number", "links[0].a.group: 4294967295 is not the number"}},
		{"numbers that could be octal", link("name: x\na: {listen: /1, owner: 010}\nb: /2\nrestart: {max_failures: 010}"), []string{"links[0].a.owner: 010 is not a plain decimal number", "max_failures: 010 is not a plain decimal number"}},
		{"a fault above a merge", "links:\n- &x {name: x, a: /1, b: /2, absent: hold}\n- name: y\n  a: /3\n  b: /4\n  absent: bogus\n  <<: *x", []string{`6:11: links[1].absent: "bogus" is not one of`}},
		{"an unknown absent", link(good + "\nabsent: drop"), []string{`links[0].absent: "drop" is not one of discard, hold, buffer`}},
		{"an unknown on_disconnect", link(good + "\non_disconnect: drop"), []string{`links[0].on_disconnect: "drop" is not one of keep, close`}},
		{"a size that is none", link(good + "\nbuffer_size: big"), []string{`links[0].buffer_size: "big" is not a size`}},
		{"a size of nothing", link(good + "\nbuffer_size: 0"), []string{"links[0].buffer_size: 0 is out of range; it can be from 1 byte to 64 MiB"}},
		{"a size that is too large", link(good + "\nbuffer_size: 1GiB"), []string{"1GiB is out of range"}},
		{"disabled with a text", link(good + "\ndisabled: 'yes'"), []string{`is the text "yes", but must be true or false`}},
		{"wrong defaults", "defaults: {absent: drop, name: x}\nlinks: []", []string{"1:26: defaults.name: unknown key", `1:20: defaults.absent: "drop" is not one of`}},
		{"a wrong default that no link uses", "defaults: {absent: drop}\nlinks: []", []string{`1:20: defaults.absent: "drop" is not one of`}},
		{"a wrong level", "log: {level: loud}\nlinks: []", []string{`1:14: log.level: "loud" is none of debug, info, warn, error`}},
		{"a wrong format", "log: {format: xml}\nlinks: []", []string{`log.format: "xml" is neither text nor json`}},
		{"an open API", "api: {listen: 0.0.0.0:7373}\nlinks: []", []string{"not a loopback address"}},
		{"an API without a port", "api: {listen: localhost}\nlinks: []", []string{"is not host:port"}},
		{"an API with a wrong port", "api: {listen: 'localhost:http'}\nlinks: []", []string{"the port must be a number"}},
		{"an API in a list", "api:\n  listen:\n    - localhost:1\n    - 127.0.0.1:1\n    - none\n    - /run/api\nlinks: []", []string{"4:7: api.listen[1]: 127.0.0.1:1 is in the list twice", `5:7: api.listen[2]: "none" stands alone`, `6:7: api.listen[3]: "/run/api": write unix:/run/api`}},
		{"a delay that is a number", link(good + "\nrestart: {delay: 5}"), []string{"is 5 (int), but must be a time, such as 200ms, 30s or 5m"}},
		{"an abstract API", "api: {listen: 'unix:@x'}\nlinks: []", []string{"no file mode"}},
		{"faults of the shape and of the values", "lonks: []\nlog: {level: loud}\nlinks:\n- {name: 5, a: /1, b: /1}\n- text\n- {name: x, a: [/2], b: /3, c: 1}\n- {name: x, a: /4, b: {listen: /5, allow_uids: [a, 1]}}",
			[]string{"1:1: ", "2:14: ", "4:10: ", "4:23: links[0].b: unix:/1 is already", "5:3: links[1]: is the text", "6:16: links[2].a: is a list", "6:29: links[2].c: ", "7:10: links[3].name: \"x\" is already", "7:49: links[3].b.allow_uids[0]: is the text"}},
		{"all at once", "log: {level: loud}\n" + link("name: '-'\na: udp:x\nb: /") + "\n  - name: '-'", []string{"1:14: ", "3:11: ", "4:8: ", "5:8: ", "6:11: ", "6:5: links[1].a", "6:5: links[1].b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { refuses(t, write(t, test.text), test.says) })
	}
}

// refuses looks whether the file at path has these faults and no others.
func refuses(t *testing.T, path string, says []string) {
	t.Helper()
	_, err := config.Load(path)
	var faults *config.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("Load gave %v, want *config.Faults", err)
	}
	if len(faults.List) != len(says) {
		t.Errorf("%d faults, want %d", len(faults.List), len(says))
	}
	for _, says := range says {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("Load says\n%v\nwhich does not contain %q", err, says)
		}
	}
}

func TestBombOfAliasesIsRefused(t *testing.T) {
	var faults *config.Faults
	if _, err := config.Load(write(t, bomb())); !errors.As(err, &faults) {
		t.Errorf("Load gave %v", err)
	}
}

// bomb is a file of a few hundred bytes that means 10^9 values.
func bomb() string {
	text := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		text += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), c-1)
	}
	return text + "links: *i\n"
}

func TestLoadOfNoFile(t *testing.T) {
	if _, err := config.Load(filepath.Join(t.TempDir(), "links.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gave %v", err)
	}
	if _, err := config.Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a folder gave %v", err)
	}
}

func TestEnvironmentOverrides(t *testing.T) {
	t.Setenv("SERIALHUB_API_LISTEN", "127.0.0.1:1")
	t.Setenv("SERIALHUB_LOG_LEVEL", "warn")
	c, err := config.Load(write(t, "log: {level: debug}\nlinks: []"))
	if err != nil {
		t.Fatal(err)
	}
	if c.API.Listen[0].Address != "127.0.0.1:1" || c.Log.Level != slog.LevelWarn {
		t.Errorf("Load gave %+v", c)
	}
	t.Setenv("SERIALHUB_LOG_LEVEL", "loud")
	if _, err := config.Load(write(t, "log: {level: debug}\nlinks: []")); err == nil || !strings.Contains(err.Error(), `links.yaml: SERIALHUB_LOG_LEVEL: "loud" is none of`) {
		t.Errorf("a wrong environment gave %v", err)
	}
}

// TestShippedFiles loads every file of links in the repository.
func TestShippedFiles(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		if _, err := config.Load(file); err != nil {
			t.Error(err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		twoLinks, "", "links: []", "links:", "- x", "links: [{name: x, a: /1, b: /1}]", "api: {listen: [none, 'unix:/x']}\nlinks: []",
		"links: [{name: x, a: 'tcp::1', b: {connect: 'vsock:3:1'}}, {name: y, a: {pty: /1, mode: '0'}, b: {device: /2, baud: 9600}}]",
		"links: [{name: x, a: {listen: 'tls::1', cert: links.yaml, key: /dev/zero, client_ca: .}, b: {connect: 'tls:[::1]:1', ca: x, server_name: y, min_tls: '1.2'}}]",
		"defaults: {scrollback: 1MiB, transcript: '/log/{link}'}\nlinks: [{name: x, a: /1, b: /2, transcript: {file: 'y/{date}{end}', max_age: 1d1h, max_size: 0}}, {name: y, a: /3, b: /4}]",
		"links: [{name: x, a: {listen: /1, connect: /2, keepalive: 1s, stop_bits: 1}, b: /dev/ttyS0}]",
		"links: &a [*a]", "links: [&x {name: x, a: /1, b: /2}, {<<: *x}]", "log: {level: 5}\n? [x]\n: y", "links: []\n---\n", "a: !!binary x", bomb(),
	} {
		f.Add([]byte(text))
	}
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "links.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path)
		if err != nil {
			if faults := (*config.Faults)(nil); !errors.As(err, &faults) || len(faults.List) == 0 {
				t.Errorf("Load(%q) gave %T: %v", text, err, err)
			}
			return
		}
		names, used := map[string]bool{}, map[string]bool{}
		for _, link := range c.Links {
			for _, addr := range []string{link.A.Address.String(), link.B.Address.String()} {
				if addr == "" || used[addr] {
					t.Errorf("Load(%q) let through the address %q", text, addr)
				}
				used[addr] = true
			}
			if link.Name == "" || names[link.Name] {
				t.Errorf("Load(%q) let through the name %q", text, link.Name)
			}
			names[link.Name] = true
			if link.Transcript != nil {
				file := link.Transcript.Path(link.Name, "a", time.Time{})
				folder, _, _ := strings.Cut(link.Transcript.File, "{")
				folder = folder[:strings.LastIndex(folder, "/")+1]
				if used[file] || filepath.Clean(file) != file || !filepath.IsAbs(file) || !strings.HasPrefix(file, folder) {
					t.Errorf("Load(%q) let through the transcript %q", text, file)
				}
			}
		}
	})
}
