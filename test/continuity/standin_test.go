package continuity

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// standInVariable makes this test's binary a small service, on which the manager itself is tested.
const standInVariable = "SERIALHUB_CONTINUITY_STANDIN"

// standIn writes down what it was started with, stores as standInVariable says, and waits to be killed.
func standIn() int {
	if os.Getenv("LISTEN_FDS") != "" {
		var contents []string
		for i, name := range strings.Split(os.Getenv("LISTEN_FDNAMES"), ":") {
			text := make([]byte, 100)
			n, err := unix.Pread(3+i, text, 0)
			if err != nil {
				n = copy(text, "?")
			}
			contents = append(contents, name+" "+string(text[:n]))
		}
		fmt.Println("FDS", os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID") == fmt.Sprint(os.Getpid()), strings.Join(contents, ", "))
	}
	say := func(text string, fds ...int) {
		if err := tell(os.Getenv("NOTIFY_SOCKET"), text, fds...); err != nil {
			fmt.Println(err)
		}
	}
	switch os.Getenv(standInVariable) {
	case "store":
		one, other := memoryFile("one"), memoryFile("other")
		say("FDSTORE=1\nFDNAME=x\nFDPOLL=0", one)
		say("FDSTORE=1\nFDNAME=again\nFDPOLL=0", one)
		say("FDSTORE=1\nFDNAME=x.a\nFDPOLL=0", other)
		var polled, kept [2]int
		unix.Pipe(polled[:])
		unix.Pipe(kept[:])
		say("FDSTORE=1\nFDNAME=polled", polled[0])
		say("FDSTORE=1\nFDNAME=kept\nFDPOLL=0", kept[0])
	case "remove":
		say("FDSTOREREMOVE=1\nFDNAME=x")
	}
	say("READY=1")
	signal.Ignore(syscall.SIGTERM)
	select {}
}

// memoryFile is a file with a text, which lives as long as its descriptors.
func memoryFile(text string) int {
	fd, err := unix.MemfdCreate("standin", unix.MFD_CLOEXEC)
	if err != nil {
		panic(err)
	}
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		panic(err)
	}
	return fd
}
