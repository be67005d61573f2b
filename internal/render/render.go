// Package render writes down what has crossed a link, for people and for programs.
package render

import "serialhub/internal/watch"

// Renderer turns events into one stream of bytes. It is for one goroutine.
type Renderer interface {
	// Header appends what a file or a stream begins with. It may be called again when another file is begun.
	Header(dst []byte) []byte
	// Append appends what an event, or those before it that were held back, is to say. It keeps nothing of the event's Data. What was held back for longer than
	// the format's Idle when the event came is as if it had been flushed: what is read later looks as what was watched.
	Append(dst []byte, e watch.Event) []byte
	// Held is how many of the newest bytes of each side are held back, because their line is not complete.
	Held() [2]int
	// Flush appends what was held back.
	Flush(dst []byte) []byte
}
