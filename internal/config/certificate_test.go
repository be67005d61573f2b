package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"serialhub/internal/config"
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

// onUnknownCurve is a certificate or a key of P-256, made one of a curve that there is not.
func onUnknownCurve(t *testing.T, text string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	p256 := []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}
	if !bytes.Contains(block.Bytes, p256) {
		t.Fatal("this is not of P-256")
	}
	block.Bytes = bytes.ReplaceAll(block.Bytes, p256, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 99})
	return string(pem.EncodeToMemory(block))
}

func TestLoadTakesChains(t *testing.T) {
	path := write(t, withEnd("{listen: 'tls::1', cert: chain.pem, key: all.pem, client_ca: chain.pem}"))
	dir := filepath.Dir(path)
	cert, key := config.WriteKeyPair(t, dir, "hub")
	other, _ := config.WriteKeyPair(t, dir, "other")
	chain := "subject=hub\r\n" + strings.ReplaceAll(cert, "\n", "\r\n") + "\nan authority:\n" + other
	for name, text := range map[string]string{"chain.pem": chain, "all.pem": cert + key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := config.Load(path); err != nil || c.Links[0].A.TLS.Cert != chain {
		t.Errorf("Load gave %v", err)
	}
}

func TestLoadRefusesCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key := config.WriteKeyPair(t, dir, "hub")
	other, _ := config.WriteKeyPair(t, dir, "other")
	broken := config.WritePEM(t, dir, "broken.pem", "CERTIFICATE", []byte("x"))
	config.WritePEM(t, dir, "secret.key", "ENCRYPTED PRIVATE KEY", []byte("x"))
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	config.WriteCertificate(t, dir, "p224", p224.Public())
	config.WriteCertificate(t, dir, "rsa512", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 511), E: 65537})
	for name, text := range map[string]string{
		"text": "x", "large": strings.Repeat(key, 1<<20/len(key)+1), "chain.pem": cert + other + broken, "authorities.pem": other + broken + cert,
		"upside-down.pem": other + cert, "cut.pem": cert + other[:len(other)/2] + "\n", "mark.pem": "\ufeff" + cert,
		"curve.pem": onUnknownCurve(t, cert), "curve.key": onUnknownCurve(t, key), "curves.pem": cert + onUnknownCurve(t, other),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
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
		{"a broken certificate in a chain", listen("chain.pem", "hub.key"), []string{"links[0].a.cert: certificate 3 in " + dir + "/chain.pem is broken: "}},
		{"a certificate that is cut off", listen("cut.pem", "hub.key"), []string{fmt.Sprintf("links[0].a.cert: the block in %s/cut.pem that starts in line %d is cut off", dir, 1+strings.Count(cert, "\n"))}},
		{"a byte order mark", listen("mark.pem", "hub.key"), []string{"links[0].a.cert: " + dir + "/mark.pem starts with a byte order mark"}},
		{"an authority first", listen("upside-down.pem", "hub.key"), []string{
			"links[0].a.key: " + dir + "/hub.key is not the key of the first certificate in " + dir + "/upside-down.pem: tls: private key does not match public key; the hub's own has to be the first"}},
		{"an RSA key that is too short", listen("rsa512.pem", "hub.key"), []string{"links[0].a.cert: the certificate in " + dir + "/rsa512.pem is of no use for TLS: RSA of 512 bits is too weak"}},
		{"a curve that TLS does not have", listen("p224.pem", "hub.key"), []string{"links[0].a.cert: the certificate in " + dir + "/p224.pem is of no use for TLS: TLS does not have the curve P-224; make one with"}},
		{"a curve that nobody knows", listen("curve.pem", "curve.key"), []string{
			"links[0].a.cert: the certificate in " + dir + "/curve.pem cannot be used: x509: unsupported elliptic curve; make one with a key of P-256"}},
		{"a curve that nobody knows in a chain", listen("curves.pem", "hub.key"), []string{"links[0].a.cert: certificate 2 in " + dir + "/curves.pem cannot be used"}},
		{"a key on a curve that nobody knows", listen("hub.pem", "curve.key"), []string{
			"links[0].a.key: the key in " + dir + "/curve.key is broken or of a kind that cannot be used: tls: failed to parse private key"}},
		{"a broken authority among others", "{connect: 'tls:lab7:1', ca: authorities.pem}", []string{"links[0].a.ca: certificate 2 in " + dir + "/authorities.pem is broken: "}},
		{"a broken authority of clients", "{listen: 'tls::1', cert: hub.pem, key: hub.key, client_ca: authorities.pem}", []string{"links[0].a.client_ca: certificate 2 in "}},
		{"no authority", "{connect: 'tls:lab7:1', ca: none.pem}", []string{"links[0].a.ca: there is no file"}},
		{"a key as an authority", "{connect: 'tls:lab7:1', ca: hub.key}", []string{"links[0].a.ca: " + dir + "/hub.key has no CERTIFICATE, only PRIVATE KEY"}},
		{"a server's authority where the hub is the server", "{listen: 'tls::1', cert: hub.pem, key: hub.key, ca: ca.pem, server_name: x}", []string{
			"links[0].a.ca: does not go with “listen: tls::1”: it is for connect; write client_ca", "links[0].a.server_name: does not go with “listen: tls::1”: it is for connect; client_ca"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, "links.yaml")
			if err := os.WriteFile(path, []byte(withEnd(test.text)), 0o600); err != nil {
				t.Fatal(err)
			}
			refuses(t, path, test.says)
		})
	}
}
