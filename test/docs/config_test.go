package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"serialhub/internal/config"
	"serialhub/internal/testenv"
)

// TestConfigs loads each file of links on the pages, as the hub does, and each piece of one, put where it belongs.
func TestConfigs(t *testing.T) {
	loader := newLoader(t)
	for name, p := range readTree(t).pages(t) {
		for _, block := range p.Blocks {
			if block.Language != "yaml" {
				continue
			}
			files, err := complete(block.Text)
			if err != nil {
				t.Errorf("%s:%d: %v", name, block.Line, err)
			}
			for _, file := range files {
				if err := loader.load(t, file); err != nil {
					t.Errorf("%s:%d: %v\nas\n%s", name, block.Line, err, file)
				}
			}
		}
	}
}

// TestComplete shows what is made of a block, and that one that belongs nowhere is found.
func TestComplete(t *testing.T) {
	const link = "links:\n  - name: dbg\n"
	const a, b = "    a: /run/serialhub/dbg.a\n", "    b: /run/serialhub/dbg.b\n"
	for text, want := range map[string][]string{
		"links: []\n":                     {"links: []\n"},
		"api:\n  listen: none\n":          {"api:\n  listen: none\nlinks: []\n"},
		"    a: /1   # one\n    a: /2\n":  {link + "    a: /1   # one\n" + b, link + "    a: /2\n" + b},
		"    scrollback: 0\n    # more\n": {link + a + b + "    scrollback: 0\n"},
		"  b:\n    pty: /1\n":             {link + a + "    b:\n      pty: /1\n"},
		"links:\n  - name: dbg\n    a: /1\n    b: /2\n    # restart: {policy: always}\n": {
			"links:\n  - name: dbg\n    a: /1\n    b: /2\n    # restart: {policy: always}\n",
			"links:\n  - name: dbg\n    a: /1\n    b: /2\n    restart: {policy: always}\n"},
		"links:\n  - name: dbg\n    a: /1\n    b: /2\n    restart: never\n    # restart: {policy: always}\n": {
			"links:\n  - name: dbg\n    a: /1\n    b: /2\n    restart: never\n    # restart: {policy: always}\n",
			"links:\n  - name: dbg\n    a: /1\n    b: /2\n    restart: {policy: always}\n"},
		"services:\n  a: 1\n": nil, "    absnt: hold\n": nil, "- 1\n": nil, "": nil,
	} {
		files, err := complete(text)
		if (err != nil) != (want == nil) || !slices.Equal(files, want) {
			t.Errorf("%q becomes %q, %v; want %q", text, files, err, want)
		}
	}
}

// TestLoader shows that a fault in a block is found.
func TestLoader(t *testing.T) {
	loader := newLoader(t)
	for text, fine := range map[string]bool{
		"    a: {listen: 'tls:0.0.0.0:1', cert: /etc/c.pem, key: k.pem, client_ca: ca.pem}\n": true,
		"    a: {listen: 'tls:0.0.0.0:1', cert: /etc/c.pem}\n":                                false,
		"api: {listen: '0.0.0.0:1', token_file: tokens}\n":                                    true,
		"api: {listen: '0.0.0.0:1'}\n":                                                        false,
		"    a: /1\n    baud: 9600\n":                                                         false,
	} {
		files, err := complete(text)
		for _, file := range files {
			err = errors.Join(err, loader.load(t, file))
		}
		if (err == nil) != fine {
			t.Errorf("%q: %v", text, err)
		}
	}
}

var (
	keysOfFile = []string{"api", "log", "defaults", "links"}
	keysOfLink = []string{"a", "b", "restart", "absent", "buffer_size", "on_disconnect", "scrollback", "transcript", "disabled"}
)

