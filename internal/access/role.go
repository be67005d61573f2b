// Package access is about who may call the API: roles, and the tokens that carry them.
package access

// Role is what a caller may do. A role may do all that those before it may.
type Role int

// The roles.
const (
	Nothing Role = iota
	Read         // may look at everything
	Admin        // may change everything
)

func (r Role) String() string {
	switch r {
	case Read:
		return "read"
	case Admin:
		return "admin"
	default:
		return "nothing"
	}
}

// roleNamed reads a role as a file has it.
func roleNamed(word string) (role Role, known bool) {
	switch word {
	case Read.String():
		return Read, true
	case Admin.String():
		return Admin, true
	default:
		return Nothing, false
	}
}
