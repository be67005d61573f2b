package docs

import (
	"errors"
	"os"
	"os/exec"
	"strings"
)

// worlds says for each page with commands what they need. To add a page, say what has to be there in prepare, and give a step to each command that stays, or
// that does not end with 0; all others are typed as they are.
var worlds = map[string]world{
	"README.md":        {prepare: inClone, steps: readmeSteps},
	"docs/access.md":   {prepare: access, steps: accessSteps},
	"docs/api.md":      {prepare: hubWithDbg},
	"docs/commands.md": {prepare: threeLinks},
	"docs/doctor.md":   {prepare: hubWithDbg, steps: doctorSteps},
	"docs/events.md":   {prepare: eventful, steps: eventsSteps},
	"docs/install.md":  {elsewhere: "make package"},
	"docs/metrics.md":  {prepare: hubWithDbg},
	"docs/reload.md":   {prepare: beforeReload, steps: reloadSteps},
	"docs/systemd.md":  {prepare: inCloneAsRoot, steps: systemdSteps},
	"docs/watching.md": {prepare: watched, steps: watchingSteps},

	"docs/tutorial-kgdb.md":        {elsewhere: "make e2e"},
	"docs/tutorial-windows-xen.md": {prepare: dom0, steps: dom0Steps},
}

const (
	// apiHere answers at both usual places.
	apiHere = "api: {listen: [\"127.0.0.1:7373\", \"unix:/run/serialhub/api.sock\"]}\n"

	dbgLink     = "  - {name: dbg, a: /run/serialhub/dbg-a, b: /run/serialhub/dbg-b}\n"
	consoleLink = "  - {name: console, a: /run/serialhub/console-a, b: /run/serialhub/console-b, scrollback: 64KiB}\n"
)

// hubWithDbg is a hub with the link dbg.
func hubWithDbg(r *reader) { r.service(apiHere + "links:\n" + dbgLink) }

// debug has two peers at the link dbg who talk without a pause.
func debug(r *reader) {
	r.socat("dbg-a", "UNIX-CONNECT:/run/serialhub/dbg-a,forever,interval=0.1", `SYSTEM:while sleep 0.2; do echo qSupported#37; done`)
	r.socat("dbg-b", "UNIX-CONNECT:/run/serialhub/dbg-b,forever,interval=0.1", "EXEC:cat")
}

// talk has them, and a guest at end a of console.
func talk(r *reader) {
	debug(r)
	r.guest("/run/serialhub/console-a")
	r.waitLink("dbg", `.state == "up"`)
	r.waitLink("console", `.ends.a.state == "connected"`)
}

// README.md

func inClone(r *reader) {
	r.folder = "../.."
}

var readmeSteps = []step{
	{command: "make run", shows: showsText("listening.*windows-debuggee")},
	{command: "bin/serialhub -c links.yaml", shows: showsText("listening.*windows-debuggee"), before: func(r *reader) {
		r.leave("make run", "C-c")
		r.sh("cp ../../configs/links.yaml ../../links.yaml")
	}},
	{command: "gdb -ex 'target remote", shows: showsText(`(?s)Remote debugging using /tmp/windows-debugger.*\(gdb\)$`), before: func(r *reader) {
		r.socat("debuggee", "UNIX-CONNECT:/tmp/windows-debuggee", "EXEC:gdbserver --once - /bin/sleep 1000")
		r.waitLink("dbg", `.state == "half"`)
	}, leave: []string{"detach", "Enter", "quit", "Enter"}, after: func(r *reader) { r.end("debuggee") }},
	{command: "socat -,raw", shows: showsText("login:"), before: func(r *reader) { r.guest("/tmp/windows-debuggee") }, leave: []string{"C-]"},
		after: func(r *reader) { r.end("guest") }},
	{command: "serialhub status", before: func(r *reader) {
		r.leave("bin/serialhub -c links.yaml", "C-c")
		allowAll(r)
		r.service(apiHere + "links:\n" + dbgLink + "  - {name: console, a: /run/serialhub/console-a, b: {connect: \"tcp:lab7:4555\"}}\n")
		r.qemu("vm", "qemu-system-i386", "win7-debugger", "/run/serialhub/dbg-a")
		r.gdb("gdb", "/run/serialhub/dbg-b")
		r.waitLink("dbg", `.state == "up"`)
		r.waitLink("console", `.state == "retrying"`)
	}},
	{command: "serialhub tap dbg", before: func(r *reader) {
		r.end("vm")
		r.end("gdb")
		r.service(apiHere + "links:\n" + dbgLink + consoleLink)
		talk(r)
	}, shows: showsText(`a>b +[0-9a-f]{8} .*qSupported`), leave: []string{"C-c"}},
	{command: "serialhub tap dbg --format pcapng", shows: showsText(`dbg a>b`), leave: []string{"C-c"}, status: 0},
	{command: "serialhub events", shows: showsText("console b  peer connected"), again: attachAndLeave, leave: []string{"C-c"}},
	{command: "serialhub attach console", shows: showsText("login:"), leave: []string{"C-]", "q"}},
}

