package systemd

import (
	"errors"
	"io/fs"
	"os"
	"testing"
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
	writeUnit(t, "serialhub@.socket", packagedText(t, "serialhub@.socket"))
	a := unit("serialhub@dbg.a.socket")
	b := writeUnit(t, "other.socket", "[Socket]\nListenStream="+addressB+"\nService=serialhub.service\n")
	a.do(t, "start")
	b.do(t, "start")
	h.wantProperties(t, "ActiveState", "inactive")

	early := connect(t, addressA) // which starts the hub
	early.say(t, "said before the hub was there")
	late := connect(t, addressB)
	late.hear(t, "said before the hub was there")
	converse(t, early, late)
	h.waitProperty(t, "ActiveState", "active")

	goOn(t, early, late, 2, func() { h.do(t, "restart") })
	h.kill(t, "KILL")
	converse(t, early, late)
	h.waitProperty(t, "NRestarts", "1")

	// The sockets outlive a hub that is stopped, and start it again.
	h.do(t, "stop")
	early.hearEnd(t)
	late.hearEnd(t)
	converse(t, connect(t, addressA), connect(t, addressB))
	h.wantProperties(t, "Result", "success")

	systemctl(t, "stop", string(a), string(b), string(h.unit))
	if _, err := os.Lstat(addressA); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left behind (%v)", addressA, err)
	}
}
