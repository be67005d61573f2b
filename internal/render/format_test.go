package render_test

import (
	"strings"
	"testing"

	"serialhub/internal/render"
)

// formats are all there are, and what HTTP calls them.
var formats = map[render.Format]string{
	render.Hex:    "text/plain; charset=utf-8",
	render.Raw:    "application/octet-stream",
	render.Text:   "text/plain; charset=utf-8",
	render.JSON:   "application/x-ndjson",
	render.PCAPNG: "application/x-pcapng",
}

func TestFormats(t *testing.T) {
	for want, contentType := range formats {
		got, err := render.ParseFormat(string(want))
		if err != nil || got != want || got.ContentType() != contentType {
			t.Errorf("%s: %q, %v, %q", want, got, err, got.ContentType())
		}
		if out := render.New(got, render.Options{Link: "dbg"}).Flush(nil); len(out) != 0 {
			t.Errorf("%s: %q came from nothing", want, out)
		}
	}
	for _, name := range []string{"", "HEX", "pcap", "hex "} {
		_, err := render.ParseFormat(name)
		if err == nil {
			t.Errorf("%q was taken for a format", name)
			continue
		}
		for known := range formats {
			if !strings.Contains(err.Error(), string(known)) {
				t.Errorf("%q: the error does not name %s: %v", name, known, err)
			}
		}
	}
}
