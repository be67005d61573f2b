package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// maxSize is far above a file of 10,000 links, and small enough to be refused before it costs anything.
const maxSize = 16 << 20

// envPrefix and a key in capitals, "_" for a dot, name the environment variable that overrides the key.
const envPrefix = "SERIALHUB"

// scalars are the keys outside links, with their defaults: the ones that the environment can override.
func scalars() map[string]any {
	return map[string]any{
		"api.listen": "127.0.0.1:7373",
		"log.level":  "info",
		"log.format": "text",
	}
}

// Load reads and checks the file. It returns a whole config, or an error: *Faults with everything that is
// wrong when the file could be read, one that wraps *fs.PathError when it could not.
func Load(path string) (*Config, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	text, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return parse(path, text)
}

// read returns what is in the file, or as much of it as shows that it is too much.
func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	return io.ReadAll(io.LimitReader(file, maxSize+1))
}

// parse turns the text of the file at path into a config, or into *Faults. The document is held against the
// types first, with the place of every fault; viper then adds the defaults and the environment.
func parse(path string, text []byte) (*Config, error) {
	found := newFindings(path, text)
	doc := readDocument(text, found)
	if err := found.err(); err != nil {
		return nil, err
	}
	v := viper.New()
	for key, value := range scalars() {
		v.SetDefault(key, value)
		variable := envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		if err := v.BindEnv(key, variable); err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
		if os.Getenv(variable) != "" {
			found.env[key] = variable
		}
	}
	if err := v.MergeConfigMap(doc); err != nil {
		return nil, fmt.Errorf("config: %s: %w", path, err)
	}
	var written fileEntry
	if err := v.UnmarshalExact(&written, strictly); err != nil {
		return nil, fmt.Errorf("config: %s: %w", path, err)
	}
	config := validate(&written, filepath.Dir(path), found)
	config.Path = path
	if err := found.err(); err != nil {
		return nil, err
	}
	return config, nil
}

// fileEntry, and the types below it, are the file as it is written. Every key is in lower case, as viper wants it.
type fileEntry struct {
	API      apiEntry       `mapstructure:"api"`
	Log      logEntry       `mapstructure:"log"`
	Defaults behaviourEntry `mapstructure:"defaults"`
	Links    []linkEntry    `mapstructure:"links"`
}

type apiEntry struct {
	Listen stringList `mapstructure:"listen"`
}

type logEntry struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

type linkEntry struct {
	Name           string    `mapstructure:"name"`
	A              *endEntry `mapstructure:"a"`
	B              *endEntry `mapstructure:"b"`
	behaviourEntry `mapstructure:",squash"`
}

// behaviourEntry is what a link may say beside its name and its ends, and defaults for all. A nil is not written.
type behaviourEntry struct {
	Restart      *restartEntry `mapstructure:"restart"`
	Absent       *string       `mapstructure:"absent"`
	BufferSize   *sizeText     `mapstructure:"buffer_size"`
	OnDisconnect *string       `mapstructure:"on_disconnect"`
	Disabled     *bool         `mapstructure:"disabled"`
}

// restartEntry is the long form of a restart policy; the short form is the policy alone.
type restartEntry struct {
	Policy      *string `mapstructure:"policy"`
	Delay       *string `mapstructure:"delay"`
	MaxDelay    *string `mapstructure:"max_delay"`
	MaxFailures *int    `mapstructure:"max_failures"`
}

// endEntry is the long form of an end; the short form is the address to listen on.
type endEntry struct {
	Listen    string `mapstructure:"listen"`
	Mode      string `mapstructure:"mode"`
	Owner     idText `mapstructure:"owner"`
	Group     idText `mapstructure:"group"`
	AllowUIDs []int  `mapstructure:"allow_uids"`
	WhenBusy  string `mapstructure:"when_busy"`
}

// stringList is written as a list of strings, or as a single one.
type stringList []string

// sizeText is a size as people write it, such as 64KiB, or a number of bytes.
type sizeText string

// idText is the name of a user or a group, or its number.
type idText string

// shortForms are the types that a plain string may stand for, and what it stands for.
func shortForms() map[reflect.Type]func(string) any {
	return map[reflect.Type]func(string) any{
		reflect.TypeFor[stringList]():   func(s string) any { return []string{s} },
		reflect.TypeFor[endEntry]():     func(s string) any { return map[string]any{"listen": s} },
		reflect.TypeFor[restartEntry](): func(s string) any { return map[string]any{"policy": s} },
	}
}

// takesNumber tells whether a text type may be written as a plain number, too.
func takesNumber(t reflect.Type) bool {
	return t == reflect.TypeFor[sizeText]() || t == reflect.TypeFor[idText]()
}

// strictly makes mapstructure refuse what it would otherwise convert, and teaches it the short forms.
func strictly(c *mapstructure.DecoderConfig) {
	c.WeaklyTypedInput = false
	short := shortForms()
	c.DecodeHook = func(_, to reflect.Type, value any) (any, error) {
		switch v := value.(type) {
		case string:
			if short[to] != nil {
				return short[to](v), nil
			}
		case int:
			if takesNumber(to) {
				return strconv.Itoa(v), nil
			}
		}
		return value, nil
	}
}
