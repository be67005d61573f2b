package access_test

import (
	"fmt"
	"strings"
	"testing"

	"serialhub/internal/access"
)

const good = "0123456789abcdef0123456789abcdef"

func TestTokensAreRead(t *testing.T) {
	text := "\ufeff# the tokens of this hub\n\n" + good + "\r\n" +
		"read reader-aaaaaaaaaaaaaaaa grafana in the lab # for its dashboard\n\tfirst-then-role-aaaa admin\tops\nshort read"
	tokens, faults := access.ParseTokens(text)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := []access.Token{
		{Secret: good, Role: access.Admin, Line: 3},
		{Secret: "reader-aaaaaaaaaaaaaaaa", Role: access.Read, Name: "grafana in the lab", Line: 4},
		{Secret: "first-then-role-aaaa", Role: access.Admin, Name: "ops", Line: 5},
		{Secret: "short", Role: access.Read, Line: 6},
	}
	if len(tokens) != len(want) {
		t.Fatalf("there are %d tokens", len(tokens))
	}
	for i, token := range tokens {
		if token != want[i] {
			t.Errorf("token %d is %q, %v, %q in line %d", i, token.Secret, token.Role, token.Name, token.Line)
		}
		if token.Weak() != (token.Secret == "short") {
			t.Errorf("token %d is weak: %t", i, token.Weak())
		}
	}
}

func TestFaultsOfTokenFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "has no token; write one a line",
		"# only a comment\n\n  # x":   "has no token",
		"admin":                       "line 1 has a role and no token",
		"read # later":                "line 1 has a role and no token",
		"read admin":                  "line 1 has a role in the place of the token",
		good + "\n" + good:            "line 2 has the same token as line 1",
		good + "\nread " + good:       "line 2 has the same token as line 1",
		good + " reader":              "line 1 names neither the role read nor admin",
		"Admin " + good:               "line 1 names neither",
		"tökenaaaaaaaaaaaaaaaaaaaaaa": "line 1 has a token with a character",
		"a\x00b":                      "line 1 has a token with a character",
	} {
		_, faults := access.ParseTokens(text)
		if len(faults) != 1 || !strings.HasPrefix(faults[0].String(), want) {
			t.Errorf("%q: %v, want %s", text, faults, want)
		}
		if said := fmt.Sprint(faults); strings.Contains(said, good) {
			t.Errorf("%q: the secret is told: %s", text, said)
		}
	}
}

func TestClientPicksTheTokenThatMayMost(t *testing.T) {
	for text, want := range map[string]string{"a": "a", "read a\nb\nc": "b", "read a\nread b": "a"} {
		tokens, faults := access.ParseTokens(text)
		if got := access.Pick(tokens).Secret; got != want || len(faults) > 0 {
			t.Errorf("%q: %q, %v", text, got, faults)
		}
	}
	if got := access.Pick(nil); got != (access.Token{}) {
		t.Errorf("of none, it is %v", got)
	}
}

func TestKeyringFindsTokens(t *testing.T) {
	tokens, _ := access.ParseTokens("one-aaaaaaaaaaaaaaaa\nread two-aaaaaaaaaaaaaaaa b\nread three-aaaaaaaaaaaaaa c")
	ring := access.NewKeyring(tokens)
	for _, token := range tokens {
		got, known := ring.Find(token.Secret)
		if !known || got.Line != token.Line || got.Role != token.Role || got.Secret != "" {
			t.Errorf("%v is found as %v, %t", token, got, known)
		}
	}
	for _, secret := range []string{"", "one", "one-aaaaaaaaaaaaaaab", "one-aaaaaaaaaaaaaaaa "} {
		if got, known := ring.Find(secret); known {
			t.Errorf("%q is found as %v", secret, got)
		}
	}
	if _, known := (access.Keyring{}).Find(""); known {
		t.Error("an empty ring knows something")
	}
}

func TestKeyringsAreCompared(t *testing.T) {
	ring := func(text string) access.Keyring {
		tokens, _ := access.ParseTokens(text)
		return access.NewKeyring(tokens)
	}
	if !ring("a\nread b x").Equal(ring("a\nb read x")) || !(access.Keyring{}).Equal(access.NewKeyring(nil)) {
		t.Error("the same are not equal")
	}
	for _, other := range []string{"a", "a\nread c x", "a\nread b y", "a\nadmin b x"} {
		if ring("a\nread b x").Equal(ring(other)) {
			t.Errorf("%q is equal", other)
		}
	}
}

// TestSecretsAreNotPrinted prints a token in every way in which somebody may.
func TestSecretsAreNotPrinted(t *testing.T) {
	token := access.Token{Secret: good, Role: access.Admin, Line: 3}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if said := fmt.Sprintf(verb, token); said != "line 3 of the token file" {
			t.Errorf("%s gives %s", verb, said)
		}
	}
	if said := token.LogValue().String(); strings.Contains(said, good) {
		t.Errorf("the log has %s", said)
	}
}

func FuzzTokens(f *testing.F) {
	for _, text := range []string{"", good, "read a b # c", "a admin", "admin\n\r\n#"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, faults := access.ParseTokens(text)
		if len(tokens)+len(faults) == 0 {
			t.Error("neither tokens nor faults")
		}
		ring := access.NewKeyring(tokens)
		for _, token := range tokens {
			if found, known := ring.Find(token.Secret); !access.IsToken(token.Secret) || !known || found.Line != token.Line || token.Role == access.Nothing {
				t.Errorf("%q in %q", token.Secret, text)
			}
		}
	})
}
