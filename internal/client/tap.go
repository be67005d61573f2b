package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/coder/websocket"

	"serialhub/internal/rest"
)

// TapOptions say what of a link's traffic is wanted, and how.
type TapOptions struct {
	Format     string // hex, raw, text, json or pcapng
	End        string // only what the peers of that end say; "" for both
	SinceStart bool   // first all that the hub has kept
	Newest     string // first that much of the newest that it has kept, such as 4KiB
	NoFollow   bool   // and nothing after that
	Color      bool   // for a terminal

	// From goes on where an earlier stream has ended, instead of SinceStart and Newest; nil for none. If the hub has not kept what came
	// next, the stream begins now.
	From *Position
}

// Position is a place in what crosses a link: how many bytes have come from the peers of each end.
type Position struct{ A, B uint64 }

func (o TapOptions) parameters() rest.TapLinkParams {
	format := rest.TapFormat(o.Format)
	p := rest.TapLinkParams{Format: &format, Color: flag(o.Color)}
	if o.End != "" {
		end := rest.EndName(o.End)
		p.End = &end
	}
	if o.NoFollow {
		no := "false"
		p.Follow = &no
	}
	if o.From != nil {
		from := fmt.Sprintf("%d,%d", o.From.A, o.From.B)
		p.From = &from
		return p
	}
	p.SinceStart = flag(o.SinceStart)
	if o.Newest != "" {
		p.N = &o.Newest
	}
	return p
}

// Missed says that a watcher was too slow, and how much it has not seen.
type Missed struct {
	End   string // whose peer has said it
	Bytes uint64
}

// Tap is a stream of what crosses a link. It is for one goroutine.
type Tap struct {
	client   *Client
	conn     *websocket.Conn
	position *Position
}

// Tap begins to watch a link: all that crosses it from when it returns is seen.
func (c *Client) Tap(ctx context.Context, link string, options TapOptions) (*Tap, error) {
	request, err := rest.NewTapLinkRequest(ctx, server, link, options.parameters())
	if err != nil {
		return nil, err
	}
	conn, err := c.socket(ctx, request)
	if err != nil {
		return nil, err
	}
	return &Tap{client: c, conn: conn}, nil
}

// Close ends the stream.
func (t *Tap) Close() { t.conn.CloseNow() } //nolint:errcheck // nobody waits for a watcher to say goodbye

// Position is where the stream has ended, for another one to go on there; nil if the hub has not said it, as one that is killed does not.
func (t *Tap) Position() *Position { return t.position }

// Copy writes the stream to w until it is over (nil), the hub lets it go (*LostError), w fails (its error) or the context ends. In between,
// at its place, missed is told of what was missed; only the format raw has no way to say so itself.
func (t *Tap) Copy(ctx context.Context, w io.Writer, missed func(Missed)) error {
	piece := make([]byte, 32<<10)
	for {
		kind, message, err := t.conn.Reader(ctx)
		if err != nil {
			return t.client.ended(ctx, err)
		}
		if kind == websocket.MessageText {
			notice, err := readNotice(message)
			switch {
			case err != nil:
				return err
			case notice.Missed != nil:
				missed(*notice.Missed)
			}
			t.position = notice.Position
			continue
		}
		for err == nil {
			n := 0
			if n, err = message.Read(piece); n > 0 {
				if _, err := w.Write(piece[:n]); err != nil {
					return err
				}
			}
		}
		if err != io.EOF { //nolint:errorlint // io.Reader's own
			return t.client.ended(ctx, err)
		}
	}
}

// notice is a message that stands between the bytes. One of the two is there.
type notice struct {
	Missed   *Missed
	Position *Position // is the last message of a hub that stops
}

func readNotice(message io.Reader) (n notice, err error) {
	err = json.NewDecoder(io.LimitReader(message, 4<<10)).Decode(&n)
	if err == nil && n.Missed == nil && n.Position == nil {
		err = errors.New("it is neither about missed bytes nor about a position")
	}
	if err != nil {
		return n, fmt.Errorf("the hub says between the bytes what this program does not understand: %w", err)
	}
	return n, nil
}
