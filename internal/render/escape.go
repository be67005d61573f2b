package render

import (
	"unicode"
	"unicode/utf8"
)

// Escape gives a text in such a way that it can be shown anywhere, on one line, and be read back; see appendEscaped.
func Escape(text string) string { return string(appendEscaped(nil, []byte(text))) }

// appendEscaped appends bytes in such a way that they can be shown anywhere and read back: printable UTF-8 as it is, a backslash twice, and
// everything else as \t, \n, \r, \xNN (a byte: a control character, or what is not UTF-8), \uNNNN or \UNNNNNNNN (a character that cannot be seen
// or that changes how others are seen).
func appendEscaped(dst, data []byte) []byte {
	for len(data) > 0 {
		n := 0
		for n < len(data) && ' ' <= data[n] && data[n] <= '~' && data[n] != '\\' {
			n++
		}
		dst = append(dst, data[:n]...)
		if data = data[n:]; len(data) == 0 {
			break
		}
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\\':
			dst = append(dst, `\\`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r < utf8.RuneSelf, r == utf8.RuneError && size == 1:
			dst = appendDigits(append(dst, `\x`...), uint32(data[0]), 2)
		case unicode.IsPrint(r):
			dst = append(dst, data[:size]...)
		case r <= 0xffff:
			dst = appendDigits(append(dst, `\u`...), uint32(r), 4)
		default:
			dst = appendDigits(append(dst, `\U`...), uint32(r), 8)
		}
		data = data[size:]
	}
	return dst
}

// appendDigits appends so many hexadecimal digits of a number.
func appendDigits(dst []byte, number uint32, count int) []byte {
	for shift := 4 * (count - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[number>>shift&15])
	}
	return dst
}

// wholeRunes is the largest n up to limit at which data can be cut without cutting a character of UTF-8. Behind limit it needs to have the
// next utf8.UTFMax-1 bytes, if there are any.
func wholeRunes(data []byte, limit int) int {
	for n := limit - 1; n >= 0 && n > limit-utf8.UTFMax; n-- {
		if !utf8.RuneStart(data[n]) {
			continue
		}
		if _, size := utf8.DecodeRune(data[n:]); n+size > limit {
			return n
		}
		break
	}
	return limit
}
