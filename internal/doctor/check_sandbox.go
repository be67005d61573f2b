package doctor

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"serialhub/internal/address"
)

// lookAtSandbox compares the links with what the unit of the hub lets it do.
func (x *examination) lookAtSandbox() {
	if x.unit.name == "" || x.unit.properties == nil {
		return
	}
	for _, e := range x.ends {
		if e.disabled {
			continue
		}
		switch e.address.Kind() {
		case address.TCP, address.TLS:
			x.lookAtNetwork(e)
		case address.VSock:
			if !x.unit.speaks("AF_VSOCK") {
				x.at(e, Problem, "the unit "+x.unit.name+" does not let the hub use vsock", x.unit.dropIn("vsock", "RestrictAddressFamilies=AF_VSOCK")...)
			}
		case address.Unix, address.PTY:
			if e.isFile() {
				x.lookAtRoom(e, "make "+e.address.Path(), e.address.Path())
			}
		}
	}
	for _, t := range x.transcripts() {
		x.lookAtRoom(end{link: t.link}, "write its transcript "+t.path, t.path)
	}
}

// lookAtNetwork tells of an end of another machine that the unit shuts out.
func (x *examination) lookAtNetwork(e end) {
	host, _, ok := e.hostPort()
	if !ok {
		return
	}
	denied, allowed := x.unit.networks("IPAddressDeny"), x.unit.networks("IPAddressAllow")
	if len(denied) == 0 {
		return
	}
	if isAny(host) {
		if covers(denied, netip.IPv4Unspecified()) && !slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return !p.Addr().IsLoopback() }) {
			x.at(e, Note, "the unit "+x.unit.name+" lets the hub speak with programs of this machine only, though it listens here at all addresses; to let others in, write theirs:",
				x.unit.dropIn("network", "IPAddressAllow=any")...)
		}
		return
	}
	for _, ip := range x.machine.resolve(x.ctx, host) {
		if covers(denied, ip) && !covers(allowed, ip) {
			x.at(e, Problem, "the unit "+x.unit.name+" does not let the hub speak with "+ip.String()+" ("+host+"): what it sends is dropped without a word",
				x.unit.dropIn("network", "IPAddressAllow="+ip.String())...)
			return
		}
	}
}

// networks reads a property that is a list of networks.
func (u unit) networks(property string) (all []netip.Prefix) {
	for word := range strings.FieldsSeq(u.get(property)) {
		if p, err := netip.ParsePrefix(word); err == nil {
			all = append(all, p)
		} else if a, err := netip.ParseAddr(word); err == nil {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return all
}

func covers(networks []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(ip.Unmap().WithZone("")) })
}

// speaks tells whether the unit allows a family of addresses.
func (u unit) speaks(family string) bool {
	text := u.get("RestrictAddressFamilies")
	if text == "" {
		return true
	}
	rest, denies := strings.CutPrefix(text, "~")
	return slices.Contains(strings.Fields(rest), family) != denies
}

// lookAtRoom tells whether the unit lets the hub write where a file of an end, or of a link, is to be.
func (x *examination) lookAtRoom(e end, what, path string) {
	tell := func(why string, settings ...string) {
		fix := x.unit.dropIn("folder", settings...)
		x.add(Finding{Link: e.link, End: e.name, Severity: Problem, Message: "the unit " + x.unit.name + " does not let the hub " + what + ": " + why, Fix: fix})
	}
	folder := filepath.Dir(path)
	u := x.unit
	home := u.get("ProtectHome")
	if (home == "yes" || home == "read-only" || home == "tmpfs") && (within(path, "/home") || within(path, "/root") || within(path, "/run/user")) {
		tell("ProtectHome="+home+" hides that folder", "ProtectHome=no", "ReadWritePaths="+systemdPath(folder))
		return
	}
	if u.get("PrivateTmp") == "yes" && (within(path, "/tmp") || within(path, "/var/tmp")) {
		tell("with PrivateTmp=yes it has a /tmp of its own, which nobody else sees", "PrivateTmp=no")
		return
	}
	if u.get("ProtectSystem") != "strict" || within(path, "/dev") || u.writes(path) || e.open() { // a socket unit may have made it
		return
	}
	if socket := e.socketUnit(); socket != "" {
		x.at(e, Problem, "the hub cannot make "+path+", which is for "+socket+" to make, before the hub runs; this ends its connections:",
			u.systemctl("stop "+strings.TrimSuffix(u.name, ".service")), u.systemctl("enable --now "+socket), u.systemctl("start "+strings.TrimSuffix(u.name, ".service")))
		return
	}
	tell("with ProtectSystem=strict it writes only where ReadWritePaths= says", "ReadWritePaths="+systemdPath(folder))
}

// systemdPath writes a path for a list in a unit, where % is a specifier, and a space ends it.
func systemdPath(path string) string {
	path = strings.ReplaceAll(path, "%", "%%")
	if strings.ContainsAny(path, " \t\"'\\") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
	}
	return path
}

// writes tells whether a path is in one of the folders that the unit has made writable.
func (u unit) writes(path string) bool {
	writable := u.get("ReadWritePaths")
	for word := range strings.FieldsSeq(writable) {
		if within(path, strings.TrimLeft(word, "-+")) {
			return true
		}
	}
	for folder := filepath.Dir(path); folder != "/"; folder = filepath.Dir(folder) { // one with a space is no word
		if strings.Contains(folder, " ") && (strings.Contains(writable, `"`+folder+`"`) || strings.Contains(" "+writable+" ", " "+folder+" ")) {
			return true
		}
	}
	for property, parent := range map[string]string{"RuntimeDirectory": "/run", "LogsDirectory": "/var/log", "StateDirectory": "/var/lib", "CacheDirectory": "/var/cache"} {
		for word := range strings.FieldsSeq(u.get(property)) {
			name, _, _ := strings.Cut(word, ":")
			if within(path, filepath.Join(parent, name)) {
				return true
			}
		}
	}
	return false
}

// within tells whether a path is in a folder, or in one of those in it.
func within(path, folder string) bool {
	return folder == "/" || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