// attachAndLeave has something happen to the link console.
func attachAndLeave(r *reader) {
	r.nowAndThen("attach", func() { r.sh(program + " attach console --end b </dev/null") })
}

// docs/access.md

func access(r *reader) {
	r.folder = "/etc/serialhub"
	r.sh(`set -e
mkdir -p /etc/serialhub && cd /etc/serialhub
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=lab7 -addext subjectAltName=DNS:lab7 -keyout first.key -out first.pem 2>/dev/null
openssl rand -hex 32 >first-tokens
cp first.pem hub-ca.pem
cp first-tokens /root/.serialhub-token
chmod 0600 first-tokens first.key`)
	const config = "api: {listen: [\"lab7:7373\", \"unix:/run/serialhub/api.sock\"], token_file: first-tokens, tls: {cert: first.pem, key: first.key}}\n" +
		"links:\n" + dbgLink + consoleLink
	allowAll(r)
	r.sh("systemd-sysusers $PWD/../../packaging/sysusers.d/serialhub.conf && chown serialhub /etc/serialhub/first*")
	r.service(config)
	debug(r)
}

// allowAll lets other machines in, as docs/systemd.md says; lab7 is one.
func allowAll(r *reader) {
	r.write("/etc/systemd/system/serialhub.service.d/allow.conf", "[Service]\nIPAddressAllow=any\n")
}

var accessSteps = []step{
	{command: "serialhub tap dbg", shows: showsText("qSupported"), leave: []string{"C-c"}},
	{command: "chown serialhub hub.key tokens", after: func(r *reader) {
		r.service("api: {listen: [\"192.0.2.7:7373\", 127.0.0.1:7374], token_file: tokens, tls: {cert: hub.pem, key: hub.key}}\nlinks: []\n")
		r.sh("cd /root && cp /etc/serialhub/tokens token && cp /etc/serialhub/hub.pem . && serialhub status --api https://lab7:7373 --ca hub.pem --token-file token")
	}},
}

// docs/commands.md

// threeLinks are those that the page's table shows.
func threeLinks(r *reader) {
	allowAll(r)
	r.service(apiHere + "links:\n" + dbgLink +
		"  - {name: busy, a: {listen: /run/serialhub/busy-a, when_busy: queue}, b: {listen: \"tcp:[2001:db8::17]:4556\"}}\n" +
		"  - {name: far, a: /run/serialhub/far-a, b: {connect: \"tcp:lab7:4555\"}}\n")
	r.qemu("vm", "qemu-system-i386", "win7-debugger", "/run/serialhub/dbg-a")
	r.qemu("other", "qemu-system-x86_64", "", "/run/serialhub/dbg-b")
	for i, name := range []string{"one", "two", "three"} {
		r.gdb(name, "/run/serialhub/busy-a")
		r.waitLink("busy", `(.ends.a.queued // [] | length) == `+string(rune('0'+i))+` and .ends.a.state == "connected"`)
	}
	r.socat("six", "TCP6:[2001:db8::17]:4556,bind=[2001:db8::17]", "EXEC:cat")
	r.waitLink("busy", `.state == "up"`)
	r.waitLink("dbg", `.state == "up"`)
	r.waitLink("far", `.state == "retrying"`)
}

// docs/doctor.md

