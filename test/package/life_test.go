package pkg

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"serialhub/test/container"
)

// TestLife installs the package, uses it as a new user would, removes it and purges it: nothing is left.
func TestLife(t *testing.T) {
	if !inDebian(t) {
		return
	}
	before := traces(t)
	install(t, older)
	service.WantProperties(t, "ActiveState", "active", "SubState", "running", "UnitFileState", "enabled", "User", "serialhub", "StatusText", "0 links")
	for _, line := range []string{
		"serialhub status", "serialhub check -c " + config, "serialhub reload",
		"curl -fsS http://127.0.0.1:7373/links", "systemd-analyze verify serialhub.service serialhub@dbg.a.socket",
		"XDG_RUNTIME_DIR=/run systemd-analyze --user verify /usr/lib/systemd/user/serialhub.service",
		"test $(stat -c %U:%G:%a /var/log/serialhub) = serialhub:serialhub:750",
		"! systemctl --global is-enabled serialhub.service", // the users' own
	} {
		run(t, line)
	}

	t.Run("manual", func(t *testing.T) {
		pages := strings.Fields(run(t, `dpkg -L serialhub | sed -n 's|^/usr/share/man/man[15]/\(.*\)\.\([15]\)\.gz$|\2:\1|p'`))
		if len(pages) < 15 {
			t.Errorf("only %q", pages)
		}
		for _, page := range pages {
			section, name, _ := strings.Cut(page, ":")
			if text := run(t, "man --warnings "+section+" "+name+" 2>&1"); !strings.Contains(text, "SEE ALSO") {
				t.Errorf("man %s %s says %q", section, name, text)
			}
		}
		if said := run(t, "mandb -q && apropos serialhub"); !strings.Contains(said, "links.yaml (5)") || !strings.Contains(said, "serialhub (1)") {
			t.Errorf("apropos finds %q", said)
		}
	})

	t.Run("completion", func(t *testing.T) {
		for shell, script := range map[string]string{
			"bash": `. /usr/share/bash-completion/bash_completion; _completion_loader serialhub; COMP_WORDS=(serialhub rel); COMP_CWORD=1; COMP_LINE="serialhub rel"; COMP_POINT=13; $(complete -p serialhub | sed 's/.*-F \([^ ]*\).*/\1/') serialhub; echo "${COMPREPLY[@]}"`,
			"zsh":  `autoload -U compinit; compinit -u; echo ${_comps[serialhub]}; whence -v _serialhub; autoload +X _serialhub && echo reload`,
			"fish": `complete -C "serialhub rel"`,
		} {
			said, err := container.Run("env", "HOME="+container.Path("home"), shell, "-c", script)
			if err != nil || !strings.Contains(said, "reload") || shell == "zsh" && !strings.Contains(said, "/usr/share/zsh/vendor-completions") && !strings.Contains(said, "_serialhub") {
				t.Errorf("%s says %q, %v", shell, said, err)
			}
		}
	})

	t.Run("first link", func(t *testing.T) {
		text, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		example := regexp.MustCompile(`(?s)\n#links:.*`).Find(text)
		lines := regexp.MustCompile(`(?m)^#`).ReplaceAllString(string(example), "")
		container.WriteFile(t, config, strings.Replace(string(text), "links: []", lines, 1))
		run(t, "serialhub check -c "+config)
		service.Do(t, "reload")
		container.Converse(t, container.Connect(t, "/run/serialhub/dbg-a"), container.Connect(t, "/run/serialhub/dbg-b"))
	})

	// All that can be used: a socket of systemd's, a drop-in, a transcript, a file beside the config.
	container.WriteFile(t, "/etc/systemd/system/serialhub.service.d/override.conf", "[Service]\nSupplementaryGroups=tty\n")
	container.WriteFile(t, "/etc/serialhub/tokens", "")
	writeConfig(t, "  - {name: dbg, a: /run/serialhub-dbg.a, b: /tmp/dbg-b, transcript: '/var/log/serialhub/{link}.log'}\n")
	run(t, "systemctl daemon-reload && systemctl stop serialhub && systemctl enable --now serialhub@dbg.a.socket")
	a := container.Connect(t, "/run/serialhub-dbg.a")
	container.Converse(t, a, container.Connect(t, "/tmp/dbg-b"))
	service.WaitProperty(t, "ActiveState", "active")

	run(t, "DEBIAN_FRONTEND=noninteractive apt-get remove -q -y serialhub")
	if said, err := container.Run("systemctl", "is-active", "serialhub.service", "serialhub@dbg.a.socket"); err == nil || strings.Contains(said, "\nactive") {
		t.Errorf("after it was removed: %s, %v", said, err)
	}
	for _, path := range []string{"/run/serialhub", "/run/serialhub-dbg.a", "/tmp/dbg-b", "/usr/bin/serialhub", "/usr/lib/systemd/system/serialhub.service"} {
		if exists(path) {
			t.Errorf("after it was removed, %s is there", path)
		}
	}
	for _, path := range []string{config, "/var/log/serialhub/dbg.log"} {
		if !exists(path) {
			t.Errorf("after it was removed, and not purged, %s is not there", path)
		}
	}
	a.Close()

	run(t, "DEBIAN_FRONTEND=noninteractive apt-get purge -q -y serialhub")
	wantNothingLeft(t, before)
}

