package relay

import "testing"

func TestGather(t *testing.T) {
	for _, test := range []struct {
		name  string
		moved []int // by each wake-up; -1 stands for something the other way
		rests []int // after which of them
	}{
		{"a stream of small messages", []int{16, 16, 16, 16, 1600, 1600}, []int{3, 4, 5}},
		{"large messages", []int{65536, 65536, 65536, 65536, 65536}, nil},
		{"messages with answers", []int{16, -1, 16, -1, 16, -1, 16, -1, 16, -1, 16}, nil},
		{"a stream that ends with an answer", []int{16, 16, 16, 16, -1, 16, 16, 16}, []int{3}},
		{"nothing gathers", append([]int{1, 1, 1, 1, 1}, make1s(20)...), []int{3, 24}},
		{"little gathers, but more than without", []int{1, 1, 1, 1, 5}, []int{3, 4}},
		{"a wake-up for nothing", []int{16, 16, 16, 0, 16, 16, 16, 16}, []int{7}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var g gather
			rests := test.rests
			for i, n := range test.moved {
				if n < 0 {
					g.interrupt()
					continue
				}
				want := len(rests) > 0 && rests[0] == i
				if want {
					rests = rests[1:]
				}
				if got := g.next(n); got != want {
					t.Errorf("after wake-up %d it rests: %v", i, got)
				}
			}
		})
	}
}

func make1s(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = 1
	}
	return list
}
