package endpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Identity is what a process says of itself.
type Identity struct {
	Command string // the program's name; "" if it cannot be told: the process has ended, or is not visible from here
	VM      string // the name of the guest that it runs; "" if it does not say
	Returns bool   // it is a QEMU that connects again when it has lost its socket
}

// Identify reads the command line of a process from /proc, which can block while the process is stuck in the kernel.
func Identify(pid int) Identity {
	if pid <= 0 {
		return Identity{}
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if args := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00"); err == nil && args[0] != "" {
		return identity(args)
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return Identity{}
	}
	return Identity{Command: strings.TrimSuffix(string(name), "\n")}
}

// identity tells what a command line says.
func identity(args []string) Identity {
	returns := slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, ",reconnect") })
	// Cloned, so that they do not keep the whole command line, which is long for a device model.
	return Identity{Command: strings.Clone(baseName(args[0])), VM: strings.Clone(vmName(args)), Returns: returns}
}

// baseName takes the folder off a program's path; a title, such as "sshd: root@pts/0", has none.
func baseName(argv0 string) string {
	if strings.HasPrefix(argv0, "/") {
		return filepath.Base(argv0)
	}
	program, _, _ := strings.Cut(argv0, " ")
	return program
}

// vmName finds the guest's name in the command line of a device model or a virtual machine monitor.
func vmName(args []string) string {
	command := baseName(args[0])
	switch {
	case strings.HasPrefix(command, "qemu"), command == "kvm", strings.HasSuffix(command, "-kvm"):
		return qemuName(option(args, "-name")) // Xen's device model and libvirt's QEMU say it in the same way
	case strings.HasPrefix(command, "VBox"), strings.HasPrefix(command, "VirtualBox"):
		return option(args, "--comment")
	case command == "firecracker":
		return option(args, "--id")
	case command == "cloud-hypervisor":
		// It has no name of its own; people tell their guests apart by the API's socket.
		socket := strings.TrimPrefix(option(args, "--api-socket"), "path=")
		base := filepath.Base(socket)
		if socket == "" || strings.HasPrefix(socket, "fd=") {
			return ""
		}
		return strings.TrimSuffix(base, filepath.Ext(base))
	default:
		return ""
	}
}

// option returns the value of an option, written as “--option value” or “--option=value”, or in QEMU's way with one
// dash or two.
func option(args []string, name string) string {
	for i, arg := range args[1:] {
		flag, value, joined := strings.Cut(arg, "=")
		if flag != name && flag != "-"+name {
			continue
		}
		if joined {
			return value
		}
		if i+2 < len(args) {
			return args[i+2]
		}
	}
	return ""
}

// qemuName reads the value of QEMU's -name: “guest=NAME,key=value,…” or “NAME,key=value,…”. A comma in a name is
// written twice.
func qemuName(value string) string {
	var name strings.Builder
	value = strings.TrimPrefix(value, "guest=")
	for i := 0; i < len(value); i++ {
		if value[i] == ',' {
			if i+1 == len(value) || value[i+1] != ',' {
				break
			}
			i++
		}
		name.WriteByte(value[i])
	}
	if found := name.String(); !strings.HasPrefix(found, "debug-threads=") && !strings.HasPrefix(found, "process=") {
		return found
	}
	_, guest, found := strings.Cut(value, ",guest=")
	if !found {
		return ""
	}
	return qemuName(guest)
}
