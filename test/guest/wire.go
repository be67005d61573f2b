package guest

import "syscall"

// request is what the test asks of the guest's init, over the control line. It is for one process, or file, by a
// number that the test has given it.
type request struct {
	ID     int
	Args   []string       // the command line to start
	Signal syscall.Signal // what to send to the process
	Path   string         // the file to write, which may be executed
	Data   []byte         // what is in it
}

// reply is what init tells of a process, or of a file, which ends when it is written.
type reply struct {
	ID     int
	Output []byte // stdout and stderr
	Ended  bool
	Code   int
	Error  string // why it could not be started, or written
}
