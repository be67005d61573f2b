package qemu

import (
	"strings"
	"unicode"
)

// Reconnect is how a socket is told to connect again: reconnect=1, or reconnect-ms=1000 to a QEMU that knows that.
func Reconnect(milliseconds bool) string {
	if milliseconds {
		return "reconnect-ms=1000"
	}
	return "reconnect=1"
}

// WithReconnect is the value of the option, as it should have been written.
func (s Socket) WithReconnect(reconnect string) string {
	return s.Option + " " + Quote(s.Value+","+reconnect)
}

// Change is the monitor's command that gives a chardev its socket again.
func (s Socket) Change(reconnect string) string {
	var where string
	switch s.Kind {
	case "unix":
		path, abstract := strings.CutPrefix(s.Path, "@")
		where = "path=" + double(path)
		if abstract {
			where += ",abstract=on"
		}
	default:
		where = "host=" + double(s.Host) + ",port=" + double(s.Port)
		if s.Kind == "telnet" {
			where += ",telnet=on"
		}
	}
	if s.TLS {
		for _, p := range parseOptions(s.Value, "") {
			if p.key == "tls-creds" || p.key == "tls-authz" {
				where += "," + p.key + "=" + double(p.value)
			}
		}
	}
	return "chardev-change " + word(s.ID) + " " + word("socket,"+where+","+reconnect)
}

// double writes a comma in a value as QEMU wants it.
func double(value string) string { return strings.ReplaceAll(value, ",", ",,") }

// word quotes an argument of a monitor's command if it would not be one as it is.
func word(text string) string {
	if !strings.ContainsAny(text, " \t\"\\") {
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// Quote writes a word for a shell: as it is, if no shell reads anything into it.
func Quote(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/:=,@%+", r)
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// Echo is the command of a shell that prints the words, apart from each other. It is no echo if there is a backslash, which echo takes for its own in some shells.
func Echo(words ...string) string {
	command := "echo"
	if strings.Contains(strings.Join(words, ""), `\`) {
		command = `printf '%s\n'`
	}
	for _, w := range words {
		command += " " + Quote(w)
	}
	return command
}

// Tell is the line for a shell that says a command to the monitor; ok is false if no line of a shell reaches it.
func (m Monitor) Tell(command string) (line string, ok bool) {
	if m.Socket == nil || m.Socket.Passed || !m.Socket.Server || m.Socket.TLS || strings.ContainsFunc(command, unicode.IsControl) {
		return "", false
	}
	where := "UNIX-CONNECT:" + escape(m.Socket.Path)
	if abstract, is := strings.CutPrefix(m.Socket.Path, "@"); is {
		where = "ABSTRACT-CONNECT:" + escape(abstract)
	}
	if m.Socket.Path == "" {
		host := m.Socket.Host
		switch host {
		case "", "0.0.0.0":
			host = "127.0.0.1"
		case "::":
			host = "::1"
		}
		if strings.Trim(host+m.Socket.Port, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:_-") != "" {
			return "", false // to socat, other characters are options and further addresses, such as EXEC
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		where = "TCP:" + host + ":" + m.Socket.Port
	}
	if !m.QMP {
		return Echo(command) + " | socat -t 2 - " + Quote(where), true
	}
	json := `{"execute":"human-monitor-command","arguments":{"command-line":"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(command) + `"}}`
	return Echo(`{"execute":"qmp_capabilities"}`, json) + " | socat -t 2 - " + Quote(where), true
}

// escape writes a path for socat, to which some characters mean something.
func escape(path string) string {
	var b strings.Builder
	for _, r := range path {
		if strings.ContainsRune(`\:,!"'()[]{}`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
