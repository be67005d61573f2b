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
		"api.listen":        "127.0.0.1:7373",
		"api.token_file":    "",
		"api.tls.cert":      "",
		"api.tls.key":       "",
		"api.tls.client_ca": "",
		"log.level":         "info",
		"log.format":        "text",
	}
}

// Load reads and checks the file. It returns a whole config, or an error: *Faults with everything that is
// wrong when the file could be read, one that wraps *fs.PathError when it could not.
func Load(path string) (*Config, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	text, err := read(path, maxSize)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return parse(path, text)
}

// read returns what is in the file, or as much of it as shows that it is more than limit.
func read(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	return io.ReadAll(io.LimitReader(file, limit+1))
}

// parse turns the text of the file at path into a config, or into *Faults.
func parse(path string, text []byte) (*Config, error) {
	written, found, err := decode(path, text)
	if err != nil {
		return nil, err
	}
	config := validate(written, filepath.Dir(path), found)
	config.Path = path
	if err := found.err(); err != nil {
		return nil, err
	}
	return config, nil
}

// decode reads the text of the file at path as it is written. The document is held against the types first, with the place of every fault; viper
// then adds the defaults and the environment. An error is *Faults if nothing of the document is of use.
func decode(path string, text []byte) (*fileEntry, *findings, error) {
	found := newFindings(path, text)
	doc := readDocument(text, found)
	if doc == nil {
		return nil, nil, found.err()
	}
	v := viper.New()
	for key, value := range scalars() {
		v.SetDefault(key, value)
		variable := envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		if err := v.BindEnv(key, variable); err != nil {
			return nil, nil, fmt.Errorf("config: %w", err)
		}
		if os.Getenv(variable) != "" {
			found.env[key] = variable
		}
	}
	if err := v.MergeConfigMap(doc); err != nil {
		return nil, nil, fmt.Errorf("config: %s: %w", path, err)
	}
	var written fileEntry
	if err := v.UnmarshalExact(&written, strictly); err != nil {
		return nil, nil, fmt.Errorf("config: %s: %w", path, err)
	}
	return &written, found, nil
}

// fileEntry, and the types below it, are the file as it is written. Every key is in lower case, as viper wants it.
// The tags for JSON Schema make configs/links.schema.json (make generate).
type fileEntry struct {
	API      apiEntry       `mapstructure:"api" jsonschema_description:"The REST API."`
	Log      logEntry       `mapstructure:"log" jsonschema_description:"What is logged, and how."`
	Defaults behaviourEntry `mapstructure:"defaults" jsonschema_description:"How links behave that do not say otherwise."`
	Links    []linkEntry    `mapstructure:"links" jsonschema:"required" jsonschema_description:"The virtual serial cables."`
}

type apiEntry struct {
	Listen    listenList  `mapstructure:"listen" jsonschema_description:"Where it answers: host:port, unix:/path, the long form, a list of these, or none. An address that others can reach needs token_file or tls.client_ca. Default: 127.0.0.1:7373."`
	TokenFile string      `mapstructure:"token_file" jsonschema:"minLength=1" jsonschema_description:"File of the tokens of which callers on TCP must show one; a line is TOKEN, read TOKEN NAME, or admin TOKEN NAME. Default: they need none."`
	TLS       apiTLSEntry `mapstructure:"tls" jsonschema_description:"Has the API speak HTTPS on TCP."`
}

// listenEntry is the long form of an address of the API; the short form is the address alone.
type listenEntry struct {
	Listen    string `mapstructure:"listen" jsonschema:"required,minLength=1" jsonschema_description:"host:port or unix:/path; a relative path is taken from the file's folder."`
	Mode      string `mapstructure:"mode" jsonschema:"pattern=^0*[0-7]{1\\,3}$,default=0600" jsonschema_description:"Permissions of the file of a unix socket, in quotes."`
	Owner     idText `mapstructure:"owner" jsonschema_description:"User of that file, a name or a number. Default: the hub's."`
	Group     idText `mapstructure:"group" jsonschema_description:"Group of that file, a name or a number. Default: the hub's."`
	AllowUIDs []int  `mapstructure:"allow_uids" jsonschema_description:"Unix sockets: who may call. Empty: whoever the file's mode lets in."`
}

type apiTLSEntry struct {
	Cert     string `mapstructure:"cert" jsonschema:"minLength=1" jsonschema_description:"PEM file of the hub's certificate, and of those between it and its authority."`
	Key      string `mapstructure:"key" jsonschema:"minLength=1" jsonschema_description:"PEM file of the key to cert."`
	ClientCA string `mapstructure:"client_ca" jsonschema:"minLength=1" jsonschema_description:"PEM file of who must have signed a client's certificate. Default: clients need none."`
}

