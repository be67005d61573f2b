package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"serialhub/internal/address"
)

// A dead peer is found within 60 s, or within what keepalive says. The kernel counts in seconds, and to 32767 for half of the time.
const (
	keepAlive    = time.Minute
	minKeepAlive = 2 * time.Second
	maxKeepAlive = 12 * time.Hour
)

func (c *checker) end(entry *endEntry, key string) End {
	if entry == nil {
		entry = &endEntry{}
	}
	way, text, at := c.way(entry, key)
	if way == "" {
		return End{}
	}
	addr, err := c.address(way, text)
	end := builtinEnd(addr, way == "connect")
	if err == nil {
		err = connectable(end)
	}
	if err != nil {
		c.add(at, "%s", err)
	} else {
		c.claim(end, at, key)
	}
	if short := at == key; !short {
		c.keys(&end, entry, key)
	}
	c.tls(&end, entry, key, at)
	return end
}

// keys reads what is written beside the address.
func (c *checker) keys(end *End, entry *endEntry, key string) {
	if end.Address.Kind() != "" {
		c.checkKeys(*end, key) // the first, so that a key that does not belong is not looked into
	}
	c.file(end, entry, key)
	c.peers(end, entry, key)
	c.serial(&end.Serial, entry, key)
}

// way finds which of the four ways of an end is written, with its value and the key to blame for it; "" if it is not exactly one.
func (c *checker) way(entry *endEntry, key string) (way, text, at string) {
	var written []string
	ways := []struct{ name, text string }{{"listen", entry.Listen}, {"connect", entry.Connect}, {"pty", entry.PTY}, {"device", entry.Device}}
	for _, one := range ways {
		if c.written(key + "." + one.name) {
			written = append(written, one.name)
			way, text, at = one.name, one.text, key+"."+one.name
		}
	}
	switch {
	case len(written) == 0 && entry.Listen != "":
		return "listen", entry.Listen, key // the short form
	case len(written) == 0:
		c.add(key, "the end is missing; write the path of a socket, such as %s: /run/serialhub/dbg-%[1]s, or one of listen, connect, pty and device", key[len(key)-1:])
		return "", "", ""
	case len(written) > 1:
		c.add(at, "an end has only one of listen, connect, pty and device, and this one has %s already", written[0])
		return "", "", ""
	default:
		return way, text, at
	}
}

// address reads what is written behind listen, connect, pty or device.
func (c *checker) address(way, text string) (address.Address, error) {
	if way == "pty" || way == "device" {
		return address.ParseFile(address.Kind(way), text, c.dir)
	}
	addr, err := address.Parse(text, c.dir)
	if err != nil {
		return address.Address{}, err
	}
	path := addr.Path()
	if strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/") && !strings.HasPrefix(text, "unix:") {
		return address.Address{}, fmt.Errorf("%s is where devices are: write {device: %[1]s} for a serial port, or unix:%[1]s if it shall be a socket", path)
	}
	return addr, nil
}

// builtinEnd is an end of which nothing is said but its address.
func builtinEnd(addr address.Address, connects bool) End {
	end := End{Address: addr, Connects: connects}
	if hasOwnFile(end) {
		end.Mode = 0o600
	}
	if listens(end) {
		end.WhenBusy = BusyReject
	}
	if overTCP(end) {
		end.KeepAlive = keepAlive
	}
	if addr.Kind() == address.TLS {
		end.TLS.MinVersion = tlsVersions()[newestTLS]
	}
	if addr.Kind() == address.Device {
		end.Serial = Serial{Baud: 115200, DataBits: 8, Parity: "none", StopBits: 1, FlowControl: "none"}
	}
	return end
}

// connectable returns an error if the hub cannot connect to an address that can only be listened on.
func connectable(end End) error {
	if !end.Connects {
		return nil
	}
	switch end.Address.Kind() {
	case address.TCP, address.TLS:
		host, port := end.Address.HostPort()
		kind := end.Address.Kind()
		if host == "" {
			return fmt.Errorf("%s names no host to connect to; write %s:HOST:%s, such as %[2]s:127.0.0.1:%[3]s", end.Address, kind, port)
		}
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
			return fmt.Errorf("%s stands for every address of this machine, which can only be listened on; write %s:127.0.0.1:%s for a program on it", end.Address, kind, port)
		}
	case address.VSock:
		if cid, port := end.Address.ContextPort(); cid == address.AnyCID {
			return fmt.Errorf("%s can only be listened on; write the context of the VM, such as vsock:3:%d, or vsock:host:%[2]d in a VM", end.Address, port)
		}
	}
	return nil
}

// file reads what is said of the file of a socket or of a pseudo-terminal.
func (c *checker) file(end *End, entry *endEntry, key string) {
	if c.written(key + ".mode") {
		end.Mode = c.mode(key+".mode", entry.Mode)
	}
	end.Owner, end.Group = string(entry.Owner), string(entry.Group)
	c.ids(key, end.Owner, end.Group)
}

// mode reads the permissions of a file.
func (c *checker) mode(key, text string) uint32 {
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode > 0o777 {
		c.add(key, `%q is not a mode of a file, such as "0660"`, text)
	}
	return uint32(mode)
}

// ids looks whether an owner and a group that are numbers can be.
func (c *checker) ids(key, owner, group string) {
	for _, id := range []struct{ key, value string }{{"owner", owner}, {"group", group}} {
		n, err := strconv.ParseInt(id.value, 10, 64)
		if errors.Is(err, strconv.ErrRange) || err == nil && (n < 0 || n > 1<<32-2) {
			c.add(key+"."+id.key, "%s is not the number of a user or a group", id.value)
		}
	}
}

// uids reads allow_uids.
func (c *checker) uids(key string, list []int) []int {
	for i, uid := range list {
		if uid < 0 || uid > 1<<32-2 {
			c.add(fmt.Sprintf("%s.allow_uids[%d]", key, i), "%d is not a uid", uid)
		}
	}
	return list
}

// peers reads what is said of those who come.
func (c *checker) peers(end *End, entry *endEntry, key string) {
	end.AllowUIDs = c.uids(key, entry.AllowUIDs)
	if c.written(key + ".when_busy") {
		end.WhenBusy = oneOf(c, key+".when_busy", entry.WhenBusy, BusyReject, BusyReplace, BusyQueue)
	}
	if c.written(key + ".keepalive") {
		end.KeepAlive = c.duration(key+".keepalive", entry.KeepAlive, minKeepAlive, maxKeepAlive)
	}
}
