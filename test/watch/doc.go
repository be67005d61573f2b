// Package watch has the tests of watching: the real program as the hub and as its client, with terminals, pipes and foreign programs.
package watch
