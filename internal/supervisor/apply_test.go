package supervisor

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"serialhub/internal/config"
	"serialhub/internal/relay"
)

// spec makes a link's config; its ends are files of these names in the hub's folder.
func (h *hub) spec(name, a, b string, about ...func(*config.Link)) config.Link {
	h.t.Helper()
	l := config.Link{Name: name, A: h.endAt(a), B: h.endAt(b), Restart: always, Absent: config.AbsentDiscard, BufferSize: 1000}
	for _, change := range about {
		change(&l)
	}
	return l
}

func (h *hub) apply(links ...config.Link) config.Changes {
	h.t.Helper()
	changes, err := h.Apply(links)
	if err != nil {
		h.t.Fatal(err)
	}
	return changes
}

// is checks what a reload answers.
func is(t *testing.T, c config.Changes, want string) {
	t.Helper()
	if got := fmt.Sprint(c.Added, c.Removed, c.Changed, c.Unchanged); got != want {
		t.Errorf("added, removed, changed, unchanged are %s, want %s", got, want)
	}
}

// names lists the links in order.
func (h *hub) names() (names []string) {
	for _, l := range h.Links() {
		names = append(names, l.Name)
	}
	return names
}

func (h *hub) dialAt(file string) *net.UnixConn { return h.dialPath(h.dir + "/" + file) }

func TestApplyAddsAndRemoves(t *testing.T) {
	h := startHub(t)
	is(t, h.apply(h.spec("x", "1", "2"), h.spec("y", "3", "4")), "[x y] [] [] []")
	h.waitState("x", LinkWaiting)
	a, b := h.dialAt("1"), h.dialAt("2")
	h.waitState("x", LinkUp)
	is(t, h.apply(h.spec("z", "5", "6"), h.spec("x", "1", "2")), "[z] [y] [] [x]")
	if got := fmt.Sprint(h.names()); got != "[z x]" {
		t.Errorf("the links are %s", got)
	}
	if _, err := h.Link("y"); !errors.Is(err, ErrNoLink) {
		t.Errorf("a removed link gives %v", err)
	}
	if _, err := os.Lstat(h.dir + "/3"); !os.IsNotExist(err) {
		t.Errorf("a removed link's socket is there: %v", err)
	}
	carry(t, a, b, "undisturbed")
	is(t, h.apply(), "[] [z x] [] []")
	readAll(t, a, "")
}

func TestRemovedLinkDeliversItsLastBytes(t *testing.T) {
	h := startHub(t, "dbg")
	a, b := h.up("dbg")
	if _, err := a.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	h.apply()
	readAll(t, b, "last words")
}

// TestApplyInPlace changes everything that needs no new socket. The peers stay, and so do the counters.
func TestApplyInPlace(t *testing.T) {
	h := startHub(t)
	h.apply(h.spec("x", "1", "2"))
	h.waitState("x", LinkWaiting)
	a, b := h.dialAt("1"), h.dialAt("2")
	h.waitState("x", LinkUp)
	carry(t, a, b, "before")
	is(t, h.apply(h.spec("x", "1", "2", func(l *config.Link) {
		l.Absent, l.BufferSize = config.AbsentBuffer, 4
		l.Restart.Policy = config.Never
		l.A.Mode, l.A.WhenBusy = 0o640, config.BusyQueue
		l.B.AllowUIDs = []int{os.Getuid() + 1}
	})), "[] [] [x] []")
	carry(t, a, b, "after")
	if info, err := os.Lstat(h.dir + "/1"); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
	}
	h.dialAt("1")
	h.wait("x", "queued", func(l Link) bool { return len(l.Ends[relay.A].Queued) == 1 })

	h.apply(h.spec("x", "1", "2", func(l *config.Link) { l.Absent, l.BufferSize = config.AbsentBuffer, 4 }))
	b.Close()
	h.waitState("x", LinkHalf)
	if _, err := a.Write([]byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	h.wait("x", "read", func(l Link) bool { return l.Ends[relay.A].Discarded == 6 })
	h.apply(h.spec("x", "1", "2", func(l *config.Link) { l.Absent = config.AbsentHold }))
	if _, err := a.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	b = h.dialAt("2")
	got := make([]byte, 7)
	if _, err := io.ReadFull(b, got); err != nil || string(got) != "6789abc" {
		t.Errorf("the next peer got %q, %v", got, err)
	}
	link := h.waitState("x", LinkUp)
	if link.Ends[relay.A].Connections != 1 || link.Sessions != 2 || link.Ends[relay.A].Received != 6+5+10+3 {
		t.Errorf("the link has forgotten something: %+v", link)
	}
}

