package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"serialhub/internal/access"
)

// maxTokens is how long a file of tokens may be, in bytes.
const maxTokens = 1 << 20

// tokens reads a file of tokens. Each line that is wrong is a fault; none of them shows the line.
func (c *checker) tokens(key, name string) []access.Token {
	if name == "" {
		c.add(key, "is empty; write the path of a file with a token a line, or leave the key out")
		return nil
	}
	path := c.path(name)
	text, err := secret(path)
	if err != nil {
		c.add(key, "%s", err)
		return nil
	}
	tokens, faults := access.ParseTokens(text)
	for _, fault := range faults {
		c.add(key, "%s: %s", path, fault)
	}
	return tokens
}

// secret reads a file that only those may read who shall.
func secret(path string) (string, error) {
	info, err := os.Stat(path) // before it is opened, for a pipe would have this wait
	if err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file; write the path of a file with a token a line", path)
	}
	var text []byte
	if err == nil {
		text, err = readSecret(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no file %s; make one that only the hub can read: (umask 077; openssl rand -hex 32 > %[1]s)", path)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("the hub may not read %s (%w); let uid %d read it", path, err, os.Geteuid())
	case err != nil:
		return "", err
	case len(text) > maxTokens:
		return "", fmt.Errorf("%s is larger than %d MiB; this is no file of tokens", path, maxTokens>>20)
	}
	return string(text), nil
}

func readSecret(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("%s is open to everybody on this machine (mode %04o); close it: chmod o= %[1]s, and write other tokens into it, for these may be known", path, mode)
	}
	return io.ReadAll(io.LimitReader(file, maxTokens+1))
}
