package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// smallest is what an empty file is answered with.
const smallest = `links:
  - name: dbg
    a: /tmp/windows-debugger
    b: /tmp/windows-debuggee`

// readDocument parses the YAML, holds its tree against fileEntry, and returns its values without those that do not fit.
// What is wrong goes into found, together with the place of every key. It returns nil if the whole is no use.
func readDocument(text []byte, found *findings) map[string]any {
	switch {
	case len(text) > maxSize:
		found.add("", "the file is larger than %d MiB; this is not a file of links", maxSize>>20)
		return nil
	case bytes.IndexByte(text, 0) >= 0:
		found.add("", "the file contains NUL bytes; it must be plain text")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF), err == nil && isEmpty(&doc):
		found.add("", "the file is empty; the smallest useful one is\n%s", smallest)
		return nil
	case err != nil:
		found.syntax(err)
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		found.at(&second, "", "a second document starts here; write all links into one")
		return nil
	} else if !errors.Is(err, io.EOF) {
		found.syntax(err)
		return nil
	}
	if !found.hold(&doc, reflect.TypeFor[fileEntry](), "") || found.useless {
		return nil
	}
	values := map[string]any{}
	if err := doc.Decode(&values); err != nil {
		found.syntax(err)
		return nil
	}
	return values
}

func isEmpty(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null"
}

// hold compares node with the type that the value of key must have, notes its place, and takes out of it what does not
// fit, so that the rest can be checked further. It returns false if node itself does not fit.
func (f *findings) hold(node *yaml.Node, want reflect.Type, key string) bool {
	f.place(key, node)
	node = resolve(node)
	if want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	tag := ""
	if node.Kind == yaml.ScalarNode {
		tag = node.ShortTag()
	}
	_, short := shortForms()[want]
	if want == reflect.TypeFor[listenList]() && node.Kind == yaml.MappingNode { // one alone, which has the place of its list
		one := *node
		*node = yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{&one}, Line: one.Line, Column: one.Column}
	}
	switch {
	case short && tag == "!!str":
	case want.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		f.holdKeys(node, want, key)
	case want.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		return f.holdList(node, want.Elem(), key)
	case want.Kind() == reflect.String && tag == "!!str":
	case (want.Kind() == reflect.Int || takesNumber(want)) && tag == "!!int":
		if n, err := strconv.Atoi(node.Value); err != nil || strconv.Itoa(n) != node.Value {
			f.unfit(key, "%s is not a plain decimal number", node.Value)
			return false
		}
	case want.Kind() == reflect.Bool && tag == "!!bool":
	default:
		f.unfit(key, "%s, but must be %s", describe(node), expected(want))
		return false
	}
	return true
}

// holdList compares each entry of a list. A mapping that does not fit is emptied, so that those behind it keep their
// numbers; a list of single values has to fit as a whole.
func (f *findings) holdList(list *yaml.Node, want reflect.Type, key string) bool {
	fits := true
	for i, value := range list.Content {
		if !f.hold(value, want, fmt.Sprintf("%s[%d]", key, i)) {
			fits = false
			list.Content[i] = &yaml.Node{Kind: yaml.MappingNode, Line: value.Line, Column: value.Column}
		}
	}
	return fits || want.Kind() == reflect.Struct
}

// holdKeys compares the keys of a mapping, and of those that are merged into it by "<<", with the fields of a struct.
func (f *findings) holdKeys(mapping *yaml.Node, want reflect.Type, parent string) {
	fields, names := keysOf(want)
	first := map[string]int{}
	var fitting []*yaml.Node
	for pair := range slices.Chunk(mapping.Content, 2) {
		if pair[0].ShortTag() == "!!merge" { // first, because the mapping's own keys have the last word
			f.holdMerged(resolve(pair[1]), want, parent)
			fitting = append(fitting, pair...)
		}
	}
	for pair := range slices.Chunk(mapping.Content, 2) {
		name, value := pair[0], pair[1]
		key := strings.TrimPrefix(parent+"."+name.Value, ".")
		field, known := fields[name.Value]
		switch {
		case name.ShortTag() == "!!merge":
		case !known && elsewhere(want, name.Value) != "":
			f.at(name, key, "%s is a key of %s", name.Value, elsewhere(want, name.Value))
		case !known:
			f.unknown(name, key, names)
		case first[name.Value] > 0:
			f.at(name, key, "the key is there twice, first in line %d", first[name.Value])
		default:
			first[name.Value] = name.Line
			if f.hold(value, field, key) {
				fitting = append(fitting, name, value)
			}
		}
	}
	mapping.Content = fitting
}