func TestApplyAnotherAddressToOneEnd(t *testing.T) {
	h := startHub(t)
	h.apply(h.spec("x", "1", "2"))
	h.waitState("x", LinkWaiting)
	a, b := h.dialAt("1"), h.dialAt("2")
	h.waitState("x", LinkUp)
	is(t, h.apply(h.spec("x", "1", "3")), "[] [] [x] []")
	readAll(t, b, "")
	if _, err := os.Lstat(h.dir + "/2"); !os.IsNotExist(err) {
		t.Errorf("the old socket is there: %v", err)
	}
	carry(t, a, h.dialAt("3"), "through the new address")
	if link := h.waitState("x", LinkUp); link.Ends[relay.A].Connections != 1 || link.Ends[relay.B].Address != "unix:"+h.dir+"/3" {
		t.Errorf("the link is %+v", link)
	}
}

// TestApplyMovesOfAddresses joins the sockets in another way, and checks that each leads where it shall.
func TestApplyMovesOfAddresses(t *testing.T) {
	for _, test := range []struct{ name, before, after string }{
		{"two links swap addresses", "x12 y34", "x32 y14"},
		{"two links swap both addresses", "x12 y34", "x34 y12"},
		{"the ends of a link change places", "x12", "x21"},
		{"three links in a ring", "x12 y34 z56", "x14 y36 z52"},
		{"from a removed link to a new one", "x12 y34", "x12 n35"},
		{"from a removed link to one that stays", "x12 y34", "x13"},
		{"from one that stays to a new one", "x12 y34", "x52 y34 n16"},
		{"renamed", "x12 y34", "n12 y34"},
		{"names change places", "x12 y34", "x34 y12"},
		{"everything at once", "x12 y34 z56", "z21 n34 y57"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := startHub(t)
			h.apply(h.parse(test.before)...)
			for _, name := range h.names() {
				h.waitState(name, LinkWaiting)
			}
			h.apply(h.parse(test.after)...)
			h.leads(test.after)
		})
	}
}

// parse reads links as a name and the files of both ends, each of one letter: "x12 y34".
func (h *hub) parse(text string) (links []config.Link) {
	h.t.Helper()
	for i := 0; i+3 <= len(text); i += 4 {
		links = append(links, h.spec(text[i:i+1], text[i+1:i+2], text[i+2:i+3]))
	}
	return links
}

// leads checks that the hub is as if it had been started with these links, and nothing else.
func (h *hub) leads(text string) {
	h.t.Helper()
	var names, files []string
	for _, l := range h.parse(text) {
		names = append(names, l.Name)
		h.waitState(l.Name, LinkWaiting)
		var conns [2]*net.UnixConn
		for side, end := range l.Ends() {
			conns[side] = h.dialPath(end.Address.Path())
			files = append(files, end.Address.Path()[len(h.dir)+1:])
		}
		h.waitState(l.Name, LinkUp)
		carry(h.t, conns[relay.A], conns[relay.B], "to b of "+l.Name)
		carry(h.t, conns[relay.B], conns[relay.A], "to a of "+l.Name)
		conns[relay.A].Close()
		conns[relay.B].Close()
		h.waitState(l.Name, LinkWaiting)
	}
	if got := h.names(); !slices.Equal(got, names) {
		h.t.Errorf("the links are %v, want %v", got, names)
	}
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	slices.Sort(files)
	if !slices.Equal(got, files) {
		h.t.Errorf("the sockets are %v, want %v", got, files)
	}
}

