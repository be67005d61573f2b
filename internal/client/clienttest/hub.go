// Package clienttest plays a hub for tests of what calls one.
package clienttest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

// Routes are the calls that are answered, by their patterns as in http.ServeMux.
type Routes map[string]http.HandlerFunc

// Hub answers at an address until it is stopped, or the test ends.
type Hub struct {
	Address string // as --api takes it

	server *httptest.Server
	stop   context.CancelFunc
	talks  *sync.WaitGroup
	calls  atomic.Int64
}

// Called tells whether it has been called as often as that, by an error if it has not.
func (h *Hub) Called(often int64) error {
	if calls := h.calls.Load(); calls < often {
		return fmt.Errorf("%d calls", calls)
	}
	return nil
}

// Start starts one at an address as --api takes it; "" takes a port that is free.
func Start(t testing.TB, address string, routes Routes) *Hub {
	t.Helper()
	network, where := "tcp", "127.0.0.1:0"
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		network, where = "unix", path
		os.Remove(path) //nolint:errcheck // it may not be there
	} else if address != "" {
		where = address
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), network, where)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
	}
	ctx, stop := context.WithCancel(context.Background())
	talks := &sync.WaitGroup{}
	h := &Hub{Address: address, stop: stop, talks: talks}
	handler := func(w http.ResponseWriter, r *http.Request) {
		h.calls.Add(1)
		talks.Add(1)
		defer talks.Done()
		mux.ServeHTTP(w, r)
	}
	h.server = httptest.NewUnstartedServer(http.HandlerFunc(handler))
	if address == "" {
		h.Address = listener.Addr().String()
	}
	h.server.Listener.Close() //nolint:errcheck // it is replaced
	h.server.Listener = listener
	h.server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	h.server.Start()
	t.Cleanup(h.Stop)
	return h
}

// Stop breaks all connections.
func (h *Hub) Stop() {
	h.stop()
	h.server.CloseClientConnections()
	h.server.Close()
	h.talks.Wait()
}

// Refuse answers with a problem.
func Refuse(status int, detail string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}) //nolint:errcheck // the client is gone
	}
}

// Answer answers with a text.
func Answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(text)) } //nolint:errcheck // the client is gone
}

// Talk takes a WebSocket and lets talk have it. The context ends with the hub. The connection breaks when talk returns, unless it has closed it.
func Talk(talk func(ctx context.Context, conn *websocket.Conn, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow() //nolint:errcheck // it may be closed already
		talk(r.Context(), conn, r)
	}
}

// Say sends bytes, in a message of their own.
func Say(ctx context.Context, conn *websocket.Conn, text string) {
	conn.Write(ctx, websocket.MessageBinary, []byte(text)) //nolint:errcheck // the client is gone
}
