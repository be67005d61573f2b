// Package pkg proves what is released: the Debian package in a clean Debian with a systemd of its own, which is booted in a container, and the
// archives. setup.sh installs what that needs, and makes the clean Debian.
package pkg
