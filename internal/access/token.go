package access

import (
	"fmt"
	"log/slog"
	"strings"
)

// Token is a secret by which a caller is known, and what it lets him do.
type Token struct {
	Secret string // one word of printable ASCII
	Role   Role
	Name   string // for people; "" if the file has none
	Line   int    // of the file, from 1
}

// safeLength is how short a secret may be, in characters, before nobody should rely on it.
const safeLength = 16

// Weak tells whether the secret is short enough to be guessed.
func (t Token) Weak() bool { return len(t.Secret) < safeLength }

// String is how logs name the token. It never has the secret.
func (t Token) String() string {
	if t.Name != "" {
		return t.Name
	}
	return fmt.Sprintf("line %d of the token file", t.Line)
}

// LogValue keeps the secret out of logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// GoString keeps the secret out of messages, whatever their format.
func (t Token) GoString() string { return t.String() }

// Fault is what is wrong with a line of a token file. It never has the secret.
type Fault struct {
	Line    int // from 1; 0 for the whole file
	Message string
}

func (f Fault) String() string {
	if f.Line == 0 {
		return f.Message
	}
	return fmt.Sprintf("line %d %s", f.Line, f.Message)
}

// ParseTokens reads the text of a token file: a token a line, alone or with its role before or behind it, and a name after both. A word that starts
// with # begins a comment. With a fault, no token of the file is of any use.
func ParseTokens(text string) (tokens []Token, faults []Fault) {
	first := map[string]int{}
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		token, found, err := parseToken(line)
		switch token.Line = number; {
		case err != nil:
			faults = append(faults, Fault{number, err.Error()})
		case !found:
		case first[token.Secret] > 0:
			faults = append(faults, Fault{number, fmt.Sprintf("has the same token as line %d; each needs its own", first[token.Secret])})
		default:
			first[token.Secret] = number
			tokens = append(tokens, token)
		}
	}
	if len(tokens)+len(faults) == 0 {
		faults = append(faults, Fault{0, "has no token; write one a line, such as the output of: openssl rand -hex 32"})
	}
	return tokens, faults
}

// parseToken reads a line. It is not found in one that is empty or a comment.
func parseToken(line string) (token Token, found bool, err error) {
	words := strings.Fields(line)
	for i, word := range words {
		if strings.HasPrefix(word, "#") {
			words = words[:i]
			break
		}
	}
	if len(words) == 0 {
		return Token{}, false, nil
	}
	token.Role, token.Secret = Admin, words[0]
	role, known := roleNamed(words[0])
	switch {
	case known && len(words) == 1:
		return Token{}, false, fmt.Errorf("has a role and no token; write %s TOKEN", words[0])
	case known:
		token.Role, token.Secret, words = role, words[1], words[2:]
	case len(words) > 1:
		if token.Role, known = roleNamed(words[1]); !known {
			return Token{}, false, fmt.Errorf("names neither the role read nor admin; write TOKEN, read TOKEN NAME, or admin TOKEN NAME")
		}
		words = words[2:]
	default:
		words = nil
	}
	if _, isRole := roleNamed(token.Secret); isRole {
		return Token{}, false, fmt.Errorf("has a role in the place of the token; write read TOKEN NAME, or admin TOKEN NAME")
	}
	if !IsToken(token.Secret) {
		return Token{}, false, fmt.Errorf("has a token with a character that is not printable ASCII; write one such as the output of: openssl rand -hex 32")
	}
	token.Name = strings.Join(words, " ")
	return token, true, nil
}

// IsToken tells whether a text can be a token: one word of printable ASCII, as it stands in a header of HTTP.
func IsToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Pick is the token of a file that a client shows: the first that may do everything, else the first.
func Pick(tokens []Token) Token {
	for _, token := range tokens {
		if token.Role == Admin {
			return token
		}
	}
	if len(tokens) == 0 {
		return Token{}
	}
	return tokens[0]
}
