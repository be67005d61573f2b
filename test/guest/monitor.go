package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
)

// usbDevice is QEMU's name of the USB serial device. It is there whether or not somebody is at its other side.
const usbDevice = "usb"

// monitor gives QEMU commands, in its QMP. Only the test's own goroutine may use it.
type monitor struct {
	conn    net.Conn
	answers *json.Decoder
}

// newMonitor takes over a connection to QEMU.
func newMonitor(t *testing.T, conn net.Conn) *monitor {
	t.Helper()
	m := &monitor{conn, json.NewDecoder(conn)}
	if err := m.do("qmp_capabilities", map[string]any{}); err != nil {
		t.Fatal(err)
	}
	return m
}

// do has QEMU carry out a command, and returns when it has.
func (m *monitor) do(command string, arguments map[string]any) error {
	m.conn.SetDeadline(time.Now().Add(patience))
	request, err := json.Marshal(map[string]any{"execute": command, "arguments": arguments})
	if err == nil {
		_, err = m.conn.Write(request)
	}
	var answer struct { // events, which come between, have neither
		Return json.RawMessage
		Error  *struct{ Desc string }
	}
	for err == nil && answer.Return == nil && answer.Error == nil {
		err = m.answers.Decode(&answer)
	}
	if err == nil && answer.Error != nil {
		err = errors.New(answer.Error.Desc)
	}
	if err != nil {
		return fmt.Errorf("QEMU's %s: %w", command, err)
	}
	return nil
}

// unplug takes the USB serial device out of the guest.
func (g *guest) unplug(t *testing.T) {
	t.Helper()
	if err := g.monitor.do("device_del", map[string]any{"id": usbDevice}); err != nil {
		t.Fatal(err)
	}
}

// plug puts it back, as soon as QEMU has let go of the one that was unplugged.
func (g *guest) plug(t *testing.T) {
	t.Helper()
	eventually(t, "plugging the device", func() error {
		return g.monitor.do("device_add", map[string]any{
			"driver": "usb-serial", "id": usbDevice, "chardev": usbDevice, "always-plugged": true,
		})
	})
}
