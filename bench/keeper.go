package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// keeper plays the service manager for a hub: it keeps the descriptors that the hub gives it (sd_notify(3)), and passes them to
// the next one (sd_listen_fds(3)).
type keeper struct {
	command []string
	addr    *net.UnixAddr
	conn    *net.UnixConn
	log     *os.File
	hub     *exec.Cmd
	ended   chan struct{} // closed when nobody listens any more

	mu      sync.Mutex
	kept    map[string][]*os.File // owned
	settled chan struct{}         // told when everything that was said before has been heard
}

// settleText is what the keeper says to itself to know that it has heard everything before.
const settleText = "X_SETTLE=1"

func newKeeper(dir string, command []string) (*keeper, error) {
	k := &keeper{
		command: command,
		addr:    &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"},
		ended:   make(chan struct{}),
		kept:    map[string][]*os.File{},
		settled: make(chan struct{}),
	}
	var err error
	if k.conn, err = net.ListenUnixgram("unixgram", k.addr); err != nil {
		return nil, err
	}
	go k.listen()
	if k.log, err = os.Create(filepath.Join(dir, "log")); err == nil {
		err = k.start()
	}
	return k, err
}

// start starts a hub with what is kept.
func (k *keeper) start() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	var files []*os.File
	for name, list := range k.kept {
		for _, file := range list {
			names, files = append(names, name), append(files, file)
		}
	}
	// Only the process itself knows its pid before it is what it shall be.
	k.hub = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, k.command...)...)
	k.hub.Env = append(os.Environ(), "NOTIFY_SOCKET="+k.addr.Name, fmt.Sprint("LISTEN_FDS=", len(files)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	k.hub.ExtraFiles, k.hub.Stderr, k.hub.SysProcAttr = files, k.log, ownGroup()
	return k.hub.Start()
}

// replace kills the hub, and starts the next one with what it has left.
func (k *keeper) replace() error {
	if err := k.kill(); err != nil {
		return err
	}
	if _, err := k.conn.WriteToUnix([]byte(settleText), k.addr); err != nil {
		return err
	}
	<-k.settled
	return k.start()
}

func (k *keeper) kill() error {
	if err := k.hub.Process.Kill(); err != nil {
		return err
	}
	var killed *exec.ExitError
	if err := k.hub.Wait(); !errors.As(err, &killed) {
		return fmt.Errorf("a hub that was killed ended with %w", err)
	}
	return nil
}

// listen hears what the hub says, until the socket is closed.
func (k *keeper) listen() {
	defer close(k.ended)
	text, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*253))
	for {
		n, controls, _, _, err := k.conn.ReadMsgUnix(text, control)
		if err != nil {
			return
		}
		if string(text[:n]) == settleText {
			k.settled <- struct{}{}
			continue
		}
		k.hear(string(text[:n]), control[:controls])
	}
}

// hear does what one message says.
func (k *keeper) hear(text string, control []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, rest, _ := strings.Cut(text, "FDNAME=")
	name, _, _ := strings.Cut(rest, "\n")
	messages, err := unix.ParseSocketControlMessage(control)
	if strings.HasPrefix(text, "FDSTOREREMOVE=1") {
		err = errors.Join(err, closeFiles(k.kept[name]))
		delete(k.kept, name)
	}
	if err != nil {
		return // what the message carries is lost, and the measurement fails
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return
		}
		for _, fd := range fds {
			k.kept[name] = append(k.kept[name], os.NewFile(uintptr(fd), name))
		}
	}
}

func closeFiles(files []*os.File) (err error) {
	for _, file := range files {
		err = errors.Join(err, file.Close())
	}
	return err
}

// close ends the hub, and lets go of everything that is kept.
func (k *keeper) close() error {
	err := errors.Join(k.kill(), k.conn.Close(), k.log.Close())
	<-k.ended
	for _, files := range k.kept {
		err = errors.Join(err, closeFiles(files))
	}
	return err
}