type logEntry struct {
	Level  string `mapstructure:"level" jsonschema:"enum=debug,enum=info,enum=warn,enum=error,default=info" jsonschema_description:"The least important lines that are logged."`
	Format string `mapstructure:"format" jsonschema:"enum=text,enum=json,default=text" jsonschema_description:"The shape of a line."`
}

type linkEntry struct {
	Name           string    `mapstructure:"name" jsonschema:"required,pattern=^[A-Za-z0-9][A-Za-z0-9._-]{0\\,62}$" jsonschema_description:"Unique; 1 to 63 of A-Z a-z 0-9 . _ -, the first a letter or a digit."`
	A              *endEntry `mapstructure:"a" jsonschema:"required" jsonschema_description:"One end: where to listen, or the long form."`
	B              *endEntry `mapstructure:"b" jsonschema:"required" jsonschema_description:"The other end: where to listen, or the long form."`
	behaviourEntry `mapstructure:",squash"`
}

// behaviourEntry is what a link may say beside its name and its ends, and defaults for all. A nil is not written.
type behaviourEntry struct {
	Restart      *restartEntry    `mapstructure:"restart" jsonschema_description:"What happens after a loss or a failure: a policy, or the long form. Default: always."`
	Absent       *string          `mapstructure:"absent" jsonschema:"enum=discard,enum=hold,enum=buffer,default=discard" jsonschema_description:"What happens to bytes that are sent while nobody is at the other end."`
	BufferSize   *sizeText        `mapstructure:"buffer_size" jsonschema_description:"How many of the newest bytes are kept under absent: buffer. Default: 64KiB; at most 64MiB."`
	OnDisconnect *string          `mapstructure:"on_disconnect" jsonschema:"enum=keep,enum=close,default=keep" jsonschema_description:"What happens to the peer that is left when the other one leaves."`
	Scrollback   *sizeText        `mapstructure:"scrollback" jsonschema_description:"How many of the newest bytes of both directions are kept for those who watch the link; 1KiB to 16MiB. Default: 0, none."`
	Transcript   *transcriptEntry `mapstructure:"transcript" jsonschema_description:"The file into which what crosses the link is written, none, or the long form. Default: none."`
	Disabled     *bool            `mapstructure:"disabled" jsonschema:"default=false" jsonschema_description:"Kept in the file, and not started."`
}

// restartEntry is the long form of a restart policy; the short form is the policy alone.
type restartEntry struct {
	Policy      *string   `mapstructure:"policy" jsonschema:"enum=always,enum=on-failure,enum=never,default=always" jsonschema_description:"Which losses end the link."`
	Delay       *timeText `mapstructure:"delay" jsonschema:"default=200ms" jsonschema_description:"Before what failed is tried again; doubled each time."`
	MaxDelay    *timeText `mapstructure:"max_delay" jsonschema:"default=30s" jsonschema_description:"The longest delay."`
	MaxFailures *int      `mapstructure:"max_failures" jsonschema:"minimum=0,default=0" jsonschema_description:"In a row, after which the link is given up; 0 for no limit."`
}

// transcriptEntry is the long form of a transcript; the short form is the file alone.
type transcriptEntry struct {
	File       *string   `mapstructure:"file" jsonschema:"minLength=1" jsonschema_description:"Where it is written; {link}, {end} and {date} stand for the link's name, a or b, and the day. A relative path is taken from the config's folder. none for no transcript."`
	Format     *string   `mapstructure:"format" jsonschema:"enum=text,enum=raw,enum=hex,enum=json,enum=pcapng,default=text" jsonschema_description:"The shape of it."`
	Direction  *string   `mapstructure:"direction" jsonschema:"enum=both,enum=a,enum=b,default=both" jsonschema_description:"What is written: all, or what the peers of one end have said."`
	Timestamps *bool     `mapstructure:"timestamps" jsonschema:"default=true" jsonschema_description:"Whether lines of format: text begin with the time."`
	MaxSize    *sizeText `mapstructure:"max_size" jsonschema_description:"At which size the file is rotated; 4KiB to 1TiB, or 0 for never. Default: 100MiB."`
	MaxAge     *ageText  `mapstructure:"max_age" jsonschema_description:"When a rotated file is removed, such as 30d or 12h; 0 for never. Default: 30d."`
	Keep       *int      `mapstructure:"keep" jsonschema:"minimum=0,default=10" jsonschema_description:"How many rotated files stay; 0 for all."`
	Compress   *string   `mapstructure:"compress" jsonschema:"enum=none,enum=gzip,enum=zstd,default=none" jsonschema_description:"How rotated files are compressed."`
}

