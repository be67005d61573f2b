package access

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUpgradeKeepsAccess replaces the running program: who may call stays the same, and the files of the sockets are as the config says.
func TestUpgradeKeepsAccess(t *testing.T) {
	h := startHub(t, "listen: ['TCP', 'unix:api', {listen: 'unix:team', mode: '0660', allow_uids: [1]}], token_file: tokens, "+encrypted, withTokens, func(h *hub) { withCertificates(h) })
	started := func() int { return strings.Count(h.log(), `"msg":"started"`) }
	if err := os.Chmod(h.path("team"), 0o666); err != nil {
		t.Fatal(err)
	}
	h.cmd.Process.Signal(unix.SIGUSR2)
	h.eventually("it is replaced", func() error {
		if started() < 2 || h.ask("GET", "/readyz").status != http.StatusOK {
			return fmt.Errorf("it was started %d times", started())
		}
		return nil
	})
	trust := []string{"--cacert", h.path("ca.pem"), "https://" + h.tcp + "/links"}
	if got, code := curl(t, trust...); got.status != 401 {
		t.Errorf("without a token: %+v, and curl ends with %d", got, code)
	}
	if got, code := curl(t, append(bearer(reader), trust...)...); got.status != 200 {
		t.Errorf("with a token: %+v, and curl ends with %d", got, code)
	}
	if info, err := os.Stat(h.path("team")); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if os.Getuid() != 1 {
		if got, _ := curl(t, "--unix-socket", h.path("team"), "http://localhost/links"); got.status != 403 {
			t.Errorf("at the socket of others: %+v", got)
		}
	}
}
