package config

import (
	"path/filepath"
	"testing"

	"serialhub/internal/testenv"
)

// WriteKeyPair writes a certificate that has expired, NAME.pem, and its key, NAME.key, and returns the texts of both.
func WriteKeyPair(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	own := testenv.NewAuthority(t, "the authority of "+name).Issue(t, name, true)
	own.Write(t, filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	return own.Cert, own.Key
}