var doctorSteps = []step{
	{command: "serialhub doctor dbg lab", before: func(r *reader) {
		// A container does not see the kernel's log, which doctor would say.
		r.write("/usr/local/bin/dmesg", "#!/bin/sh\n")
		r.sh("chmod +x /usr/local/bin/dmesg")
		r.socat("taker", "TCP-LISTEN:4555,bind=127.0.0.1", "PIPE")
		r.sh("until ss -Hltn 'sport = :4555' | grep -q .; do sleep 0.1; done")
		r.write(configFile, apiHere+"links:\n"+dbgLink+`  - {name: lab, a: {listen: /run/serialhub/lab-a, group: lab}, b: {listen: "tcp:127.0.0.1:4555"}}`+"\n")
		r.sh(program + " reload")
		r.start("vm", "qemu-system-x86_64", "-display", "none", "-nodefaults", "-S", "-name", "win7-debuggee", "-serial", "unix:/run/serialhub/dbg-a",
			"-monitor", "unix:/run/win7.mon,server=on,wait=off")
		r.waitLink("dbg", `.ends.a.state == "connected"`)
		r.sh(program + " reset dbg --end a")
		r.waitLink("lab", `.ends.b.error and .ends.a.error`)
	}, status: 1},
}

// docs/events.md

const dbgForNobody = "  - {name: dbg, a: /run/serialhub/dbg-a, b: {listen: /run/serialhub/dbg-b, allow_uids: [64055]}}\n"

// eventful has a hub of twelve links, to which things happen that the page shows.
func eventful(r *reader) { r.service(apiHere + "links:\n" + twelveLinks()) }

func twelveLinks() string {
	text := dbgForNobody
	for _, name := range strings.Fields("c d e f g h i j k l m") {
		text += "  - {name: " + name + ", a: /run/serialhub/" + name + ".a, b: /run/serialhub/" + name + ".b}\n"
	}
	return text
}

var eventsSteps = []step{
	{command: "serialhub events", again: happen, shows: showsText("dbg a"), leave: []string{"C-c"}},
	{command: "serialhub events dbg -o json", again: happen, shows: showsText("(?s)half.*waiting"), leave: []string{"C-c"}, status: 130},
	{command: "curl -N", again: happen, shows: showsText(`event: state`), leave: []string{"C-c"}, status: 130},
}

// happen has a VM come and go, a debugger be turned away, and a link be added and removed.
func happen(r *reader) {
	r.nowAndThen("events", func() {
		r.qemu("vm", "qemu-system-i386", "win7-debugger", "/run/serialhub/dbg-a")
		r.waitLink("dbg", `.state == "half"`)
		rejected := r.sh(program + " status -o json dbg | jq .ends.b.rejected")
		r.gdb("gdb", "/run/serialhub/dbg-b")
		r.waitLink("dbg", ".ends.b.rejected > "+rejected)
		r.end("gdb")
		r.write(configFile, apiHere+"links:\n"+twelveLinks()+consoleLink)
		r.sh(program + " reload")
		r.write(configFile, apiHere+"links:\n"+twelveLinks())
		r.sh(program + " reload")
		r.end("vm")
		r.waitLink("dbg", `.state == "waiting"`)
	})
}

// docs/reload.md

const (
	kgdbLink = "  - {name: kgdb, a: /run/serialhub/kgdb-a, b: /run/serialhub/kgdb-b}\n"
	faulty   = "links:\n  - name: dbg\n    a: /run/serialhub/dbg-a\n    b: /run/serialhub/dbg-b\n    absnt: hold\n"
)

// beforeReload has a hub whose file was edited just now: a link is new, and one is another.
func beforeReload(r *reader) {
	r.folder = "/etc/serialhub"
	r.service(apiHere + "links:\n" + dbgLink + kgdbLink)
	edit(r)
}

func edit(r *reader) {
	r.write(configFile, apiHere+"links:\n"+strings.Replace(dbgLink, "}", ", absent: hold}", 1)+kgdbLink+consoleLink)
}

var reloadSteps = []step{
	{command: "curl -X POST", before: func(r *reader) {
		r.write(configFile, apiHere+"links:\n"+dbgLink+kgdbLink)
		r.sh(program + " reload")
		edit(r)
	}},
	{command: "serialhub check", before: func(r *reader) { r.write(configFile, faulty) }, status: 2},
}

// docs/systemd.md

func inCloneAsRoot(r *reader) { r.folder = "../.." }

var systemdSteps = []step{
	// It is for later versions of systemd than one may have here.
	{command: "install -D -m 644 packaging/systemd/serialhub.service.d/notify-reload.conf", after: func(r *reader) {
		r.sh("rm /etc/systemd/system/serialhub.service.d/notify-reload.conf && systemctl daemon-reload")
	}},
	{command: "systemctl enable --now serialhub@dbg.a.socket", before: func(r *reader) {
		r.write(configFile, "links:\n  - {name: dbg, a: /run/serialhub-dbg.a, b: /run/serialhub/dbg.b}\n")
	}, after: func(r *reader) {
		r.socat("early", "UNIX-CONNECT:/run/serialhub-dbg.a", "EXEC:cat")
		r.waitLink("dbg", `.state == "half"`)
	}},
}

