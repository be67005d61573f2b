// Package escape reads text as people write it on a command line, with escapes for what they cannot type.
package escape

import (
	"fmt"
	"strconv"
	"strings"
)

// Known lists the escapes, for help and errors.
const Known = `\r \n \t \0 \e \\ \xHH`

// Parse gives the bytes that a text stands for. An error says where the text is wrong, in bytes from 1.
func Parse(text string) ([]byte, error) {
	bytes := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			bytes = append(bytes, text[i])
			continue
		}
		b, length, err := one(text[i:])
		if err != nil {
			return nil, fmt.Errorf("byte %d of the text: %w", i+1, err)
		}
		bytes = append(bytes, b)
		i += length - 1
	}
	return bytes, nil
}

// one reads the escape that a text begins with.
func one(text string) (b byte, length int, err error) {
	if len(text) == 1 {
		return 0, 0, fmt.Errorf(`a \ at the end; write \\ for a \ itself`)
	}
	if text[1] == 'x' {
		if len(text) >= 4 {
			if n, err := strconv.ParseUint(text[2:4], 16, 8); err == nil {
				return byte(n), 4, nil
			}
		}
		return 0, 0, fmt.Errorf(`\x needs two hexadecimal digits, as in \x1b`)
	}
	const names, values = `rnt0e\`, "\r\n\t\x00\x1b\\"
	at := strings.IndexByte(names, text[1])
	if at < 0 {
		return 0, 0, fmt.Errorf(`%s is no escape; there are %s`, text[:2], Known)
	}
	return values[at], 2, nil
}
