package access

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"serialhub/internal/testenv"
)

// withCertificates has those of the hub, which is called localhost, and its authority. The authority of clients is another one.
func withCertificates(h *hub) *testenv.Authority {
	authority, clients := testenv.NewAuthority(h.t, "hubs"), testenv.NewAuthority(h.t, "clients")
	h.write("ca.pem", authority.PEM)
	h.write("clients.pem", clients.PEM)
	authority.Issue(h.t, "localhost", false).Write(h.t, h.path("hub.pem"), h.path("hub.key"))
	clients.Issue(h.t, "alice", false).Write(h.t, h.path("alice.pem"), h.path("alice.key"))
	clients.Issue(h.t, "bob", true).Write(h.t, h.path("expired.pem"), h.path("expired.key"))
	authority.Issue(h.t, "eve", false).Write(h.t, h.path("stranger.pem"), h.path("stranger.key"))
	return authority
}

const encrypted = "tls: {cert: hub.pem, key: hub.key}"

// openssl runs s_client on the API's address, with nothing to say.
func (h *hub) openssl(args ...string) string {
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, testenv.Program(h.t, "openssl"), append([]string{"s_client", "-connect", h.tcp, "-CAfile", h.path("ca.pem")}, args...)...)
	command.Stdin = strings.NewReader("")
	out, _ := command.CombinedOutput()
	return string(out)
}

func TestTLS(t *testing.T) {
	h := startHub(t, encrypted+", token_file: tokens", withTokens, func(h *hub) { withCertificates(h) })
	url := "https://" + h.tcp + "/links/dbg"
	trust := append(bearer(reader), "--cacert", h.path("ca.pem"))
	for _, row := range []struct {
		name         string
		status, code int
		args         []string
	}{
		{"as it should be", 200, 0, append(trust, url)},
		{"by a name of the certificate", 200, 0, append(trust, strings.Replace(url, "127.0.0.1", "localhost", 1))},
		{"not trusted", 0, 60, append(bearer(reader), url)},
		{"no token", 401, 0, []string{"--cacert", h.path("ca.pem"), url}},
		{"TLS 1.2", 200, 0, append(trust, "--tls-max", "1.2", url)},
		{"TLS 1.1", 0, 35, append(trust, "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", url)},
		{"HTTP/2 is not spoken", 200, 0, append(trust, "--http2", "-w", "%{http_version}\n%{http_code}", url)},
		{"without TLS", 400, 0, append(bearer(reader), "http://"+h.tcp+"/links")},
		{"the socket has none", 200, 0, []string{"--unix-socket", h.path("api"), "http://localhost/links"}},
	} {
		got, code := curl(t, row.args...)
		if got.status != row.status || code != row.code {
			t.Errorf("%s: %+v, and curl ends with %d", row.name, got, code)
		}
		if row.name == "HTTP/2 is not spoken" && !strings.HasSuffix(got.body, "1.1") {
			t.Errorf("it is HTTP/%s", got.body)
		}
	}
	if said := h.openssl("-verify_return_error", "-alpn", "h2,http/1.1", "-verify_hostname", "localhost"); !strings.Contains(said, "Verify return code: 0 (ok)") || !strings.Contains(said, "ALPN protocol: http/1.1") || !strings.Contains(said, "TLSv1.3") {
		t.Errorf("openssl says %s", said)
	}
	if said := h.openssl("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"); !strings.Contains(said, "alert protocol version") {
		t.Errorf("with TLS 1.1, openssl says %s", said)
	}
	h.logs("a TLS handshake with a client of the API has failed", `"from":"127.0.0.1:`)
}

// TestClientCertificates lets nobody in without one of the right authority, which is valid.
func TestClientCertificates(t *testing.T) {
	for _, token := range []bool{false, true} {
		t.Run(fmt.Sprintf("token %t", token), func(t *testing.T) {
			api := "tls: {cert: hub.pem, key: hub.key, client_ca: clients.pem}"
			if token {
				api += ", token_file: tokens"
			}
			h := startHub(t, api, withTokens, func(h *hub) { withCertificates(h) })
			by := func(name string, args ...string) []string {
				args = append([]string{"--cacert", h.path("ca.pem")}, args...)
				if name != "" {
					args = append(args, "--cert", h.path(name+".pem"), "--key", h.path(name+".key"))
				}
				return append(args, "-X", "POST", "https://"+h.tcp+"/links/dbg/reset")
			}
			for name, args := range map[string][]string{"none": by(""), "expired": by("expired"), "another authority": by("stranger"), "none, with a token": by("", bearer(admin)...)} {
				if got, code := curl(t, args...); got.status != 0 || code == 0 {
					t.Errorf("%s: %+v, and curl ends with %d", name, got, code)
				}
			}
			want, who := 200, "CN=alice"
			if token {
				want, who = 401, "ops, CN=alice"
			}
			if got, _ := curl(t, by("alice")...); got.status != want {
				t.Errorf("without a token: %+v", got)
			}
			if token {
				if got, _ := curl(t, by("alice", bearer(reader)...)...); got.status != 403 {
					t.Errorf("with that of a reader: %+v", got)
				}
				if got, _ := curl(t, by("alice", bearer(admin)...)...); got.status != 200 {
					t.Errorf("with that of an admin: %+v", got)
				}
			}
			h.logs(`"msg":"audit"`, `"what":"reset"`, `"who":"`+who+`"`, `"ok":true`)
			if said := h.openssl("-tls1_2"); !strings.Contains(said, "alert") {
				t.Errorf("openssl says %s", said)
			}
		})
	}
}

