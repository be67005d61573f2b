package address_test

import (
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"serialhub/internal/address"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	t.Parallel()
	longest := "/" + strings.Repeat("x", address.MaxUnixPath-1)
	tests := []struct {
		name, text string
		want, path string
	}{
		{"path", "/tmp/windows-debugger", "unix:/tmp/windows-debugger", "/tmp/windows-debugger"},
		{"scheme", "unix:/run/x", "unix:/run/x", "/run/x"},
		{"URL", "unix:///run/x", "unix:/run/x", "/run/x"},
		{"relative", "sock/x", "unix:/etc/serialhub/sock/x", "/etc/serialhub/sock/x"},
		{"relative with scheme", "unix:x", "unix:/etc/serialhub/x", "/etc/serialhub/x"},
		{"relative to the parent", "../x", "unix:/etc/x", "/etc/x"},
		{"a colon after a folder", "./a:b", "unix:/etc/serialhub/a:b", "/etc/serialhub/a:b"},
		{"a colon in a path", "/run/a:b", "unix:/run/a:b", "/run/a:b"},
		{"cleaned", "/run//serialhub/./x", "unix:/run/serialhub/x", "/run/serialhub/x"},
		{"abstract", "unix:@dbg-a", "unix:@dbg-a", ""},
		{"abstract is not cleaned", "unix:@a//b/", "unix:@a//b/", ""},
		{"the longest path", longest, "unix:" + longest, longest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := address.Parse(test.text, "/etc/serialhub")
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != test.want || got.Path() != test.path {
				t.Errorf("Parse(%q) = %q with path %q, want %q with path %q", test.text, got, got.Path(), test.want, test.path)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, says string }{
		{"empty", "", "empty"},
		{"scheme alone", "unix:", "empty"},
		{"a folder", "/run/serialhub/", "folder"},
		{"this folder", "unix:.", "folder"},
		{"the root", "/..", "folder"},
		{"too long", "/" + strings.Repeat("x", address.MaxUnixPath), "108 bytes long"},
		{"too long once it is absolute", strings.Repeat("x", 100), "shorter folder"},
		{"another kind", "udp:localhost:1", `"udp" is not a kind`},
		{"a host", "unix://host/path", "names a host"},
		{"abstract without a name", "unix:@", "needs a name"},
		{"abstract without its scheme", "@dbg", "unix:@dbg"},
		{"a home", "~/sock", "not expanded"},
		{"a variable", "unix:$HOME/sock", "not expanded"},
		{"NUL", "/run/a\x00b", "NUL"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := address.Parse(test.text, "/etc/serialhub")
			if err == nil {
				t.Fatalf("Parse(%q) = %q, want an error", test.text, got)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("Parse(%q) says %q, which does not contain %q", test.text, err, test.says)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"/tmp/a", "unix:/tmp/a", "unix:///a", "unix:@a", "a", "../a", "unix:", "tcp:a:1", "//", "@", "unix:@a\x00", "./a:b/.."} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := address.Parse(text, "/etc/serialhub")
		if err != nil {
			return
		}
		if len(got.SocketName()) == 0 || len(got.SocketName()) > address.MaxUnixPath {
			t.Errorf("Parse(%q) gave a name of %d bytes", text, len(got.SocketName()))
		}
		if path := got.Path(); path != "" && !filepath.IsAbs(path) {
			t.Errorf("Parse(%q) gave the relative path %q", text, path)
		}
		again, err := address.Parse(got.String(), "/elsewhere")
		if err != nil || again != got {
			t.Errorf("Parse(%q).String() = %q, which reads back as %q, %v", text, got, again, err)
		}
	})
}
