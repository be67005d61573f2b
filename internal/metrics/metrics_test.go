package metrics_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"serialhub/internal/metrics"
	"serialhub/internal/reload"
	"serialhub/internal/supervisor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hub stands in for the supervisor and for the reloader.
type hub struct {
	links  []supervisor.Link
	reload reload.Result
	ok     time.Time
}

func (h *hub) Links() []supervisor.Link { return h.links }
func (h *hub) Last() reload.Result      { return h.reload }
func (h *hub) LastSuccess() time.Time   { return h.ok }

func newHub() *hub {
	at := time.Date(2026, 11, 22, 13, 0, 0, 500e6, time.UTC)
	return &hub{reload: reload.Result{At: at}, ok: at, links: []supervisor.Link{
		{
			Name: "dbg", State: supervisor.LinkHalf, Sessions: 3, Resets: 1, Failures: 2,
			Ends: [2]supervisor.End{
				{Connections: 4, Rejected: 5, Received: 1 << 40, Sent: 7, Discarded: 8, Peer: &supervisor.Peer{PID: 4711}},
				{Connections: 9},
			},
		},
		{Name: "B.1_-", State: supervisor.LinkStopped},
	}}
}

// scrape asks for the metrics, and returns those of them whose name has the prefix.
func scrape(t *testing.T, h *hub, prefix string) string {
	t.Helper()
	var log bytes.Buffer
	recorder := httptest.NewRecorder()
	metrics.Handler(h, h, "1.2.3", slog.New(slog.NewTextHandler(&log, nil))).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	if recorder.Code != http.StatusOK || log.Len() > 0 {
		t.Errorf("%d, and the log says %q", recorder.Code, &log)
	}
	var lines strings.Builder
	for line := range strings.Lines(recorder.Body.String()) {
		if strings.HasPrefix(line, prefix) {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

func TestSeries(t *testing.T) {
	want := `serialhub_build_info{goversion="` + runtime.Version() + `",version="1.2.3"} 1
serialhub_config_last_reload_success_timestamp_seconds 1.7953524005e+09
serialhub_config_last_reload_successful 1
serialhub_end_connected{end="a",link="B.1_-"} 0
serialhub_end_connected{end="a",link="dbg"} 1
serialhub_end_connected{end="b",link="B.1_-"} 0
serialhub_end_connected{end="b",link="dbg"} 0
serialhub_end_connections_total{end="a",link="B.1_-"} 0
serialhub_end_connections_total{end="a",link="dbg"} 4
serialhub_end_connections_total{end="b",link="B.1_-"} 0
serialhub_end_connections_total{end="b",link="dbg"} 9
serialhub_end_discarded_bytes_total{end="a",link="B.1_-"} 0
serialhub_end_discarded_bytes_total{end="a",link="dbg"} 8
serialhub_end_discarded_bytes_total{end="b",link="B.1_-"} 0
serialhub_end_discarded_bytes_total{end="b",link="dbg"} 0
serialhub_end_received_bytes_total{end="a",link="B.1_-"} 0
serialhub_end_received_bytes_total{end="a",link="dbg"} 1.099511627776e+12
serialhub_end_received_bytes_total{end="b",link="B.1_-"} 0
serialhub_end_received_bytes_total{end="b",link="dbg"} 0
serialhub_end_rejected_total{end="a",link="B.1_-"} 0
serialhub_end_rejected_total{end="a",link="dbg"} 5
serialhub_end_rejected_total{end="b",link="B.1_-"} 0
serialhub_end_rejected_total{end="b",link="dbg"} 0
serialhub_end_sent_bytes_total{end="a",link="B.1_-"} 0
serialhub_end_sent_bytes_total{end="a",link="dbg"} 7
serialhub_end_sent_bytes_total{end="b",link="B.1_-"} 0
serialhub_end_sent_bytes_total{end="b",link="dbg"} 0
serialhub_link_failures_total{link="B.1_-"} 0
serialhub_link_failures_total{link="dbg"} 2
serialhub_link_resets_total{link="B.1_-"} 0
serialhub_link_resets_total{link="dbg"} 1
serialhub_link_sessions_total{link="B.1_-"} 0
serialhub_link_sessions_total{link="dbg"} 3
`
	got := strings.Join(linesWithout(scrape(t, newHub(), "serialhub_"), "serialhub_link_state{"), "")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func linesWithout(text, prefix string) (lines []string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, prefix) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestEveryStateIsOneOfSeven(t *testing.T) {
	for _, state := range supervisor.LinkStates() {
		h := &hub{links: []supervisor.Link{{Name: "l", State: state}}}
		got := scrape(t, h, "serialhub_link_state{")
		if strings.Count(got, "\n") != 7 || strings.Count(got, " 0\n") != 6 || !strings.Contains(got, `{link="l",state="`+string(state)+`"} 1`+"\n") {
			t.Errorf("of a link that is %s:\n%s", state, got)
		}
	}
}

func TestReload(t *testing.T) {
	h := newHub()
	h.reload = reload.Result{At: h.ok.Add(time.Hour), Err: errors.New("line 3 is wrong")}
	want := "serialhub_config_last_reload_success_timestamp_seconds 1.7953524005e+09\nserialhub_config_last_reload_successful 0\n"
	if got := scrape(t, h, "serialhub_config_"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestRemovedAndRenamed links have no series under the name that they had, with a handler that has seen them before.
func TestRemovedAndRenamed(t *testing.T) {
	h := newHub()
	handler := metrics.Handler(h, h, "", slog.New(slog.DiscardHandler))
	ask := func() string {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
		return recorder.Body.String()
	}
	if got := ask(); strings.Count(got, `link="dbg"`) != 22 || strings.Count(got, `link="B.1_-"`) != 22 {
		t.Errorf("not every link has 22 series:\n%s", got)
	}
	h.links = h.links[:1]
	h.links[0].Name = "debugger"
	if got := ask(); strings.Contains(got, `link="dbg"`) || strings.Contains(got, "B.1") || !strings.Contains(got, `serialhub_link_sessions_total{link="debugger"} 3`) {
		t.Errorf("after a reload:\n%s", got)
	}
}

// TestNamesThatCollide while links are renamed: all others are shown, and nothing is said of a failure.
func TestNamesThatCollide(t *testing.T) {
	h := &hub{links: []supervisor.Link{{Name: "x", Sessions: 1}, {Name: "c", Sessions: 2}, {Name: "x", Sessions: 3}, {Name: "a", Sessions: 4}, {Name: "x"}}}
	want := "serialhub_link_sessions_total{link=\"a\"} 4\nserialhub_link_sessions_total{link=\"c\"} 2\n"
	if got := scrape(t, h, "serialhub_link_sessions_total"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOtherCollectors(t *testing.T) {
	got := scrape(t, newHub(), "")
	for _, series := range []string{"go_goroutines", "process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"} {
		if !regexp.MustCompile(`(?m)^` + series + ` [0-9]`).MatchString(got) {
			t.Errorf("%s is missing", series)
		}
	}
}

// TestLint holds everything against the rules of promtool check metrics.
func TestLint(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, newHub(), ""))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestText is what everybody gets: curl, which takes anything, and each Prometheus.
func TestText(t *testing.T) {
	h := newHub()
	handler := metrics.Handler(h, h, "1.2.3", slog.New(slog.DiscardHandler))
	for _, accept := range []string{
		"", "*/*", "text/plain",
		"application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", // Prometheus 2.42
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5," +
			"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", // Prometheus 3
	} {
		recorder, request := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
		request.Header.Set("Accept", accept)
		handler.ServeHTTP(recorder, request)
		if kind, text := recorder.Header().Get("Content-Type"), recorder.Body.String(); !strings.HasPrefix(kind, "text/plain; version=0.0.4; charset=utf-8") || !strings.HasPrefix(text, "# HELP ") {
			t.Errorf("Accept: %s is answered with %s: %.100s", accept, kind, text)
		}
	}
}

func TestPacked(t *testing.T) {
	h := newHub()
	server := httptest.NewServer(metrics.Handler(h, h, "1.2.3", slog.New(slog.DiscardHandler)))
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	defer server.CloseClientConnections()
	if got := response.Header.Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("it is packed by %q", got)
	}
	unpacked, err := gzip.NewReader(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(unpacked); err != nil || !bytes.Contains(text, []byte("serialhub_build_info")) {
		t.Errorf("%v in %s", err, text)
	}
}

// gone is a caller who has gone.
type gone struct{ httptest.ResponseRecorder }

func (*gone) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// TestCallerWhoHasGone is told of in one line, in the hub's own log.
func TestCallerWhoHasGone(t *testing.T) {
	var log bytes.Buffer
	h := newHub()
	metrics.Handler(h, h, "", slog.New(slog.NewTextHandler(&log, nil))).ServeHTTP(&gone{}, httptest.NewRequest("GET", "/metrics", nil))
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "broken pipe") {
		t.Errorf("the log says %q", &log)
	}
}
