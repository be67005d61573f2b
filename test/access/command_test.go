package access

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"serialhub/internal/testenv"
)

// connect makes the test the peer of an end.
func (h *hub) connect(end string) net.Conn {
	h.t.Helper()
	conn, err := net.Dial("unix", h.path(end))
	if err != nil {
		h.t.Fatal(err)
	}
	return conn
}

// command runs a command of the program.
func (h *hub) command(environment []string, args ...string) (code int, said string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(command.Environ(), environment...)
	command.Dir = h.dir
	out, err := command.CombinedOutput()
	if command.ProcessState == nil {
		h.t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(out)
}

// TestCommandsFindTheirWayIn by flags, by the environment, and by the file of links.
func TestCommandsFindTheirWayIn(t *testing.T) {
	h := startHub(t, "token_file: tokens, "+encrypted, withTokens, func(h *hub) {
		withCertificates(h)
		h.write("reader", "read "+reader+"\n")
		h.write("wrong", "wrong-0123456789abcdef\n")
		h.write("malformed", "one two\n")
		h.write("elsewhere.yaml", "api: {listen: '127.0.0.1:1', tls: {cert: hub.pem, key: none}, token_file: none}\nlinks: []\n")
		h.write("other.yaml", strings.ReplaceAll("api: {listen: 'TCP', tls: {cert: alice.pem, key: none}}\nlinks: []\n", "TCP", h.tcp))
		h.write("both.yaml", strings.ReplaceAll("api: {listen: ['TCP', 'unix:api'], tls: {cert: alice.pem, key: none}}\nlinks: []\n", "TCP", h.tcp))
		h.write("tcp.yaml", strings.ReplaceAll("api: {listen: 'TCP', tls: {cert: hub.pem, key: none}, token_file: tokens}\nlinks: []\n", "TCP", h.tcp))
	})
	peer := h.connect("a")
	defer peer.Close()
	send := func(args ...string) []string { return append([]string{"send", "dbg", "--to", "a", "x"}, args...) }
	https, named := "https://"+h.tcp, "https://"+strings.Replace(h.tcp, "127.0.0.1", "localhost", 1)
	for _, row := range []struct {
		name        string
		environment []string
		args        []string
		code        int
		says        string
	}{
		{"flags", nil, send("--api", https, "--ca", "ca.pem", "--token-file", "tokens"), 0, ""},
		{"by its name", nil, send("--api", named, "--ca", "ca.pem", "--token-file", "tokens"), 0, ""},
		{"its own certificate", nil, send("--api", "tls:"+h.tcp, "--ca", "hub.pem", "--token-file", "tokens"), 0, ""},
		{"the environment", []string{"SERIALHUB_API=" + https, "SERIALHUB_CA=ca.pem", "SERIALHUB_TOKEN=" + admin}, send(), 0, ""},
		{"the file", nil, send("-c", "tcp.yaml"), 0, ""},
		{"the file, whose socket needs nothing", nil, send("-c", "links.yaml"), 0, ""},
		{"no token", nil, send("--api", https, "--ca", "ca.pem"), 1, "the hub at " + https + " wants a token with the role admin: give it by --token-file FILE or SERIALHUB_TOKEN"},
		{"a wrong token", nil, send("--api", https, "--ca", "ca.pem", "--token-file", "wrong"), 1, "does not know the token from wrong"},
		{"a wrong token of the environment", []string{"SERIALHUB_TOKEN=x"}, send("-c", "tcp.yaml"), 1, "does not know the token from SERIALHUB_TOKEN"},
		{"a token that may not", nil, send("--api", https, "--ca", "ca.pem", "--token-file", "reader"), 1, "takes a token with the role admin, and that of grafana has the role read; the token is from reader, and another one can be given by"},
		{"a malformed file of tokens", nil, send("--api", https, "--token-file", "malformed"), 2, "--token-file: malformed: line 1 names neither the role"},
		{"no file of tokens", nil, send("--api", https, "--token-file", "none"), 2, "--token-file: open none: no such file"},
		{"not trusted", nil, send("--api", https, "--token-file", "tokens"), 1, "has a certificate that this program does not trust (x509: certificate signed by unknown authority); --ca FILE names"},
		{"another certificate than the file has", nil, send("-c", "other.yaml"), 1, "shows another certificate than that in " + h.path("alice.pem")},
		{"another certificate than the file has, and a socket", nil, send("-c", "both.yaml"), 0, ""},
		{"TLS is spoken", nil, send("--api", h.tcp, "--token-file", "tokens"), 1, "the hub at " + h.tcp + " (by --api) speaks TLS; write https://, as in --api https://" + h.tcp},
		{"nobody there", nil, send("-c", "elsewhere.yaml"), 1, "no hub answers at https://127.0.0.1:1 (by api.listen of elsewhere.yaml): connection refused"},
		{"no such authority", nil, send("--api", https, "--ca", "none"), 2, "--ca: open none: no such file"},
		{"an authority that is none", nil, send("--api", https, "--ca", "tokens"), 2, "--ca: there is no certificate in tokens"},
		{"a certificate without its key", nil, send("--api", https, "--cert", "alice.pem"), 2, "--cert FILE --key FILE"},
	} {
		code, said := h.command(row.environment, row.args...)
		if code != row.code || !strings.Contains(said, row.says) || row.says == "" && said != "" {
			t.Errorf("%s: it ends with %d, and says %s", row.name, code, said)
		}
	}
	if code, said := h.command(nil, "tap", "dbg", "--api", https, "--ca", "ca.pem", "--token-file", "reader", "--no-follow"); code != 1 || !strings.Contains(said, "keeps nothing to show") {
		t.Errorf("tap ends with %d, and says %s", code, said)
	}
}

// TestCommandsShowCertificates to a hub that wants one of its clients.
func TestCommandsShowCertificates(t *testing.T) {
	h := startHub(t, "tls: {cert: hub.pem, key: hub.key, client_ca: clients.pem}", func(h *hub) { withCertificates(h) })
	peer := h.connect("a")
	defer peer.Close()
	for _, row := range []struct {
		name        string
		environment []string
		args        []string
		code        int
		says        string
	}{
		{"flags", nil, []string{"--cert", "alice.pem", "--key", "alice.key"}, 0, ""},
		{"the environment", []string{"SERIALHUB_CERT=alice.pem", "SERIALHUB_KEY=alice.key"}, nil, 0, ""},
		{"none", nil, nil, 1, "it wants a certificate of its clients: --cert FILE --key FILE"},
		{"another authority", nil, []string{"--cert", "stranger.pem", "--key", "stranger.key"}, 1, " "},
		{"expired", nil, []string{"--cert", "expired.pem", "--key", "expired.key"}, 1, "refuses this program: "},
	} {
		code, said := h.command(row.environment, append([]string{"send", "dbg", "--to", "a", "x", "--api", "https://" + h.tcp, "--ca", "ca.pem"}, row.args...)...)
		if code != row.code || !strings.Contains(said, row.says) || row.says == "" && said != "" {
			t.Errorf("%s: it ends with %d, and says %s", row.name, code, said)
		}
	}
}

// TestTapOverTLS shows what crosses the link, until the token is taken away.
func TestTapOverTLS(t *testing.T) {
	h := startHub(t, "token_file: tokens, "+encrypted, withTokens, func(h *hub) { withCertificates(h) })
	h.write("mine", "read "+reader+"\n")
	command := exec.Command(program, "tap", "dbg", "--format", "raw", "--api", "https://"+h.tcp, "--ca", h.path("ca.pem"), "--token-file", h.path("mine"))
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	command.Stderr = &errs
	command.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	peer := h.connect("a")
	defer peer.Close()
	seen := make([]byte, 1)
	heard := make(chan error, 1)
	go func() {
		_, err := out.Read(seen)
		heard <- err
	}()
	testenv.Eventually(t, patience, "the tap shows something", func() error {
		peer.Write([]byte("x")) // it may not watch yet
		select {
		case err := <-heard:
			if err != nil {
				err = testenv.Hopeless(err)
			}
			return err
		default:
			return context.DeadlineExceeded
		}
	})
	if string(seen) != "x" {
		t.Errorf("it shows %q", seen)
	}
	h.write("tokens", admin+"\n")
	if got := h.ask("POST", "/reload"); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	rest := make(chan struct{})
	go func() {
		defer close(rest)
		buf := make([]byte, 4096)
		for {
			if _, err := out.Read(buf); err != nil {
				return
			}
		}
	}()
	<-rest
	command.Wait()
	if code := command.ProcessState.ExitCode(); code != 1 || !strings.Contains(errs.String(), "does not know the token from "+h.path("mine")) {
		t.Errorf("it ends with %d, and says %s", code, errs.String())
	}
}

// TestHubThatDoesNotSpeakTLS is told from one that does.
func TestHubThatDoesNotSpeakTLS(t *testing.T) {
	h := startHub(t, "")
	code, said := h.command(nil, "send", "dbg", "--to", "a", "x", "--api", "https://"+h.tcp)
	if code != 1 || !strings.Contains(said, "what answers at https://"+h.tcp+" (by --api) does not speak TLS; write "+h.tcp+", without https://") {
		t.Errorf("it ends with %d, and says %s", code, said)
	}
}
