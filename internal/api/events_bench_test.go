package api_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"serialhub/internal/events"
)

// BenchmarkEventTo200Readers publishes an event, and waits until the last of 200 readers has it.
func BenchmarkEventTo200Readers(b *testing.B) {
	log, server := streaming(b)
	const readers = 200
	has := make(chan struct{}, readers)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range readers {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		buffer := make([]byte, 4096)
		for begun := false; !begun; {
			n, err := conn.Read(buffer)
			if err != nil {
				b.Fatal(err)
			}
			begun = strings.Contains(string(buffer[:n]), "id: ")
		}
		wg.Go(func() {
			for {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				for range bytes.Count(buffer[:n], []byte("data: ")) {
					has <- struct{}{}
				}
			}
		})
	}
	e := events.Event{Type: events.Connected, Link: "dbg", End: "a", Peer: &events.Peer{PID: 4711, Command: "qemu-system-i386", VM: "win7-debugger"}}
	b.ReportAllocs()
	for b.Loop() {
		log.Publish(e)
		for range readers {
			<-has
		}
	}
	b.StopTimer()
	cancel()
	server.CloseClientConnections()
	wg.Wait()
}
