package api_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"serialhub/internal/api"
	"serialhub/internal/config"
	"serialhub/internal/metrics"
	"serialhub/internal/reload"
	"serialhub/internal/rest/resttest"
	"serialhub/internal/supervisor"
	"serialhub/internal/testenv"
)

var (
	randomSeed     = flag.Uint64("api.seed", 0, "makes the random requests the same again; 0 takes one that is new")
	randomRequests = flag.Int("api.requests", usualRequests, "how many random requests there are")
)

// TestRandomRequests asks a hub with real links, while peers talk, everything that the document has, rightly and wrongly. Each answer has
// to be as the document says, and none may be that the hub has failed.
func TestRandomRequests(t *testing.T) {
	seed := *randomSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("go test ./internal/api -run TestRandomRequests -api.seed=%d -api.requests=%d", seed, *randomRequests)
	h := runWorld(t)
	const workers = 8
	var (
		group sync.WaitGroup
		left  atomic.Int64
	)
	left.Store(int64(*randomRequests))
	for i := range workers {
		a := &asker{world: h, rand: rand.New(rand.NewPCG(seed, uint64(i))), answered: map[int]int{}}
		group.Go(func() {
			for left.Add(-1) >= 0 && !t.Failed() {
				a.ask()
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			for status, n := range a.answered {
				h.answered[status] += n
			}
		})
	}
	group.Wait()
	t.Logf("answers by status: %v", h.answered)
	if !t.Failed() && (h.answered[200] < *randomRequests/10 || h.answered[400] < *randomRequests/20 || h.answered[101] == 0) {
		t.Error("there is little variety")
	}
}

// world is a hub with links, peers at some of them, and its API at two addresses.
type world struct {
	t        *testing.T
	dir      string
	document *resttest.Document
	calls    []*resttest.Call
	names    []string
	clients  [2]*http.Client
	hosts    [2]string

	mu       sync.Mutex
	answered map[int]int
}

// The configs that reloads find.
const (
	usualLinks = `api: {listen: unix:%[1]s/api}
links:
  - {name: x, a: %[1]s/xa, b: %[1]s/xb, scrollback: 64KiB}
  - {name: y, a: {listen: %[1]s/ya, when_busy: queue}, b: {connect: "unix:%[1]s/yb"}}
  - {name: t, a: {pty: %[1]s/t}, b: {listen: %[1]s/tb, when_busy: replace}}
  - {name: off, a: %[1]s/oa, b: %[1]s/ob, disabled: true}
`
	moreLinks = usualLinks + `  - {name: z, a: %[1]s/za, b: %[1]s/zb}
`
	wrongLinks = usualLinks + `  - {name: x, a: %[1]s/za, c: %[1]s/zb}
`
)

func runWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: testenv.Dir(t), answered: map[int]int{}, names: []string{"x", "y", "t", "off", "z"}}
	w.document = resttest.MustLoad(t)
	w.calls = w.document.Calls
	w.write(usualLinks)
	load := func() (*config.Config, error) { return config.Load(filepath.Join(w.dir, "links.yaml")) }
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	hub, err := supervisor.New(c.Links, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	reloader := reload.New(load, func(next *config.Config) (config.Changes, error) { return hub.Apply(next.Links) },
		func() func() { return func() {} }, hub.Events(), log)
	handler := w.document.Around(api.Handler(api.Parts{Hub: hub, Reloader: reloader, Events: hub.Events(), Metrics: metrics.Handler(hub, reloader, "", log), Log: log}), func(err error) { t.Error(err) })
	front, err := api.NewFront(handler, c.API, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	w.hosts = [2]string{"localhost", server.Listener.Addr().String()}
	w.clients[0] = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(w.dir, "api"))
	}}}
	w.clients[1] = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	var group sync.WaitGroup
	group.Go(func() { front.Run() })
	group.Go(func() { hub.Run() })
	group.Go(func() { reloader.Run() })
	ctx, cancel := context.WithCancel(context.Background())
	for _, end := range []string{"xa", "xb", "ya", "tb"} {
		group.Go(func() { talk(ctx, filepath.Join(w.dir, end)) })
	}
	t.Cleanup(func() {
		cancel()
		for _, client := range w.clients {
			client.CloseIdleConnections()
		}
		front.Stop()
		server.CloseClientConnections()
		server.Close()
		reloader.Stop()
		hub.Stop()
		group.Wait()
	})
	testenv.Eventually(t, patience, "the links are open", func() error {
		if names := hub.NotOpen(); len(names) > 0 && !slices.Equal(names, []string{"y"}) { // nobody listens for y
			return fmt.Errorf("%v", names)
		}
		return nil
	})
	return w
}

func (w *world) write(links string) {
	file := filepath.Join(w.dir, "links.yaml")
	next, err := os.CreateTemp(w.dir, "links")
	if err == nil {
		_, err = fmt.Fprintf(next, links, w.dir)
		err = errors.Join(err, next.Close(), os.Rename(next.Name(), file))
	}
	if err != nil {
		w.t.Error(err)
	}
}

