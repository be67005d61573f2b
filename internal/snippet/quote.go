package snippet

import (
	"fmt"
	"strings"
	"unicode"
)

// shellWord writes a word as a shell reads it.
func shellWord(word string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:,=@%+"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// shellLine writes words as one line of a shell, and tells whether $(…) without quotes would give the same words.
func shellLine(words []string) (line string, splits bool) {
	quoted := make([]string, len(words))
	splits = true
	for i, word := range words {
		quoted[i] = shellWord(word)
		splits = splits && quoted[i] == word
	}
	return strings.Join(quoted, " ") + "\n", splits
}

// comma writes a value of one of QEMU's options: what follows a comma is the next option, unless it is another comma.
func comma(value string) string { return strings.ReplaceAll(value, ",", ",,") }

// xlString writes a string of xl's config, which Python reads alike. Between quotes xl takes no quote of the same kind, and no line break.
func xlString(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			out.WriteString(`\\`)
		case r == '\'' || r < ' ' || r == 0x7f:
			fmt.Fprintf(&out, `\x%02x`, r)
		default:
			out.WriteRune(r)
		}
	}
	return "'" + out.String() + "'"
}

// xlList writes a list of them.
func xlList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = xlString(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// xmlValue writes the value of an attribute. XML has no way of writing control characters.
func xmlValue(text string) (string, error) {
	if strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || r == unicode.ReplacementChar || r == 0xfffe || r == 0xffff
	}) {
		return "", errOddText
	}
	return "'" + strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&apos;", `"`, "&quot;").Replace(text) + "'", nil
}
