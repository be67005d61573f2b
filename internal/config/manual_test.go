package config

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"

	"serialhub/internal/roff"
)

const (
	configPage = "../../docs/config.md"
	configMan  = "../../packaging/man/links.yaml.5"
)

// keyTable is what a mapping of the file may have.
type keyTable struct {
	title, about string
	keys         []keyRow
}

type keyRow struct{ key, kind, fallback, text string }

// keyTables lists every mapping that the schema knows, each once.
func keyTables() []keyTable {
	root := makeSchema()
	tables := []keyTable{
		{"The file", "", nil},
		{"api", "", nil}, {"api.listen", "The long form of one address; a list may have several, in either form.", nil}, {"api.tls", "", nil},
		{"log", "", nil},
		{"links", "Each entry is a link. `defaults` takes the same keys but `name`, `a` and `b`, and holds for every link that does not say otherwise.", nil},
		{"a, b", "An end in its long form has exactly one of `listen`, `connect`, `pty` and `device`; the short form is a path or an address to listen on. The other keys are for the kinds of ends that their text names.", nil},
		{"restart", "The long form; the short one is the policy alone.", nil},
		{"transcript", "The long form; the short one is the file alone, or none.", nil},
	}
	api, link := property(root, "api"), property(root, "links").Items
	for i, of := range []*jsonschema.Schema{
		root, api, long(property(api, "listen")), property(api, "tls"), property(root, "log"), link,
		long(property(link, "a")), long(property(link, "restart")), long(property(link, "transcript")),
	} {
		for pair := of.Properties.Oldest(); pair != nil; pair = pair.Next() {
			tables[i].keys = append(tables[i].keys, row(pair.Key, pair.Value, of.Required))
		}
	}
	return tables
}

func property(of *jsonschema.Schema, key string) *jsonschema.Schema {
	value, _ := of.Properties.Get(key)
	return value
}

// long is the long form of what has a short one.
func long(of *jsonschema.Schema) *jsonschema.Schema {
	for _, form := range of.OneOf {
		if form.Properties != nil && form.Properties.Len() > 0 {
			return form
		}
	}
	return of
}

// fallback is what a description says of the default, where it cannot be a value.
var fallback = regexp.MustCompile(`^(.*?) ?Default: (.*)\.$`)

func row(key string, of *jsonschema.Schema, required []string) keyRow {
	r := keyRow{key: key, kind: kind(of), text: of.Description}
	for _, must := range required {
		if must == key {
			r.fallback = "required"
		}
	}
	if of.Default != nil {
		r.fallback = fmt.Sprint(of.Default)
		if of.Type == "string" && regexp.MustCompile(`^[0-9.]+$`).MatchString(r.fallback) {
			r.fallback = `"` + r.fallback + `"` // it needs its quotes in the file, too
		}
	} else if parts := fallback.FindStringSubmatch(of.Description); parts != nil {
		r.text, r.fallback = parts[1], parts[2]
	}
	return r
}

// kind says which values a key takes.
func kind(of *jsonschema.Schema) string {
	if len(of.Enum) > 0 {
		var values []string
		for _, value := range of.Enum {
			if of.Type == "string" && regexp.MustCompile(`^[0-9.]+$`).MatchString(fmt.Sprint(value)) {
				value = fmt.Sprintf("%q", value)
			}
			values = append(values, fmt.Sprint(value))
		}
		return strings.Join(values, ", ")
	}
	if len(of.OneOf) > 0 && of.Type != "object" {
		var kinds []string
		for _, form := range of.OneOf {
			kinds = append(kinds, kind(form))
		}
		return strings.Join(kinds, ", or ")
	}
	switch of.Type {
	case "array":
		return "list of " + plural(of.Items)
	case "object":
		return "mapping"
	case "boolean":
		return "true, false"
	case "integer":
		if of.Maximum != "" {
			return fmt.Sprintf("number, %s to %s", of.Minimum, of.Maximum)
		}
		return "number"
	default:
		return "text"
	}
}

func plural(of *jsonschema.Schema) string {
	if len(of.OneOf) > 0 {
		return "these"
	}
	return cmp.Or(map[string]string{"integer": "numbers", "object": "mappings"}[of.Type], "texts")
}

// manualExample is a file to begin with; TestManualsAreCurrent loads it.
const manualExample = `links:
  - name: dbg
    a: /run/serialhub/dbg-a
    b:
      listen: /run/serialhub/dbg-b
      mode: "0660"
      group: kvm
    scrollback: 64KiB
  - name: console
    a: {connect: "unix:/run/vm/console.sock"}
    b: {pty: /run/serialhub/console.tty, group: dialout, mode: "0660"}
    transcript: /var/log/serialhub/{link}.log`

