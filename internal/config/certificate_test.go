package config_test

import (
	"crypto/tls"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/config"
	"serialhub/internal/testenv"
)

func TestLoadReadsCertificates(t *testing.T) {
	path := write(t, `links:
  - name: x
    a: {listen: "tls::1", cert: hub.pem, key: ./hub.key, client_ca: ca.pem, min_tls: "1.2"}
    b: {connect: "tls:lab7:1", ca: ca.pem, cert: hub.pem, key: hub.key}
  - name: y
    a: /1
    b: {connect: "tls:lab7:2", ca: ca.pem}
`)
	dir := filepath.Dir(path)
	ca, _ := config.WriteKeyPair(t, dir, "ca")
	load := func() (*config.Config, config.TLS) {
		t.Helper()
		cert, key := config.WriteKeyPair(t, dir, "hub")
		c, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return c, config.TLS{Cert: cert, Key: key, CA: ca, MinVersion: tls.VersionTLS13}
	}
	old, want := load()
	if b := old.Links[0].B.TLS; b != want {
		t.Errorf("connect has %+v, want %+v", b, want)
	}
	want.MinVersion = tls.VersionTLS12
	if a := old.Links[0].A.TLS; a != want {
		t.Errorf("listen has %+v, want %+v", a, want)
	}
	next, _ := load()
	if changes := config.Diff(old.Links, next.Links); len(changes.Changed) != 1 || len(changes.Unchanged) != 1 {
		t.Errorf("a renewed certificate is %+v", changes)
	}
}

func TestLoadRefusesCertificates(t *testing.T) {
	dir := t.TempDir()
	_, key := config.WriteKeyPair(t, dir, "hub")
	config.WriteKeyPair(t, dir, "other")
	block := func(kind string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("x")}))
	}
	for name, text := range map[string]string{
		"broken.pem": block("CERTIFICATE"), "secret.key": block("ENCRYPTED PRIVATE KEY"),
		"text": "x", "large": strings.Repeat(key, 1<<20/len(key)+1),
	} {
		testenv.WriteFile(t, filepath.Join(dir, name), text)
	}
	listen := func(cert, key string) string { return "{listen: 'tls::1', cert: " + cert + ", key: " + key + "}" }
	tests := []struct {
		name, text string
		says       []string
	}{
		{"no file", listen("none.pem", "hub.key"), []string{"3:33: links[0].a.cert: there is no file " + dir + "/none.pem; make it, or correct the path"}},
		{"no files", listen("none.pem", "none.key"), []string{"links[0].a.cert: there is no", "links[0].a.key: there is no"}},
		{"an empty path", listen("''", "hub.key"), []string{"links[0].a.cert: is empty; write the path of a PEM file"}},
		{"a folder", listen(".", "hub.key"), []string{"links[0].a.cert: " + dir + " is not a regular file"}},
		{"a file without end", listen("hub.pem", "/dev/zero"), []string{"links[0].a.key: /dev/zero is not a regular file"}},
		{"a large file", listen("hub.pem", "large"), []string{"links[0].a.key: " + dir + "/large is larger than 1 MiB"}},
		{"no PEM", listen("text", "hub.key"), []string{"links[0].a.cert: " + dir + "/text is not PEM (the text that starts with “-----BEGIN CERTIFICATE-----”)"}},
		{"each in the other's place", listen("hub.key", "hub.pem"), []string{
			"links[0].a.cert: " + dir + "/hub.key has no CERTIFICATE, only PRIVATE KEY", "links[0].a.key: " + dir + "/hub.pem has no PRIVATE KEY, only CERTIFICATE"}},
		{"another's key", listen("hub.pem", "other.key"), []string{"links[0].a.key: " + dir + "/other.key is not the key of the certificate in " + dir + "/hub.pem"}},
		{"a broken certificate", listen("broken.pem", "hub.key"), []string{"links[0].a.cert: the certificate in " + dir + "/broken.pem is broken"}},
		{"a key with a password", listen("hub.pem", "secret.key"), []string{"links[0].a.key: the key in " + dir + "/secret.key has a password"}},
		{"a broken authority", "{connect: 'tls:lab7:1', ca: broken.pem}", []string{"3:36: links[0].a.ca: the certificate in " + dir + "/broken.pem is broken"}},
		{"no authority", "{connect: 'tls:lab7:1', ca: none.pem}", []string{"links[0].a.ca: there is no file"}},
		{"a key as an authority", "{connect: 'tls:lab7:1', ca: hub.key}", []string{"links[0].a.ca: " + dir + "/hub.key has no CERTIFICATE, only PRIVATE KEY"}},
		{"a server's authority where the hub is the server", "{listen: 'tls::1', cert: hub.pem, key: hub.key, ca: ca.pem, server_name: x}", []string{
			"links[0].a.ca: does not go with “listen: tls::1”: it is for connect; write client_ca", "links[0].a.server_name: does not go with “listen: tls::1”: it is for connect; client_ca"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, "links.yaml")
			testenv.WriteFile(t, path, withEnd(test.text))
			refuses(t, path, test.says)
		})
	}
}
