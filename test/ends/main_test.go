package ends

import (
	"flag"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what should happen at once, on a machine that may be busy.
const patience = 20 * time.Second

// atOnce is how many pairs of a body run at the same time. They wait more than they work.
const atOnce = "16"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	net.DefaultResolver = standInDNS()
	goleak.VerifyTestMain(m)
}
