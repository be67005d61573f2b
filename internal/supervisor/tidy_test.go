package supervisor

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTidier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		freed := 0
		tidy := newTidier(func() { freed++ })
		stop := make(chan struct{})
		go tidy.run(stop)
		expect := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			if freed != want {
				t.Errorf("%s memory has been freed %d times, want %d", when, freed, want)
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