// complete makes files of links of a block: the block itself, or a link with what the block says of it. Of a key that has several values there is a file
// for each of them.
func complete(text string) (files []string, err error) {
	entries := split(text)
	if len(entries) == 0 {
		return nil, errors.New("the block is empty")
	}
	if slices.Contains(keysOfFile, entries[0].key) {
		for _, entry := range entries {
			if !slices.Contains(keysOfFile, entry.key) {
				return nil, fmt.Errorf("%q is no key of a file of links", entry.key)
			}
		}
		if !slices.ContainsFunc(entries, func(e entry) bool { return e.key == "links" }) {
			text += "links: []\n"
		}
		return withComments(text), nil
	}
	values := map[string][]string{"a": nil, "b": nil}
	for _, entry := range entries {
		if !slices.Contains(keysOfLink, entry.key) {
			return nil, fmt.Errorf("%q is no key of a file of links, nor of a link", entry.key)
		}
		values[entry.key] = append(values[entry.key], entry.text)
	}
	for _, end := range []string{"a", "b"} {
		if values[end] == nil {
			values[end] = []string{"    " + end + ": /run/serialhub/dbg." + end + "\n"}
		}
	}
	keys := slices.Sorted(maps.Keys(values))
	most := 0
	for _, key := range keys {
		most = max(most, len(values[key]))
	}
	for i := range most {
		file := "links:\n  - name: dbg\n"
		for _, key := range keys {
			file += values[key][min(i, len(values[key])-1)]
		}
		files = append(files, withComments(file)...)
	}
	return files, nil
}

// entry is a key of a block with its value, at the place that it has in a link.
type entry struct{ key, text string }

// split takes the entries of a block apart, which are as far to the right as its first line.
func split(text string) (entries []entry) {
	indent := -1
	for line := range strings.Lines(text) {
		said := strings.TrimLeft(line, " ")
		if strings.TrimSpace(said) == "" || strings.HasPrefix(said, "#") {
			continue
		}
		if indent < 0 {
			indent = len(line) - len(said)
		}
		line = line[min(indent, len(line)-len(said)):]
		if key, _, _ := strings.Cut(line, ":"); !strings.HasPrefix(line, " ") {
			entries = append(entries, entry{key, "    " + line})
			continue
		}
		entries[len(entries)-1].text += "    " + line
	}
	return entries
}

var commented = regexp.MustCompile(`(?m)^( *)# ((\w+): .*\n)`)

// withComments are a file, and for each key of a link that stands in a comment the file with that in the place of what it says of the key.
func withComments(file string) []string {
	files := []string{file}
	for _, found := range commented.FindAllStringSubmatch(file, -1) {
		whole, indent, line, key := found[0], found[1], found[2], found[3]
		if !slices.Contains(keysOfLink, key) {
			continue
		}
		said := regexp.MustCompile(`(?m)^` + indent + key + `:.*\n`)
		files = append(files, strings.Replace(said.ReplaceAllString(file, ""), whole, indent+line, 1))
	}
	return files
}

// loader loads files as the hub does. What they name of certificates and tokens is there.
type loader struct {
	dir      string
	identity testenv.Identity
	ca       string
}

func newLoader(t *testing.T) *loader {
	t.Helper()
	authority := testenv.NewAuthority(t, "docs")
	return &loader{dir: t.TempDir(), identity: authority.Issue(t, "docs", false), ca: authority.PEM}
}

func (l *loader) load(t *testing.T, file string) error {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(file), &document); err != nil {
		return err
	}
	l.give(t, &document)
	moved, err := yaml.Marshal(&document)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(l.dir, "links.yaml")
	testenv.WriteFile(t, path, string(moved))
	_, err = config.Load(path)
	return err
}

// give makes the files that a document names, in the loader's folder, and has it name those.
func (l *loader) give(t *testing.T, node *yaml.Node) {
	t.Helper()
	for i, child := range node.Content {
		l.give(t, child)
		if node.Kind != yaml.MappingNode || i%2 == 1 {
			continue
		}
		texts := map[string]string{"cert": l.identity.Cert, "key": l.identity.Key, "client_ca": l.ca, "ca": l.ca, "token_file": strings.Repeat("t", 64) + "\n"}
		text, is := texts[child.Value]
		if value := node.Content[i+1]; is && value.Kind == yaml.ScalarNode {
			value.Value = strings.ReplaceAll(strings.TrimPrefix(value.Value, "/"), "/", "-")
			testenv.WriteFile(t, filepath.Join(l.dir, value.Value), text)
		}
	}
}

// TestJSON wants each block of JSON to be some.
func TestJSON(t *testing.T) {
	for name, p := range readTree(t).pages(t) {
		for _, block := range p.Blocks {
			if block.Language == "json" && !json.Valid([]byte(block.Text)) {
				t.Errorf("%s:%d: this is no JSON:\n%s", name, block.Line, block.Text)
			}
		}
	}
}