// TestApplyOfRandomConfigs goes from one random config to the next, and checks that each hub is as if it had been
// started with it.
func TestApplyOfRandomConfigs(t *testing.T) {
	h := startHub(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		names, files := random.Perm(6), random.Perm(12)
		text := ""
		for i := range random.IntN(len(names) + 1) {
			text += fmt.Sprintf("%c%c%c ", 'n'+names[i], 'a'+files[2*i], 'a'+files[2*i+1])
		}
		next := h.parse(text)
		for i := range next {
			l := &next[i]
			l.Absent = []config.Absent{config.AbsentDiscard, config.AbsentHold, config.AbsentBuffer}[random.IntN(3)]
			l.BufferSize = 1 + random.IntN(1000)
			l.OnDisconnect = []config.OnDisconnect{config.OnDisconnectKeep, config.OnDisconnectClose}[random.IntN(2)]
			l.A.Mode = []uint32{0o600, 0o660, 0o666}[random.IntN(3)]
			l.B.WhenBusy = []config.WhenBusy{config.BusyReject, config.BusyReplace, config.BusyQueue}[random.IntN(3)]
		}
		h.apply(next...)
		h.leads(text)
		for i, l := range h.links {
			if !l.config.Equal(next[i]) {
				t.Errorf("the link is %+v, want %+v", *l.config, next[i])
			}
			if info, err := os.Lstat(next[i].A.Address.Path()); err != nil || uint32(info.Mode().Perm()) != next[i].A.Mode {
				t.Errorf("the socket of %s is %v, %v; want mode %o", next[i].Name, info.Mode(), err, next[i].A.Mode)
			}
		}
		if t.Failed() {
			t.Fatalf("after %q", text)
		}
	}
}

// TestRenamedLinkKeepsItsPeers renames a link that is up, and changes its behaviour on the way.
func TestRenamedLinkKeepsItsPeers(t *testing.T) {
	h := startHub(t)
	h.apply(h.spec("x", "1", "2"))
	h.waitState("x", LinkWaiting)
	a, b := h.dialAt("1"), h.dialAt("2")
	h.waitState("x", LinkUp)
	is(t, h.apply(h.spec("n", "1", "2", func(l *config.Link) { l.Absent = config.AbsentHold })), "[n] [x] [] []")
	carry(t, a, b, "undisturbed")
	if link := h.waitState("n", LinkUp); link.Name != "n" || link.Sessions != 1 {
		t.Errorf("the link is %+v", link)
	}
	h.waitLog(`msg="peer connected" link=x`)
	b.Close()
	h.waitLog(`msg="peer left" link=n end=b`)
}

