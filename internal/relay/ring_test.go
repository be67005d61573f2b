package relay

import (
	"bytes"
	"testing"
)

// FuzzRing compares the ring with the obvious slice, for any sequence of additions and removals.
func FuzzRing(f *testing.F) {
	f.Add(uint8(1), []byte{1, 2, 3})
	f.Add(uint8(16), []byte{10, 200, 10, 3, 255, 128, 7})
	f.Fuzz(func(t *testing.T, limit uint8, script []byte) {
		if limit == 0 {
			return
		}
		r, err := newRing(int(limit))
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		var want []byte
		next := byte(0)
		for _, step := range script {
			if step < 128 {
				data := make([]byte, step)
				for i := range data {
					next++
					data[i] = next
				}
				want = append(want, data...)
				over := max(0, len(want)-int(limit))
				want = want[over:]
				if dropped := r.add(data); dropped != over {
					t.Fatalf("add dropped %d, want %d", dropped, over)
				}
			} else {
				n := min(int(step-128), len(want), len(r.oldest()))
				r.remove(n)
				want = want[n:]
			}
			if got := r.oldest(); !bytes.HasPrefix(want, got) || len(got) == 0 && len(want) > 0 || r.len() != len(want) {
				t.Fatalf("the ring has %d bytes that start with %v, want %v", r.len(), got, want)
			}
		}
	})
}
