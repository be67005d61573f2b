package access

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"serialhub/internal/testenv"
)

// curl makes a call as curl does it. The code is that with which it ends.
func curl(t testing.TB, args ...string) (got answer, code int) {
	t.Helper()
	return curlBy(t, func(*exec.Cmd) {}, args...)
}

// curlBy lets by change how curl is run.
func curlBy(t testing.TB, by func(*exec.Cmd), args ...string) (got answer, code int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), testenv.Program(t, "curl"), append([]string{"-sS", "-m", "20", "-w", "\n%{http_code}"}, args...)...)
	var errs bytes.Buffer
	command.Stderr = &errs
	by(command)
	out, err := command.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	end := max(0, bytes.LastIndexByte(out, '\n'))
	got.body = string(out[:end]) + errs.String()
	got.status, _ = strconv.Atoi(strings.TrimSpace(string(out[end:])))
	return got, command.ProcessState.ExitCode()
}

// bearer shows curl a token.
func bearer(token string) []string { return []string{"-H", "Authorization: Bearer " + token} }

func read(response *http.Response) answer {
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// withInput is for curlBy.
func withInput(text string) func(*exec.Cmd) {
	return func(command *exec.Cmd) { command.Stdin = strings.NewReader(text) }
}