// docs/watching.md

func watched(r *reader) {
	r.sh("printf 'date\\r' >/root/commands")
	r.service(apiHere + "links:\n" + dbgLink + consoleLink)
	talk(r)
}

// guestAgain starts the guest anew, so that it asks who wants to log in.
func guestAgain(r *reader) {
	r.end("guest")
	r.waitLink("console", `.ends.a.state == "waiting"`)
	r.guest("/run/serialhub/console-a")
	r.waitLink("console", `.ends.a.state == "connected"`)
}

// transcribe has the hub write down more than fits into a file of the transcript.
func transcribe(r *reader) {
	const more = ", transcript: {file: \"/var/log/serialhub/{link}.log\", max_size: 4KiB, compress: zstd}}"
	r.service(apiHere + "links:\n" + strings.Replace(dbgLink, "}", more, 1) + consoleLink)
	r.waitLink("dbg", `.state == "up"`)
	r.sh("yes something | head -c 9000 | " + program + " send dbg --inject --to a - && until ls /var/log/serialhub/dbg-*.log.zst; do sleep 0.1; done")
}

// record makes dbg.pcapng, of what two peers have said.
func record(r *reader) {
	r.end("dbg-a")
	r.end("dbg-b")
	r.sh("systemctl stop serialhub") // or the scrollback would have what was said before
	r.service(apiHere + "links:\n" + strings.Replace(dbgLink, "}", ", scrollback: 64KiB}", 1) + consoleLink)
	r.socat("dbg-a", "UNIX-CONNECT:/run/serialhub/dbg-a", "EXEC:sleep 1000")
	r.socat("dbg-b", "UNIX-CONNECT:/run/serialhub/dbg-b", "EXEC:sleep 1000")
	r.waitLink("dbg", `.state == "up"`)
	r.sh("set -e\nsay() { " + program + ` send dbg --inject --to "$@"; }` + `
say a 'Booting \e[1mLinux\r\nlogin: '
say b 'root\r'
` + program + " tap dbg --no-follow --format pcapng -w /root/dbg.pcapng")
}

// hasBegun wants a file to have something in it.
func hasBegun(path string) func(string) error {
	return func(string) error {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			return errors.New(path + " is empty, or not there")
		}
		return nil
	}
}

var watchingSteps = []step{
	{command: "serialhub tap dbg", shows: showsText(`a>b +[0-9a-f]{8} .*qSupported`), leave: []string{"C-c"}},
	{command: "serialhub tap console --end a --format text", before: guestAgain, shows: showsText(`a[>+] login:`), leave: []string{"C-c"}},
	{command: "serialhub tap console --end a --format raw -w boot.log", shows: hasBegun("/root/boot.log"), leave: []string{"C-c"}},
	{command: "serialhub tap dbg --format pcapng", shows: showsText(`dbg a>b`), leave: []string{"C-c"}},
	{command: "serialhub attach console", before: guestAgain, shows: showsText("login:"), leave: []string{"C-]", "q"}},
	{command: "serialhub wait console --text 'login: ' && ", before: guestAgain},
	{command: "serialhub wait console --end a --text", before: guestAgain},
	{command: "serialhub wait console --regex 'panic", again: func(r *reader) {
		r.nowAndThen("panic", func() { exec.Command(program, "send", "console", "--to", "a", `# panic\r`).Run() })
	}},
	{command: "serialhub send console --to a 'reboot", before: guestAgain},
	{command: `serialhub send console --to a "make;`, before: func(r *reader) { r.sh(program + ` send console --to a 'root\r'`) }},
	{command: "curl -N", shows: showsText(`qSupported`), leave: []string{"C-c"}, status: 130},
	{command: "zstdcat", before: transcribe},
	{command: "tshark -r", before: record},
}

// docs/tutorial-windows-xen.md

// dom0 has a hub that was just installed, without links.
func dom0(r *reader) { r.service("links: []\n") }

var dom0Steps = []step{
	// There is no network; socat is there.
	{command: "apt-get install", before: func(r *reader) {
		r.write("/usr/local/bin/apt-get", "#!/bin/sh\nfor package; do :; done\ncommand -v \"$package\"\n")
		r.sh("chmod +x /usr/local/bin/apt-get")
	}},
}
