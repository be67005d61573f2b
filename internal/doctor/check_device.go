package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"serialhub/internal/qemu"
)

// lookAtDevices tells what keeps the hub from serial ports.
func (x *examination) lookAtDevices() {
	for _, e := range x.ends {
		if e.way == "device" && e.failing() {
			x.lookAtDevice(e)
		}
	}
}

func (x *examination) lookAtDevice(e end) {
	path := e.address.Path()
	device, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		x.at(e, Problem, path+" is not there; plug it in, or write the name that it has now (those by-id stay the same)", "ls -l /dev/serial/by-id/ /dev/ttyUSB* /dev/ttyACM* /dev/ttyS*")
		return
	case err != nil:
		x.at(e, Problem, fmt.Sprintf("%s cannot be found: %v", path, err), "ls -l "+qemu.Quote(path))
		return
	}
	info, err := os.Stat(device)
	if err == nil && info.Mode()&fs.ModeCharDevice == 0 {
		x.at(e, Problem, device+" is no serial port; correct the path", "ls -l "+qemu.Quote(device))
		return
	}
	if ok, err := x.hub.may(device, mayRead|mayWrite); err == nil && !ok {
		var stat unix.Stat_t
		if unix.Stat(device, &stat) != nil {
			return
		}
		if stat.Mode&0o060 == 0o060 {
			group := groupName(int(stat.Gid))
			x.at(e, Problem, fmt.Sprintf("the hub, which is user %s, may not use %s (%s): it has to be in the group %s", x.hub, device, dressOf(device), group), x.join(group)...)
		} else {
			x.at(e, Problem, fmt.Sprintf("the hub, which is user %s, may not use %s (%s)", x.hub, device, dressOf(device)), setACL("-m", x.hub, "rw", device))
		}
	}
	pid, hidden := x.machine.holder(device, x.hubPID)
	if pid == 0 && hidden {
		x.hidden("who else has " + device + " open")
	}
	if pid == 0 {
		return
	}
	who := x.machine.command(pid)
	tty := filepath.Base(device)
	switch {
	case strings.HasPrefix(who, "ModemManager"):
		x.at(e, Problem, fmt.Sprintf("%s has %s open, to find out whether it is a modem; have it leave that port alone, or do without it", who, device),
			"echo "+qemu.Quote(fmt.Sprintf(`KERNEL=="%s", ENV{ID_MM_PORT_IGNORE}="1"`, tty))+" >>/etc/udev/rules.d/99-serialhub.rules", "udevadm control --reload", "udevadm trigger "+qemu.Quote(device), "systemctl restart ModemManager")
	case strings.HasPrefix(who, "agetty"), strings.HasPrefix(who, "getty"), strings.HasPrefix(who, "login"):
		x.at(e, Problem, fmt.Sprintf("%s has %s open: a login waits there", who, device), "systemctl disable --now "+qemu.Quote("serial-getty@"+tty))
	default:
		x.at(e, Problem, fmt.Sprintf("%s has %s open; end that program, or choose another device", who, device), "fuser -v "+qemu.Quote(device))
	}
}
