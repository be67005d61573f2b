package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// finding is one of what serialhub doctor has found.
type finding struct {
	Link     string   `json:"link"`
	End      string   `json:"end"`
	Check    string   `json:"check"`
	Severity string   `json:"severity"`
	Message  string   `json:"message"`
	Fix      []string `json:"fix"`
}

// examine runs serialhub doctor, as the user that as says (nil: as root), and returns what it has found at an end of a link by one of its checks.
func (h *hub) examine(t *testing.T, as *user, link, end, check string) []finding {
	t.Helper()
	command := exec.Command(hubBinary, "doctor", link, "--api", h.api, "-o", "json")
	as.dress(command)
	out, err := command.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("serialhub doctor: %v: %s", err, out)
	}
	var report struct {
		Findings []finding `json:"findings"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("serialhub doctor: %v in %s", err, out)
	}
	if problems := slices.ContainsFunc(report.Findings, func(f finding) bool { return f.Severity == "problem" }); problems != (err != nil) {
		t.Errorf("serialhub doctor ends with %v and has found %+v", err, report.Findings)
	}
	return slices.DeleteFunc(report.Findings, func(f finding) bool { return f.Link != link || f.End != end || f.Check != check })
}

// only fails the test unless there is one finding, with one line to type, and returns that.
func only(t *testing.T, findings []finding) string {
	t.Helper()
	if len(findings) != 1 || len(findings[0].Fix) != 1 {
		t.Fatalf("not one finding with one line: %+v", findings)
	}
	return findings[0].Fix[0]
}

// typed runs a line in a shell, as somebody would who has copied it.
func typed(t *testing.T, as *user, line string) {
	t.Helper()
	command := exec.Command("sh", "-c", line)
	as.dress(command)
	out, err := command.CombinedOutput()
	t.Log("$ ", line) // without what a monitor echoes, which is long
	if err != nil || strings.Contains(strings.ToLower(string(out)), "error") {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}
