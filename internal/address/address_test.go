package address_test

import (
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"serialhub/internal/address"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	t.Parallel()
	longest := "/" + strings.Repeat("x", address.MaxUnixPath-1)
	tests := []struct {
		name, text string
		want, path string
	}{
		{"path", "/tmp/windows-debugger", "unix:/tmp/windows-debugger", "/tmp/windows-debugger"},
		{"scheme", "unix:/run/x", "unix:/run/x", "/run/x"},
		{"URL", "unix:///run/x", "unix:/run/x", "/run/x"},
		{"relative", "sock/x", "unix:/etc/serialhub/sock/x", "/etc/serialhub/sock/x"},
		{"relative with scheme", "unix:x", "unix:/etc/serialhub/x", "/etc/serialhub/x"},
		{"relative to the parent", "../x", "unix:/etc/x", "/etc/x"},
		{"a colon after a folder", "./a:b", "unix:/etc/serialhub/a:b", "/etc/serialhub/a:b"},
		{"a colon first", "./:4555", "unix:/etc/serialhub/:4555", "/etc/serialhub/:4555"},
		{"a colon behind the scheme", "unix::4555", "unix:/etc/serialhub/:4555", "/etc/serialhub/:4555"},
		{"a colon in a path", "/run/a:b", "unix:/run/a:b", "/run/a:b"},
		{"cleaned", "/run//serialhub/./x", "unix:/run/serialhub/x", "/run/serialhub/x"},
		{"abstract", "unix:@dbg-a", "unix:@dbg-a", ""},
		{"abstract is not cleaned", "unix:@a//b/", "unix:@a//b/", ""},
		{"TCP", "tcp:lab7:4555", "tcp:lab7:4555", ""},
		{"TCP on all addresses", "tcp::4555", "tcp::4555", ""},
		{"a host in capitals", "tcp:Lab7.Example:4555", "tcp:lab7.example:4555", ""},
		{"a port with zeros before it", "tcp:lab7:04555", "tcp:lab7:4555", ""},
		{"IPv4", "tcp:192.0.2.1:65535", "tcp:192.0.2.1:65535", ""},
		{"IPv6", "tcp:[2001:DB8:0::1]:1", "tcp:[2001:db8::1]:1", ""},
		{"IPv6 of an interface", "tcp:[fe80::1%eth0]:1", "tcp:[fe80::1%eth0]:1", ""},
		{"IPv4 in IPv6", "tcp:[::ffff:192.0.2.1]:1", "tcp:192.0.2.1:1", ""},
		{"TLS", "tls:lab7:4555", "tls:lab7:4555", ""},
		{"vsock", "vsock:3:4555", "vsock:3:4555", ""},
		{"vsock of any context", "vsock:any:0", "vsock:any:0", ""},
		{"vsock of the host", "vsock:host:1", "vsock:host:1", ""},
		{"vsock of this machine", "vsock:local:4294967294", "vsock:local:4294967294", ""},
		{"vsock of the host by its number", "vsock:2:1", "vsock:host:1", ""},
		{"vsock of this machine by its number", "vsock:01:1", "vsock:local:1", ""},
		{"the longest path", longest, "unix:" + longest, longest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := address.Parse(test.text, "/etc/serialhub")
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != test.want || got.Path() != test.path {
				t.Errorf("Parse(%q) = %q with path %q, want %q with path %q", test.text, got, got.Path(), test.want, test.path)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, says string }{
		{"empty", "", "empty"},
		{"scheme alone", "unix:", "empty"},
		{"a folder", "/run/serialhub/", "folder"},
		{"this folder", "unix:.", "folder"},
		{"the root", "/..", "folder"},
		{"too long", "/" + strings.Repeat("x", address.MaxUnixPath), "108 bytes long"},
		{"too long once it is absolute", strings.Repeat("x", 100), "shorter folder"},
		{"another kind", "udp:localhost:1", `"udp" is not a kind`},
		{"a host", "unix://host/path", "names a host"},
		{"abstract without a name", "unix:@", "needs a name"},
		{"abstract without its scheme", "@dbg", "unix:@dbg"},
		{"a home", "~/sock", "not expanded"},
		{"a variable", "unix:$HOME/sock", "not expanded"},
		{"NUL", "/run/a\x00b", "NUL"},
		{"NUL in a host", "tcp:a\x00b:1", "NUL"},
		{"a scheme of another way", "connect:unix:/x", "write {connect: unix:/x}"},
		{"a port alone", ":4555", `":4555": there is no kind of address before the colon; write tcp::4555 (or ./:4555 for`},
		{"nothing before a colon", ":x", "write a path, unix:/path"},
		{"no port", "tcp:lab7", "write tcp:lab7:PORT"},
		{"no port of TLS", "tls:lab7", "write tls:lab7:PORT"},
		{"no port behind the colon", "tcp:lab7:", "write tcp:lab7:PORT"},
		{"no port of IPv6", "tcp:[::1]", `"[::1]" is not a host and a port; write tcp:[::1]:PORT`},
		{"the scheme of TCP alone", "tcp:", "is not a host and a port; write tcp:host:port, such as tcp:lab7:4555"},
		{"colons alone", "tcp::", `"" is not a port`},
		{"a port without a host", "tcp:4555", "write tcp::4555 to listen on all addresses of this machine, or tcp:HOST:4555"},
		{"a port without a host, of TLS", "tls:4555", "write tls::4555 to listen on all addresses of this machine, or tls:HOST:4555"},
		{"a star", "tcp:*:4555", "write tcp::4555, which is all addresses"},
		{"a star without a scheme", "*:4555", "write tcp::4555, which is all addresses"},
		{"a host and a port without a scheme", "lab7:4555", `"lab7" is not a kind of address known here; write tcp:lab7:4555 (or ./lab7:4555 for`},
		{"IPv4 without a scheme", "10.0.0.1:4555", "write tcp:10.0.0.1:4555 "},
		{"IPv6 without a scheme", "[::1]:4555", "write tcp:[::1]:4555 "},
		{"IPv6 without a scheme and brackets", "2001:db8::1:4555", "brackets: tcp:[2001:db8::1]:4555, or tcp:[2001:db8::1:4555]:PORT"},
		{"a URL", "tcp://lab7:4555", "write tcp:lab7:4555"},
		{"a URL with a path", "tls://lab7:4555/", "write tls:lab7:4555"},
		{"a URL without a host", "tcp://:4555", "write tcp::4555"},
		{"a URL without a port", "tcp://lab7", "write tcp:lab7:PORT"},
		{"a URL of a star", "tcp://*:4555", "write tcp::4555, which"},
		{"IPv6 without brackets", "tcp:::1:4555", "brackets: tcp:[::1]:4555, or tcp:[::1:4555]:PORT"},
		{"IPv6 without brackets and port", "tcp:2001:db8::1", "brackets: tcp:[2001:db8::1]:PORT"},
		{"whole IPv6 without brackets", "tls:1:2:3:4:5:6:7:8:4555", "brackets: tls:[1:2:3:4:5:6:7:8]:4555"},
		{"all of IPv6 without brackets", "tcp::::4555", "brackets: tcp:[::]:4555"},
		{"a broken IP address", "tcp:10.0.0.256:1", `"10.0.0.256" is neither`},
		{"a host that is a number", "tcp:5:1", `"5" is neither`},
		{"a host with a blank", "tcp:lab 7:1", "is neither the name"},
		{"a name of a service", "tcp:lab7:ssh", `"ssh" is not a port`},
		{"port 0", "tcp:lab7:0", "from 1 to 65535"},
		{"a port above all", "tcp:lab7:65536", "from 1 to 65535"},
		{"vsock without a port", "vsock:3", "the port is missing"},
		{"vsock without a context", "vsock::1", `"" is not a context`},
		{"vsock of a name", "vsock:vm:1", `"vm" is not a context`},
		{"the number of any context", "vsock:4294967295:1", "is not a context"},
		{"a port of vsock above all", "vsock:3:4294967295", "is not a port"},
		{"a pseudo-terminal", "pty:/run/x", "write {pty: /run/x}"},
		{"a device", "device:/dev/ttyS0", "write {device: /dev/ttyS0}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := address.Parse(test.text, "/etc/serialhub")
			if err == nil {
				t.Fatalf("Parse(%q) = %q, want an error", test.text, got)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("Parse(%q) says %q, which does not contain %q", test.text, err, test.says)
			}
		})
	}
}

func TestParseFile(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want, says string }{
		{"path", "/dev/ttyUSB0", "/dev/ttyUSB0", ""},
		{"relative", "x.tty", "/etc/serialhub/x.tty", ""},
		{"colons in a path", "/dev/serial/by-path/pci-0:1", "/dev/serial/by-path/pci-0:1", ""},
		{"a colon after a folder", "./a:b", "/etc/serialhub/a:b", ""},
		{"longer than a socket's", "/" + strings.Repeat("x", 200), "/" + strings.Repeat("x", 200), ""},
		{"empty", "", "", "empty"},
		{"the longest name", "/x/" + strings.Repeat("n", 255), "/x/" + strings.Repeat("n", 255), ""},
		{"the longest path", strings.Repeat("/12345678", 455), strings.Repeat("/12345678", 455), ""},
		{"a longer name", "/x/" + strings.Repeat("n", 256) + "/y", "", "the name nnnnnnnnnnnnnnnnnnnn… is 256 bytes long, and can have 255"},
		{"a longer path", strings.Repeat("/12345678", 455) + "1", "", "the path is 4096 bytes long, and can have 4095"},
		{"too long once it is absolute", strings.Repeat("12345678/", 454) + "x", "", "the path is 4102 bytes"},
		{"a folder", "/dev/", "", "folder"},
		{"a home", "~/x", "", "not expanded"},
		{"a scheme", "pty:/x", "", "write the path alone, {pty: /x} (or ./pty:/x"},
		{"NUL", "/dev/\x00", "", "NUL"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := address.ParseFile(address.PTY, test.text, "/etc/serialhub")
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) || got != (address.Address{}) {
					t.Errorf("ParseFile(%q) = %q, %v, want an error with %q", test.text, got, err, test.says)
				}
			} else if err != nil || got.String() != test.want || got.Path() != test.want || got.Kind() != address.PTY {
				t.Errorf("ParseFile(%q) = %s %q, %v, want %q", test.text, got.Kind(), got, err, test.want)
			}
		})
	}
	one, err := address.ParseFile(address.PTY, "/x", "/")
	if err != nil {
		t.Fatal(err)
	}
	if other, err := address.ParseFile(address.Device, "/x", "/"); err != nil || one == other {
		t.Errorf("a pseudo-terminal is the device %q, %v", other, err)
	}
}

