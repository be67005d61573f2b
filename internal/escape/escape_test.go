package escape_test

import (
	"fmt"
	"strings"
	"testing"

	"serialhub/internal/escape"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		``:                     "",
		`root`:                 "root",
		`root\r\n`:             "root\r\n",
		`\t\0\e\\`:             "\t\x00\x1b\\",
		`\x00\xff\x1B`:         "\x00\xff\x1b",
		`\x414`:                "A4",
		`\\x41`:                `\x41`,
		"größer\xff":           "größer\xff",
		`\e[A`:                 "\x1b[A",
		`a\`:                   "! byte 2 of the text: a \\ at the end",
		`ab\q`:                 `! byte 3 of the text: \q is no escape; there are \r \n \t \0 \e \\ \xHH`,
		`\x4`:                  "! byte 1 of the text: \\x needs two",
		`\x+1`:                 "! two hexadecimal digits",
		`\x4g`:                 "! two hexadecimal digits",
		strings.Repeat(`\`, 3): "! byte 3",
	} {
		got, err := escape.Parse(text)
		if wrong, isWrong := strings.CutPrefix(want, "! "); isWrong {
			if err == nil || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%q is %q, %v", text, got, err)
			}
		} else if err != nil || string(got) != want {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}

// FuzzParse writes any bytes with escapes, and reads them again; and reads anything.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\x00\r\n\\x41"))
	f.Fuzz(func(t *testing.T, data []byte) {
		escape.Parse(string(data))
		var text strings.Builder
		for _, b := range data {
			if b == '\\' || b < ' ' || b > '~' {
				fmt.Fprintf(&text, `\x%02x`, b)
			} else {
				text.WriteByte(b)
			}
		}
		if got, err := escape.Parse(text.String()); err != nil || string(got) != string(data) {
			t.Errorf("%q is %q, %v", text.String(), got, err)
		}
	})
}
