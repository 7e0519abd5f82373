package rpc

import (
	"encoding/binary"
	"fmt"
)

// maxAuth bounds a verifier (RFC 5531, section 8.2).
const maxAuth = 400

// Procedure names one remote procedure.
type Procedure struct {
	Name                    string
	Program, Version, Index uint32
}

// Call is one call: the procedure, its arguments, and how its results are read.
// It is a value that any transport can carry.
type Call[T any] struct {
	Procedure
	Args   func(*Encoder)            // nil: none
	Result func(*Decoder) (T, error) // nil: nothing is read
}

// Read reads the call's results.
func (c Call[T]) Read(d Decoder) (v T, err error) {
	if c.Result == nil {
		return v, nil
	}
	v, err = c.Result(&d)
	if err != nil {
		var zero T
		return zero, err
	}
	return v, d.err
}

// Null is the procedure 0 that every version of every programme has.
func Null(program, version uint32) Call[struct{}] {
	return Call[struct{}]{Procedure: Procedure{"NULL", program, version, 0}}
}

// Credential says who calls. The zero value is AUTH_NONE.
type Credential struct {
	flavor uint32
	body   []byte
}

// AuthSys is the identity of a user of a machine (RFC 5531, appendix A).
func AuthSys(machine string, uid, gid uint32) Credential {
	var e Encoder
	e.Uint32(0) // stamp
	e.String(machine[:min(len(machine), 255)])
	e.Uint32(uid)
	e.Uint32(gid)
	e.Uint32(0) // no further groups
	return Credential{1, e.b}
}

// EncodeCall returns the record of one call, marker included. A datagram is the
// same without the marker's 4 bytes.
func EncodeCall(xid uint32, p Procedure, cred Credential, args func(*Encoder)) []byte {
	e := Encoder{b: make([]byte, 4, 256)}
	for _, v := range []uint32{xid, 0 /* call */, 2 /* RPC version */, p.Program, p.Version, p.Index, cred.flavor} {
		e.Uint32(v)
	}
	e.Opaque(cred.body)
	e.Uint32(0) // verifier: AUTH_NONE
	e.Uint32(0)
	if args != nil {
		args(&e)
	}
	binary.BigEndian.PutUint32(e.b, lastFragment|uint32(len(e.b)-4))
	return e.b
}

// DecodeReply checks the header of a reply to p and returns its results.
func DecodeReply(record []byte, p Procedure) (xid uint32, results Decoder, err error) {
	d := Decoder{b: record}
	xid = d.Uint32()
	if kind := d.Uint32(); d.err == nil && kind != 1 {
		d.Fail("message type %d is not a reply", kind)
	}
	if stat := d.Uint32(); d.err == nil && stat != 0 {
		return xid, Decoder{}, denied(&d, stat)
	}
	d.Uint32() // flavour of the verifier
	d.Opaque(maxAuth)
	if stat := d.Uint32(); d.err == nil && stat != 0 {
		return xid, Decoder{}, notAccepted(&d, stat, p)
	}
	return xid, d, d.err
}

// Refusal is why a server did not carry out a call, although it understood what
// was asked of it.
type Refusal struct {
	Words string
	// Low and High are the versions that the server has, when it lacks the one
	// that was asked for; else 0.
	Low, High uint32
}

func (r *Refusal) Error() string { return r.Words }

// notAccepted tells what an accept_stat other than SUCCESS means.
func notAccepted(d *Decoder, stat uint32, p Procedure) error {
	program := ProgramName(p.Program)
	r := &Refusal{}
	switch stat {
	case 1:
		r.Words = fmt.Sprintf("the server does not offer the programme %s", program)
	case 2:
		r.Low, r.High = d.Uint32(), d.Uint32()
		r.Words = fmt.Sprintf("the server offers version %d of %s, not %d", r.Low, program, p.Version)
		if r.Low != r.High {
			r.Words = fmt.Sprintf("the server offers versions %d to %d of %s, not %d", r.Low, r.High, program, p.Version)
		}
	case 3:
		r.Words = fmt.Sprintf("the server lacks the procedure %s of %s version %d", p.Name, program, p.Version)
	case 4:
		r.Words = fmt.Sprintf("the server does not understand the arguments of %s", p.Name)
	case 5:
		r.Words = "the server reports an error of its system"
	default:
		d.Fail("accept status %d", stat)
	}
	if d.err != nil {
		return d.err
	}
	return r
}

var authWords = map[uint32]string{
	1: "bad credential", 2: "the credential is no longer accepted", 3: "bad verifier", 4: "the verifier is no longer accepted",
	5: "it wants a stronger credential, or a privileged port", 8: "it wants Kerberos", 13: "its Kerberos context is gone", 14: "its Kerberos context is gone",
}

// denied tells why a call was not even looked at. Stat is the reply_stat.
func denied(d *Decoder, stat uint32) error {
	if stat != 1 {
		d.Fail("reply status %d", stat)
		return d.err
	}
	var words string
	switch why := d.Uint32(); why {
	case 0:
		words = fmt.Sprintf("the server speaks versions %d to %d of RPC, not 2", d.Uint32(), d.Uint32())
	case 1:
		reason := d.Uint32()
		known, ok := authWords[reason]
		if !ok {
			known = fmt.Sprintf("reason %d", reason)
		}
		words = "the server refuses the credential: " + known
	default:
		d.Fail("reject status %d", why)
	}
	if d.err != nil {
		return d.err
	}
	return &Refusal{Words: words}
}
