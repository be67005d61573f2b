package continuity

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"

	"serialhub/internal/testenv"
)

// full asks for the sizes that take minutes.
var full = flag.Bool("continuity.full", false, "run at full size")

// hubBinary is the hub under test, built once.
var hubBinary string

func TestMain(m *testing.M) {
	if os.Getenv(standInVariable) != "" {
		os.Exit(standIn())
	}
	flag.Parse()
	binary, remove, err := testenv.BuildHub()
	if err != nil {
		panic(err)
	}
	hubBinary = binary
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		remove()
		os.Exit(code)
	}))
}

// sized is a number at full size, or else the one that is enough for each change.
func sized[T any](atFullSize, usual T) T {
	if *full {
		return atFullSize
	}
	return usual
}

// each runs a test for each interruption, with a service on links that is ready.
func each(t *testing.T, all []interruption, links string, test func(*testing.T, *service, interruption)) {
	for _, one := range all {
		t.Run(one.name, func(t *testing.T) {
			s := newService(t, hubBinary, one.managed, links)
			s.start()
			s.ready()
			test(t, s, one)
		})
	}
}
