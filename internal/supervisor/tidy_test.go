package supervisor

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTidier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var freed atomic.Int64
		tidy := newTidier(func() { freed.Add(1) })
		stop := make(chan struct{})
		go tidy.run(stop)
		expect := func(when string, want int64) {
			t.Helper()
			synctest.Wait()
			if n := freed.Load(); n != want {
				t.Errorf("%s memory has been freed %d times, want %d", when, n, want)
			}
		}
		<-time.After(time.Hour)
		expect("when nothing has ever happened", 0)
		for range 100 {
			tidy.stir()
			<-time.After(quiet / 2)
		}
		expect("while something happens", 0)
		<-time.After(quiet)
		expect("after a while of rest", 1)
		tidy.stir()
		<-time.After(quiet + quiet/4)
		expect("soon afterwards", 1)
		<-time.After(tidyEvery)
		expect("later", 2)
		<-time.After(time.Hour)
		expect("after a long rest", 2)
		close(stop)
	})
}
