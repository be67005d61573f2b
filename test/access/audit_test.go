package access

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// line is one of the log.
type line struct {
	Msg, Level, What, Who, From, Link, End, Error string
	OK                                            *bool
	Bytes                                         int
	More                                          int `json:"more_like_it"`
}

// lines are those of the log with a message.
func (h *hub) lines(message string) (found []line) {
	for text := range strings.Lines(h.log()) {
		var l line
		if json.Unmarshal([]byte(text), &l) == nil && l.Msg == message {
			found = append(found, l)
		}
	}
	return found
}

// TestAudit has a line for each change: who made it, from where, and how it ended.
func TestAudit(t *testing.T) {
	h := startHub(t, "token_file: tokens", withTokens)
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	url := "http://" + h.tcp
	for _, path := range []string{"/links", "/links/dbg", "/status"} {
		call(t, client, "GET", url+path, admin)
	}
	peer := h.connect("a")
	defer peer.Close()
	h.eventually("the peer is there", func() error {
		if body := h.ask("GET", "/links/dbg").body; !strings.Contains(body, `"state": "half"`) {
			return fmt.Errorf("the link is %s", body)
		}
		return nil
	})
	curlBy(t, withInput("secret words"), append(bearer(admin), "--data-binary", "@-", url+"/links/dbg/send?to=a")...)
	call(t, client, "GET", url+"/links/dbg/reset", admin)
	call(t, client, "POST", url+"/links/dbg/reset?end=b", admin)
	call(t, client, "POST", url+"/links/none/reset", admin)
	h.ask("POST", "/links/dbg/stop")
	h.ask("POST", "/links/dbg/start")
	h.ask("POST", "/links/dbg/break?end=b")
	h.ask("POST", "/reload")
	conn, _, err := websocket.Dial(t.Context(), "ws://"+h.tcp+"/links/dbg/attach?end=b", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + admin}}})
	if err != nil {
		t.Fatal(err)
	}
	if response, _ := http.Get(url + "/links/dbg/attach?end=b"); response != nil {
		response.Body.Close()
	}
	h.eventually("the line of the beginning", func() error {
		if all := h.lines("audit"); len(all) == 0 || all[len(all)-1].What != "attach" {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	conn.Close(websocket.StatusNormalClosure, "")
	h.logs(`"what":"detach"`)

	var got []string
	for _, l := range h.lines("audit") {
		if l.OK == nil || l.Level != "INFO" || *l.OK == (l.Error != "") {
			t.Errorf("a line is %+v", l)
			continue
		}
		who := "?"
		switch local := fmt.Sprintf("access.test, pid %d, uid %d", os.Getpid(), os.Getuid()); {
		case l.Who == fmt.Sprintf("uid %d", os.Getuid()) && l.From == local:
			who = "local"
		case l.Who == "ops" && strings.HasPrefix(l.From, "127.0.0.1:"):
			who = "ops"
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s%s %d %t", who, l.What, l.Link, l.End, l.Bytes, *l.OK)))
	}
	want := []string{
		"ops send dbga 12 true", "ops reset dbg 0 true", "ops reset dbgb 0 true", "ops reset none 0 false", "local stop dbg 0 true", "local start dbg 0 true",
		"local break dbgb 0 false", "local reload  0 true", "ops attach dbgb 0 true", "ops detach dbgb 0 true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the audit is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if strings.Contains(h.log(), "secret words") {
		t.Error("the log has what was said")
	}
	if refused := h.lines("a caller of the API is refused"); len(refused) != 1 || refused[0].Who != "unknown" {
		t.Errorf("refused are %+v", refused)
	}
}

// TestRefusalsDoNotFloodTheLog counts those that it does not tell.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	h := startHub(t, "token_file: tokens", withTokens)
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	begin, asked, told := time.Now(), 0, 0
	h.eventually("those that were not told are counted", func() error {
		for range 100 {
			call(t, client, "GET", "http://"+h.tcp+"/links", "wrong")
			asked++
		}
		told = 0
		lines := h.lines("a caller of the API is refused")
		for _, l := range lines {
			told += 1 + l.More
		}
		if most := 6 + int(time.Since(begin).Seconds()); len(lines) > most {
			t.Fatalf("%d lines in %v", len(lines), time.Since(begin))
		}
		if told < 100 {
			return fmt.Errorf("%d of %d", told, asked)
		}
		return nil
	})
}
