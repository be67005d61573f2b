package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"serialhub/internal/access"
	"serialhub/internal/config"
)

// secret writes a file beside that of the links.
func secret(t *testing.T, path, name, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(filepath.Dir(path), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

const token = "0123456789abcdef0123456789abcdef"

func TestAccessIsRead(t *testing.T) {
	path := write(t, `api:
  listen:
    - "0.0.0.0:7373"
    - "[::1]:7374"
    - hub.lab:7375
    - {listen: unix:api.sock, mode: "0660", owner: 0, group: libvirt, allow_uids: [0, 64055]}
    - unix:other.sock
  token_file: tokens
  tls: {cert: hub.pem, key: hub.key, client_ca: ca.pem}
links: []
`)
	dir := filepath.Dir(path)
	cert, key := config.WriteKeyPair(t, dir, "hub")
	ca, _ := config.WriteKeyPair(t, dir, "ca")
	file := secret(t, path, "tokens", "# ours\n"+token+"\nread another-0123456789 grafana\n", 0o640)
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	tcp := func(address string) config.APIListener {
		return config.APIListener{APIAddress: config.APIAddress{Network: "tcp", Address: address}}
	}
	unix := func(name string) config.APIAddress {
		return config.APIAddress{Network: "unix", Address: filepath.Join(dir, name)}
	}
	want := config.API{
		Listen: []config.APIListener{
			tcp("0.0.0.0:7373"), tcp("[::1]:7374"), tcp("hub.lab:7375"),
			{APIAddress: unix("api.sock"), Mode: 0o660, Owner: "0", Group: "libvirt", AllowUIDs: []int{0, 64055}},
			{APIAddress: unix("other.sock"), Mode: 0o600},
		},
		TokenFile: file,
		Tokens: []access.Token{
			{Secret: token, Role: access.Admin, Line: 2},
			{Secret: "another-0123456789", Role: access.Read, Name: "grafana", Line: 3},
		},
		TLS: config.APITLS{Cert: cert, Key: key, CA: ca},
	}
	if !reflect.DeepEqual(c.API, want) {
		t.Errorf("it is %+v, want %+v", c.API, want)
	}
	place, err := config.LoadPlace(path)
	if err != nil {
		t.Fatal(err)
	}
	var addresses []config.APIAddress
	for _, l := range want.Listen {
		addresses = append(addresses, l.APIAddress)
	}
	if !slices.Equal(place.Listen, addresses) || place.TokenFile != file || place.Cert != filepath.Join(dir, "hub.pem") {
		t.Errorf("callers find %+v", place)
	}
}

// TestPlaceOfFilesThatAreClosed is found by who may read the file of links, and no file that it names.
func TestPlaceOfFilesThatAreClosed(t *testing.T) {
	path := write(t, "api: {listen: 'lab7:1', token_file: /none/t, tls: {cert: /none/c, key: /none/k}}\nlinks: [{name: x, a: /1, b: {listen: 'tls::1', cert: /none/c, key: /none/k}}]")
	place, err := config.LoadPlace(path)
	if err != nil || place.TokenFile != "/none/t" || place.Cert != "/none/c" || place.Listen[0].Address != "lab7:1" {
		t.Errorf("%+v, %v", place, err)
	}
	var faults *config.Faults
	if _, err := config.LoadPlace(write(t, "api: {listen: lab7}\nlinks: []")); !errors.As(err, &faults) {
		t.Errorf("a wrong address: %v", err)
	}
	if _, err := config.LoadPlace(write(t, "links: {")); !errors.As(err, &faults) {
		t.Errorf("no YAML: %v", err)
	}
	if _, err := config.LoadPlace(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestOneAddressInItsLongForm(t *testing.T) {
	c, err := config.Load(write(t, "api:\n  listen:\n    listen: unix:/run/api.sock\n    mode: '0666'\nlinks: []"))
	if err != nil || len(c.API.Listen) != 1 || c.API.Listen[0].Mode != 0o666 {
		t.Errorf("%+v, %v", c, err)
	}
	refuses(t, write(t, "api:\n  listen:\n    listen: unix:/run/api.sock\n    mode: '0999'\nlinks: []"), []string{`4:11: api.listen[0].mode: "0999" is not a mode`})
}

func TestAccessByTheEnvironment(t *testing.T) {
	path := write(t, "api: {listen: [unix:/run/api, {listen: unix:/run/other}]}\nlinks: []")
	config.WriteKeyPair(t, filepath.Dir(path), "hub")
	secret(t, path, "tokens", token, 0o600)
	for name, value := range map[string]string{
		"SERIALHUB_API_LISTEN": ":7373", "SERIALHUB_API_TOKEN_FILE": "tokens",
		"SERIALHUB_API_TLS_CERT": "hub.pem", "SERIALHUB_API_TLS_KEY": "hub.key", "SERIALHUB_API_TLS_CLIENT_CA": "hub.pem",
	} {
		t.Setenv(name, value)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.API.Listen) != 1 || c.API.Listen[0].Address != ":7373" || len(c.API.Tokens) != 1 || c.API.TLS.Cert == "" || c.API.TLS.CA != c.API.TLS.Cert {
		t.Errorf("it is %+v", c.API)
	}
	t.Setenv("SERIALHUB_API_TOKEN_FILE", "none")
	refuses(t, path, []string{"links.yaml: SERIALHUB_API_TOKEN_FILE: there is no file "})
}

func TestFaultsOfAccess(t *testing.T) {
	tests := []struct {
		name, api string
		says      []string
	}{
		{"open to all", "listen: '0.0.0.0:1'", []string{`1:15: api.listen: "0.0.0.0:1" is not a loopback address, and whoever reaches the API can reset links; write api.token_file: FILE`}},
		{"open to all, among others", "listen: ['127.0.0.1:1', ':2', 'lab7:3']", []string{`1:31: api.listen[1]: ":2" is not`, `1:37: api.listen[2]: "lab7:3" is not`}},
		{"open to all, with a certificate of its own alone", "listen: ':1', tls: {cert: hub.pem, key: hub.key}", []string{"1:15: api.listen: \":1\" is not a loopback"}},
		{"one port for all and for one", "listen: ['127.0.0.1:1', '0.0.0.0:1'], token_file: good", []string{"1:31: api.listen[1]: 0.0.0.0:1 takes the port of another address in the list, too"}},
		{"no host", "listen: 'a b:1', token_file: good", []string{`"a b" is neither an IP address nor the name of a host`}},
		{"a mode of TCP", "listen: [{listen: '127.0.0.1:1', mode: '0600', allow_uids: [1]}]", []string{"api.listen[0].mode: does not go with 127.0.0.1:1: it is for unix:/path", "api.listen[0].allow_uids: does not go"}},
		{"a uid that is none", "listen: [{listen: 'unix:/api', allow_uids: [-1], group: -1}]", []string{"allow_uids[0]: -1 is not a uid", "group: -1 is not the number"}},
		{"an unknown key", "listen: [{listen: 'unix:/api', mod: '0600'}]", []string{"unknown key; did you mean mode?"}},
		{"nothing to listen on", "listen: [{mode: '0600'}]", []string{`api.listen[0]: "" is not host:port`}},
		{"no token file", "token_file: none", []string{"1:19: api.token_file: there is no file"}},
		{"an empty name", "token_file: ''", []string{"api.token_file: is empty"}},
		{"a folder", "token_file: .", []string{"is not a regular file"}},
		{"an empty token file", "token_file: empty", []string{"/empty: has no token"}},
		{"a token file for all", "token_file: open", []string{"open is open to everybody on this machine (mode 0644); close it: chmod o= "}},
		{"a token file with faults", "token_file: bad", []string{"bad: line 1 names neither the role", "bad: line 3 has the same token as line 2"}},
		{"a certificate without its key", "tls: {cert: hub.pem}", []string{"1:12: api.tls.key: is missing"}},
		{"a key without its certificate", "tls: {key: hub.key}", []string{"api.tls.cert: is missing"}},
		{"an authority alone", "tls: {client_ca: hub.pem}", []string{"1:12: api.tls: to speak TLS takes a certificate"}},
		{"nothing", "tls: {}", []string{"api.tls: to speak TLS takes a certificate"}},
		{"the key of another", "tls: {cert: hub.pem, key: other.key}", []string{"/other.key is not the key of the certificate in"}},
		{"no PEM", "tls: {cert: good, key: hub.key}", []string{"/good is not PEM"}},
		{"no authority", "tls: {cert: hub.pem, key: hub.key, client_ca: none}", []string{"api.tls.client_ca: there is no file"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "api: {"+test.api+"}\nlinks: []")
			config.WriteKeyPair(t, filepath.Dir(path), "hub")
			config.WriteKeyPair(t, filepath.Dir(path), "other")
			secret(t, path, "good", token, 0o600)
			secret(t, path, "empty", "# none\n", 0o600)
			secret(t, path, "open", token, 0o644)
			secret(t, path, "bad", token+" x\n"+token+"\n"+token, 0o600)
			refuses(t, path, test.says)
			if _, err := config.Load(path); strings.Contains(err.Error(), token) {
				t.Errorf("a token is told: %v", err)
			}
		})
	}
}
