package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/coder/websocket"

	"serialhub/internal/rest"
)

// Attachment is this program as the peer of an end. One goroutine may read and another write; Leave may be called at any time.
type Attachment struct {
	client  *Client
	conn    *websocket.Conn
	ctx     context.Context // as long as it lives; io.Reader and io.Writer take none
	cancel  context.CancelFunc
	message io.Reader // nil between two
}

const (
	// longestMessage is as much as is sent in one message, in bytes.
	longestMessage = 16 << 10
	// leaveTime is within which the hub must answer a peer that leaves.
	leaveTime = time.Second
)

// Attach makes the caller the peer of an end, for as long as the context lives. Somebody who is there loses the end only if replace says
// so; otherwise a *Problem names who it is.
func (c *Client) Attach(ctx context.Context, link, end string, replace bool) (*Attachment, error) {
	request, err := rest.NewAttachToLinkRequest(ctx, server, link, rest.AttachToLinkParams{End: rest.EndName(end), Replace: flag(replace)})
	if err != nil {
		return nil, err
	}
	conn, err := c.socket(ctx, request)
	if err != nil {
		return nil, err
	}
	a := &Attachment{client: c, conn: conn}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a, nil
}

// Read waits for what the other end says. When the hub has taken the end away it returns a *LostError that says why, or io.EOF.
func (a *Attachment) Read(p []byte) (int, error) {
	for {
		if a.message == nil {
			kind, message, err := a.conn.Reader(a.ctx)
			if err != nil {
				return 0, a.ended(err)
			}
			if kind != websocket.MessageBinary {
				return 0, errors.New("the hub says between the bytes what this program does not understand")
			}
			a.message = message
		}
		n, err := a.message.Read(p)
		if err == io.EOF { //nolint:errorlint // io.Reader's own
			a.message, err = nil, nil
		}
		if err != nil {
			err = a.ended(err)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write says something to the other end. It waits while that does not read.
func (a *Attachment) Write(p []byte) (int, error) {
	written := 0
	for piece := range slices.Chunk(p, longestMessage) {
		if err := a.conn.Write(a.ctx, websocket.MessageBinary, piece); err != nil {
			return written, a.ended(err)
		}
		written += len(piece)
	}
	return written, nil
}

// Flush waits until the hub has read all that was written. Somebody has to read meanwhile.
func (a *Attachment) Flush() error {
	if err := a.conn.Ping(a.ctx); err != nil { // which is answered in its turn
		return a.ended(err)
	}
	return nil
}

func (a *Attachment) ended(err error) error {
	if err := a.client.ended(a.ctx, err); err != nil {
		return err
	}
	return io.EOF
}

// Leave gives the end back, after what was written. It waits a second at most for the hub to agree, and breaks the connection then.
func (a *Attachment) Leave() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		a.conn.Close(websocket.StatusNormalClosure, "") //nolint:errcheck // whatever it says, it is closed
	}()
	select {
	case <-closed:
	case <-time.After(leaveTime):
	}
	a.cancel()
}
