package supervisor

import "time"

const (
	// quiet is how long nothing must have happened before memory is given back.
	quiet = time.Second
	// tidyEvery is how often that is done at most.
	tidyEvery = 2 * time.Second
)

// tidier gives memory back when the hub has come to rest. Opening links and taking in peers leaves garbage and large stacks
// behind; carrying bytes allocates nothing, so the next collection might be days away.
type tidier struct {
	stirred chan struct{} // has room for one
	free    func()
}

func newTidier(free func()) *tidier { return &tidier{stirred: make(chan struct{}, 1), free: free} }

// stir tells that something has happened. It may be called from any goroutine, and never waits.
func (t *tidier) stir() {
	select {
	case t.stirred <- struct{}{}:
	default:
	}
}

// run frees memory after each time of activity, until stop is closed.
func (t *tidier) run(stop <-chan struct{}) {
	var last time.Time
	for {
		select {
		case <-t.stirred:
		case <-stop:
			return
		}
		for rests := false; !rests; {
			select {
			case <-t.stirred:
			case <-time.After(max(quiet, time.Until(last.Add(tidyEvery)))):
				rests = true
			case <-stop:
				return
			}
		}
		t.free()
		last = time.Now()
	}
}
