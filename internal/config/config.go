// Package config reads the file of links: its keys, its defaults and every check that needs no socket.
package config

import (
	"log/slog"
	"time"

	"serialhub/internal/access"
	"serialhub/internal/address"
)

// Config is a file that passed every check.
type Config struct {
	Path  string // absolute
	API   API
	Log   Log
	Links []Link // in the order of the file
}

// API says where the REST API listens, and who may call it; without an address there is none.
type API struct {
	Listen    []APIListener
	TokenFile string         // absolute; "" if callers on TCP need no token
	Tokens    []access.Token // what is in it
	TLS       APITLS
}

// APIListener is one address of the API, and what is said of it. What does not concern its kind of address is zero.
type APIListener struct {
	APIAddress
	Mode         uint32 // permission bits of a unix socket's file
	Owner, Group string // of that file, each a name or a number; "" for the hub's own
	AllowUIDs    []int  // who may call on a unix socket; empty for anybody who gets that far
}

// APIAddress is what net.Listen takes: "tcp" with a host and port, or "unix" with an absolute path.
type APIAddress struct {
	Network, Address string
}

func (a APIAddress) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Address
	}
	return a.Address
}

// APITLS is what the API needs to speak TLS on TCP: the contents of PEM files, "" if they are not there. Without Cert it does not.
type APITLS struct {
	Cert, Key string
	CA        string // who must have signed the certificate of a client; "" asks for none
}

// Log says how much is logged, and in which shape.
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"
}

// Link is a named virtual serial cable with two ends, and how it behaves.
type Link struct {
	Name         string
	A, B         End
	Restart      Restart
	Absent       Absent
	BufferSize   int // bytes, for AbsentBuffer
	OnDisconnect OnDisconnect
	Scrollback   int         // bytes, the newest of both directions, kept for watchers; 0 for none
	Transcript   *Transcript // nil for none
	Disabled     bool        // kept in the file, not started
}

// End is one side of a link. What does not concern its kind of address is zero.
type End struct {
	Address   address.Address
	Connects  bool          // the hub dials Address; else it is where peers come to, or a device
	Mode      uint32        // permission bits of the socket's file, or of the pseudo-terminal
	Owner     string        // user of that file, a name or a number; "" for the hub's own
	Group     string        // likewise
	AllowUIDs []int         // who may be the peer of a unix socket; empty for anybody who gets that far
	WhenBusy  WhenBusy      // where peers come to
	KeepAlive time.Duration // within which a dead peer of TCP or TLS is found
	TLS       TLS
	Serial    Serial
}

// Way is how the end comes to its peers, as the file says it: "listen", "connect", "pty" or "device".
func (e End) Way() string {
	switch {
	case e.Address.Kind() == address.PTY, e.Address.Kind() == address.Device:
		return string(e.Address.Kind())
	case e.Connects:
		return "connect"
	default:
		return "listen"
	}
}

// TLS is what an end with TLS needs beside its address. The certificates and the key are the contents of their files, so that a file
// that has become another is a change. All of it is PEM, "" if it is not there.
type TLS struct {
	Cert, Key  string // of the hub; needed to listen
	CA         string // who may have signed the certificate of the other side: to listen, "" asks for none; to connect, "" takes the system's
	ServerName string // what the certificate of the other side has to be for; "" takes the host. To connect only
	MinVersion uint16 // as in crypto/tls
}

// Serial is how a serial port talks.
type Serial struct {
	Baud        int
	DataBits    int    // 5 to 8
	Parity      string // none, odd, even, mark or space
	StopBits    int    // 1 or 2
	FlowControl string // none, hardware (RTS/CTS) or software (XON/XOFF)
}

// Restart says what happens when a link loses a peer or fails.
type Restart struct {
	Policy          Policy
	Delay, MaxDelay time.Duration // before what failed is tried again: at first, and at most
	MaxFailures     int           // in a row, after which the link is given up; 0 for no limit
}

// Policy says which losses end a link.
type Policy string

// The policies of restart.
const (
	Always    Policy = "always"     // none: a lost end waits for the next peer, a failure is tried again
	OnFailure Policy = "on-failure" // a peer's clean close
	Never     Policy = "never"      // the first loss or failure, as it ends socat
)

// Absent says what happens to bytes that are sent while nobody is at the other end.
type Absent string

// What can happen to bytes for nobody.
const (
	AbsentDiscard Absent = "discard" // they are read and dropped
	AbsentHold    Absent = "hold"    // they are not read; the sender waits
	AbsentBuffer  Absent = "buffer"  // the newest of them are kept
)

// OnDisconnect says what happens to the peer that is still there when the other one leaves.
type OnDisconnect string

// What can happen to the peer that is left.
const (
	OnDisconnectKeep  OnDisconnect = "keep"
	OnDisconnectClose OnDisconnect = "close"
)

// WhenBusy says what happens to a second peer at an end that is taken.
type WhenBusy string

// What can happen to a second peer.
const (
	BusyReject  WhenBusy = "reject"  // it is closed at once
	BusyReplace WhenBusy = "replace" // it takes the end, and the first one is closed
	BusyQueue   WhenBusy = "queue"   // it waits until the first one leaves
)
