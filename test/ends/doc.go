// Package ends proves that an end of a link is an end, whatever its kind: the same bodies run over every kind, and over every pair of
// kinds. The hub runs in this process, so that what it leaves behind, goroutines and descriptors, is seen as well; its peers are real
// sockets and terminals, which the tests hold the other side of.
package ends
