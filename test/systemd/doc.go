// Package systemd proves the hub as a service of a real systemd, which is booted in a container over the files of
// this machine. setup.sh installs what that needs.
package systemd
