package config

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
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
		end.TLS.Cert, end.TLS.Key = c.keyPair(key, entry.Cert, entry.Key)
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
func (c *checker) keyPair(key, certFile, keyFile string) (cert, private string) {
	cert = c.pem(key+".cert", certFile, "CERTIFICATE")
	private = c.pem(key+".key", keyFile, "PRIVATE KEY")
	if cert == "" || private == "" {
		return cert, private
	}
	certs := c.certificates(key+".cert", certFile, cert)
	if certs == nil {
		return cert, private
	}
	if why := unusable(certs[0].PublicKey); why != "" {
		c.add(key+".cert", "the certificate in %s is of no use for TLS: %s; make one with a key of P-256, for example", c.path(certFile), why)
		return cert, private
	}
	_, err := tls.X509KeyPair([]byte(cert), []byte(private))
	switch {
	case err == nil:
	case !strings.Contains(err.Error(), "does not match"): // crypto/tls has no error to compare with
		c.add(key+".key", "the key in %s is broken or of a kind that cannot be used: %s; RSA, ECDSA with P-256, P-384 or P-521, and Ed25519 can", c.path(keyFile), err)
	case len(certs) > 1:
		c.add(key+".key", "%s is not the key of the first certificate in %s: %s; the hub's own has to be the first, before those that signed it", c.path(keyFile), c.path(certFile), err)
	default:
		c.add(key+".key", "%s is not the key of the certificate in %s: %s; if both are just being renewed, reload when they are there", c.path(keyFile), c.path(certFile), err)
	}
	return cert, private
}

// minRSA is how many bits of RSA crypto/rsa signs with.
const minRSA = 1024

// unusable says why crypto/tls takes such a key, and then fails every handshake; "" if it does not.
func unusable(public any) string {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSA {
			return fmt.Sprintf("RSA of %d bits is too weak", bits)
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P224() {
			return "TLS does not have the curve P-224"
		}
	case ed25519.PublicKey:
	default:
		return "its key is neither RSA nor ECDSA nor Ed25519"
	}
	return ""
}

// authorities reads a file of certificates that others are signed with.
func (c *checker) authorities(key, name string) string {
	text := c.pem(key, name, "CERTIFICATE")
	if text != "" {
		c.certificates(key, name, text)
	}
	return text
}

// certificates reads all of them that are in the text of a file. If one is broken, a fault is noted, and nil returned: crypto/x509 would leave
// out that of an authority, and crypto/tls send one that no client can read.
func (c *checker) certificates(key, name, text string) []*x509.Certificate {
	var certs []*x509.Certificate
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		which := fmt.Sprintf("the certificate in %s", c.path(name))
		if len(certs) > 0 {
			which = fmt.Sprintf("certificate %d in %s", len(certs)+1, c.path(name))
		}
		switch {
		case err != nil && strings.Contains(err.Error(), "unsupported elliptic curve"):
			c.add(key, "%s cannot be used: %s; make one with a key of P-256, for example", which, err)
			return nil
		case err != nil:
			c.add(key, "%s is broken: %s; make it anew, or take it out", which, err)
			return nil
		}
		certs = append(certs, cert)
	}
	return certs
}

// pem reads the file that key names, if it is written. It has to have a block of a type whose name ends with kind; else a fault is
// noted, and "" returned.
func (c *checker) pem(key, name, kind string) string {
	if !c.has(key) {
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
	line := brokenBlock(text, kind)
	switch {
	case strings.HasPrefix(text, "\ufeff-----BEGIN "):
		c.add(key, "%s starts with a byte order mark, which hides its first line; save it as UTF-8 without one", c.path(name))
	case line > 0:
		c.add(key, "the block in %s that starts in line %d is cut off or broken; copy it again, or make it anew", c.path(name), line)
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

// blockStart is what a PEM block of a type starts with.
var blockStart = regexp.MustCompile(`(?m)^-----BEGIN (.*?)-----`)

// brokenBlock returns the line at which a PEM block of a kind starts that pem.Decode would leave out, silently; 0 if there is none.
func brokenBlock(text, kind string) (line int) {
	starts := blockStart.FindAllStringSubmatchIndex(text, -1)
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		if block, _ := pem.Decode([]byte(text[at[0]:end])); block == nil && fits(text[at[2]:at[3]], kind) {
			return 1 + strings.Count(text[:at[0]], "\n")
		}
	}
	return 0
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