const manualIntro = "The file of links says which links a hub has, and how its API and its log are. It is YAML. A file with a fault is refused whole: " +
	"serialhub check shows every fault with its line. A hub that runs applies a changed file when it is told to: systemctl reload serialhub, or serialhub reload. " +
	"Links that did not change lose nothing by that."

const manualAddresses = "Addresses are /path and unix:/path, unix:@name in the abstract namespace, tcp:host:port, tls:host:port and vsock:cid:port. A relative path is taken from the " +
	"folder of the file. Times are such as 200ms, 30s or 5m, and ages also 30d; sizes such as 64KiB. No two ends can have the same address."

const manualOverride = "SERIALHUB_ and a key in capitals, with _ for a dot, overrides a single value outside of links: SERIALHUB_API_LISTEN, SERIALHUB_LOG_LEVEL."

// configMarkdown is docs/config.md.
func configMarkdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# The file of links, key by key\n\n<!-- made by make generate from the types that the file is held against; man links.yaml has the same -->\n\n")
	fmt.Fprintf(&out, "%s [links.md](links.md) tells how links behave, [ends.md](ends.md) what the kinds of ends do, and [access.md](access.md) who may call the API.\n\n", manualIntro)
	fmt.Fprintf(&out, "```yaml\n%s\n```\n\n%s\n\n%s\n", manualExample, manualAddresses, manualOverride)
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;")
	for _, table := range keyTables() {
		fmt.Fprintf(&out, "\n## %s\n\n", table.title)
		if table.about != "" {
			fmt.Fprintf(&out, "%s\n\n", table.about)
		}
		fmt.Fprintf(&out, "| key | values | default | |\n|---|---|---|---|\n")
		for _, key := range table.keys {
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", key.key, cell.Replace(key.kind), cell.Replace(key.fallback), cell.Replace(key.text))
		}
	}
	return out.String()
}

// configManual is the manual page links.yaml(5).
func configManual() string {
	page := roff.NewPage("links.yaml", 5, "the file of serialhub's links")
	page.Section("SYNOPSIS")
	page.Text("/etc/serialhub/links.yaml")
	page.Section("DESCRIPTION")
	page.Text(manualIntro + "\n\n" + manualAddresses)
	for _, table := range keyTables() {
		page.Section(strings.ToUpper(table.title))
		if table.about != "" {
			page.Text(strings.ReplaceAll(table.about, "`", ""))
		}
		for _, key := range table.keys {
			text := strings.TrimSuffix(key.text, ".") + ". Values: " + key.kind + "."
			switch key.fallback {
			case "":
			case "required":
				text += " Required."
			default:
				text += " Default: " + key.fallback + "."
			}
			page.Item(key.key, text)
		}
	}
	page.Section("ENVIRONMENT")
	page.Text(manualOverride)
	page.Section("EXAMPLES")
	page.Example(manualExample)
	page.Section("SEE ALSO")
	page.Text("serialhub(1), serialhub-check(1), serialhub-reload(1)")
	return page.String()
}

// TestManualsAreCurrent compares docs/config.md and links.yaml(5) with the types that the file is held against.
func TestManualsAreCurrent(t *testing.T) {
	for file, want := range map[string]string{configPage: configMarkdown(), configMan: configManual()} {
		if *updateSchema {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s is not what the types say (%v); run make generate", file, err)
		}
	}
	example := t.TempDir() + "/links.yaml"
	if err := os.WriteFile(example, []byte(manualExample), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(example); err != nil {
		t.Error(err)
	}
}

// TestManualHasEveryKey looks for the keys of every mapping in what is written of them.
func TestManualHasEveryKey(t *testing.T) {
	written := map[string]bool{}
	for _, table := range keyTables() {
		if len(table.keys) == 0 {
			t.Errorf("%s has no keys", table.title)
		}
		for _, key := range table.keys {
			written[key.key] = true
			if key.text == "" || key.kind == "" {
				t.Errorf("%s: %s is not explained: %+v", table.title, key.key, key)
			}
		}
	}
	for _, match := range regexp.MustCompile(`(?m)^ *(?:- )?([a-z_]+):`).FindAllStringSubmatch(reference(t), -1) {
		if !written[match[1]] {
			t.Errorf("configs/reference.yaml has %s, and the manual has not", match[1])
		}
	}
}

func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../configs/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