func TestParseFileOfADevice(t *testing.T) {
	t.Parallel()
	if got, err := address.ParseFile(address.Device, "ttyUSB0", "/etc/serialhub"); err == nil ||
		err.Error() != `"ttyUSB0" would be a file in /etc/serialhub; write /dev/ttyUSB0 (or ./ttyUSB0 for a file of that name)` {
		t.Errorf("a name alone is %q, %v", got, err)
	}
	if got, err := address.ParseFile(address.Device, "./ttyUSB0", "/etc/serialhub"); err != nil || got.Path() != "/etc/serialhub/ttyUSB0" {
		t.Errorf("a relative path is %q, %v", got, err)
	}
}

func TestNamesOfContexts(t *testing.T) {
	t.Parallel()
	for named, number := range map[string]string{"vsock:local:1": "vsock:1:1", "vsock:host:1": "vsock:2:1"} {
		one, err := address.Parse(named, "/")
		if err != nil {
			t.Fatal(err)
		}
		if other, err := address.Parse(number, "/"); err != nil || one != other || one.String() != named {
			t.Errorf("%s is %q, and %s is %q, %v", named, one, number, other, err)
		}
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{"tcp::1": {"", "1"}, "tls:[::1]:2": {"::1", "2"}, "tcp:lab7:3": {"lab7", "3"}} {
		addr, err := address.Parse(text, "/")
		if host, port := addr.HostPort(); err != nil || [2]string{host, port} != want {
			t.Errorf("%s is host %q, port %q, %v", text, host, port, err)
		}
	}
	for text, want := range map[string][2]uint32{"vsock:any:1": {address.AnyCID, 1}, "vsock:3:2": {3, 2}, "vsock:local:1": {1, 1}, "vsock:host:1": {2, 1}} {
		addr, err := address.Parse(text, "/")
		if cid, port := addr.ContextPort(); err != nil || [2]uint32{cid, port} != want || addr != address.FromVSock(cid, port) {
			t.Errorf("%s is context %d, port %d, %v", text, cid, port, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"/tmp/a", "unix:/tmp/a", "unix:///a", "unix:@a", "a", "../a", "unix:", "tcp:a:1", "//", "@", "unix:@a\x00", "./a:b/..",
		"tcp::1", "tls:[fe80::1%eth0]:01", "tcp:[::ffff:1.2.3.4]:1", "tls:A.b:65535", "vsock:any:1", "vsock:03:4294967294", "vsock:local:1", "vsock:2:1", ":4555", "tcp://a:1", "tcp:::1:4555", "*:1", "pty:/x", "device:x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := address.Parse(text, "/etc/serialhub")
		if err != nil {
			return
		}
		if len(got.SocketName()) == 0 || got.Kind() == address.Unix && len(got.SocketName()) > address.MaxUnixPath {
			t.Errorf("Parse(%q) gave a name of %d bytes", text, len(got.SocketName()))
		}
		if path := got.Path(); path != "" && !filepath.IsAbs(path) {
			t.Errorf("Parse(%q) gave the relative path %q", text, path)
		}
		again, err := address.Parse(got.String(), "/elsewhere")
		if err != nil || again != got {
			t.Errorf("Parse(%q).String() = %q, which reads back as %q, %v", text, got, again, err)
		}
	})
}
