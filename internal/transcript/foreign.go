package transcript

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"regexp"

	"serialhub/internal/render"
)

// Why a file cannot be gone on with.
const (
	otherFormat = "it does not begin as a file of this format does"
	halfBlock   = "it does not end with a whole block, and nothing that comes after that could be read"
)

// longestBeginning is more than what tells one format from another.
const longestBeginning = 64

// beginnings are how files of lines begin. A line of hex, without the day before it, is the first where somebody has cut the file short.
var beginnings = map[render.Format]*regexp.Regexp{
	render.Text: regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z )?[ab][>+!] `),
	render.Hex:  regexp.MustCompile(`^(-- \d|\d\d:\d\d:\d\d\.\d+  [ab]>[ab]  )`),
	render.JSON: regexp.MustCompile(`^\{"time"`),
}

// foreign tells why a file cannot be gone on with in a format; "" if it can.
func foreign(file *os.File, size int64, format render.Format) (why string, err error) {
	if size == 0 {
		return "", nil
	}
	begins := make([]byte, min(size, longestBeginning))
	if _, err := file.ReadAt(begins, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	switch format {
	case render.Raw:
		if isCapture(begins) {
			return otherFormat, nil
		}
	case render.PCAPNG:
		switch {
		case !isCapture(begins):
			return otherFormat, nil
		case !lastBlockIsWhole(file, size):
			return halfBlock, nil
		}
	default:
		if !beginnings[format].Match(begins) {
			return otherFormat, nil
		}
	}
	return "", nil
}

// isCapture tells whether a file that begins so is one of pcapng: with the type of a section's header, its length, and the order of bytes.
func isCapture(begins []byte) bool {
	const header, order, swapped = 0x0a0d0d0a, 0x1a2b3c4d, 0x4d3c2b1a
	if len(begins) < 12 || binary.LittleEndian.Uint32(begins) != header {
		return false
	}
	is := binary.LittleEndian.Uint32(begins[8:])
	return is == order || is == swapped
}

// lastBlockIsWhole looks at the end of a file of pcapng: a block has its length at both ends.
func lastBlockIsWhole(file *os.File, size int64) bool {
	var word [4]byte
	if _, err := file.ReadAt(word[:], size-4); err != nil {
		return false
	}
	length := int64(binary.LittleEndian.Uint32(word[:]))
	if length < 12 || length > size {
		return false
	}
	if _, err := file.ReadAt(word[:], size-length+4); err != nil {
		return false
	}
	return int64(binary.LittleEndian.Uint32(word[:])) == length
}

// goesOn is what has to come before anything else that is written at the end of a file: half a line, which somebody has left there, ends.
func goesOn(file *os.File, size int64, format render.Format) (first string, err error) {
	if size == 0 || format == render.Raw || format == render.PCAPNG {
		return "", nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], size-1); err != nil {
		return "", err
	}
	if last[0] == '\n' {
		return "", nil
	}
	return "\n", nil
}
