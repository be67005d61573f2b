package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"serialhub/internal/testenv"
)

// configs is the folder of the files for Prometheus and Grafana that users copy.
const configs = "../../configs/prometheus"

// monitor is a Prometheus that scrapes a hub, with the alerts loaded. The test
// that started it owns it.
type monitor struct {
	api string
}

// startMonitor runs a Prometheus with the example's config and alerts, but for
// the hub's address and for times, which are short.
func startMonitor(t *testing.T, h *hub) *monitor {
	t.Helper()
	dir := testenv.Dir(t)
	edit := func(name string, change func(string) string) {
		text, err := os.ReadFile(filepath.Join(configs, name))
		if err != nil {
			t.Fatal(err)
		}
		changed := change(string(text))
		if changed == string(text) {
			t.Fatalf("%s is not what this test expects", name)
		}
		testenv.WriteFile(t, filepath.Join(dir, name), changed)
	}
	edit("prometheus.yaml", func(text string) string {
		return "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 200ms}\n" +
			strings.Replace(text, "127.0.0.1:7373", strings.TrimPrefix(h.api, "http://"), 1)
	})
	edit("alerts.yaml", func(text string) string {
		return regexp.MustCompile(`(?m)^( +for:) \d+m$`).ReplaceAllString(text, "$1 2s")
	})

	address := freeAddress(t)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	process := exec.Command(artefact("prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	process.Stdout, process.Stderr = log, log
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		t.Fatal("starting Prometheus: ", err)
	}
	t.Cleanup(func() {
		process.Process.Signal(syscall.SIGTERM)
		process.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the log of Prometheus:\n%s", testenv.Tail(string(text)))
		}
	})
	return &monitor{api: "http://" + address}
}

// get asks the HTTP API of Prometheus, and reads the data of its answer.
func (m *monitor) get(path string, data any) error {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(m.api + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %s: %w", path, response.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return nil
}

// value is what Prometheus knows of a series now.
type value struct {
	labels map[string]string
	text   string
}

// query evaluates an expression now.
func (m *monitor) query(expr string) ([]value, error) {
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	err := m.get("/api/v1/query?query="+url.QueryEscape(expr), &data)
	var values []value
	for _, found := range data.Result {
		values = append(values, value{found.Metric, fmt.Sprint(found.Value[1])})
	}
	return values, err
}

// wait waits until an expression has these values; none for no series.
func (m *monitor) wait(t *testing.T, expr string, want ...string) {
	t.Helper()
	eventually(t, "waiting until "+expr+" is "+strings.Join(want, ", "), func() error {
		values, err := m.query(expr)
		var got []string
		for _, v := range values {
			got = append(got, v.text)
		}
		if slices.Sort(got); err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("it is %v", values)
		}
		return err
	})
}

// waitAlert waits until an alert is in a state for a link, or for the hub if link is
// empty: pending (or firing, if that was missed), firing, or "" for none.
func (m *monitor) waitAlert(t *testing.T, name, link, state string) {
	t.Helper()
	eventually(t, fmt.Sprintf("waiting until the alert %s of %q is %q", name, link, state), func() error {
		var data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
		if err := m.get("/api/v1/alerts", &data); err != nil {
			return err
		}
		got := ""
		for _, alert := range data.Alerts {
			if alert.Labels["alertname"] == name && alert.Labels["link"] == link {
				got = alert.State
			}
		}
		if got != state && (got != "firing" || state != "pending") {
			return fmt.Errorf("it is %q among %v", got, data.Alerts)
		}
		return nil
	})
}
