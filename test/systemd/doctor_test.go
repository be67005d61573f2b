package systemd

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"serialhub/test/container"
)

// TestDoctorKnowsTheUnit has the packaged hub in trouble with its unit, and types what doctor says: a group that the hub is not in, and a folder that it may not
// write to.
func TestDoctorKnowsTheUnit(t *testing.T) {
	if !inContainer(t) {
		return
	}
	h := packaged(t, "")
	h.writeConfig(t, "  - {name: dbg, a: {listen: /run/serialhub/dbg.a, mode: '0660', group: tty}, b: /run/serialhub/dbg.b}\n"+
		"  - {name: far, a: /srv/vms/far.a, b: {connect: 'tcp:192.0.2.7:4555'}}\n")
	if _, err := container.Run("sh", "-c", "mkdir -p /srv/vms && chown serialhub /srv/vms && chmod 755 /srv/vms"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { container.Run("sh", "-c", "rm -rf /srv/vms /etc/systemd/system/"+string(h.Unit)+".d") })
	h.Do(t, "start")
	h.waitState(t, "dbg", "retrying")
	h.waitState(t, "far", "retrying")

	// The fixes of each check at each end, once each.
	examine := func() map[string][]string {
		out, _ := exec.Command("/usr/local/bin/serialhub", "doctor", "-c", h.config, "-o", "json").Output() // ends with 1
		var report struct {
			Findings []struct {
				Link, End, Check, Severity string
				Fix                        []string
			}
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		fixes := map[string][]string{}
		for _, f := range report.Findings {
			if f.Severity == "problem" {
				fixes[strings.Join([]string{f.Link, f.End, f.Check}, " ")] = f.Fix
			}
		}
		return fixes
	}
	found := examine()
	for _, what := range []string{"dbg a owner", "far a sandbox", "far b sandbox"} {
		if len(found[what]) == 0 {
			t.Fatalf("there is no fix for %s in %v", what, found)
		}
	}
	for _, what := range []string{"dbg a owner", "far a sandbox"} {
		for _, line := range found[what] {
			if _, err := container.Run("sh", "-c", line); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.waitState(t, "dbg", "waiting")
	container.Eventually(t, "the socket is in the folder", func() error {
		_, err := container.Run("test", "-S", "/srv/vms/far.a")
		return err
	})
	found = examine()
	for _, what := range []string{"dbg a owner", "dbg a link", "far a sandbox", "far a link"} {
		if fix, there := found[what]; there {
			t.Errorf("%s is still wrong: %v", what, fix)
		}
	}
}
