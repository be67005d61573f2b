package docs

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"serialhub/internal/testenv"
	"serialhub/test/container"
)

// reader is somebody who reads a page and types what it says, and what else happens on his machine. The machine is the container: what is started on it
// ends with it.
type reader struct {
	t        *testing.T
	folder   string                          // where he opens terminals
	terminal *terminal                       // in which he types next
	opened   int                             // how many terminals
	left     map[string]func(keys ...string) // by how a command begins that goes on: has it end by these keys
	lastTime map[string]time.Time            // when something that happens now and then has happened, by its name
	peers    map[string]*exec.Cmd            // by their names
}

const (
	// configFile is that of the hub's service.
	configFile = "/etc/serialhub/links.yaml"
	program    = "/usr/local/bin/serialhub"
	// commonSetUp makes the container a machine with a network of one's own, and the program a file like any other. curl ends with 22 for a call that is refused.
	commonSetUp = `
cp ` + program + ` /run/serialhub.copy && umount ` + program + ` && mv /run/serialhub.copy ` + program + `
ip link set lo up && ip address add 192.0.2.7/32 dev lo
ip -6 address add 2001:db8::17/128 dev lo nodad || true
echo 'fail-with-body' >/root/.curlrc
printf '%s\n' '127.0.0.1 localhost' '::1 localhost' '192.0.2.7 lab7' >/etc/hosts
install -m 755 guest /usr/local/bin/guest
install -m 755 wireshark /usr/local/bin/wireshark
`
	unitsSetUp = `
install -D -m 644 ../../packaging/sysusers.d/serialhub.conf -t /etc/sysusers.d/
install -D -m 644 ../../packaging/systemd/serialhub.service ../../packaging/systemd/serialhub@.socket -t /etc/systemd/system/
systemd-sysusers && systemctl daemon-reload
`
)

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, folder: "/root", left: map[string]func(...string){}, lastTime: map[string]time.Time{}, peers: map[string]*exec.Cmd{}}
	r.sh("set -e" + commonSetUp)
	return r
}

// open has the reader open a terminal, into which he types from now on.
func (r *reader) open() {
	r.t.Helper()
	r.opened++
	r.terminal = openTerminal(r.t, fmt.Sprint("t", r.opened), r.folder)
}

// leave has a command end that goes on in another terminal.
func (r *reader) leave(command string, keys ...string) {
	r.t.Helper()
	left := r.left[command]
	if left == nil {
		r.t.Fatalf("no step for %s has left it running", command)
	}
	left(keys...)
}

// sh does something that no page tells of, which must succeed.
func (r *reader) sh(script string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), commandTime)
	defer cancel()
	output, err := exec.CommandContext(ctx, "bash", "-c", script).CombinedOutput()
	if err != nil {
		log, _ := exec.Command("journalctl", "--boot", "--no-pager", "--quiet", "--unit=serialhub").CombinedOutput()
		r.t.Fatalf("%s: %v: %s\n%s", script, err, output, testenv.Tail(string(log)))
	}
	return strings.TrimSpace(string(output))
}

// write writes a file that everybody may read.
func (r *reader) write(path, text string) {
	r.t.Helper()
	container.WriteFile(r.t, path, text)
}

// service runs the hub as the packaged service on a config, and returns when it is ready.
func (r *reader) service(config string) {
	r.t.Helper()
	r.write(configFile, config)
	r.sh("set -e" + unitsSetUp + "systemctl restart serialhub")
}

// ofUnit is the first line of a block for a unit: the command that opens an editor for it, or the file that it is.
var ofUnit = regexp.MustCompile(`^# (?:systemctl edit ([\w@.-]+)|/etc/systemd/system/([\w@.-]+))\n`)

// verify has systemd judge what a block adds to a unit, or the unit that it is, beside the packaged ones.
func (r *reader) verify(text string) error {
	r.t.Helper()
	found := ofUnit.FindStringSubmatch(text)
	if found == nil {
		return errors.New("what unit this is for is not said: its first line is “# systemctl edit serialhub”, or the path of a file in /etc/systemd/system")
	}
	unit, path := found[2], "/etc/systemd/system/"+found[2]
	if found[1] != "" {
		unit = found[1]
		if !strings.Contains(unit, ".") {
			unit += ".service"
		}
		path = "/etc/systemd/system/" + unit + ".d/of-the-page.conf"
	}
	r.sh("set -e" + unitsSetUp)
	r.write(path, text)
	if said := r.sh("systemctl daemon-reload && systemd-analyze verify --man=no " + unit + " 2>&1"); said != "" {
		return errors.New("systemd says: " + said)
	}
	return nil
}

// start runs a peer, or another program that stays, under a name, until it is ended; one that has that name is ended before.
func (r *reader) start(name string, command ...string) {
	r.t.Helper()
	r.end(name)
	peer := exec.Command(command[0], command[1:]...)
	if err := peer.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.peers[name] = peer
}

// end ends one that was started.
func (r *reader) end(name string) {
	if peer := r.peers[name]; peer != nil {
		peer.Process.Kill()
		peer.Wait()
		delete(r.peers, name)
	}
}

// socat joins two of socat's addresses.
func (r *reader) socat(name, one, other string) {
	r.t.Helper()
	r.start(name, "socat", one, other)
}

// guest is a serial console where somebody may log in, at a socket of the hub: see the script of that name.
func (r *reader) guest(socket string) {
	r.t.Helper()
	r.socat("guest", "UNIX-CONNECT:"+socket+",forever,interval=0.1", "EXEC:guest,pty,setsid,ctty,sane")
}

// qemu is a VM that does not run, with a serial port at a socket of the hub.
func (r *reader) qemu(name, program, vm, socket string) {
	r.t.Helper()
	arguments := []string{program, "-display", "none", "-nodefaults", "-S", "-serial", "unix:" + socket + ",reconnect=1"}
	if vm != "" {
		arguments = append(arguments, "-name", vm)
	}
	r.start(name, arguments...)
}

// gdb is a debugger at a socket of the hub, where nobody answers.
func (r *reader) gdb(name, socket string) {
	r.t.Helper()
	r.start(name, "gdb", "--batch", "-ex", "set tcp connect-timeout 600", "-ex", "set remotetimeout 600", "-ex", "target remote "+socket)
}

// waitLink waits until the hub shows a link as it should be: what jq finds of it is true.
func (r *reader) waitLink(link, filter string) {
	r.t.Helper()
	testenv.Eventually(r.t, commandTime, "waiting for "+link+": "+filter, func() error {
		output, err := exec.Command("bash", "-c", program+" status -o json "+link+" | jq -e '"+filter+"'").CombinedOutput()
		if err != nil {
			state, _ := exec.Command(program, "status", link).CombinedOutput()
			return fmt.Errorf("%w: %s\n%s", err, output, state)
		}
		return nil
	})
}

// nowAndThen does something twice a second at most, however often it is asked to.
func (r *reader) nowAndThen(what string, do func()) {
	if time.Since(r.lastTime[what]) < time.Second/2 {
		return
	}
	do()
	r.lastTime[what] = time.Now()
}
