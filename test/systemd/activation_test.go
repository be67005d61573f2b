package systemd

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"serialhub/test/container"
)

// TestSocketActivation connects to a link before there is a hub: end a has the packaged socket unit and says which end
// it is, end b has one that says nothing but its address.
func TestSocketActivation(t *testing.T) {
	if !inContainer(t) {
		return
	}
	const addressA, addressB = "/run/serialhub-dbg.a", "/run/somewhere-else"
	h := packaged(t, "")
	h.writeConfig(t, "  - {name: dbg, a: "+addressA+", b: "+addressB+", absent: hold}\n")
	container.WriteUnit(t, "serialhub@.socket", packagedText(t, "serialhub@.socket"))
	a := container.Unit("serialhub@dbg.a.socket")
	b := container.WriteUnit(t, "other.socket", "[Socket]\nListenStream="+addressB+"\nService=serialhub.service\n")
	a.Do(t, "start")
	b.Do(t, "start")
	h.WantProperties(t, "ActiveState", "inactive")

	early := container.Connect(t, addressA) // which starts the hub
	early.Say(t, "said before the hub was there")
	late := container.Connect(t, addressB)
	late.Hear(t, "said before the hub was there")
	container.Converse(t, early, late)
	h.WaitProperty(t, "ActiveState", "active")

	goOn(t, early, late, 2, func() { h.Do(t, "restart") })
	h.Kill(t, "KILL")
	container.Converse(t, early, late)
	h.WaitProperty(t, "NRestarts", "1")

	// The sockets outlive a hub that is stopped, and start it again.
	h.Do(t, "stop")
	early.HearEnd(t)
	late.HearEnd(t)
	container.Converse(t, container.Connect(t, addressA), container.Connect(t, addressB))
	h.WantProperties(t, "Result", "success")

	container.Systemctl(t, "stop", string(a), string(b), string(h.Unit))
	if _, err := os.Lstat(addressA); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left behind (%v)", addressA, err)
	}
}