// talk is a peer that says something, reads what it is told, and comes back when it is closed.
func talk(ctx context.Context, path string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if conn, err := new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			io.WriteString(conn, "here I am\n")
			io.Copy(io.Discard, conn)
			stop()
			conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// asker asks a world.
type asker struct {
	*world
	rand     *rand.Rand
	answered map[int]int
}

func (a *asker) chance(percent int) bool { return a.rand.IntN(100) < percent }

func pick[T any](a *asker, list []T) T { return list[a.rand.IntN(len(list))] }

// ask makes a request and takes the answer, or some of it.
func (a *asker) ask() {
	call := pick(a, a.calls)
	if call.ID == "reloadConfig" && a.chance(50) {
		a.write(pick(a, []string{usualLinks, moreLinks, wrongLinks}))
	}
	which := a.rand.IntN(2)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	target := &url.URL{Scheme: "http", Host: a.hosts[which], Opaque: "//" + a.hosts[which] + a.path(call), RawQuery: a.query(call)}
	method := call.Method
	if a.chance(5) {
		method = pick(a, resttest.AnyMethod())
	}
	request := (&http.Request{Method: method, URL: target, Host: a.hosts[which], Header: http.Header{}}).WithContext(ctx)
	a.body(call, request)
	a.headers(call, request)
	response, err := a.clients[which].Do(request)
	if err != nil {
		a.t.Errorf("%s %s: %v", method, target, err)
		return
	}
	defer response.Body.Close()
	a.answered[response.StatusCode]++
	switch {
	case response.StatusCode == http.StatusInternalServerError:
		text, _ := io.ReadAll(response.Body)
		a.t.Errorf("%s %s: %s", method, target, text)
	case response.StatusCode == http.StatusSwitchingProtocols:
		if conn, ok := response.Body.(io.Writer); ok && a.chance(50) {
			conn.Write(a.junk(64)) // which is hardly what a WebSocket should say
		}
	case response.ContentLength < 0 && isStream(call):
		time.AfterFunc(time.Duration(a.rand.IntN(3))*time.Millisecond, cancel) // it may never end
		io.Copy(io.Discard, response.Body)
	default:
		io.Copy(io.Discard, response.Body)
	}
}

func (a *asker) junk(most int) []byte {
	data := make([]byte, a.rand.IntN(most+1))
	for i := range data {
		data[i] = byte(a.rand.IntN(256))
	}
	return data
}

// text is something that is hardly ever right.
func (a *asker) text() string {
	if a.chance(30) {
		return string(a.junk(20))
	}
	return pick(a, []string{"", "..", ".", "/", "a/b", "ä", "%", "%2F", "\x00", "null", "-1", "1e9", "true", "dbg", "A", " a", "a ", strings.Repeat("x", 300), "'; drop table links", "{name}", "18af3c-42", "0,0", "250ms", "1h"})
}

func (a *asker) path(call *resttest.Call) string {
	if a.chance(3) {
		return "/" + url.PathEscape(a.text())
	}
	name := pick(a, a.names)
	switch {
	case a.chance(10):
		name = "none"
	case a.chance(6):
		name = url.PathEscape(a.text())
	case a.chance(5):
		name = fmt.Sprintf("%%%02x", name[0]) + name[1:]
	}
	path := strings.Replace(call.Path, "{name}", name, 1)
	if a.chance(5) {
		path += pick(a, []string{"/", "//", "/x", "%2F"})
	}
	return path
}

func (a *asker) query(call *resttest.Call) string {
	if a.chance(1) {
		return pick(a, []string{"&", "=", "%zz", "end=a;end=b", "end", "end=%61", "?", "end=a&"})
	}
	query := url.Values{}
	for _, p := range call.Parameters {
		if p.In != "query" || !a.chance(30) && (!p.Required || a.chance(5)) {
			continue
		}
		query.Set(p.Name, a.value(p))
		if a.chance(1) {
			query.Add(p.Name, a.value(p))
		}
	}
	if a.chance(2) {
		query.Set(pick(a, []string{"edn", "token", "END", "", "ä", "end"}), a.text())
	}
	return query.Encode()
}

func (a *asker) value(p resttest.Parameter) string {
	switch {
	case a.chance(10):
		return a.text()
	case len(p.Values) > 0:
		return pick(a, p.Values)
	default:
		return p.Example
	}
}

func (a *asker) body(call *resttest.Call, request *http.Request) {
	var body []byte
	switch {
	case call.Body != nil && a.chance(2):
		body = make([]byte, pick(a, []int{65535, 65536, 65537, 200_000}))
	case call.Body != nil && a.chance(90):
		body = a.junk(200)
	case a.chance(5):
		body = pick(a, [][]byte{[]byte("{}"), []byte("\n"), []byte("end=a"), []byte(`{"end": "a"}`), a.junk(100)})
	}
	if body == nil {
		return
	}
	request.Body, request.ContentLength = io.NopCloser(strings.NewReader(string(body))), int64(len(body))
	if a.chance(20) {
		request.ContentLength = -1 // in chunks
	}
}

func (a *asker) headers(call *resttest.Call, request *http.Request) {
	isSocket := slices.Contains(call.Statuses(), "101")
	if isSocket && a.chance(60) || a.chance(1) {
		headers := handshake()
		for i := 0; i < len(headers); i += 2 {
			if a.chance(98) {
				request.Header.Set(headers[i], headers[i+1])
			}
		}
	}
	if a.chance(3) {
		request.Header.Set("Sec-Fetch-Site", pick(a, []string{"cross-site", "same-site", "same-origin", "none", "x"}))
	}
	if a.chance(3) {
		request.Header.Set("Origin", pick(a, []string{"null", "http://evil.example", "http://" + request.Host, "x"}))
	}
	if a.chance(3) {
		request.Host = pick(a, []string{"evil.example", "localhost", "127.0.0.1", "[::1]:1", "LOCALHOST:7373"})
	}
	if a.chance(5) {
		name := pick(a, []string{"Last-Event-ID", "Accept", "Content-Type", "Authorization", "Accept-Encoding", "If-None-Match", "Range", "X-Forwarded-For", "X-HTTP-Method-Override"})
		request.Header.Set(name, pick(a, []string{"", "x", "Bearer x", "18af3c-42", "application/json", "DELETE", strings.Repeat("y", 5000), "*/*"}))
	}
}
