package model

// Chooser says who chose the server of a packet.
type Chooser uint8

const (
	ChosenByNobody     Chooser = iota
	ChosenByDirector           // the director's active server
	ChosenByConnection         // the connection table knows the connection
	ChosenByTemplate           // persistence keeps the client there
	ChosenByScheduler          // of a new connection
	ChosenByHash               // nothing is known of the connection, or it is none
)

var choosers = table{"nobody", "director", "connection", "template", "scheduler", "hash"}

func (c Chooser) String() string               { return choosers.name("chooser", uint8(c)) }
func (c Chooser) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
func (c *Chooser) UnmarshalText(b []byte) error {
	v, err := choosers.value("chooser", string(b))
	*c = Chooser(v)
	return err
}

// Explanation is what becomes of a packet, and why.
type Explanation struct {
	Verdict    string               `json:"verdict"`
	Flow       string               `json:"flow,omitempty"` // that claims it
	Director   string               `json:"director,omitempty"`
	Server     string               `json:"server,omitempty"` // that gets it
	Chooser    Chooser              `json:"chosen_by"`
	Connection *ExplainedConnection `json:"connection,omitempty"` // as the table knows it
	To         MAC                  `json:"to"`                   // the frame's MAC addresses when it leaves; zero: it does not
	From       MAC                  `json:"from"`
	// Tunnel: it leaves in a packet from the one to the other.
	Tunnel *Tunnel `json:"tunnel,omitempty"`
}

// ExplainedConnection is a packet's connection in the connection table.
type ExplainedConnection struct {
	Server       string `json:"server"`
	Old          bool   `json:"old"`          // of before the last switch, or of another director
	Ended        bool   `json:"ended"`        // a FIN or RST was seen
	Idle         bool   `json:"idle"`         // silent for its timeout
	Acknowledged bool   `json:"acknowledged"` // more than its SYN was seen
}
