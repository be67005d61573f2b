package config_test

import (
	"crypto/tls"
	"reflect"
	"strings"
	"testing"
	"time"

	"serialhub/internal/address"
	"serialhub/internal/config"
)

// withEnd is a file of one link with such an end a.
func withEnd(a string) string { return "links:\n  - name: x\n    a: " + a + "\n    b: /b\n" }

func TestLoadEnds(t *testing.T) {
	serial := config.Serial{Baud: 115200, DataBits: 8, Parity: "none", StopBits: 1, FlowControl: "none"}
	parse := func(text string) address.Address {
		addr, err := address.Parse(text, "/")
		if err != nil {
			t.Fatal(err)
		}
		return addr
	}
	file := func(kind address.Kind, path string) address.Address {
		addr, err := address.ParseFile(kind, path, "/")
		if err != nil {
			t.Fatal(err)
		}
		return addr
	}
	tests := []struct {
		text, way string
		want      config.End
	}{
		{"tcp::4555", "listen", config.End{Address: parse("tcp::4555"), WhenBusy: config.BusyReject, KeepAlive: time.Minute}},
		{"{listen: 'tcp:[::1]:4555', keepalive: 2s, when_busy: queue}", "listen",
			config.End{Address: parse("tcp:[::1]:4555"), WhenBusy: config.BusyQueue, KeepAlive: 2 * time.Second}},
		{"vsock:any:4555", "listen", config.End{Address: parse("vsock:any:4555"), WhenBusy: config.BusyReject}},
		{"{listen: 'unix:@x', allow_uids: [0]}", "listen", config.End{Address: parse("unix:@x"), AllowUIDs: []int{0}, WhenBusy: config.BusyReject}},
		{"/dev/shm/x.sock", "listen", config.End{Address: parse("/dev/shm/x.sock"), Mode: 0o600, WhenBusy: config.BusyReject}},
		{"unix:/dev/x", "listen", config.End{Address: parse("/dev/x"), Mode: 0o600, WhenBusy: config.BusyReject}},
		{"{connect: /x}", "connect", config.End{Address: parse("/x"), Connects: true}},
		{"{connect: 'unix:@x', allow_uids: [1, 2]}", "connect", config.End{Address: parse("unix:@x"), Connects: true, AllowUIDs: []int{1, 2}}},
		{"{connect: 'tcp:lab7:4555', keepalive: 12h}", "connect", config.End{Address: parse("tcp:lab7:4555"), Connects: true, KeepAlive: 12 * time.Hour}},
		{"{connect: 'vsock:host:4555'}", "connect", config.End{Address: parse("vsock:2:4555"), Connects: true}},
		{"{connect: 'tls:lab7:4555'}", "connect",
			config.End{Address: parse("tls:lab7:4555"), Connects: true, KeepAlive: time.Minute, TLS: config.TLS{MinVersion: tls.VersionTLS13}}},
		{"{connect: 'tls:lab7:4555', server_name: '::1', min_tls: '1.2'}", "connect",
			config.End{Address: parse("tls:lab7:4555"), Connects: true, KeepAlive: time.Minute, TLS: config.TLS{ServerName: "::1", MinVersion: tls.VersionTLS12}}},
		{"{pty: /x}", "pty", config.End{Address: file(address.PTY, "/x"), Mode: 0o600}},
		{"{pty: /x, mode: '0660', owner: 0, group: dialout}", "pty", config.End{Address: file(address.PTY, "/x"), Mode: 0o660, Owner: "0", Group: "dialout"}},
		{"{device: /dev/ttyUSB0}", "device", config.End{Address: file(address.Device, "/dev/ttyUSB0"), Serial: serial}},
		{"{device: /dev/ttyS0, baud: 9600, data_bits: 7, parity: even, stop_bits: 2, flow_control: hardware}", "device",
			config.End{Address: file(address.Device, "/dev/ttyS0"), Serial: config.Serial{Baud: 9600, DataBits: 7, Parity: "even", StopBits: 2, FlowControl: "hardware"}}},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			c, err := config.Load(write(t, withEnd(test.text)))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Links[0].A; !reflect.DeepEqual(got, test.want) || got.Way() != test.way {
				t.Errorf("Load gave %s %+v, want %s %+v", got.Way(), got, test.way, test.want)
			}
		})
	}
}

