// Package e2e proves the hub from outside: the built binary, real QEMU virtual
// machines as its clients, and a real debugger. setup.sh prepares what it needs.
package e2e
