package access

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"serialhub/internal/testenv"
)

func TestMain(m *testing.M) {
	binary, remove, err := testenv.BuildHub()
	if err != nil {
		panic(err)
	}
	program = binary
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		remove()
		os.Exit(code)
	}))
}
