package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"serialhub/internal/address"
)

// maxPEM is far above a bundle of every authority that there is.
const maxPEM = 1 << 20

// newestTLS is the oldest version that an end takes which says nothing of it.
const newestTLS = "1.3"

func tlsVersions() map[string]uint16 {
	return map[string]uint16{"1.2": tls.VersionTLS12, newestTLS: tls.VersionTLS13}
}

// tls reads what is said of an end with TLS, and the files that it names.
func (c *checker) tls(end *End, entry *endEntry, key, at string) {
	if c.written(key + ".min_tls") {
		end.TLS.MinVersion = tlsVersions()[oneOf(c, key+".min_tls", entry.MinTLS, newestTLS, "1.2")]
	}
	if end.Address.Kind() != address.TLS {
		return
	}
	if end.Connects {
		end.TLS.CA = c.authorities(key+".ca", entry.CA)
		end.TLS.ServerName = c.serverName(key+".server_name", entry.ServerName)
	} else {
		end.TLS.CA = c.authorities(key+".client_ca", entry.ClientCA)
	}
	hasCert, hasKey := c.written(key+".cert"), c.written(key+".key")
	switch {
	case hasCert && hasKey:
		end.TLS.Cert, end.TLS.Key = c.keyPair(entry, key)
	case hasCert:
		c.add(key+".key", "is missing; cert and key go together")
	case hasKey:
		c.add(key+".cert", "is missing; cert and key go together")
	case !end.Connects:
		c.add(at, "to listen with TLS takes a certificate; write {listen: %s, cert: FILE, key: FILE}", end.Address)
	}
}

// serverName reads the name that a certificate must be for, which is that of a host.
func (c *checker) serverName(key, name string) string {
	if c.written(key) {
		if _, err := address.Parse("tls:"+net.JoinHostPort(name, "1"), ""); err != nil || name == "" {
			c.add(key, "%q is neither the name of a host nor an IP address", name)
		}
	}
	return name
}

// keyPair reads a certificate and its key, and holds them against each other. A certificate that has expired is none of
// the file's faults: it would keep a hub from starting, and everything else in the file from changing.
func (c *checker) keyPair(entry *endEntry, key string) (cert, private string) {
	cert = c.pem(key+".cert", entry.Cert, "CERTIFICATE")
	private = c.pem(key+".key", entry.Key, "PRIVATE KEY")
	if cert == "" || private == "" {
		return cert, private
	}
	if _, err := x509.ParseCertificate(firstCertificate(cert)); err != nil {
		c.add(key+".cert", "the certificate in %s is broken: %s; make it anew", c.path(entry.Cert), err)
	} else if _, err := tls.X509KeyPair([]byte(cert), []byte(private)); err != nil {
		c.add(key+".key", "%s is not the key of the certificate in %s: %s; if both are just being renewed, reload when they are there", c.path(entry.Key), c.path(entry.Cert), err)
	}
	return cert, private
}

// authorities reads a file of certificates that others are signed with.
func (c *checker) authorities(key, name string) string {
	text := c.pem(key, name, "CERTIFICATE")
	if text != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(text)) {
		c.add(key, "the certificate in %s is broken; make it anew", c.path(name))
	}
	return text
}

// pem reads the file that key names, if it is written. It has to have a block of a type whose name ends with kind; else a fault is
// noted, and "" returned.
func (c *checker) pem(key, name, kind string) string {
	if !c.written(key) {
		return ""
	}
	text, err := c.text(name)
	if err != nil {
		c.add(key, "%s", err)
		return ""
	}
	var types []string
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if kind == "PRIVATE KEY" && (strings.HasPrefix(block.Type, "ENCRYPTED ") || block.Headers["DEK-Info"] != "") {
			c.add(key, "the key in %s has a password, for which nobody could be asked; take it off: openssl pkey -in %[1]s -out NEW", c.path(name))
			return ""
		}
		types = append(types, block.Type)
	}
	switch {
	case len(types) == 0:
		c.add(key, "%s is not PEM (the text that starts with “-----BEGIN %s-----”); convert it with openssl", c.path(name), kind)
	case !slices.ContainsFunc(types, func(t string) bool { return fits(t, kind) }):
		c.add(key, "%s has no %s, only %s", c.path(name), kind, strings.Join(slices.Compact(types), ", "))
	default:
		return text
	}
	return ""
}

// fits tells whether a PEM block of type t is of a kind; there are several types of private keys.
func fits(t, kind string) bool {
	return t == kind || kind == "PRIVATE KEY" && strings.HasSuffix(t, " "+kind)
}

func firstCertificate(text string) []byte {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return block.Bytes
		}
	}
	return nil
}

// path is where a file is that the config names.
func (c *checker) path(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(c.dir, name)
}

// text is what is in a file that the config names. A file that many links name is read once, and the same for all of them.
func (c *checker) text(name string) (string, error) {
	if name == "" {
		return "", errors.New("is empty; write the path of a PEM file, or leave the key out")
	}
	path := c.path(name)
	if text, known := c.texts[path]; known {
		return text, nil
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file; write the path of a PEM file", path)
	}
	var text []byte
	if err == nil {
		text, err = read(path, maxPEM)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no file %s; make it, or correct the path (a relative one is taken from the config file's folder)", path)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("the hub may not read %s (%w); let uid %d read it", path, err, os.Geteuid())
	case err != nil:
		return "", err
	case len(text) > maxPEM:
		return "", fmt.Errorf("%s is larger than %d MiB; this is no PEM file of a certificate or a key", path, maxPEM>>20)
	}
	c.texts[path] = string(text)
	return string(text), nil
}