// elsewhere tells where a key belongs that was written in an end, but is one of its link, or the other way round; "" if it is neither.
func elsewhere(want reflect.Type, name string) string {
	link, _ := keysOf(reflect.TypeFor[linkEntry]())
	end, _ := keysOf(reflect.TypeFor[endEntry]())
	switch {
	case want == reflect.TypeFor[endEntry]() && link[name] != nil && name != "a" && name != "b":
		return "the link, beside a and b"
	case want == reflect.TypeFor[linkEntry]() && (name == "listen" || name == "connect" || name == "pty" || name == "device"):
		return "an end, inside a or b: {" + name + ": …}"
	case want == reflect.TypeFor[linkEntry]() && end[name] != nil:
		return "an end, inside a or b: {listen: …, " + name + ": …}"
	default:
		return ""
	}
}

// keysOf lists the keys of a struct with the types of their values, and their names in order.
func keysOf(want reflect.Type) (fields map[string]reflect.Type, names []string) {
	fields = map[string]reflect.Type{}
	for field := range fieldsOf(want) {
		name := field.Tag.Get("mapstructure")
		fields[name] = field.Type
		names = append(names, name)
	}
	return fields, names
}

// fieldsOf yields the fields of a struct and, in their place, those of a struct that is squashed into it.
func fieldsOf(want reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for i := range want.NumField() {
			field := want.Field(i)
			if field.Anonymous {
				for inner := range fieldsOf(field.Type) {
					if !yield(inner) {
						return
					}
				}
			} else if !yield(field) {
				return
			}
		}
	}
}

// maxMerges is more than 10,000 links need, and stops a file that merges exponentially.
const maxMerges = 100_000

// holdMerged holds what "<<" merges: a mapping, or a list of them.
func (f *findings) holdMerged(merged *yaml.Node, want reflect.Type, parent string) {
	f.merges++
	switch {
	case f.merges > maxMerges:
		f.useless = true
		if f.merges == maxMerges+1 {
			f.at(merged, parent, "more than %d merges by “<<”; this is not a file of links", maxMerges)
		}
	case f.merging[merged]:
		f.at(merged, parent, "the mapping merges itself")
		f.useless = true
	case merged.Kind == yaml.MappingNode:
		f.merging[merged] = true
		f.holdKeys(merged, want, parent)
		delete(f.merging, merged)
	case merged.Kind == yaml.SequenceNode:
		f.merging[merged] = true
		for _, one := range slices.Backward(merged.Content) { // the first has the last word
			f.holdMerged(resolve(one), want, parent)
		}
		delete(f.merging, merged)
	}
}

// resolve returns the value that a document or an alias stands for.
func resolve(node *yaml.Node) *yaml.Node {
	switch node.Kind {
	case yaml.DocumentNode:
		return node.Content[0]
	case yaml.AliasNode:
		return node.Alias
	default:
		return node
	}
}

func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "is a mapping"
	case node.Kind == yaml.SequenceNode:
		return "is a list"
	case node.ShortTag() == "!!null":
		return "has no value"
	case node.ShortTag() == "!!str":
		return fmt.Sprintf("is the text %q", node.Value)
	default:
		return fmt.Sprintf("is %s (%s)", node.Value, strings.TrimLeft(node.ShortTag(), "!"))
	}
}

func expected(want reflect.Type) string {
	switch want {
	case reflect.TypeFor[endEntry]():
		return "the path of a socket, {listen: ADDRESS}, {connect: ADDRESS}, {pty: PATH} or {device: PATH}"
	case reflect.TypeFor[restartEntry]():
		return "always, on-failure or never, or {policy: …, delay: …}"
	case reflect.TypeFor[transcriptEntry]():
		return "the path of a file, none, or {file: …, format: …}"
	case reflect.TypeFor[listenList](), reflect.TypeFor[listenEntry]():
		return "host:port, unix:/path, {listen: unix:/path, mode: …}, or a list of these"
	case reflect.TypeFor[timeText]():
		return "a time, such as 200ms, 30s or 5m"
	case reflect.TypeFor[ageText]():
		return "a time, such as 30d or 12h, or 0"
	case reflect.TypeFor[sizeText]():
		return "a size, such as 64KiB"
	case reflect.TypeFor[idText]():
		return "a name or a number"
	}
	switch want.Kind() {
	case reflect.Struct:
		return "a mapping of keys to values"
	case reflect.Slice:
		return "a list (each entry starts with “- ”; [] is an empty one)"
	case reflect.Int:
		return "a number"
	case reflect.Bool:
		return "true or false"
	default:
		return "a text (put it in quotes)"
	}
}