// TestRemovedAndBack installs the package where it was removed before: its config is still there, and the hub starts.
func TestRemovedAndBack(t *testing.T) {
	if !inDebian(t) {
		return
	}
	before := traces(t)
	install(t, older)
	startTalking(t)
	run(t, "apt-get remove -q -y serialhub")
	install(t, newer, "-o Dpkg::Options::=--force-confold")
	service.WantProperties(t, "ActiveState", "active", "UnitFileState", "enabled")
	wantVersion(t, newer)
	if err := get("/links/dbg", new(any)); err != nil {
		t.Error(err)
	}
	run(t, "dpkg --purge serialhub") // at once
	wantNothingLeft(t, before)
}

// TestSocketUnitsComeBack removes the package where a socket unit was enabled, and installs it again: the socket listens, and its link waits.
func TestSocketUnitsComeBack(t *testing.T) {
	if !inDebian(t) {
		return
	}
	install(t, older)
	writeConfig(t, "  - {name: dbg, a: /run/serialhub-dbg.a, b: /run/serialhub/dbg-b}\n")
	run(t, "systemctl stop serialhub && systemctl enable --now serialhub@dbg.a.socket && systemctl start serialhub")
	run(t, "apt-get remove -q -y serialhub")
	install(t, newer, "-o Dpkg::Options::=--force-confold")
	container.Converse(t, container.Connect(t, "/run/serialhub-dbg.a"), container.Connect(t, "/run/serialhub/dbg-b"))
}

// TestOtherHubsStay removes the package where another hub runs, for which root's commands are.
func TestOtherHubsStay(t *testing.T) {
	if !inDebian(t) {
		return
	}
	install(t, older)
	container.WriteFile(t, "/root/links.yaml", "api: {listen: 'unix:/root/api'}\nlinks: [{name: dbg, a: /root/a, b: /root/b}]\n")
	run(t, "cp /usr/bin/serialhub /usr/local/bin/other && systemd-run --quiet /usr/local/bin/other -c /root/links.yaml")
	run(t, "SERIALHUB_API=unix:/root/api serialhub wait dbg --for waiting --timeout 30s")
	a, b := container.Connect(t, "/root/a"), container.Connect(t, "/root/b")
	container.Converse(t, a, b)
	for _, verb := range []string{"start", "stop"} {
		run(t, "systemctl "+verb+" serialhub && SERIALHUB_API=unix:/root/api apt-get remove -q -y serialhub")
		container.Converse(t, a, b)
		install(t, older, "-o Dpkg::Options::=--force-confold")
	}
}

// TestArchive unpacks the archive below /usr/local.
func TestArchive(t *testing.T) {
	if !inDebian(t) {
		return
	}
	run(t, "tar -xzf "+container.Path(archive("amd64"))+" -C /usr/local --strip-components=1 --no-same-owner")
	run(t, "install -D -m 644 /usr/local/share/doc/serialhub/examples/links.yaml "+config)
	run(t, "systemd-sysusers && systemd-tmpfiles --create serialhub.conf && systemctl daemon-reload && systemctl enable --now serialhub")
	wantVersion(t, older)
	startTalking(t)
	if said := run(t, "readlink /proc/$(systemctl show --property=MainPID --value serialhub)/exe && stat -c %U /var/log/serialhub && man -w serialhub"); said !=
		"/usr/local/bin/serialhub\nserialhub\n/usr/local/man/man1/serialhub.1.gz" { // which is share/man
		t.Error(said)
	}
}