// endEntry is the long form of an end, with one of the first four keys; the short form is the address to listen on.
type endEntry struct {
	Listen      string   `mapstructure:"listen" jsonschema:"minLength=1" jsonschema_description:"Where peers connect to: /path, unix:/path, unix:@name, tcp:host:port (without a host on all addresses), tls:host:port, or vsock:any:port. A relative path is taken from the file's folder."`
	Connect     string   `mapstructure:"connect" jsonschema:"minLength=1" jsonschema_description:"What the hub connects to: /path, unix:/path, unix:@name, tcp:host:port, tls:host:port, or vsock:cid:port."`
	PTY         string   `mapstructure:"pty" jsonschema:"minLength=1" jsonschema_description:"Path at which the hub makes a pseudo-terminal."`
	Device      string   `mapstructure:"device" jsonschema:"minLength=1" jsonschema_description:"Path of a serial port, such as /dev/ttyUSB0."`
	Mode        string   `mapstructure:"mode" jsonschema:"pattern=^0*[0-7]{1\\,3}$,default=0600" jsonschema_description:"Permissions of the file of a socket to listen on, or of a pseudo-terminal, in quotes."`
	Owner       idText   `mapstructure:"owner" jsonschema_description:"User of that file, a name or a number. Default: the hub's."`
	Group       idText   `mapstructure:"group" jsonschema_description:"Group of that file, a name or a number. Default: the hub's."`
	AllowUIDs   []int    `mapstructure:"allow_uids" jsonschema_description:"Unix sockets: who may connect, or who may be the program that is connected to. Empty: whoever the file's mode lets in."`
	WhenBusy    string   `mapstructure:"when_busy" jsonschema:"enum=reject,enum=replace,enum=queue,default=reject" jsonschema_description:"With listen: what happens to a second peer."`
	KeepAlive   timeText `mapstructure:"keepalive" jsonschema:"default=60s" jsonschema_description:"TCP and TLS: within which a peer that is dead is found; 2s to 12h."`
	Cert        string   `mapstructure:"cert" jsonschema:"minLength=1" jsonschema_description:"TLS: PEM file of the hub's certificate, and of those between it and its authority. Needed to listen."`
	Key         string   `mapstructure:"key" jsonschema:"minLength=1" jsonschema_description:"TLS: PEM file of the key to cert."`
	ClientCA    string   `mapstructure:"client_ca" jsonschema:"minLength=1" jsonschema_description:"TLS with listen: PEM file of who must have signed a client's certificate. Default: clients need none."`
	CA          string   `mapstructure:"ca" jsonschema:"minLength=1" jsonschema_description:"TLS with connect: PEM file of who must have signed the server's certificate. Default: those that the system trusts."`
	ServerName  string   `mapstructure:"server_name" jsonschema:"minLength=1" jsonschema_description:"TLS with connect: what the server's certificate must be for. Default: the host."`
	MinTLS      string   `mapstructure:"min_tls" jsonschema:"enum=1.3,enum=1.2,default=1.3" jsonschema_description:"TLS: the oldest version that will do, in quotes."`
	Baud        int      `mapstructure:"baud" jsonschema:"minimum=1,maximum=12000000,default=115200" jsonschema_description:"Device: bits per second."`
	DataBits    int      `mapstructure:"data_bits" jsonschema:"minimum=5,maximum=8,default=8" jsonschema_description:"Device: bits of a character."`
	Parity      string   `mapstructure:"parity" jsonschema:"enum=none,enum=odd,enum=even,enum=mark,enum=space,default=none" jsonschema_description:"Device: the bit that checks a character."`
	StopBits    int      `mapstructure:"stop_bits" jsonschema:"minimum=1,maximum=2,default=1" jsonschema_description:"Device: bits between characters."`
	FlowControl string   `mapstructure:"flow_control" jsonschema:"enum=none,enum=hardware,enum=software,default=none" jsonschema_description:"Device: how either side holds the other up: none, hardware (RTS/CTS) or software (XON/XOFF)."`
}

// listenList is written as a list of addresses, or as a single one.
type listenList []listenEntry

// timeText is a span of time as people write it, such as 200ms.
type timeText string

// ageText is a span of time as people write it, which may have days, such as 30d; or 0.
type ageText string

// sizeText is a size as people write it, such as 64KiB, or a number of bytes.
type sizeText string

// idText is the name of a user or a group, or its number.
type idText string

// shortForms are the types that a plain string may stand for, and what it stands for.
func shortForms() map[reflect.Type]func(string) any {
	return map[reflect.Type]func(string) any{
		reflect.TypeFor[listenList]():      func(s string) any { return listenList{{Listen: s}} },
		reflect.TypeFor[listenEntry]():     func(s string) any { return listenEntry{Listen: s} },
		reflect.TypeFor[endEntry]():        func(s string) any { return endEntry{Listen: s} },
		reflect.TypeFor[restartEntry]():    func(s string) any { return map[string]any{"policy": s} },
		reflect.TypeFor[transcriptEntry](): func(s string) any { return map[string]any{"file": s} },
	}
}

// takesNumber tells whether a text type may be written as a plain number, too.
func takesNumber(t reflect.Type) bool {
	return t == reflect.TypeFor[sizeText]() || t == reflect.TypeFor[ageText]() || t == reflect.TypeFor[idText]()
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