func TestApplyOfDisabled(t *testing.T) {
	h := startHub(t)
	off := func(l *config.Link) { l.Disabled = true }
	h.apply(h.spec("x", "1", "2"))
	h.waitState("x", LinkWaiting)
	a := h.dialAt("1")
	is(t, h.apply(h.spec("x", "1", "2", off)), "[] [] [x] []")
	h.waitState("x", LinkStopped)
	readAll(t, a, "")
	is(t, h.apply(h.spec("x", "1", "3", off)), "[] [] [x] []")
	h.waitState("x", LinkStopped)
	is(t, h.apply(h.spec("x", "1", "3")), "[] [] [x] []")
	h.leads("x13")

	// What somebody has stopped stays so when the file changes.
	if _, err := h.StopLink(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	h.apply(h.spec("x", "1", "4"))
	h.waitState("x", LinkStopped)
	if _, err := h.StartLink(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	h.leads("x14")
}

// TestApplyOfWhatCannotBind is tried again, and does not undo the rest.
func TestApplyOfWhatCannotBind(t *testing.T) {
	h := startHub(t)
	if err := os.WriteFile(h.dir+"/2", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.apply(h.spec("bad", "1", "2"), h.spec("good", "3", "4"))
	h.waitState("bad", LinkRetrying)
	h.waitState("good", LinkWaiting)
	a := h.dialAt("3")
	h.waitState("good", LinkHalf)
	is(t, h.apply(h.spec("bad", "1", "5"), h.spec("good", "3", "2")), "[] [] [bad good] []")
	h.waitState("bad", LinkWaiting)
	h.waitState("good", LinkRetrying)
	os.Remove(h.dir + "/2")
	h.waitState("good", LinkHalf)
	carry(t, a, h.dialAt("2"), "at last")
}

// TestApplyBesideTraffic applies configs at random while bytes flow over a link that does not change.
func TestApplyBesideTraffic(t *testing.T) {
	h := startHub(t)
	fixed := h.spec("fixed", "f", "g")
	h.apply(fixed)
	h.waitState("fixed", LinkWaiting)
	a, b := h.dialAt("f"), h.dialAt("g")
	h.waitState("fixed", LinkUp)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !stop.Load() && !t.Failed(); i++ {
			carry(t, a, b, fmt.Sprintf("to b %d %0*d", i, i%5000, 0))
			carry(t, b, a, fmt.Sprintf("to a %d", i))
		}
	}()
	random := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		names, files := random.Perm(4), random.Perm(8)
		text := ""
		for i := range random.IntN(len(names) + 1) {
			text += fmt.Sprintf("%c%c%c ", 'n'+names[i], 'a'+16+files[2*i], 'a'+16+files[2*i+1])
		}
		links := h.parse(text)
		at := random.IntN(len(links) + 1)
		h.apply(slices.Insert(links, at, fixed)...)
	}
	stop.Store(true)
	<-done
	if link, _ := h.Link("fixed"); link.Sessions != 1 || link.Resets != 0 || link.Ends[relay.A].Discarded != 0 {
		t.Errorf("the fixed link was disturbed: %+v", link)
	}
}

func TestApplyAfterStop(t *testing.T) {
	h := startHub(t, "dbg")
	h.Stop()
	if err := <-h.ended; err != nil {
		t.Fatal(err)
	}
	h.ended <- nil
	if _, err := h.Apply(nil); !errors.Is(err, ErrStopping) {
		t.Errorf("Apply gave %v", err)
	}
}

// TestMovedEndDismissesItsQueue: who waited at the old address does not come to the end at its new one.
func TestMovedEndDismissesItsQueue(t *testing.T) {
	h := startHub(t)
	queue := func(l *config.Link) { l.A.WhenBusy = config.BusyQueue }
	h.apply(h.spec("x", "1", "2", queue))
	h.waitState("x", LinkWaiting)
	first, second := h.dialAt("1"), h.dialAt("1")
	h.wait("x", "queued", func(l Link) bool { return len(l.Ends[relay.A].Queued) == 1 })
	h.apply(h.spec("x", "3", "2", queue))
	readAll(t, first, "")
	readAll(t, second, "")
	if link := h.waitState("x", LinkWaiting); link.Ends[relay.A].Connections != 1 || len(link.Ends[relay.A].Queued) != 0 {
		t.Errorf("the link is %+v", link)
	}
}

// TestSlowReaderDoesNotHoldUpAReload changes a link that drains, after a loss, to a reader that takes its time.
func TestSlowReaderDoesNotHoldUpAReload(t *testing.T) {
	h := startHub(t)
	never := func(l *config.Link) {
		l.Restart.Policy, l.Absent, l.BufferSize = config.Never, config.AbsentBuffer, 8<<20
	}
	h.apply(h.spec("x", "1", "2", never))
	h.waitState("x", LinkWaiting)
	a := h.dialAt("1")
	h.waitState("x", LinkHalf)
	if _, err := a.Write(make([]byte, 6<<20)); err != nil {
		t.Fatal(err)
	}
	h.wait("x", "filled", func(l Link) bool { return l.Ends[relay.A].Received == 6<<20 })
	b := h.dialAt("2")
	h.waitState("x", LinkUp)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for chunk := make([]byte, 100<<10); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
				if _, err := io.ReadFull(b, chunk); err != nil {
					return
				}
			}
		}
	}()
	a.Close()
	h.wait("x", "losing its peer", func(l Link) bool { return l.Ends[relay.A].Peer == nil })
	began := time.Now()
	h.apply(h.spec("x", "1", "2", never, func(l *config.Link) { l.A.Mode = 0o660 }))
	if took := time.Since(began); took > 2*drainTime {
		t.Errorf("the reload took %s", took)
	}
	close(stop)
	<-stopped
}

// TestResetDoesNotTakeAnAddressBack resets a link in the moment in which it has given up an address and has not got the
// next one yet.
func TestResetDoesNotTakeAnAddressBack(t *testing.T) {
	h := startHub(t)
	h.apply(h.parse("x12 y34")...)
	h.waitState("x", LinkWaiting)
	x := h.links[0]
	x.send(newCommand(release, relay.A))
	if _, err := h.Reset(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(h.dir + "/1"); !os.IsNotExist(err) {
		t.Errorf("the reset has taken the address back: %v", err)
	}
	h.apply(h.parse("x52 y14")...)
	h.leads("x52 y14")
}

func TestFailedLinkLeavesNoSocketBehind(t *testing.T) {
	h := startHub(t)
	if err := os.WriteFile(h.dir+"/1", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(h.dir + "/1")
	h.apply(h.spec("x", "1", "2", func(l *config.Link) { l.Restart.Policy = config.Never }))
	h.waitState("x", LinkFailed)
	if conn, err := net.Dial("unix", h.dir+"/2"); err == nil {
		conn.Close()
		t.Error("the other end can still be connected to")
	}
}
