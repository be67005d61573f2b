package continuity

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// piece is what a tap shows of a link, as JSON.
type piece struct {
	End    string `json:"end"`
	Offset int64  `json:"offset"`
	Data   []byte `json:"data"`
	Missed int64  `json:"missed"`
}

// scrollback is what the hub has of a link for those who come later.
func (s *service) scrollback(link string) (pieces []piece) {
	s.t.Helper()
	pieces, err := parsePieces(s.scrollbackText(link))
	if err != nil {
		s.t.Fatal(err)
	}
	return pieces
}

// scrollbackText is the scrollback as JSON.
func (s *service) scrollbackText(link string) (text string) {
	s.t.Helper()
	s.until("showing its scrollback", func() error {
		body, err := s.fetch(http.MethodGet, "/links/"+link+"/tap?since_start=true&follow=false&format=json")
		text = string(body)
		return err
	})
	return text
}

func parsePieces(text string) (pieces []piece, err error) {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one piece
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		pieces = append(pieces, one)
	}
	return pieces, lines.Err()
}

// said is what one end has said, in one piece, and the offset of its first byte; or an error if there is a gap.
func said(pieces []piece, end string) (data []byte, from int64, err error) {
	from = -1
	for _, one := range pieces {
		if one.End != end {
			continue
		}
		if one.Missed > 0 {
			return nil, 0, fmt.Errorf("%d bytes from %s are missed at %d", one.Missed, end, one.Offset)
		}
		if from < 0 {
			from = one.Offset
		}
		if next := from + int64(len(data)); one.Offset != next {
			return nil, 0, fmt.Errorf("what comes from %s goes on at %d, not at %d", end, one.Offset, next)
		}
		data = append(data, one.Data...)
	}
	return data, max(0, from), nil
}
