// Package continuity proves that bytes and peers outlive the hub's process: it runs the built hub, plays the service manager that keeps the
// hub's descriptors, and kills, restarts and replaces the hub while peers talk.
package continuity
