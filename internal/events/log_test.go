package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"serialhub/internal/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kept    = 4096    // events
	keptMax = 4 << 20 // bytes
)

// event is one that can be told from all others by its message.
func event(n int) events.Event { return events.Event{Type: events.Fault, Message: strconv.Itoa(n)} }

// all takes everything that has happened.
func all(t testing.TB, r *events.Reader) (taken []*events.Entry) {
	t.Helper()
	var room [100]*events.Entry
	for {
		some, more, err := r.Take(room[:1+rand.IntN(len(room))])
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, some...)
		if more != nil {
			return taken
		}
	}
}

// wait takes what comes next.
func wait(t testing.TB, r *events.Reader) []*events.Entry {
	t.Helper()
	var room [10]*events.Entry
	for {
		some, more, err := r.Take(room[:])
		switch {
		case err != nil:
			t.Fatal(err)
		case more == nil:
			return some
		}
		<-more
	}
}

// number is that of an ID.
func number(t testing.TB, id string) (n int) {
	t.Helper()
	_, digits, _ := strings.Cut(id, "-")
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatalf("the ID %q has no number", id)
	}
	return n
}

// TestReadersAgainstAModel has readers begin anywhere, and compares what they take with a plain list of all that was published.
func TestReadersAgainstAModel(t *testing.T) {
	log := events.NewLog()
	published := 0
	type reader struct {
		*events.Reader
		next int // as it should be
	}
	var readers []*reader
	start, _, _ := strings.Cut(log.Now().Position(), "-")
	for range 20_000 {
		switch rand.IntN(10) {
		case 0:
			readers = append(readers, &reader{log.Now(), published + 1})
		case 1:
			after, oldest := rand.IntN(published+1), max(1, published-kept+1)
			if rand.IntN(4) == 0 { // at the edge of what is kept
				after = min(published, max(0, oldest-3+rand.IntN(4)))
			}
			r, missed := log.After(fmt.Sprintf("%s-%d", start, after))
			if missed != (after+1 < oldest) {
				t.Fatalf("after %d of %d: missed is %v", after, published, missed)
			}
			readers = append(readers, &reader{r, max(after+1, oldest)})
		case 2, 3:
			if len(readers) == 0 {
				continue
			}
			i := rand.IntN(len(readers))
			r := readers[i]
			var room [500]*events.Entry
			taken, more, err := r.Take(room[:1+rand.IntN(500)])
			if behind := r.next < published-kept+1; behind != errors.Is(err, events.ErrBehind) {
				t.Fatalf("a reader at %d of %d gets %v", r.next, published, err)
			} else if behind {
				readers[i] = readers[len(readers)-1]
				readers = readers[:len(readers)-1]
				continue
			}
			if (more != nil) != (r.next == published+1) || len(taken) == 0 && more == nil {
				t.Fatalf("a reader at %d of %d gets %d and %v", r.next, published, len(taken), more)
			}
			for _, e := range taken {
				if e.Message != strconv.Itoa(r.next) || e.ID() != fmt.Sprintf("%s-%d", start, r.next) {
					t.Fatalf("a reader at %d gets %s, %s", r.next, e.ID(), e.Message)
				}
				r.next++
			}
			if number(t, r.Position()) != r.next-1 {
				t.Fatalf("a reader at %d says it is at %s", r.next, r.Position())
			}
		default:
			published++
			log.Publish(event(published))
		}
	}
}

func TestAfterWhatIsNotKnown(t *testing.T) {
	log := events.NewLog()
	for n := range 3 {
		log.Publish(event(n + 1))
	}
	start, _, _ := strings.Cut(log.Now().Position(), "-")
	for last, want := range map[string]struct {
		missed bool
		first  string
	}{
		start + "-0":                    {false, "1"},
		start + "-2":                    {false, "3"},
		start + "-4":                    {true, "1"}, // is still to come
		start + "-18446744073709551615": {true, "1"},
		start + "-18446744073709551616": {true, "1"},
		start + "--1":                   {true, "1"},
		start:                           {true, "1"},
		"other-2":                       {true, "1"},
		"":                              {true, "1"},
		"\x00\xff":                      {true, "1"},
	} {
		r, missed := log.After(last)
		if got := all(t, r); missed != want.missed || got[0].Message != want.first || got[len(got)-1].Message != "3" {
			t.Errorf("after %q: missed is %v, and it begins with %s", last, missed, got[0].Message)
		}
	}
}

// TestManyAtOnce publishes from many goroutines, and has many wait: each reader sees each event, all in the same order, and those of a publisher in its order.
func TestManyAtOnce(t *testing.T) {
	const publishers, each, readers = 8, 400, 20 // no more than are kept
	log := events.NewLog()
	var wg sync.WaitGroup
	seen := make([][]string, readers)
	for i := range readers {
		r := log.Now()
		wg.Go(func() {
			for len(seen[i]) < publishers*each {
				for _, e := range wait(t, r) {
					seen[i] = append(seen[i], e.ID()+" "+e.Message)
				}
			}
		})
	}
	for p := range publishers {
		wg.Go(func() {
			for n := range each {
				log.Publish(events.Event{Type: events.Fault, Link: strconv.Itoa(p), Message: fmt.Sprint(p, " ", n)})
			}
		})
	}
	wg.Wait()
	var last [publishers]int
	for i, line := range seen[0] {
		var p, n int
		var id string
		fmt.Sscan(line, &id, &p, &n)
		if number(t, id) != i+1 || n != last[p] {
			t.Fatalf("event %d is %s, and publisher %d is at %d", i+1, line, p, last[p])
		}
		last[p]++
	}
	for i := range seen {
		if !reflect.DeepEqual(seen[i], seen[0]) {
			t.Errorf("reader %d sees something else", i)
		}
	}
}