func TestLoadMergesEnds(t *testing.T) {
	c, err := config.Load(write(t, "links:\n- name: x\n  a: &port {device: /dev/ttyS0, baud: 9600}\n  b: {<<: *port, device: /dev/ttyS1}"))
	if err != nil {
		t.Fatal(err)
	}
	if b := c.Links[0].B; b.Address.Path() != "/dev/ttyS1" || b.Serial.Baud != 9600 {
		t.Errorf("Load gave %+v", b)
	}
}

func TestLoadRefusesEnds(t *testing.T) {
	tests := []struct {
		name, text string
		says       []string // one for each fault, as line:column: key: message
	}{
		{"none of the ways", "{mode: '0660'}", []string{"3:8: links[0].a: the end is missing; write the path of a socket, such as a: /run/serialhub/dbg-a, or one of listen, connect, pty and device"}},
		{"two ways", "{connect: /1, listen: /2}", []string{"3:18: links[0].a.connect: an end has only one of listen, connect, pty and device, and this one has listen already"}},
		{"all ways", "{listen: /1, connect: /2, pty: /3, device: /4}", []string{"links[0].a.device: an end has only one"}},
		{"a way without an address", "{connect: ''}", []string{"3:18: links[0].a.connect: the address is empty"}},
		{"a way that is a number", "{device: 5}", []string{"3:17: links[0].a.device: is 5 (int), but must be a text"}},
		{"a device in the short form", "/dev/ttyUSB0", []string{"3:8: links[0].a: /dev/ttyUSB0 is where devices are: write {device: /dev/ttyUSB0}"}},
		{"a device to connect to", "{connect: /dev/ttyUSB0}", []string{"links[0].a.connect: /dev/ttyUSB0 is where devices are"}},
		{"a scheme of another way", "pty:/x", []string{"links[0].a: \"pty:/x\": write {pty: /x}"}},
		{"a scheme behind its way", "{device: 'device:/dev/ttyS0'}", []string{`links[0].a.device: "device:/dev/ttyS0": write the path alone, {device: /dev/ttyS0}`}},
		{"a device without its folder", "{device: ttyUSB0}", []string{`3:17: links[0].a.device: "ttyUSB0" would be a file in `}},
		{"a name that no file can have", "{pty: /" + strings.Repeat("n", 256) + "}", []string{"links[0].a.pty: the name nnnnnnnnnnnnnnnnnnnn… is 256 bytes long"}},
		{"a port alone", "{listen: ':4555'}", []string{`3:17: links[0].a.listen: ":4555": there is no kind of address before the colon; write tcp::4555`}},
		{"a port alone, in the short form", "':4555'", []string{`links[0].a: ":4555": there is no kind`}},
		{"keys of the link in an end", "{listen: /1, restart: never, absent: hold, name: y}", []string{
			"3:21: links[0].a.restart: restart is a key of the link, beside a and b", "links[0].a.absent: absent is a key of the link", "links[0].a.name: name is a key of the link"}},
		{"a key of an end in the link", "/1\n    mode: '0660'", []string{"4:5: links[0].mode: mode is a key of an end, inside a or b: {listen: …, mode: …}"}},
		{"a way in the link", "/1\n    pty: /2", []string{"4:5: links[0].pty: pty is a key of an end, inside a or b: {pty: …}"}},
		{"a folder as a device", "{device: /dev/}", []string{`links[0].a.device: "/dev/" names a folder`}},

		{"no host to connect to", "{connect: 'tcp::4555'}", []string{"3:18: links[0].a.connect: tcp::4555 names no host to connect to; write tcp:HOST:4555, such as tcp:127.0.0.1:4555"}},
		{"no host to connect to with TLS", "{connect: 'tls::4555'}", []string{"write tls:HOST:4555"}},
		{"every host to connect to", "{connect: 'tcp:0.0.0.0:4555'}", []string{"links[0].a.connect: tcp:0.0.0.0:4555 stands for every address of this machine"}},
		{"any context to connect to", "{connect: 'vsock:any:4555'}", []string{"links[0].a.connect: vsock:any:4555 can only be listened on; write the context of the VM, such as vsock:3:4555"}},
		{"a port of 0", "tcp:lab7:0", []string{`links[0].a: "tcp:lab7:0": "0" is not a port`}},

		{"a speed of a socket", "{listen: /1, baud: 9600}", []string{"3:27: links[0].a.baud: does not go with “listen: unix:/1”: it is for device"}},
		{"a speed of a pseudo-terminal", "{pty: /1, parity: none, flow_control: none}", []string{"links[0].a.parity: does not go with “pty: /1”", "links[0].a.flow_control: does not"}},
		{"a mode with TCP", "{listen: 'tcp::1', mode: '0660', owner: root, group: root}", []string{
			"links[0].a.mode: does not go with “listen: tcp::1”: it is for the file that the hub makes", "links[0].a.owner: does not", "links[0].a.group: does not"}},
		{"a mode of what is connected to", "{connect: /1, mode: '0660'}", []string{"links[0].a.mode: does not go with “connect: unix:/1”: it is for the file that the hub makes"}},
		{"a mode of a device", "{device: /dev/ttyS0, group: dialout}", []string{"links[0].a.group: does not go with “device: /dev/ttyS0”"}},
		{"uids with TCP", "{listen: 'tcp::1', allow_uids: [0]}", []string{"links[0].a.allow_uids: does not go with “listen: tcp::1”: it is for unix sockets"}},
		{"uids of a pseudo-terminal", "{pty: /1, allow_uids: []}", []string{"links[0].a.allow_uids: does not go"}},
		{"a second peer where one is connected to", "{connect: /1, when_busy: queue}", []string{"links[0].a.when_busy: does not go with “connect: unix:/1”: it is for listen"}},
		{"a second peer of a device", "{device: /1, when_busy: queue}", []string{"links[0].a.when_busy: does not go"}},
		{"a dead peer of a socket", "{listen: /1, keepalive: 60s}", []string{"links[0].a.keepalive: does not go with “listen: unix:/1”: it is for tcp and tls"}},
		{"a certificate without TLS", "{listen: 'tcp::1', cert: x.pem, key: x.key, min_tls: '1.2'}", []string{
			"links[0].a.cert: does not go with “listen: tcp::1”: it is for tls:host:port", "links[0].a.key: does not", "links[0].a.min_tls: does not"}},
		{"a wrong value that does not belong there", "{listen: /1, baud: -1}", []string{"links[0].a.baud: does not go"}},
		{"a client's authority where the hub is the client", "{connect: 'tls:lab7:1', client_ca: x.pem}", []string{"links[0].a.client_ca: does not go with “connect: tls:lab7:1”: it is for listen; write ca"}},

		{"a short keepalive", "{listen: 'tcp::1', keepalive: 1s}", []string{"3:38: links[0].a.keepalive: 1s is out of range; it can be from 2s to 12h"}},
		{"a keepalive that is a number", "{listen: 'tcp::1', keepalive: 60}", []string{"links[0].a.keepalive: is 60 (int), but must be a time"}},
		{"no speed", "{device: /1, baud: 0}", []string{"links[0].a.baud: 0 is out of range; it can be from 1 to 12000000"}},
		{"a speed without end", "{device: /1, baud: 12000001}", []string{"12000001 is out of range"}},
		{"a speed that is a text", "{device: /1, baud: fast}", []string{`links[0].a.baud: is the text "fast", but must be a number`}},
		{"too many bits", "{device: /1, data_bits: 9, stop_bits: 3}", []string{"data_bits: 9 is out of range; it can be from 5 to 8", "stop_bits: 3 is out of range; it can be from 1 to 2"}},
		{"an unknown parity", "{device: /1, parity: both, flow_control: rts}", []string{
			`links[0].a.parity: "both" is not one of none, odd, even, mark, space`, `links[0].a.flow_control: "rts" is not one of none, hardware, software`}},
		{"an owner beyond all numbers", "{listen: /1, owner: '99999999999999999999'}", []string{"links[0].a.owner: 99999999999999999999 is not the number"}},

		{"TLS in the short form", "tls::4555", []string{"3:8: links[0].a: to listen with TLS takes a certificate; write {listen: tls::4555, cert: FILE, key: FILE}"}},
		{"TLS without a certificate", "{listen: 'tls::4555'}", []string{"3:17: links[0].a.listen: to listen with TLS takes a certificate"}},
		{"TLS without a key", "{listen: 'tls::4555', cert: hub.pem}", []string{"3:8: links[0].a.key: is missing; cert and key go together"}},
		{"a key without its certificate", "{connect: 'tls:lab7:4555', key: hub.key}", []string{"3:8: links[0].a.cert: is missing"}},
		{"TLS that is too old", "{connect: 'tls:lab7:4555', min_tls: '1.1'}", []string{`links[0].a.min_tls: "1.1" is not one of 1.3, 1.2`}},
		{"a version that is a number", "{connect: 'tls:lab7:4555', min_tls: 1.3}", []string{"links[0].a.min_tls: is 1.3 (float), but must be a text (put it in quotes)"}},
		{"a server's name with a port", "{connect: 'tls:lab7:4555', server_name: 'lab7:4555'}", []string{`links[0].a.server_name: "lab7:4555" is neither the name of a host nor an IP address`}},
		{"a server without a name", "{connect: 'tls:lab7:4555', server_name: ''}", []string{`links[0].a.server_name: "" is neither`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { refuses(t, write(t, withEnd(test.text)), test.says) })
	}
}

func TestLoadRefusesAddressesTwice(t *testing.T) {
	tests := []struct {
		name, a, b string
		says       string // "" if both can be
	}{
		{"connected to twice", "{connect: 'tcp:lab7:1'}", "{connect: 'tcp:LAB7:1'}", "tcp:lab7:1 is already the address of links[0].a; each end needs its own"},
		{"with and without TLS", "{connect: 'tcp:lab7:1'}", "{connect: 'tls:lab7:1'}", "tls:lab7:1 is already the address of links[0].a"},
		{"listened on, and connected to", "/1", "{connect: /1}", "unix:/1 is already the address of links[0].a"},
		{"a socket and a pseudo-terminal", "/1", "{pty: /1}", "/1 is already the address of links[0].a"},
		{"a pseudo-terminal and a device", "{pty: /1}", "{device: /1}", "/1 is already"},
		{"vsock", "vsock:any:1", "vsock:any:1", "vsock:any:1 is already"},
		{"names of this machine", "tcp:localhost:1", "tcp:127.0.0.1:1", "is already"},
		{"mapped to IPv6", "tcp:127.0.0.1:1", "'tcp:[::ffff:127.0.0.1]:1'", "is already"},
		{"all addresses", "tcp::1", "'tcp:[::]:1'", "is already"},
		{"one address, and all", "tcp:127.0.0.1:1", "tcp::1", "tcp::1 takes the port of links[0].a, too"},
		{"all addresses, and one", "tcp::1", "'tcp:[::1]:1'", "takes the port of links[0].a"},
		{"all of IPv4, and all", "tcp:0.0.0.0:1", "tcp::1", "takes the port"},
		{"any context, and one", "vsock:any:1", "vsock:2:1", "vsock:host:1 takes the port"},
		{"the API's", "tcp:127.0.0.1:7373", "/1", "tcp:127.0.0.1:7373 is already the address of api.listen"},
		{"the API's among all", "tcp::7373", "/1", "tcp::7373 takes the port of api.listen"},
		{"other ports", "tcp::1", "tcp::2", ""},
		{"other hosts", "tcp:127.0.0.1:1", "tcp:127.0.0.2:1", ""},
		{"all of IPv4, and one of IPv6", "tcp:0.0.0.0:1", "'tcp:[::1]:1'", ""},
		{"listened on, and another host's", "tcp::1", "{connect: 'tcp:lab7:1'}", ""},
		{"ports of other contexts", "{connect: 'vsock:3:1'}", "{connect: 'vsock:4:1'}", ""},
		{"an abstract name like a path", "unix:@/1", "/1", ""},
		{"TCP and vsock", "tcp::1", "vsock:any:1", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "links:\n- name: x\n  a: "+test.a+"\n  b: /b\n- name: y\n  a: "+test.b+"\n  b: /c\n")
			if test.says != "" {
				refuses(t, path, []string{test.says})
			} else if _, err := config.Load(path); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAPIRefusesOtherKinds(t *testing.T) {
	for _, text := range []string{"tcp:127.0.0.1:1", "tls:127.0.0.1:1", "vsock:any:1", "pty:/x"} {
		refuses(t, write(t, "api: {listen: '"+text+"'}\nlinks: []"), []string{"1:15: api.listen: "})
	}
}
