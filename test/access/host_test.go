package access

import (
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestNamesOfTheHub are those that the config and the certificate have, and the address that a request comes in at.
func TestNamesOfTheHub(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	h := startHub(t, "listen: ['0.0.0.0:PORT', 'unix:api'], token_file: tokens, "+encrypted, withTokens, func(h *hub) {
		authority := withCertificates(h)
		authority.Issue(h.t, "hub.lab.example", false).Write(h.t, h.path("hub.pem"), h.path("hub.key"))
	})
	for _, row := range []struct {
		host   string
		status int
	}{
		{"127.0.0.1", 200}, {"localhost:1", 200}, {"hub.lab.example", 200}, {"HUB.lab.example.:7373", 200},
		{"evil.example", 403}, {"lab.example", 403}, {"0.0.0.0", 403}, {"127.0.0.2", 403}, {name + ".evil.example", 403},
	} {
		for _, token := range []string{admin, ""} {
			want := row.status
			if token == "" && want == 200 {
				want = 401
			}
			got, _ := curl(t, "-k", "-H", "Host: "+row.host, "-H", "Authorization: Bearer "+token, "https://"+h.tcp+"/links")
			if got.status != want || want == 403 && !strings.Contains(got.body, "is not a name of this hub") {
				t.Errorf("%s with the token %q: %+v", row.host, token, got)
			}
		}
	}
}

// TestNamesInTheConfig are names of the hub, too.
func TestNamesInTheConfig(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.DefaultResolver.LookupHost(t.Context(), name); err != nil {
		t.Skip("this machine does not know its own name")
	}
	h := startHub(t, "listen: ['TCP', '"+name+":0', 'unix:api'], token_file: tokens", withTokens)
	for host, want := range map[string]int{name: 200, strings.ToUpper(name) + ".:80": 200, name + ".evil.example": 403} {
		if got, _ := curl(t, append(bearer(reader), "-H", "Host: "+host, "http://"+h.tcp+"/links")...); got.status != want {
			t.Errorf("%s: %+v", host, got)
		}
	}
}

// TestOtherSites may call nothing, whatever they know.
func TestOtherSites(t *testing.T) {
	h := startHub(t, "token_file: tokens", withTokens)
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	for _, route := range routes() {
		for name, value := range map[string]string{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"} {
			request, err := http.NewRequestWithContext(t.Context(), route.method, "http://"+h.tcp+route.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set(name, value)
			request.Header.Set("Authorization", "Bearer "+admin)
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(response); got.status != 403 || route.method != "HEAD" && !strings.Contains(got.body, "another site") {
				t.Errorf("%s %s, %s: %+v", route.method, route.path, name, got)
			}
		}
	}
	if log := h.log(); strings.Contains(log, `"msg":"audit"`) {
		t.Error("something was done")
	}
}
