package watch

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// guest is a machine at an end of a link, with a terminal that echoes and a shell that knows what it is asked.
type guest struct {
	conn  net.Conn
	ended chan struct{}
}

const guestPrompt = "guest# "

// newGuest lets a guest live at a connection until that is closed. It greets with a prompt.
func newGuest(t *testing.T, conn net.Conn, answers map[string]string) *guest {
	g := &guest{conn, make(chan struct{})}
	t.Cleanup(func() {
		conn.Close()
		<-g.ended
	})
	conn.SetDeadline(time.Time{})
	go func() {
		defer close(g.ended)
		g.live(answers)
	}()
	return g
}

// print has the guest say something of its own accord.
func (g *guest) print(text string) { io.WriteString(g.conn, text) }

func (g *guest) live(answers map[string]string) {
	g.print(guestPrompt)
	line, typed := "", make([]byte, 1)
	for {
		if _, err := g.conn.Read(typed); err != nil {
			return
		}
		switch c := typed[0]; {
		case c == '\r':
			answer, known := answers[line]
			if !known {
				answer = line + ": not found"
			}
			g.print("\r\n" + strings.ReplaceAll(answer, "\n", "\r\n") + "\r\n" + guestPrompt)
			line = ""
		case c < ' ':
			g.print("^" + string(rune(c+'@')))
		default:
			line += string(rune(c))
			g.print(string(rune(c)))
		}
	}
}
