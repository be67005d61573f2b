// Package search finds a text or an expression in a stream of bytes that comes in pieces, in bounded memory.
package search

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
)

// Finder looks for something in a stream. It is for one goroutine.
type Finder interface {
	// Feed takes the next piece of the stream, keeps nothing of it, and tells whether what is looked for has been there in what was fed
	// since the last Reset.
	Feed(piece []byte) bool
	// Reset forgets what was fed: what comes next does not follow upon it.
	Reset()
}

// Window is how many of the newest bytes are kept for an expression. A match of half as many is found for certain; a longer one may be
// missed.
const Window = 64 << 10

// literal is a machine after Knuth, Morris and Pratt: it looks at each byte once, and keeps only how much of the text it has seen.
type literal struct {
	text     []byte
	fallback []int // how much has still been seen when the byte after that much is another
	seen     int
}

// Literal finds a text that is not empty.
func Literal(text []byte) (Finder, error) {
	if len(text) == 0 {
		return nil, errors.New("an empty text is everywhere; say which one is looked for")
	}
	l := &literal{text: bytes.Clone(text), fallback: make([]int, len(text)+1)}
	for i, k := 1, 0; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = l.fallback[k]
		}
		if text[i] == text[k] {
			k++
		}
		l.fallback[i+1] = k
	}
	return l, nil
}

func (l *literal) Feed(piece []byte) bool {
	for _, b := range piece {
		if l.seen == len(l.text) {
			break
		}
		for l.seen > 0 && b != l.text[l.seen] {
			l.seen = l.fallback[l.seen]
		}
		if b == l.text[l.seen] {
			l.seen++
		}
	}
	return l.seen == len(l.text)
}

func (l *literal) Reset() { l.seen = 0 }

type expression struct {
	re     *regexp.Regexp
	window []byte
	found  bool
}

// Expression finds what a regular expression (as of package regexp) matches. ^ and $ are the borders of a line; $ is also where the stream
// has come to, so that a prompt can be found. Each Feed costs a search of the whole window, so it is best fed in large pieces.
func Expression(text string) (Finder, error) {
	if _, err := regexp.Compile(text); err != nil {
		return nil, err // about the text as it was written
	}
	re, err := regexp.Compile("(?m:" + text + ")")
	if err != nil {
		return nil, err
	}
	if re.MatchString("") {
		return nil, fmt.Errorf("%q matches where nothing is, so at once; say what has to be there", text)
	}
	return &expression{re: re}, nil
}

func (e *expression) Feed(piece []byte) bool {
	for len(piece) > 0 && !e.found {
		n := min(len(piece), Window) // so that the window is twice its size at most
		e.window = append(e.window, piece[:n]...)
		piece = piece[n:]
		e.found = e.re.Match(e.window)
		e.trim()
	}
	return e.found
}

// trim keeps the newest of the window. It cuts between two lines, because ^ matches at the cut, unless a line is very long.
func (e *expression) trim() {
	excess := len(e.window) - Window
	if excess <= 0 {
		return
	}
	if line := bytes.IndexByte(e.window[excess-1:excess-1+Window/2], '\n'); line >= 0 {
		excess += line
	}
	e.window = append(e.window[:0], e.window[excess:]...)
}

func (e *expression) Reset() { e.window, e.found = e.window[:0], false }
