package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
)

// Keyring knows tokens by their hashes. It does not change, and is safe for use by many goroutines. The zero Keyring knows none.
type Keyring struct {
	hashes [][sha256.Size]byte
	tokens []Token // without their secrets
}

// NewKeyring makes one that knows these tokens.
func NewKeyring(tokens []Token) Keyring {
	var k Keyring
	for _, token := range tokens {
		k.hashes = append(k.hashes, sha256.Sum256([]byte(token.Secret)))
		token.Secret = ""
		k.tokens = append(k.tokens, token)
	}
	return k
}

// Find finds the token of a secret, without it. How long it takes tells nothing of the secrets: all of them are compared, by hashes that are of one length.
func (k Keyring) Find(secret string) (token Token, known bool) {
	hash := sha256.Sum256([]byte(secret))
	at := -1
	for i := range k.hashes {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], k.hashes[i][:]), i, at)
	}
	if at < 0 {
		return Token{}, false
	}
	return k.tokens[at], true
}

// Equal tells whether both know the same tokens, by the same names.
func (k Keyring) Equal(other Keyring) bool {
	return slices.Equal(k.hashes, other.hashes) && slices.Equal(k.tokens, other.tokens)
}