// TestMemoryIsBounded publishes much, and large events, while nobody reads.
func TestMemoryIsBounded(t *testing.T) {
	log := events.NewLog()
	for n := range 3 * kept {
		log.Publish(event(n))
	}
	if h := log.History(); len(h.Events) != kept || h.Next != 3*kept+1 {
		t.Errorf("of small ones it keeps %d, and the next is %d", len(h.Events), h.Next)
	}
	for range 1000 {
		log.Publish(events.Event{Type: events.Fault, Message: strings.Repeat("x", 64<<10)})
	}
	if n := len(log.History().Events); n < 10 || n > keptMax/(64<<10) {
		t.Errorf("of large ones it keeps %d", n)
	}
	slow := log.Now()
	for _, size := range []int{100 << 20, 1} { // larger than all together may be
		log.Publish(events.Event{Type: events.Fault, Message: strings.Repeat("x", size)})
		if n := len(log.History().Events); n != 1 {
			t.Errorf("with one of %d bytes it keeps %d", size, n)
		}
	}
	if _, _, err := slow.Take(make([]*events.Entry, 1)); !errors.Is(err, events.ErrBehind) {
		t.Errorf("who has not taken what is forgotten gets %v", err)
	}
}

// TestHandedOver writes down what a log knows, in the middle of things, and goes on with another.
func TestHandedOver(t *testing.T) {
	for _, before := range []int{0, 1, 100, kept, kept + 100} {
		log := events.NewLog()
		for n := range before {
			log.Publish(event(n + 1))
		}
		position := log.Now().Position()
		text, err := json.Marshal(log.History())
		if err != nil {
			t.Fatal(err)
		}
		var h events.History
		if err := json.Unmarshal(text, &h); err != nil {
			t.Fatal(err)
		}
		next := events.Restore(h)
		next.Publish(event(before + 1))
		start, _, _ := strings.Cut(position, "-")
		first := max(1, before+1-kept+1)
		r, missed := next.After(fmt.Sprintf("%s-%d", start, first-1))
		got := all(t, r)
		if missed || len(got) != before+2-first {
			t.Fatalf("after %d, one more: %d are there, and missed is %v", before, len(got), missed)
		}
		for i, e := range got {
			if e.Message != strconv.Itoa(first+i) || e.ID() != fmt.Sprintf("%s-%d", start, first+i) || e.At.IsZero() {
				t.Fatalf("the event %d is %+v", first+i, e.Event)
			}
		}
	}
	for _, h := range []events.History{{}, {Start: "x"}, {Start: "x", Next: 1, Events: make([]events.Event, 1)}} {
		if r := events.Restore(h).Now(); strings.HasPrefix(r.Position(), "x") || number(t, r.Position()) != 0 {
			t.Errorf("of the history %+v is made a log at %s", h, r.Position())
		}
	}
}

func TestLogsAreTold(t *testing.T) {
	if one, other := events.NewLog().Now().Position(), events.NewLog().Now().Position(); one == other {
		t.Errorf("two logs begin with %s", one)
	}
}

func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := events.NewLog()
		r, then := log.Now(), time.Now()
		<-time.After(time.Minute)
		log.Publish(event(1))
		log.Publish(events.Event{Type: events.State, At: then})
		if got := all(t, r); !got[0].At.Equal(then.Add(time.Minute)) || !got[1].At.Equal(then) {
			t.Errorf("they are of %v and %v", got[0].At, got[1].At)
		}
	})
}

func TestTextIsMadeOnce(t *testing.T) {
	log := events.NewLog()
	r := log.Now()
	log.Publish(event(1))
	e := all(t, r)[0]
	var wg sync.WaitGroup
	made := 0
	for range 20 {
		wg.Go(func() {
			if text := e.Text(func(e *events.Entry) []byte { made++; return []byte(e.Message) }); string(text) != "1" {
				t.Errorf("it is %q", text)
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("it was made %d times", made)
	}
}

func TestNoLog(_ *testing.T) {
	var log *events.Log
	log.Publish(event(1))
}

func BenchmarkPublish(b *testing.B) {
	for _, waiting := range []int{0, 200} {
		b.Run(fmt.Sprint(waiting, " wait"), func(b *testing.B) {
			log := events.NewLog()
			done := make(chan struct{})
			var wg sync.WaitGroup
			for range waiting {
				r := log.Now()
				wg.Go(func() {
					var room [64]*events.Entry
					for {
						_, more, err := r.Take(room[:])
						if err != nil {
							r = log.Now()
						}
						if more == nil {
							continue
						}
						select {
						case <-more:
						case <-done:
							return
						}
					}
				})
			}
			e := events.Event{Type: events.Connected, Link: "dbg", End: "a", Peer: &events.Peer{PID: 4711, Command: "qemu-system-i386"}}
			b.ReportAllocs()
			for b.Loop() {
				log.Publish(e)
			}
			close(done)
			wg.Wait()
		})
	}
}

// BenchmarkHandOver writes a history down that is full, and reads it.
func BenchmarkHandOver(b *testing.B) {
	log := events.NewLog()
	for n := range kept {
		log.Publish(events.Event{Type: events.Connected, Link: "dbg", End: "a", Peer: &events.Peer{PID: n, Command: "qemu-system-i386", VM: "win7-debugger"}})
	}
	var h events.History
	b.ReportAllocs()
	for b.Loop() {
		text, err := json.Marshal(log.History())
		if err == nil {
			h = events.History{}
			err = json.Unmarshal(text, &h)
		}
		if err != nil {
			b.Fatal(err)
		}
		events.Restore(h)
	}
}
