package transcript_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"serialhub/internal/relay"
	"serialhub/internal/render"
	"serialhub/internal/testenv"
	"serialhub/internal/transcript"
	"serialhub/internal/watch"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(writerEnv) != "" {
		writeForEver()
	}
	goleak.VerifyTestMain(m)
}

// link is a link without peers, and its transcript.
type link struct {
	t    *testing.T
	tape *watch.Tape
	left watch.Mark   // by an earlier process
	log  *slog.Logger // nil: that of the test
	*transcript.Transcript
	cancel context.CancelCauseFunc
	ended  chan error

	mu      sync.Mutex
	marked  watch.Position
	atDone  []watch.Position // what was marked each time that nothing was written any more
	reports []error
	said    watch.Position
}

// start runs a transcript until the test ends.
func start(t *testing.T, c transcript.Config) *link {
	t.Helper()
	tape, err := watch.New(watch.Position{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{t: t, tape: tape}
	t.Cleanup(func() {
		if l.tape != nil {
			l.end()
		}
	})
	l.run(c, tape.Now())
	return l
}

func (l *link) run(c transcript.Config, reader *watch.Reader) {
	if c.Format == "" {
		c.Format = render.Text
	}
	if c.Sides == nil {
		c.Sides = []relay.Side{relay.A, relay.B}
	}
	if l.log == nil {
		l.log = slog.New(slog.NewTextHandler(l.t.Output(), nil))
	}
	ctx, cancel := context.WithCancelCause(l.t.Context())
	l.cancel, l.ended = cancel, make(chan error, 1)
	l.Transcript = transcript.New(c, "dbg", transcript.Deps{
		Reader: reader,
		Left:   l.left,
		Mark: func(m watch.Mark) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.marked = m.Position
		},
		Done: func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.atDone = append(l.atDone, l.marked)
		},
		Report: func(err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.reports = append(l.reports, err)
		},
		Log: l.log,
	})
	go func() {
		defer reader.Close()
		l.ended <- l.Run(ctx)
	}()
}

// say has a side say something.
func (l *link) say(side relay.Side, text string) {
	l.tape.Saw(side, []byte(text), 0)
	l.said[side] += uint64(len(text))
}

// number has side a say lines with numbers, as fast as they are written.
func (l *link) number(from, to int) {
	l.t.Helper()
	for n := from; n <= to; n++ {
		l.say(relay.A, fmt.Sprintf("%015d\n", n))
		if l.said[relay.A]-l.mark()[relay.A] > 256<<10 {
			l.written()
		}
	}
}

func (l *link) mark() watch.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.marked
}

// written waits until all that was said is in the file.
func (l *link) written() {
	l.t.Helper()
	testenv.Eventually(l.t, patience, "what was said is written", func() error {
		if mark := l.mark(); mark != l.said {
			return fmt.Errorf("up to %d of %d", mark, l.said)
		}
		return nil
	})
}

// report is the newest report, if there is one.
func (l *link) report() (any bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.reports) == 0 {
		return false, nil
	}
	return true, l.reports[len(l.reports)-1]
}

// stopped waits until the transcript says that it has stopped for a reason.
func (l *link) stopped(reason string) {
	l.t.Helper()
	testenv.Eventually(l.t, patience, "a report", func() error {
		_, err := l.report()
		if stopped := (*transcript.StoppedError)(nil); !errors.As(err, &stopped) || !strings.Contains(err.Error(), reason) {
			return fmt.Errorf("%w instead of %q", cmp.Or(err, errors.New("nothing")), reason)
		}
		return nil
	})
}

// works waits until the transcript says that it works again.
func (l *link) works() {
	l.t.Helper()
	testenv.Eventually(l.t, patience, "a report", func() error {
		any, err := l.report()
		if !any {
			return errors.New("none")
		}
		return err
	})
}

// end closes the tape, and waits for what Run returns.
func (l *link) end() {
	l.t.Helper()
	l.tape.Close()
	l.tape = nil
	l.wait()
}

func (l *link) wait() {
	l.t.Helper()
	select {
	case err := <-l.ended:
		if err != nil {
			l.t.Error(err)
		}
	case <-time.After(patience):
		l.t.Error("the transcript does not end")
	}
	l.cancel(nil)
}

// read is what is in a file, decompressed.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var plain io.Reader = bytes.NewReader(data)
	switch filepath.Ext(path) {
	case ".gz":
		plain, err = gzip.NewReader(plain)
	case ".zst":
		var decoder *zstd.Decoder
		decoder, err = zstd.NewReader(plain, zstd.WithDecoderConcurrency(1))
		plain = decoder
		if err == nil {
			defer decoder.Close()
		}
	}
	if err != nil {
		t.Fatal(path, err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(path, err)
	}
	return string(text)
}

// glob lists files as a shell does; by their names, they are sorted by age.
func glob(t *testing.T, pattern ...string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// concatenate reads files, oldest first.
func concatenate(t *testing.T, paths []string) string {
	t.Helper()
	var all strings.Builder
	for _, path := range paths {
		all.WriteString(read(t, path))
	}
	return all.String()
}

// numbered fails the test if a text without times is not the lines with the numbers up to last, in order, as side a has said them.
func numbered(t *testing.T, text string, last int) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		if want := fmt.Sprintf("a> %015d", i+1); line != want {
			t.Fatalf("line %d is %q; %d lines of %d", i+1, line, len(lines), last)
		}
	}
	if len(lines) != last {
		t.Fatalf("%d lines of %d", len(lines), last)
	}
}
