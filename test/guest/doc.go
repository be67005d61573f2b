// Package guest boots a Debian kernel in QEMU, and runs programs and tests on what this machine's own may lack: serial
// devices, which can be unplugged, and vsock. setup.sh installs what that needs.
package guest
