package pkg

import (
	"net"
	"strings"
	"testing"

	"serialhub/test/container"
)

// TestUpgrade installs other versions under two peers who talk without a pause: newer, older, and the same one again. The file of links is the
// administrator's own.
func TestUpgrade(t *testing.T) {
	if !inDebian(t) {
		return
	}
	install(t, older)
	a, b := startTalking(t)
	pid := service.Property(t, "MainPID")
	streams := container.StartStreams(a, b)
	for _, version := range []string{newer, older, older, newer} {
		said := install(t, version, "--reinstall")
		if strings.Contains(said, "serialhub: ") {
			t.Errorf("the upgrade to %s says %s", version, said)
		}
		wantVersion(t, version)
		for _, s := range streams {
			s.Flow(t)
		}
		run(t, "serialhub reload && cmp "+config+" - <<'END'\nlinks:\n"+link+"END")
	}
	for _, s := range streams {
		s.Finish(t)
	}
	service.WantProperties(t, "MainPID", pid, "NRestarts", "0", "ActiveState", "active", "UnitFileState", "enabled", "NeedDaemonReload", "no")
	service.Do(t, "restart")
	container.Converse(t, a, b)
}

// TestRefusedUpgrade installs a program that is no good: the one that runs goes on, the upgrade says so, and the next one is taken.
func TestRefusedUpgrade(t *testing.T) {
	if !inDebian(t) {
		return
	}
	install(t, older)
	a, b := startTalking(t)
	pid := service.Property(t, "MainPID")

	said := install(t, broken)
	for _, part := range []string{"refused the new program", "this program is broken", "systemctl kill --kill-who=main --signal=USR2 serialhub.service"} {
		if !strings.Contains(said, part) {
			t.Errorf("the upgrade does not say %q, but %s", part, said)
		}
	}
	container.Converse(t, a, b)
	wantVersion(t, older)
	run(t, "dpkg-query -W -f '${db:Status-Status}\n' serialhub | grep -x installed")

	// It is found in a log of JSON as well.
	install(t, older)
	container.WriteFile(t, config, "log: {format: json}\nlinks:\n"+link)
	service.Do(t, "reload")
	if said := install(t, broken); !strings.Contains(said, "this program is broken") {
		t.Errorf("the upgrade with a log of JSON says %s", said)
	}

	if said := install(t, newer); strings.Contains(said, "serialhub: ") {
		t.Errorf("the upgrade says %s", said)
	}
	wantVersion(t, newer)
	container.Converse(t, a, b)

	// A file that no program takes is a reason to refuse, too.
	writeConfig(t, "  - {name: dbg, a: 1}\n")
	if said := install(t, older); !strings.Contains(said, "links[0].a") {
		t.Errorf("the upgrade with a bad file says %s", said)
	}
	wantVersion(t, newer)
	writeConfig(t, link)
	service.Kill(t, "USR2") // as the message says
	container.Eventually(t, "waiting for the new program", func() error { return isVersion(older) })
	container.Converse(t, a, b)
	service.WantProperties(t, "MainPID", pid, "NRestarts", "0")
}

// TestPortTaken installs the package where somebody else has the API's port: that is no reason to fail, and is said.
func TestPortTaken(t *testing.T) {
	if !inDebian(t) {
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:7373")
	if err != nil {
		t.Fatal(err)
	}
	said := install(t, older)
	if !strings.Contains(said, "systemctl status serialhub.service") {
		t.Errorf("the installation says %s", said)
	}
	if said := install(t, newer); !strings.Contains(said, "systemctl status serialhub.service") {
		t.Errorf("the upgrade says %s", said)
	}
	listener.Close()
	service.WaitProperty(t, "ActiveState", "active") // by itself
	wantVersion(t, newer)
}

// TestAbort goes the ways that dpkg goes when something else is in the way of a removal, or of an upgrade.
func TestAbort(t *testing.T) {
	if !inDebian(t) {
		return
	}
	install(t, older)
	const scripts = "/var/lib/dpkg/info/serialhub."
	run(t, scripts+"prerm remove in-favour other 1.0 && "+scripts+"postinst abort-remove in-favour other 1.0")
	service.WantProperties(t, "ActiveState", "active", "UnitFileState", "enabled")
	a, b := startTalking(t)
	pid := service.Property(t, "MainPID")
	run(t, scripts+"prerm upgrade "+newer+" && "+scripts+"postrm abort-upgrade "+older+" "+newer+" && "+scripts+"postinst abort-upgrade "+newer)
	container.Converse(t, a, b)
	service.WantProperties(t, "ActiveState", "active", "MainPID", pid)
}

// TestUpgradeOfOther leaves a hub alone that is not the package's, but one in /usr/local.
func TestUpgradeOfOther(t *testing.T) {
	if !inDebian(t) {
		return
	}
	install(t, older)
	run(t, "cp /usr/bin/serialhub /usr/local/bin/ && systemctl restart serialhub")
	a, b := startTalking(t)
	if said := install(t, newer); !strings.Contains(said, "/usr/local/bin/serialhub") {
		t.Errorf("the upgrade says %s", said)
	}
	wantVersion(t, older)
	container.Converse(t, a, b)
}

// TestUpgradeOfStopped leaves a service as it is: stopped, or disabled.
func TestUpgradeOfStopped(t *testing.T) {
	if !inDebian(t) {
		return
	}
	install(t, older)
	service.Do(t, "stop")
	install(t, newer)
	service.WantProperties(t, "ActiveState", "inactive", "UnitFileState", "enabled")
	service.Do(t, "start")
	wantVersion(t, newer)
	run(t, "systemctl disable --now serialhub")
	install(t, older)
	service.WantProperties(t, "ActiveState", "inactive", "UnitFileState", "disabled")
	run(t, "apt-get install -q -y --reinstall --allow-downgrades "+container.Path(deb(older)))
	service.WantProperties(t, "ActiveState", "inactive", "UnitFileState", "disabled")
}
