package model

// Role is what somebody may do. A higher one may do all that a lower one may.
type Role uint8

const (
	RoleNone     Role = iota // nothing
	RoleViewer               // see everything but secrets
	RoleOperator             // give orders about servers
	RoleAdmin                // change the configuration
)

var roles = table{"none", "viewer", "operator", "admin"}

func (r Role) String() string               { return roles.name("role", uint8(r)) }
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
func (r *Role) UnmarshalText(b []byte) error {
	v, err := roles.value("role", string(b))
	*r = Role(v)
	return err
}

// Actor is who asks for something.
type Actor struct {
	Name string // of the user, or of the token
	Role Role
	Via  string // where from: "control socket", or an address
}

// String is the actor as the journal names it.
func (a Actor) String() string {
	if a.Via == "" {
		return a.Name
	}
	return a.Name + " (" + a.Via + ")"
}
