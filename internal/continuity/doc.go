// Package continuity lets descriptors outlive the process: from one program to the next in its place (execve), and over the
// death of the process with the help of the service manager, by the protocols of sd_notify(3) and sd_listen_fds(3).
package continuity
