package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

var updateSchema = flag.Bool("update", false, "write configs/links.schema.json anew")

const schemaFile = "../../configs/links.schema.json"

// makeSchema makes the JSON Schema of the file from the types that it is held against.
func makeSchema() *jsonschema.Schema {
	text := func() *jsonschema.Schema { return &jsonschema.Schema{Type: "string"} }
	reflector := func() *jsonschema.Reflector {
		return &jsonschema.Reflector{FieldNameTag: "mapstructure", DoNotReference: true, RequiredFromJSONSchemaTags: true, Anonymous: true}
	}
	plain := reflector()
	long := func(of reflect.Type, short *jsonschema.Schema) *jsonschema.Schema {
		schema := plain.ReflectFromType(of)
		schema.Version = ""
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{short, schema}}
	}
	r := reflector()
	r.Mapper = func(of reflect.Type) *jsonschema.Schema {
		switch of {
		case reflect.TypeFor[endEntry]():
			end := long(of, &jsonschema.Schema{Type: "string", MinLength: new(uint64)})
			for _, way := range []string{"listen", "connect", "pty", "device"} {
				end.OneOf[1].OneOf = append(end.OneOf[1].OneOf, &jsonschema.Schema{Required: []string{way}})
			}
			return end
		case reflect.TypeFor[restartEntry]():
			return long(of, &jsonschema.Schema{Type: "string", Enum: []any{Always, OnFailure, Never}})
		case reflect.TypeFor[transcriptEntry]():
			return long(of, &jsonschema.Schema{Type: "string", MinLength: new(uint64(1))})
		case reflect.TypeFor[listenList]():
			one := long(reflect.TypeFor[listenEntry](), text())
			return &jsonschema.Schema{OneOf: append(one.OneOf, &jsonschema.Schema{Type: "array", Items: one})}
		}
		return numberOrText(of)
	}
	plain.Mapper = numberOrText
	schema := r.ReflectFromType(reflect.TypeFor[fileEntry]())
	schema.Title = "serialhub's file of links"
	return schema
}

func schemaText(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(makeSchema()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func numberOrText(of reflect.Type) *jsonschema.Schema {
	switch {
	case of == reflect.TypeFor[ageText]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Enum: []any{0}}}}
	case !takesNumber(of):
		return nil
	}
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Type: "integer", Minimum: "0"}}}
}

func TestSchemaIsCurrent(t *testing.T) {
	want := schemaText(t)
	if *updateSchema {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the types say; run make generate", schemaFile)
	}
}

// accepts tells whether an editor that knows the schema finds nothing wrong with a file.
func accepts(t *testing.T, text []byte) error {
	t.Helper()
	compiler := validator.NewCompiler()
	schema, err := compiler.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var values any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return err
	}
	plain, err := json.Marshal(values)
	if err != nil {
		return err
	}
	document, err := validator.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		return err
	}
	return schema.Validate(document)
}

// TestSchemaAcceptsWhatTheLoaderDoes tries every file of the repository, and those of the tests.
func TestSchemaAcceptsWhatTheLoaderDoes(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	more, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(more) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range append(append(files, more...), "../../packaging/links.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err != nil {
			t.Error(err)
		}
		if err := accepts(t, text); err != nil {
			t.Errorf("%s: the schema says %v", file, err)
		}
		if !strings.HasPrefix(file, "testdata") && !strings.HasPrefix(string(text), "# yaml-language-server: $schema=") {
			t.Errorf("%s does not name its schema for editors", file)
		}
	}
}

// example is a line of reference.yaml that is a comment only because it names a file, or belongs to one that does.
var example = regexp.MustCompile(`(?m)^( {2,})# ( *(- )?[a-z_]+:( .*)?)$`)

// TestReferenceIsWhole tries the examples of reference.yaml that are comments, and looks whether it has every key of a link.
func TestReferenceIsWhole(t *testing.T) {
	text, err := os.ReadFile("../../configs/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"hub", "ca"} {
		WriteKeyPair(t, dir, name)
	}
	text = example.ReplaceAll(text, []byte("$1$2"))
	text = bytes.ReplaceAll(text, []byte("/etc/serialhub/"), []byte(dir+"/"))
	if err := os.WriteFile(filepath.Join(dir, "tokens"), []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "links.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err != nil {
		t.Error(err)
	}
	if err := accepts(t, text); err != nil {
		t.Errorf("the schema says %v", err)
	}
	for indent, types := range map[int][]reflect.Type{
		2: {reflect.TypeFor[apiEntry](), reflect.TypeFor[logEntry]()},
		4: {reflect.TypeFor[behaviourEntry](), reflect.TypeFor[apiTLSEntry]()},
		6: {reflect.TypeFor[listenEntry](), reflect.TypeFor[endEntry](), reflect.TypeFor[restartEntry](), reflect.TypeFor[transcriptEntry]()},
	} {
		for _, of := range types {
			_, keys := keysOf(of)
			for _, key := range keys {
				if !regexp.MustCompile(fmt.Sprintf(`(?m)^ {%d}%s:`, indent, key)).Match(text) {
					t.Errorf("reference.yaml does not have %s", key)
				}
			}
		}
	}
}

// TestSchemaRefusesWhatTheLoaderDoes tries every bad file. Those named value-* are wrong in a way that no schema can
// tell, such as an address that is used twice; there the loader alone has to see it.
func TestSchemaRefusesWhatTheLoaderDoes(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Load(file)
		var faults *Faults
		if !errors.As(err, &faults) {
			t.Errorf("%s: the loader says %v", file, err)
		}
		onlyTheLoader := strings.HasPrefix(filepath.Base(file), "value-")
		if err := accepts(t, text); (err == nil) != onlyTheLoader {
			t.Errorf("%s: the schema says %v", file, err)
		}
	}
}
