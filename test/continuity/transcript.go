package continuity

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// lines are lines with numbers that peers say to each other, both at once.
type lines struct {
	said [2][]byte
	next [2]int
}

// window is how much a peer says before it waits until the other one has heard that.
const window = 16 << 10

// exchange has both peers say about so many bytes more.
func (l *lines) exchange(a, b conn, size int) error {
	var both sync.WaitGroup
	errs := make(chan error, 2)
	for i, way := range [][2]conn{{a, b}, {b, a}} {
		both.Go(func() {
			for end := len(l.said[i]) + size; len(l.said[i]) < end; {
				if err := l.say(i, way[0], way[1]); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	both.Wait()
	close(errs)
	return <-errs
}

// say has one peer say a window of lines, some of them in pieces.
func (l *lines) say(i int, from, to conn) error {
	begin := len(l.said[i])
	for len(l.said[i]) < begin+window {
		l.next[i]++
		l.said[i] = fmt.Appendf(l.said[i], "%d %s\n", l.next[i], strings.Repeat("x", rand.IntN(200)))
	}
	text := l.said[i][begin:]
	sent := make(chan error, 1)
	go func() {
		for rest := text; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(4000))
			from.SetWriteDeadline(time.Now().Add(patience))
			if _, err := from.Write(rest[:n]); err != nil {
				sent <- err
				return
			}
			rest = rest[n:]
		}
		sent <- nil
	}()
	got := make([]byte, len(text))
	for n := 0; n < len(got); {
		to.SetReadDeadline(time.Now().Add(patience))
		more, err := to.Read(got[n:])
		if err != nil {
			return fmt.Errorf("%d of %d bytes came: %w", n, len(got), err)
		}
		n += more
	}
	if !bytes.Equal(got, text) {
		return fmt.Errorf("the peer at end %c heard something else", "ba"[i])
	}
	return <-sent
}

// transcribed reads what each end has said from the files of a transcript in text or json, oldest first. Its last line may not be whole yet.
func transcribed(format string, paths ...string) (said [2][]byte, err error) {
	var text []byte
	for _, path := range paths {
		part, err := os.ReadFile(path)
		if err != nil {
			return said, err
		}
		text = append(text, part...)
	}
	if format == "json" {
		pieces, err := parsePieces(string(text[:bytes.LastIndexByte(text, '\n')+1]))
		for _, one := range pieces {
			i := strings.Index("ab", one.End)
			if one.Missed > 0 || one.Offset != int64(len(said[i])) {
				return said, fmt.Errorf("what comes from %s goes on at %d, with %d missed, and not at %d", one.End, one.Offset, one.Missed, len(said[i]))
			}
			said[i] = append(said[i], one.Data...)
		}
		return said, err
	}
	for line := range bytes.Lines(text) {
		i := bytes.IndexByte([]byte("ab"), line[0])
		rest, whole := bytes.CutPrefix(line[1:], []byte("> "))
		if i < 0 || !whole {
			rest, whole = bytes.CutPrefix(line[1:], []byte("+ "))
		}
		if i < 0 || !whole {
			return said, fmt.Errorf("the line %q", line)
		}
		said[i] = append(said[i], bytes.TrimSuffix(rest, []byte("\\\n"))...)
	}
	return said, nil
}

// transcriptFiles are the files of a transcript, oldest first: those that have been rotated, and the one that is written.
func (s *service) transcriptFiles(name string) []string {
	s.t.Helper()
	extension := filepath.Ext(name)
	old, err := filepath.Glob(s.path(strings.TrimSuffix(name, extension) + "-*" + extension))
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(old)
	return append(old, s.path(name))
}

// waitTranscript waits until all lines are in the files, each once and in order.
func (s *service) waitTranscript(l *lines, format string, files func() []string) {
	s.t.Helper()
	s.until("done with its transcript", func() error {
		got, err := transcribed(format, files()...)
		if err != nil {
			return err
		}
		for i, want := range l.said {
			if err := sameLines(got[i], want); err != nil {
				return fmt.Errorf("from end %c: %w", "ab"[i], err)
			}
		}
		return nil
	})
}

// sameLines tells where lines are not those that they should be.
func sameLines(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	if bytes.HasPrefix(want, got) {
		return fmt.Errorf("%d bytes of %d", len(got), len(want))
	}
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	begin := bytes.LastIndexByte(got[:n], '\n') + 1
	return fmt.Errorf("at %d of %d bytes is %q, not %q", n, len(want), cut(got[begin:]), cut(want[begin:]))
}

func cut(text []byte) []byte { return text[:min(len(text), 60)] }
