package resttest

import (
	"bytes"
	"io"
	"net/http"
)

// most is as much of a body as is looked at, in bytes.
const most = 1 << 20

// Around has each request of the handler and its answer judged, and tells of what is wrong.
func (d *Document) Around(handler http.Handler, wrong func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := &recorder{}
		if r.Body != nil {
			r.Body = &reading{r.Body, sent}
		}
		seen := &writer{ResponseWriter: w}
		path := r.URL.EscapedPath() // before a handler mends it
		handler.ServeHTTP(seen, r)
		if seen.status == 0 {
			seen.WriteHeader(http.StatusOK) // as the server would
		}
		err := d.Judge(&Exchange{
			Method: r.Method, Path: path, Query: r.URL.RawQuery, Sent: sent.Bytes(),
			Status: seen.status, Header: seen.header, Body: seen.body.Bytes(), Whole: !seen.body.full,
		})
		if err != nil {
			wrong(err)
		}
	})
}

// reading sees what is read.
type reading struct {
	io.ReadCloser
	seen *recorder
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.seen.keep(p[:n])
	return n, err
}

// recorder keeps the beginning of a body.
type recorder struct {
	bytes.Buffer
	full bool
}

func (r *recorder) keep(p []byte) {
	if r.Len()+len(p) > most {
		r.full = true
	}
	if !r.full {
		r.Write(p)
	}
}

// writer sees what is answered.
type writer struct {
	http.ResponseWriter
	status int
	header http.Header
	body   recorder
}

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		w.status, w.header = status, w.Header().Clone()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.body.keep(p[:n])
	return n, err
}

// Unwrap lets http.ResponseController find what else the writer can do.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
