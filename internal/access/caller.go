package access

// Caller is who calls the API.
type Caller struct {
	Who  string // a token, a certificate, a user; for logs
	From string // an address or a process; for logs
	Role Role
}