// TestCertificatesAreRenewed under connections that stay. What cannot be used changes nothing, and who would not get in any more does not.
func TestCertificatesAreRenewed(t *testing.T) {
	var authority *testenv.Authority
	h := startHub(t, encrypted, func(h *hub) { authority = withCertificates(h) })
	pair, err := tls.LoadX509KeyPair(h.path("alice.pem"), h.path("alice.key"))
	if err != nil {
		t.Fatal(err)
	}
	connections := 0
	client := func(certificates ...tls.Certificate) *http.Client {
		return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), Certificates: certificates, VerifyConnection: func(tls.ConnectionState) error {
			connections++
			return nil
		}}}}
	}
	anonymous, alice := client(), client(pair)
	defer anonymous.CloseIdleConnections()
	defer alice.CloseIdleConnections()
	ask := func(client *http.Client, status, made int) {
		t.Helper()
		connections = 0
		got := call(t, client, "GET", "https://"+h.tcp+"/links", "")
		if got.status != status || connections != made {
			t.Errorf("%+v over %d new connections, want %d over %d", got, connections, status, made)
		}
	}
	ask(anonymous, 200, 1)
	conn, _, err := websocket.Dial(t.Context(), "https://"+h.tcp+"/links/dbg/tap", &websocket.DialOptions{HTTPClient: anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()

	shown := func() string { return h.openssl("-showcerts") }
	before := shown()
	authority.Issue(t, "localhost", false).Write(t, h.path("hub.pem"), h.path("unused.key"))
	if got := h.ask("POST", "/reload"); got.status != 422 || !strings.Contains(got.body, "is not the key of the certificate in") {
		t.Errorf("with the key of another certificate: %+v", got)
	}
	if certificate(shown()) != certificate(before) {
		t.Error("a reload that failed has changed the certificate")
	}
	authority.Issue(t, "localhost", false).Write(t, h.path("hub.pem"), h.path("hub.key"))
	if got := h.ask("POST", "/reload"); got.status != 200 {
		t.Fatalf("the reload: %+v", got)
	}
	if certificate(shown()) == certificate(before) {
		t.Error("the certificate is the old one")
	}
	ask(anonymous, 200, 0)

	h.configure("tls: {cert: hub.pem, key: hub.key, client_ca: clients.pem}")
	if got := h.ask("POST", "/reload"); got.status != 200 {
		t.Fatalf("the reload: %+v", got)
	}
	if _, _, err := conn.Read(t.Context()); !strings.Contains(fmt.Sprint(err), "may not see this any more") {
		t.Errorf("who watches without a certificate hears %v", err)
	}
	connections = 0
	if got := call(t, anonymous, "GET", "https://"+h.tcp+"/links", ""); got.status != 403 || !strings.Contains(got.body, "another certificate") || connections != 0 {
		t.Errorf("on a connection without a certificate: %+v", got)
	}
	ask(alice, 200, 1)
	ask(alice, 200, 0)
}

// certificate is the first one that openssl shows.
func certificate(said string) string {
	_, after, _ := strings.Cut(said, "-----BEGIN CERTIFICATE-----")
	cert, _, _ := strings.Cut(after, "-----END")
	return cert
}

// TestTLSIsTurnedOn for who has connected without it.
func TestTLSIsTurnedOn(t *testing.T) {
	h := startHub(t, "", func(h *hub) { withCertificates(h) })
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	url := "http://" + h.tcp + "/links"
	if got := call(t, client, "GET", url, ""); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	h.configure(encrypted)
	h.cmd.Process.Signal(unix.SIGHUP)
	h.logs("config reloaded")
	if got := call(t, client, "GET", url, ""); got.status != 403 || !strings.Contains(got.body, "speaks TLS now") {
		t.Errorf("on the old connection: %+v", got)
	}
	client.CloseIdleConnections()
	if got := call(t, client, "GET", url, ""); got.status != 400 {
		t.Errorf("on a new connection: %+v", got)
	}
	if got, code := curl(t, "--cacert", h.path("ca.pem"), "https://"+h.tcp+"/links"); got.status != 200 {
		t.Errorf("%+v, and curl ends with %d", got, code)
	}
}

// TestExpiredCertificate is a warning, for the links do not depend on it.
func TestExpiredCertificate(t *testing.T) {
	h := startHub(t, encrypted, func(h *hub) {
		authority := testenv.NewAuthority(h.t, "hubs")
		h.write("ca.pem", authority.PEM)
		authority.Issue(h.t, "localhost", true).Write(h.t, h.path("hub.pem"), h.path("hub.key"))
	})
	h.logs(`"level":"WARN"`, "the API's certificate is not valid now", `"subject":"CN=localhost"`)
	if _, code := curl(t, "--cacert", h.path("ca.pem"), "https://"+h.tcp+"/links"); code != 60 {
		t.Errorf("curl ends with %d", code)
	}
}

// TestHandshakesThatFail are told once a second, and hold nobody up.
func TestHandshakesThatFail(t *testing.T) {
	h := startHub(t, encrypted, func(h *hub) { withCertificates(h) })
	silent, err := net.Dial("tcp", h.tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	begin := time.Now()
	for range 300 {
		conn, err := net.Dial("tcp", h.tcp)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte("\x16\x03\x01\xff\xffnonsense"))
		conn.Close()
	}
	if got, _ := curl(t, "--cacert", h.path("ca.pem"), "https://"+h.tcp+"/links"); got.status != 200 {
		t.Errorf("%+v", got)
	}
	most := 2 + int(time.Since(begin).Seconds())
	if told := strings.Count(h.log(), "a TLS handshake with a client of the API has failed"); told == 0 || told > most {
		t.Errorf("it is told %d times in %v", told, time.Since(begin))
	}
}
