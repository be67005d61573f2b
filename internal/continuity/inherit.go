package continuity

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// handoverVariable names the descriptor of the file that a program leaves for the one that it replaces itself by.
const handoverVariable = "SERIALHUB_HANDOVER"

// File is a descriptor that has outlived its process, and what it was called there.
type File struct {
	Name string `json:"name"`
	FD   int    `json:"fd"`
}

// handover is what a program leaves for the one that replaces it, as JSON in a memfd.
type handover struct {
	Files []File          `json:"files"`
	State json.RawMessage `json:"state"`
}

// inherit takes over what the environment tells of: descriptors of the service manager, or those of the program that was in
// the place of this one, and its state. It removes what it has read from the environment. The descriptors are close-on-exec
// and non-blocking from now on.
func inherit() ([]File, json.RawMessage, error) {
	files, err := listenFDs()
	if err != nil {
		return nil, nil, err
	}
	state, err := takeHandover(&files)
	for _, file := range files {
		unix.CloseOnExec(file.FD)
		if err := unix.SetNonblock(file.FD, true); err != nil {
			return nil, nil, fmt.Errorf("the descriptor %d, %q, is not open: %w", file.FD, file.Name, err)
		}
	}
	return files, state, err
}

// listenFDs reads the variables of sd_listen_fds(3).
func listenFDs() ([]File, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // they are for another process
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("LISTEN_FDS=%s is no number of descriptors", count)
	}
	const first = 3
	files := make([]File, n)
	for i := range files {
		files[i].FD = first + i
		if i < len(names) {
			files[i].Name = names[i]
		}
	}
	return files, nil
}

func takeHandover(files *[]File) (json.RawMessage, error) {
	number := os.Getenv(handoverVariable)
	if number == "" {
		return nil, nil
	}
	if err := os.Unsetenv(handoverVariable); err != nil {
		return nil, err
	}
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", handoverVariable, number, err)
	}
	file := os.NewFile(uintptr(fd), "handover")
	if file == nil {
		return nil, fmt.Errorf("%s=%s: that is no descriptor", handoverVariable, number)
	}
	defer file.Close() //nolint:errcheck // nothing was written to it
	var left handover
	if err := json.NewDecoder(file).Decode(&left); err != nil {
		return nil, fmt.Errorf("what the program before this one has left cannot be read: %w", err)
	}
	*files = append(*files, left.Files...)
	return left.State, nil
}
