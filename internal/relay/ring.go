package relay

// ring keeps the newest bytes that were put into it, up to a limit. It holds no memory while it is empty.
type ring struct {
	limit int
	bytes []byte // limit of them, or nil while the ring is empty
	start int    // of the oldest
	len   int    // how many are kept; they wrap around at the end of bytes
}

// add appends data, and returns how many of the oldest bytes it had to drop for it.
func (r *ring) add(data []byte) (dropped int) {
	dropped = max(0, r.len+len(data)-r.limit)
	if over := len(data) - r.limit; over > 0 {
		data = data[over:]
	}
	r.remove(max(0, r.len+len(data)-r.limit))
	for len(data) > 0 {
		if r.bytes == nil {
			r.bytes = make([]byte, r.limit)
		}
		end := (r.start + r.len) % r.limit
		n := copy(r.bytes[end:], data[:min(len(data), r.limit-r.len)])
		r.len += n
		data = data[n:]
	}
	return dropped
}

// oldest returns the oldest bytes, as many as lie in a row. They are valid until the next call of another method.
func (r *ring) oldest() []byte {
	return r.bytes[r.start:min(r.start+r.len, len(r.bytes))]
}

// remove forgets the n oldest bytes.
func (r *ring) remove(n int) {
	r.len -= n
	if r.len == 0 {
		r.bytes, r.start = nil, 0
		return
	}
	r.start = (r.start + n) % r.limit
}
