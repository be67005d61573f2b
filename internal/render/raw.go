package render

import "serialhub/internal/watch"

// raw shows the bytes alone, those of both sides in the order in which they came. Missed bytes leave no trace in it.
type raw struct{ immediate }

func (raw) Append(dst []byte, e watch.Event) []byte { return append(dst, e.Data...) }

// immediate is the part of a renderer that begins with nothing and holds nothing back.
type immediate struct{}

func (immediate) Header(dst []byte) []byte { return dst }
func (immediate) Held() [2]int             { return [2]int{} }
func (immediate) Flush(dst []byte) []byte  { return dst }
